"""RFM of many customers beside the barest aggregation of the same receipts in the same run, and a lifetime fit.

    python bench/rfm.py [--customers 5000000] [--keep]

So many customers with ten receipts each over two years, straight into the lake's table of facts. Each figure is a
process of its own: seconds, the ratio to the barest aggregation, peak memory; `aggregated and written` is the least
that any RFM must do: the same aggregation, its rows sorted and written as the lake writes them. All have the same
memory, so that five million customers need not go to disk (KANTA_MEMORY_LIMIT says otherwise).
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent
sys.path.insert(0, str(REPOSITORY))

from bench.run import measure  # noqa: E402
from kanta import rfm  # noqa: E402
from kanta.contracts import contract_of  # noqa: E402
from kanta.engine import Engine  # noqa: E402
from kanta.home import Home  # noqa: E402
from kanta.lake import Lake  # noqa: E402
from kanta.night import Night, stage  # noqa: E402
from tests.rfm.conftest import relations  # noqa: E402

LAST_DAY, DAYS = date(2026, 1, 31), 730

#: The receipts of one day; made by a hash, so the same each time. One of 33 is a return.
RECEIPTS = """
    select
        'T' || n as transaction_id, 'S' || (hash(n) % 50) as channel_id, 'store' as channel_kind,
        {day} as business_date, cast({day} as timestamptz) as occurred_at,
        case when n % 33 = 0 then 'return' else 'sale' end as type,
        'K' || (hash(n * 7 + 1) % {customers}) as customer_id,
        'C' || (hash(n * 7 + 1) % {customers}) as loyalty_card_id,
        'USD' as currency,
        cast(case when n % 33 = 0 then -0.01 else 0.01 end * cast(hash(n * 3 + 2) % 20000 as integer) as decimal(18, 2))
            as net_amount,
        0.00 as tax_amount, 0.00 as charges_amount, 0.00 as discount_amount, net_amount as total_amount,
        0.00 as loyalty_tender_amount, 'pos/made' as drop_id, {day} as posted_date
    from (select range * {days} + {offset} as n from range({receipts}))
"""
BAREST = """
    select customer_id, max(business_date) as last_purchase_on, count(*) as frequency,
        cast(sum(net_amount) as decimal(18, 2)) as monetary_total
    from sales.transactions where customer_id is not null group by customer_id
"""


def make(home: Home, customers: int) -> None:
    """Two years of receipts in the lake's table of facts; nothing is worked out."""
    shutil.rmtree(home.root, ignore_errors=True)
    home.programme.mkdir(parents=True)
    contract = contract_of("sales.transactions")
    columns = ", ".join(f"cast({c.name} as {c.type}) as {c.name}" for c in contract.columns)
    with stage(home, "sales", LAST_DAY) as night:
        files = []
        for offset in range(DAYS):
            day = LAST_DAY - timedelta(days=offset)
            rows = RECEIPTS.format(
                day=f"date '{day}'", customers=customers, days=DAYS, offset=offset, receipts=customers * 10 // DAYS
            )
            files.append(home.root / "made" / f"business_date_month={day:%Y-%m}" / f"{day}.parquet")
            files[-1].parent.mkdir(parents=True, exist_ok=True)
            night.engine.execute(f"copy (select {columns} from ({rows})) to '{files[-1]}' (compression zstd)")
        night.add_files("sales.transactions", files)


def barest(night: Night) -> None:
    night.engine.rows(f"select count(*), sum(frequency), sum(monetary_total) from ({BAREST})")


def written(night: Night) -> None:
    ones = ", ".join(f"1 as {name}" for name in ("recency", "r", "f", "m", "composite"))
    night.put(
        "rfm.scores",
        f"select *, 'least' as definition, date '{LAST_DAY}' as as_of, monetary_total as monetary_average, {ones},"
        f" 'none' as segment from ({BAREST})",
        [LAST_DAY],
    )


def scored(night: Night, day: date) -> None:
    for name, relation in relations([{"schedule": "daily"}], [day]).items():
        night.engine.register(name, relation)
    rfm.score(night)


#: What is measured, each in a process of its own, on the lake as the one before left it.
FIGURES: dict[str, tuple[str, Callable[[Night], None]]] = {
    "barest": ("barest aggregation", barest),
    "written": ("aggregated and written", written),
    "scored": ("scores, thresholds, segments", lambda night: scored(night, LAST_DAY - timedelta(1))),
    "moved": ("a month's end: moves explained, cohorts", lambda night: scored(night, LAST_DAY)),
}


