"""How long a replay of all loyalty takes, and a further night, beside the leanest program for one flat rule.

    python bench/replay.py [--lines 10000000] [--keep]

Complete Journey is copied until there are so many lines, each copy with households of its own, straight into the lake's
tables of facts. The programme has three tiers and gold earns double, so tiers feed on points and points on tiers. Each
figure is a process of its own: seconds, the ratio to ``bench/minimum.py`` in the same run, its peak memory.
``--proof`` runs one flat rule in both and compares every card's points.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent
sys.path.insert(0, str(REPOSITORY))

from bench import feed  # noqa: E402
from bench.run import Measured, measure  # noqa: E402
from kanta.home import Home  # noqa: E402
from kanta.night import Night, Reporter, run_stage, stage  # noqa: E402
from scripts.sample import drops, journey  # noqa: E402

BASE = "      - {id: base, activity: purchase_amount, per: 1.00, currency: USD, reward_point: points, points: 1}\n"
GOLD_EARNS_DOUBLE = BASE + BASE.replace("base", "gold").replace("1}", "1, tier: gold}")
LAST_DAY, NEXT_DAY = journey.LAST_DAY, journey.LAST_DAY + timedelta(1)
#: What comes late on the further night is of this day.
LATE_DAY = date(2017, 12, 1)

TRANSACTIONS = """
select
    {id} as transaction_id, store_id as channel_id, 'store' as channel_kind, {day} as business_date,
    cast(ended_at as timestamptz) as occurred_at, 'sale' as type, customer_id || '-' || copy as customer_id,
    loyalty_card_id || '-' || copy as loyalty_card_id, 'USD' as currency, net_amount, tax_amount, charges_amount,
    discount_amount, total_amount, cast(0 as decimal(18, 2)) as loyalty_tender_amount,
    'pos/made' as drop_id, {posted} as posted_date
from source.transactions cross join source.copies
"""
LINES = """
select
    {id} as transaction_id, line_no, kind, product_id, cast(null as varchar) as variant_id, category_id,
    eligible_points, quantity, net_amount, tax_amount, discount_amount,
    cast(null as varchar) as original_transaction_id, cast(null as integer) as original_line_no, {day} as business_date
from source.lines cross join source.copies
left join source.products using (product_id)
"""
TENDERS = """
select
    {id} as transaction_id, tender_no, type, amount, currency, cast(null as varchar) as loyalty_card_id,
    cast(null as varchar) as reward_point_id, cast(null as decimal(18, 2)) as points,
    cast(null as varchar) as gift_card_id, {day} as business_date
from source.tenders cross join source.copies
"""
DOCUMENTS = """
select transaction_id as document_id, $seq as seq, 'transaction' as kind, true as counted, business_date, drop_id,
    posted_date
