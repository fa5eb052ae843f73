"""How long the analysts' page takes to answer, view by view, at a million customers.

    python bench/analysts.py [--customers 1000000] [--keep]

Receipts as in ``bench/rfm.py``; each customer has a card in two tiers, four lots of points, scores on two dates and a
lifetime value. What the night adds up for the page is timed by itself, part by part; then the page is opened, and every
view is asked three times: first, again of everybody, and of few.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent
sys.path.insert(0, str(REPOSITORY))

from bench.rfm import LAST_DAY, make  # noqa: E402
from kanta import rfm  # noqa: E402
from kanta.analysts import prepared  # noqa: E402
from kanta.analysts.data import Filters, Published, published  # noqa: E402
from kanta.analysts.views import VIEWS  # noqa: E402
from kanta.contracts import contract_of  # noqa: E402
from kanta.engine import Engine  # noqa: E402
from kanta.home import Home  # noqa: E402
from kanta.lake import Lake  # noqa: E402
from kanta.night import STAGES, Night  # noqa: E402
from kanta.reading import refresh_analysts_file  # noqa: E402
from tests.analysts.conftest import PROGRAMME  # noqa: E402
from tests.rfm.conftest import relations  # noqa: E402

FIRST = "date '2024-02-01'"
CARD = "'C' || n as card_id, 'club' as program_id"
LOT = f"""
    {CARD}, 'points' as reward_point_id, cast(1 + hash(n, k) % 500 as decimal(18, 2)) as points,
    'e' || n || '-' || k as entry_id, 'earn:' || n || '-' || k as event_id,
    date '2025-02-01' + cast(90 * k + n % 90 as integer) as earned_on
    from range({{customers}}) as cards (n), range(4) as lots (k)
"""
TABLES = {
    "landed.channels": "select 'S' || n as channel_id, 'store' as kind, 'S' || n as name, 'USD' as currency,"
    " case when n % 3 = 0 then 'SE' else 'FI' end as country, {landed} from range(50) as stores (n)",
    "landed.loyalty_cards": f"select {CARD}, 'as_card_tender' as card_type, 'K' || n as customer_id,"
    f" {FIRST} as enrolled_from, {{landed}} from range({{customers}}) as cards (n)",
    "loyalty.entries": "select *, earned_on as entry_date, earned_on as posted_date, 'earn' as entry_type,"
    f" 'issued' as side from (select {LOT})",
    "loyalty.lot_postings": "select *, 'l' || entry_id as lot_id, earned_on as usable_from, earned_on as posted_date,"
    f" earned_on + 366 as expires_on from (select {LOT})",
    "loyalty.card_tiers": f"select {CARD}, tiers.*, n % 64 as bucket, {FIRST} as qualified_on, 'qualified' as reason"
    " from range({customers}) as cards (n) inner join (values ('basic', 1, date '2024-02-01', null),"
    " ('gold', 2, date '2025-03-01', date '2026-02-28')) as tiers (tier_id, level, valid_from, valid_to)"
    " on level = 1 or n % 5 = 0",
}
LANDED = (
    "'hq' as feed, 'hq/made/hq' as drop_id, date '2024-02-01' as drop_date, 'hq' as source, 'x.csv' as file, n as line"
)


def build(home: Home, customers: int) -> None:
    """Makes the home, scores it at a month's end and the day before, and publishes it."""
    make(home, customers)
    (home.programme / "programme.yaml").write_text(PROGRAMME, encoding="utf-8")
    definition = {"id": "retail", "schedule": "daily", "lifetime": {"tolerance": Decimal(1)}}
    lake = Lake(home)
    with lake.writing(), Engine(lake.root / "work") as engine:
        night = Night(home, lake, engine, "rfm", lake.recover(), LAST_DAY)
        for name, select in TABLES.items():
            contract = contract_of(name)
            rows = f"(select 1 as seq, {FIRST} as posted_date where false) union all by name "
            rows += f"(select 1 as seq, * from ({select.format(customers=customers, landed=LANDED)}))"
            have = {column[0] for column in engine.execute(f"describe {rows}").fetchall()}
            empty = ", ".join(f'null as "{c.name}"' for c in contract.columns if c.name not in have)
            night.append(name, f"select *{', ' + empty if empty else ''} from ({rows})")
        night.versions  # noqa: B018  # recorded, as a night does
        for day in (LAST_DAY - timedelta(1), LAST_DAY):
            for name, relation in relations([definition], [day]).items():
                engine.register(name, relation)
            rfm.score(night)
        lake.move_head(replace(night.state, seq=night.seq, through=dict.fromkeys(STAGES, LAST_DAY)))
        lake.publish(LAST_DAY)


