"""RFM of many customers beside the barest aggregation of the same receipts in the same run, and a lifetime fit.

`python bench/rfm.py --customers 5000000` is the size of the target (50 million receipts); the default is a tenth.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent
sys.path.insert(0, str(REPOSITORY))

NIGHT = date(2026, 1, 31)


def receipts(engine: object, customers: int) -> None:
    """Ten receipts for each customer on average, over two years; made by a hash, so the same each time."""
    engine.execute("create schema if not exists sales")  # type: ignore[attr-defined]
    engine.execute(  # type: ignore[attr-defined]
        f"""
        create table sales.transactions as
        select
            'T' || n as transaction_id, 'S' || (n % 50) as channel_id,
            date '2026-01-31' - cast(hash(n) % 730 as integer) as business_date, business_date as posted_date,
            'sale' as type, 'K' || (hash(n * 7 + 1) % {customers}) as customer_id, null::varchar as loyalty_card_id,
            'USD' as currency, cast(cast(hash(n * 3 + 2) % 20000 as integer) * 0.01 as decimal(18, 2)) as net_amount,
            0.00::decimal(18, 2) as tax_amount, 0.00::decimal(18, 2) as charges_amount
        from range({customers * 10}) as numbers (n)
        """
    )


def main() -> None:
    from kanta import contracts, rfm
    from kanta.engine import Engine
    from tests.rfm.conftest import TABLES, Rehearsal, relations, table_of

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=500_000)
    customers = parser.parse_args().customers
    with tempfile.TemporaryDirectory() as folder, Engine(Path(folder)) as engine:
        receipts(engine, customers)
        for name in TABLES:
            engine.attach(contracts.lake()[name], [])
        for name in ("reference.loyalty_cards", "reference.exchange_rates", "reference.channels"):
            engine.register(name, table_of(name, []))
        definitions = [{"schedule": "daily"}]
        for name, relation in relations(definitions, [date(2026, 1, 30)]).items():
            engine.register(name, relation)
        begun = time.perf_counter()
        engine.rows(
            "select count(*), sum(m) from (select customer_id, max(business_date), count(*), sum(net_amount) as m"
            " from sales.transactions group by customer_id)"
        )
        bare = time.perf_counter() - begun
        begun = time.perf_counter()
        rfm.score(Rehearsal(engine))  # type: ignore[arg-type]
        scored = time.perf_counter() - begun
        for name, relation in relations(definitions, [NIGHT]).items():
            engine.register(name, relation)
        begun = time.perf_counter()
        rfm.score(Rehearsal(engine))  # type: ignore[arg-type]
        moved = time.perf_counter() - begun
    fitted = lifetime_fit(1_000_000)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{customers:,} customers, {customers * 10:,} receipts")
    for name, seconds in (
        ("barest aggregation", bare), ("scores, thresholds, segments", scored),
        ("a month's end: with moves explained, cohorts", moved), ("BG/NBD of 1,000,000 customers", fitted),
    ):  # fmt: skip
        print(f"{name:<46}{seconds:>8.1f} s{seconds / bare:>8.1f} x")
    print(f"{'peak memory':<46}{memory:>8.2f} GB")


def lifetime_fit(customers: int) -> float:
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
    begun = time.perf_counter()
    distinct, counts = np.unique(np.stack([x, np.round(t_x, 2), np.round(t, 2)]), axis=1, return_counts=True)
    fit = BgNbd.fitted(Histories(*distinct, counts.astype(float))).fit
    print(f"BG/NBD on {distinct.shape[1]:,} distinct histories: {fit.parameters} {fit.problem}")
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