from ({transactions})
"""
POSTED = ("loyalty.events", "loyalty.entries", "loyalty.lot_postings", "loyalty.allocations")
FACTS = {"sales.transactions": TRANSACTIONS, "sales.lines": LINES, "sales.tenders": TENDERS}


@dataclass(frozen=True)
class Facts:
    """Which receipts of the source are meant, and what they are called: SQL over ``source.transactions``."""

    id: str
    day: str
    posted: str
    where: str = "true"

    def select(self, table: str) -> str:
        """The rows of a table of facts."""
        return FACTS[table].format(**vars(self)) + f"where {self.where}"


def attach_source(night: Night, folder: Path, copies: int) -> None:
    """Complete Journey, as it was put down in ``folder``, and the numbers of its copies."""
    night.engine.execute("create schema source")
    for name in ("transactions", "lines", "tenders", "products"):
        night.engine.execute(f"create view source.{name} as from read_parquet('{folder / name}.parquet')")
    night.engine.execute(f"create table source.copies as select range as copy from range({copies})")


def make(out: Path, lines: int, *, flat: bool) -> int:
    """Writes a home with so many lines of facts and nothing worked out; returns how many lines there are."""
    shutil.rmtree(out, ignore_errors=True)
    (out / "programme").mkdir(parents=True)
    programme = feed.PROGRAMME if flat else feed.PROGRAMME.replace(BASE, GOLD_EARNS_DOUBLE)
    (out / "programme" / "programme.yaml").write_text(programme, encoding="utf-8")
    copies = -(-lines // int(journey.KNOWN["lines"]))
    con, source = journey.connect(), out / "source"
    source.mkdir()
    for name in ("transactions", "lines", "tenders", "products"):
        con.execute(f"copy (from {name}) to '{source / name}.parquet'")
    write_hq(con, out, copies)
    con.close()
    home = Home(out)
    for name in ("ingest_hq", "ingest_pos", "ingest_call_center", "customers"):
        run_stage(home, name, LAST_DAY)
    share = lines / (copies * int(journey.KNOWN["lines"]))
    facts = Facts(
        id="transaction_id || '-' || copy", day="business_date", posted=f"date '{LAST_DAY}'",
        where=f"hash(transaction_id, copy) % 1000000 < {round(share * 1000000)}",
    )  # fmt: skip
    with stage(home, "sales", LAST_DAY) as night:
        attach_source(night, source, copies)
        for table in FACTS:
            night.put(table, facts.select(table), [])
        night.append("sales.documents", DOCUMENTS.format(transactions=facts.select("sales.transactions")))
        made: int = night.log["written"]["sales.lines"]
    return made


def write_hq(con: object, out: Path, copies: int) -> None:
    """Head office's one drop: products, stores, and a card for each household of each copy."""
    hq = drops.Drop("hq", journey.FIRST_DAY, "hq")
    for dataset in ("products", "categories"):
        cursor = con.execute(f"from {dataset} order by 1")  # type: ignore[attr-defined]
        names = [column[0] for column in cursor.description or []]
        hq.add(dataset, *(dict(zip(names, row, strict=True)) for row in cursor.fetchall()))
    for (store,) in con.execute("select distinct store_id from transactions order by 1").fetchall():  # type: ignore[attr-defined]
        hq.add("channels", feed.channel(store, "group0"))
    cards = con.execute(  # type: ignore[attr-defined]
        "select loyalty_card_id, customer_id, min(business_date) from transactions group by all order by all"
    ).fetchall()
    for copy in range(copies):
        for card_id, customer_id, first_purchase in cards:
            hq.add("loyalty_cards", feed.card(f"{card_id}-{copy}", f"{customer_id}-{copy}", first_purchase))
            hq.add("customers", feed.customer(f"{customer_id}-{copy}"))
    drops.write(hq, out)


def add_night(out: Path, copies: int) -> None:
    """The facts of one further night: a thousandth of the receipts again, one of a hundred of an earlier day."""
    facts = Facts(
        id="'N' || transaction_id || '-' || copy",
        day=f"case when hash(transaction_id, copy, 1) % 100 = 0 then date '{LATE_DAY}' else date '{NEXT_DAY}' end",
        posted=f"date '{NEXT_DAY}'",
        where="hash(transaction_id, copy) % 1000 = 0",
    )
    home = Home(out)
    run_stage(home, "ingest_hq", NEXT_DAY)
    with stage(home, "sales", NEXT_DAY) as night:
        attach_source(night, out / "source", copies)
        days = f"(date '{LATE_DAY}', date '{NEXT_DAY}')"
        for table in FACTS:
            night.attach(table)
            night.put(
                table,
                f"select * from {table} where business_date in {days} union all by name {facts.select(table)}",
                [LATE_DAY, NEXT_DAY],
            )
        night.append("sales.documents", DOCUMENTS.format(transactions=facts.select("sales.transactions")))


def timed(out: Path, what: str) -> None:
    """One figure, in this process: all of loyalty from the facts (``replay``) or what one night adds (``night``)."""
    home = Home(out)
    spent: dict[str, float] = {}
    define = Night.define

    def defined(self: Night, *names: str) -> None:
        for name in names:
            begun = time.perf_counter()
            define(self, name)
            spent[name] = spent.get(name, 0) + time.perf_counter() - begun

    commit = Night._commit

    def committed(self: Night, table: str, *given: object) -> int:
        begun = time.perf_counter()
        rows = commit(self, table, *given)  # type: ignore[arg-type]
        spent[f"write {table}"] = spent.get(f"write {table}", 0) + time.perf_counter() - begun
        return rows

    from kanta import folding

    fold = folding.fold

    def folded(*given: object) -> None:
        begun = time.perf_counter()
        fold(*given)  # type: ignore[arg-type]
        spent["the fold"] = spent.get("the fold", 0) + time.perf_counter() - begun

    Night.define, Night._commit, folding.fold = defined, committed, folded  # type: ignore[method-assign, assignment]
    begun = time.perf_counter()
    run_stage(home, "loyalty", LAST_DAY if what == "replay" else NEXT_DAY, Reporter())
    whole = time.perf_counter() - begun
    longest = sorted(spent.items(), key=lambda item: -item[1])[:14]
    print(f"  {what}: {whole:.1f} s; " + ", ".join(f"{name} {seconds:.1f}" for name, seconds in longest))
    print(f"  peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")