def timed(home: Home, figure: str) -> None:
    """One figure, in this process, and its longest parts."""
    spent: dict[str, list[float]] = {}
    execute = Engine.execute

    def executed(self: Engine, sql: str, *given: object) -> object:
        begun = time.perf_counter(), time.process_time()
        try:
            return execute(self, sql, *given)  # type: ignore[arg-type]
        finally:
            words = " ".join(sql.split("--")[0].split("(")[0].split()[:10] or ["query"])
            if words == "copy":
                words = "write " + ".".join(Path(sql.rpartition(") to '")[2].split("'")[0]).parts[-6:-3])
            so_far = spent.setdefault(words, [0, 0])
            so_far[0] += time.perf_counter() - begun[0]
            so_far[1] += time.process_time() - begun[1]

    Engine.execute = executed  # type: ignore[method-assign, assignment]
    lake = Lake(home)
    with lake.writing(), Engine(lake.root / "work") as engine:
        night = Night(home, lake, engine, "rfm", lake.recover(), LAST_DAY)
        night.attach("sales.transactions")
        begun = time.process_time()
        FIGURES[figure][1](night)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(f"{FIGURES[figure][0]}: {time.process_time() - begun:.1f} s of processor, peak {memory:.2f} GB")
        if figure != "written":
            lake.move_head(replace(night.state, seq=night.seq))
    for words, (wall, cpu) in sorted(spent.items(), key=lambda item: -item[1][1])[:12]:
        if cpu > 0.05:
            print(f"    {words:<72}{wall:>7.2f} s{cpu:>7.2f} s of processor")


def lifetime_fit(customers: int) -> None:
    """Seconds to fit BG/NBD to customers who behave as it supposes."""
    import numpy as np

    from kanta.lifetime.purchases import BgNbd, Histories

    chance = np.random.default_rng(1)
    rate, leaves = chance.gamma(0.5, 1 / 6, customers), chance.beta(0.8, 2.4, customers)
    t = chance.integers(7, 730, customers) / 7
    x, t_x, now, alive = np.zeros(customers), np.zeros(customers), np.zeros(customers), np.ones(customers, bool)
    while alive.any():
        now = now + chance.exponential(1, customers) / rate
        bought = alive & (now <= t)
        x, t_x = x + bought, np.where(bought, now, t_x)
        alive = bought & (chance.random(customers) > leaves)
    begun, processor = time.perf_counter(), time.process_time()
    distinct, counts = np.unique(np.stack([x, np.round(t_x, 2), np.round(t, 2)]), axis=1, return_counts=True)
    fit = BgNbd.fitted(Histories(*distinct, counts.astype(float))).fit
    print(
        f"BG/NBD of {customers:,} customers, {distinct.shape[1]:,} distinct histories:"
        f" {time.perf_counter() - begun:.1f} s, {time.process_time() - processor:.1f} s of processor"
        f" {fit.parameters} {fit.problem}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=500_000)
    parser.add_argument("--out", type=Path, default=REPOSITORY / "build" / "rfm", help="where the lake goes")
    parser.add_argument("--keep", action="store_true", help="leave the lake there, and take one that is there")
    parser.add_argument("--timed", choices=[*FIGURES, "fit"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    home = Home(given.out.resolve())
    if given.timed:
        lifetime_fit(1_000_000) if given.timed == "fit" else timed(home, given.timed)
        return
    os.environ.setdefault("KANTA_MEMORY_LIMIT", "4500MB")
    if not (given.keep and home.lake.exists()):
        make(home, given.customers)
    command = [sys.executable, __file__, "--out", str(home.root), "--timed"]
    figures = [measure(title, [*command, name], home.root) for name, (title, _) in FIGURES.items()]
    measure("fit", [*command, "fit"], home.root)
    print(f"\n{'in processor seconds beside':<67}{'barest':>10}{'written':>9}")
    print(f"{'':<42}{'wall s':>9}{'cpu s':>9}{'GB':>7}")
    for figure in figures:
        ratios = "".join(f"{figure.cpu / least.cpu:>9.2f}x" for least in figures[:2])
        print(f"{figure.name:<42}{figure.wall:>9.1f}{figure.cpu:>9.1f}{figure.memory:>7.2f}{ratios}")
    if not given.keep:
        shutil.rmtree(home.root)


if __name__ == "__main__":
    main()
