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

RECEIPTS = """
create table receipts as
select
    transaction_id, card_no, business_date,
    row_number() over (order by card_no, business_date, transaction_id) - 1 as receipt_no
from {transactions} inner join cards using (loyalty_card_id)
"""

BY_LINE = """
select receipt_no, card_no, cast(net_amount * 100 as bigint) as cents
from {lines} as lines
inner join receipts using (transaction_id)
where kind = 'sale' and coalesce(eligible_points, true)
order by receipt_no, line_no
"""


@njit(cache=True)  # type: ignore[untyped-decorator]
def spread(receipt, cents):  # type: ignore[no-untyped-def]
    """Hundredths of points each line earned: a receipt's whole dollars by largest remainder, ties to the first line."""
    points, first = np.zeros(len(receipt), np.int64), 0
    while first < len(receipt):
        end, paid = first, 0
        while end < len(receipt) and receipt[end] == receipt[first]:
            paid += cents[end]
            end += 1
        whole = paid // 100
        left = whole
        if whole > 0:
            for i in range(first, end):
                points[i] = whole * cents[i] // paid
                left -= points[i]
        while whole > 0 and left > 0:
            best, most = -1, 0
            for i in range(first, end):
                over = whole * cents[i] - points[i] * paid
                if over > most:
                    best, most = i, over
            points[best] += 1
            left -= 1
        first = end
    return points * 100


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
    if by_line:
        con.execute(RECEIPTS.format(**tables))
        found = con.execute(BY_LINE.format(**tables)).fetchnumpy()
        receipt, card, cents = (np.asarray(column, np.int64) for column in found.values())
        days = con.execute(
            "select business_date - date '1970-01-01' as day, business_date + 14 - date '1970-01-01' as usable,"
            " cast(business_date + interval 3 months as date) - date '1970-01-01' as expires"
            " from receipts order by receipt_no"
        ).fetchnumpy()
        day, usable, expires = (np.asarray(column, np.int64)[receipt] for column in days.values())
        columns = [card, day, spread(receipt, cents), usable, expires]
    else:
        events = con.execute(
            "select card_no, business_date - date '1970-01-01' as day, points_h,"
            " business_date + 14 - date '1970-01-01' as usable,"
            " cast(business_date + interval 3 months as date) - date '1970-01-01' as expires"
            f" from ({BY_RECEIPT.format(**tables)}) where points_h > 0 order by card_no, business_date"
        ).fetchnumpy()
        columns = [np.asarray(column, np.int64) for column in events.values()]
    names = [name for (name,) in con.execute("select loyalty_card_id from cards order by card_no").fetchall()]
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