def write_barely(out: Path) -> None:
    """Writes the rows that the replay has posted once more, from memory, as they come: what no replay that posts is
    spared. Only this is timed, not their reading."""
    import duckdb

    from kanta.lake import Lake

    lake = Lake(Home(out))
    state, con, cpu, wall = lake.head(), duckdb.connect(), 0.0, 0.0
    con.execute("set preserve_insertion_order = false")
    for table in POSTED:
        for file in lake.files(table, state):
            con.execute(f"create or replace temp table posted as from '{file}'")
            begun = time.process_time(), time.perf_counter()
            con.execute(f"copy posted to '{out / 'barely.parquet'}' (format parquet, compression zstd)")
            cpu += time.process_time() - begun[0]
            wall += time.perf_counter() - begun[1]
    print(f"  its postings written once more, as they come: {wall:.1f} s, {cpu:.1f} s of CPU")


def prove(out: Path) -> None:
    """Compares every card's points of the lake with those of the leanest program."""
    from bench import minimum
    from kanta.engine import Engine
    from kanta.lake import Lake

    lake = Lake(Home(out))
    files = [str(lake.root / "sales" / name / "data/*/*/*.parquet") for name in ("lines", "transactions")]
    with Engine(lake.root / "work") as engine:
        night = Night(Home(out), lake, engine, "reading", lake.head(), LAST_DAY)
        night.attach("loyalty.balances")
        rows = engine.rows(
            "select card_id, cast(issued as bigint), cast(available as bigint), cast(unvested as bigint),"
            " cast(expired as bigint) from loyalty.balances order by all"
        )
    for by_line in (False, True):
        found = sorted(minimum.work_out(*files, str(LAST_DAY), by_line=by_line))
        differing = [pair for pair in zip(rows, found, strict=True) if pair[0] != pair[1]]
        if differing or not rows:
            sys.exit(f"{len(differing)} of {len(rows)} cards differ, the first: {differing[:3]}")
    print(f"{len(rows):,} cards: the same points")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=10_000_000, help="10000000 or 50000000")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "build" / "replay", help="where the home goes")
    parser.add_argument("--keep", action="store_true", help="leave the home there")
    parser.add_argument("--proof", action="store_true", help="one flat rule in both, compared; no times")
    parser.add_argument("--timed", choices=["make", "replay", "postings", "add", "night"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    out = given.out.resolve()
    if given.timed == "make":
        return print(f"{make(out, given.lines, flat=given.proof):,} lines", flush=True)
    if given.timed == "postings":
        return write_barely(out)
    if given.timed == "add":
        return add_night(out, -(-given.lines // int(journey.KNOWN["lines"])))
    if given.timed:
        return timed(out, given.timed)
    # Each in a process of its own: what this one has held counts as its children's memory, too.
    here = [sys.executable, str(Path(__file__)), "--out", str(out), "--lines", str(given.lines)]
    subprocess.run([*here, "--timed", "make", *(["--proof"] if given.proof else [])], check=True)
    if given.proof:
        subprocess.run([*here, "--timed", "replay"], check=True)
        prove(out)
    else:
        barest = [sys.executable, str(Path(__file__).parent / "minimum.py"), "--lake", str(out / "lake")]
        barest += ["--through", str(LAST_DAY)]
        figures: list[Measured] = [
            measure("minimum", barest, out),
            measure("minimum, by line", [*barest, "--by-line"], out),
            measure("replay", [*here, "--timed", "replay"], out),
        ]
        subprocess.run([*here, "--timed", "postings"], check=True)
        subprocess.run([*here, "--timed", "add"], check=True)
        figures.append(measure("a further night", [*here, "--timed", "night"], out))
        print(f"\n{'':<20}{'wall s':>9}{'cpu s':>9}{'GB':>7}{'x minimum':>11}")
        for figure in figures:
            ratio = figure.wall / figures[0].wall
            print(f"{figure.name:<20}{figure.wall:>9.1f}{figure.cpu:>9.1f}{figure.memory:>7.2f}{ratio:>11.2f}")
    if not given.keep:
        shutil.rmtree(out)


if __name__ == "__main__":
    main()