def prepare(home: Home) -> None:
    """What a night does for the page."""
    refresh_analysts_file(home)
    define, steps = Night.define, list[tuple[float, str]]()

    def defined(self: Night, *names: str) -> None:
        for name in names:
            begun = time.process_time()
            define(self, name)
            steps.append((time.process_time() - begun, name))

    Night.define = defined  # type: ignore[method-assign]
    (home.lake / "page.duckdb").unlink(missing_ok=True)
    begun = time.perf_counter(), time.process_time()
    prepared.refresh(home)
    print(
        f"{'added up, once a publication':<40}{time.perf_counter() - begun[0]:>7.2f} s"
        f"{time.process_time() - begun[1]:>7.2f} s of processor"
    )
    print("    " + ", ".join(f"{name} {seconds:.1f}" for seconds, name in sorted(steps, reverse=True)))
    Night.define = define  # type: ignore[method-assign]


def ask(home: Home) -> float:
    """Asks every view; returns the longest."""
    begun = time.perf_counter()
    book = published(home)
    everybody = Filters("retail", LAST_DAY, LAST_DAY - timedelta(1))
    list(VIEWS["overview"][1](book, everybody, ""))
    print(f"{'opened, the first view':<40}{time.perf_counter() - begun:>7.2f} s")
    answer, longest = Published.ask, 0.0
    parts: list[tuple[float, str]] = []

    def timed(self: Published, sql: str, *given: object, **named: object) -> object:
        begun = time.perf_counter()
        found = answer(self, sql, *given, **named)  # type: ignore[arg-type]
        parts.append((time.perf_counter() - begun, " ".join(sql.split())[:60]))
        return found

    Published.ask = timed  # type: ignore[method-assign, assignment]
    few = replace(everybody, channel="S1", tier="gold")
    for what, at in (("everybody, first", everybody), ("everybody", everybody), ("S1, gold", few)):
        for view, (_, show) in VIEWS.items():
            parts.clear()
            begun, processor = time.perf_counter(), time.process_time()
            sections = list(show(book, at, "K4711"))
            seconds = time.perf_counter() - begun
            longest = max(longest, seconds)
            slowest = max(parts, default=(0.0, ""))
            rows = max(
                (section.rows or section.list.num_rows for section in sections if section.list is not None), default=0
            )
            print(
                f"{view + ', ' + what:<40}{seconds:>7.2f} s{time.process_time() - processor:>7.2f} s of processor"
                f"  {rows:>9,} rows  ({slowest[0]:.2f} s {slowest[1]})"
            )
    return longest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--out", type=Path, default=REPOSITORY / "build" / "analysts", help="where the lake goes")
    parser.add_argument("--keep", action="store_true", help="leave the lake there, and take one that is there")
    given = parser.parse_args()
    home = Home(given.out.resolve())
    if not (given.keep and Lake(home).publications()):
        build(home, given.customers)
    prepare(home)
    print(f"the longest answer: {ask(home):.2f} s")
    if not given.keep:
        shutil.rmtree(home.root)


if __name__ == "__main__":
    main()
