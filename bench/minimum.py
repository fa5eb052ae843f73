"""The leanest program that gives each card's points for one flat rule: what ``bench/replay.py`` is measured against.

One point for a dollar, by receipt, 14 days until it is usable, three months until it is gone: DuckDB adds receipts up,
one compiled loop folds them. No names of entries, no lots kept, nothing written but the balances; a return could not be
undone from it. ``--by-line`` spreads each receipt's points over its lines, as anything must that undoes returns.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numba import njit

BY_RECEIPT = """
select cards.card_no, receipts.business_date, 100 * cast(floor(sum(lines.net_amount)) as bigint) as points_h
from {lines} as lines
inner join {transactions} as receipts using (transaction_id)
inner join cards using (loyalty_card_id)
where lines.kind = 'sale' and coalesce(lines.eligible_points, true)
group by receipts.transaction_id, cards.card_no, receipts.business_date
"""

BY_LINE = """
with priced as (
    select
        receipts.transaction_id, cards.card_no, receipts.business_date, lines.line_no, lines.net_amount as net,
        sum(lines.net_amount) over (partition by receipts.transaction_id) as paid
    from {lines} as lines
    inner join {transactions} as receipts using (transaction_id)
    inner join cards using (loyalty_card_id)
    where lines.kind = 'sale' and coalesce(lines.eligible_points, true)
),
shares as (
    select *, cast(floor(paid) as bigint) as points, cast(net * 100 as hugeint) * cast(floor(paid) as bigint) as product
    from priced where paid >= 1
),
ranked as (
    select
        *,
        product // cast(paid * 100 as hugeint) as share,
        row_number() over (
            partition by transaction_id order by product % cast(paid * 100 as hugeint) desc, line_no
        ) as place
    from shares
)
select
    card_no, business_date,
    100 * cast(share + case
        when place <= points - sum(share) over (partition by transaction_id) then 1 else 0
    end as bigint) as points_h
from ranked
"""


@njit(cache=True)  # type: ignore[untyped-decorator]
def balances(card, day, points, usable, expires, cards, through):  # type: ignore[no-untyped-def]
    """Issued, unvested and expired points of each card; what nobody redeems goes in the order it came."""
    held = np.zeros((cards, 3), np.int64)
    for i in range(len(card)):
        held[card[i], 0] += points[i]
        if expires[i] < through:
            held[card[i], 2] += points[i]
        elif usable[i] > through:
            held[card[i], 1] += points[i]
    return held


def work_out(lines: str, transactions: str, through: str, *, by_line: bool = False) -> list[tuple[Any, ...]]:
    """(card, issued, available, unvested, expired) of every card, in whole points, from Parquet files."""
    con = duckdb.connect()
    con.execute("set preserve_insertion_order = false")
    tables = {name: f"read_parquet('{path}')" for name, path in (("lines", lines), ("transactions", transactions))}
    con.execute(
        "create table cards as select loyalty_card_id, row_number() over (order by loyalty_card_id) - 1 as card_no"
        f" from (select distinct loyalty_card_id from {tables['transactions']} where loyalty_card_id is not null)"
    )
    select = (BY_LINE if by_line else BY_RECEIPT).format(**tables)
    events = con.execute(
        "select card_no, business_date - date '1970-01-01' as day, points_h,"
        " business_date + 14 - date '1970-01-01' as usable,"
        " cast(business_date + interval 3 months as date) - date '1970-01-01' as expires"
        f" from ({select}) where points_h > 0 order by card_no, business_date"
    ).fetchnumpy()
    names = [name for (name,) in con.execute("select loyalty_card_id from cards order by card_no").fetchall()]
    columns = [np.asarray(column, np.int64) for column in events.values()]
    last = con.execute(f"select date '{through}' - date '1970-01-01'").fetchall()[0][0]
    return [
        (name, issued // 100, (issued - unvested - expired) // 100, unvested // 100, expired // 100)
        for name, (issued, unvested, expired) in zip(names, balances(*columns, len(names), last).tolist(), strict=True)
        if issued
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lake", type=Path, required=True, help="the lake that bench/replay.py made")
    parser.add_argument("--through", required=True, help="the last business date")
    parser.add_argument("--by-line", action="store_true")
    given = parser.parse_args()
    lines, transactions = (
        str(given.lake / "sales" / name / "data/*/*/*.parquet") for name in ("lines", "transactions")
    )
    found = work_out(lines, transactions, given.through, by_line=given.by_line)
    totals = [sum(column) for column in list(zip(*found, strict=True))[1:]]
    print(
        f"{len(found):,} cards: issued {totals[0]:,}, available {totals[1]:,}, expired {totals[3]:,}", file=sys.stderr
    )


if __name__ == "__main__":
    main()
