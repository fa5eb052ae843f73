"""From the steps of tonight's accounts to the kernel and back: a batch of whole accounts at a time, names kept aside.

The kernel (``kanta/ledger.py``) knows numbers only; here they get back the names of cards, events, entries and lots.
"""

from __future__ import annotations

from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kanta import ledger
from kanta.engine import Engine

#: How many steps the kernel takes in at once; a batch ends where an account ends.
BATCH = 4_000_000

EPOCH = date(1970, 1, 1).toordinal()

#: The total order of spec 2-loyalty section 1.
_ORDER = (
    " order by account_no, phase, business_date, day_part, order_at nulls first, order_document nulls first, rank,"
    " document_id, line_no nulls first, rule_id nulls first, event_id, lot_id, pool"
)

_TABLES = {
    "entries": "loyalty._folded_entries",
    "lots": "loyalty._folded_lots",
    "pieces": "loyalty._folded_pieces",
    "uncovered": "loyalty._uncovered",
}
#: The place of a lot's origin in the total order.
_PLACE = ("order_at", "order_document", "rank", "document_id", "line_no", "rule_id")
_NAMES = [
    "event_id", "lot_id", "event_type", "document_id", "line_no", "rule_id", "posted_date", "order_at",
    "order_document", "rank",
]  # fmt: skip


def fold(engine: Engine, through: date) -> None:
    """Runs the kernel over ``loyalty._steps`` up to the end of a day and registers what comes out as tables."""
    pools = engine.arrow("select card_id, group_first, group_last, party from loyalty._pools order by pool")
    portions = _portions(engine)
    sizes = engine.rows("select account_no, count(*) from loyalty._steps group by account_no order by account_no")
    empty = _batch(engine.arrow("select * from loyalty._steps limit 0"), pools, portions, through)
    parts = {name: [_numbered(table, 0)] for name, table in empty.items()}
    begin, size = 0, 0
    for position, (account, steps) in enumerate(sizes):
        size += steps
        if size < BATCH and position < len(sizes) - 1:
            continue
        batch = engine.arrow(
            "select * from loyalty._steps where account_no > $from_account and account_no <= $to_account" + _ORDER,
            {"from_account": begin, "to_account": account},
        )
        for name, table in _batch(batch, pools, portions, through).items():
            parts[name].append(_numbered(table, sum(map(len, parts[name]))))
        begin, size = account, 0
    for name, target in _TABLES.items():
        engine.register(target, pa.concat_tables(parts[name]))


def _numbered(table: pa.Table, before: int) -> pa.Table:
    """A batch's rows with their place among those of all batches, so that they are sorted by one number."""
    return table.append_column("place", pa.array(np.arange(before, before + len(table))))


def _portions(engine: Engine) -> ledger.Portions:
    table = engine.arrow(
        "select before_milli, after_milli, original_milli, unit_h from loyalty._portions order by portion_no"
    )
    return ledger.Portions(*(_ints(table[name]) for name in table.column_names))


def _ints(column: pa.ChunkedArray) -> ledger.Ints:
    numbers: ledger.Ints = column.cast(pa.int64()).to_numpy()
    return numbers


def _days(column: pa.ChunkedArray, empty: int) -> ledger.Ints:
    return _ints(pc.fill_null(column.cast(pa.int32()).cast(pa.int64()), empty))


def _dates(days: ledger.Ints) -> pa.Array:
    """Days since 1970 as dates; NEVER is null."""
    return (
        pa.array(np.where(days == ledger.NEVER, 0, days), pa.int64(), mask=days == ledger.NEVER)
        .cast(pa.int32())
        .cast(pa.date32())
    )


def _from_zero(numbers: ledger.Ints, chosen: npt.NDArray[np.bool_]) -> ledger.Ints:
    """Numbers of a batch counted from its own first; those not chosen are none (-1)."""
    first = int(numbers[chosen].min(initial=ledger.ALL))
    return np.where(chosen, numbers - first, -1)


def _events(steps: pa.Table, offset: int) -> ledger.Events:
    kind, source, partner = _ints(steps["kind"]), _ints(steps["source"]), _ints(steps["partner"])
    of_pools = (kind == ledger.TRANSFER) | (kind == ledger.REPLACE)
    of_tenders = kind == ledger.REFUND
    return ledger.Events(
        kind=kind,
        flags=_ints(steps["flags"]),
        pool=_ints(steps["pool"]) - offset,
        day=_days(steps["business_date"], 0),
        points=_ints(steps["points_h"]),
        usable_from=_days(steps["usable_from"], 0),
        expires_on=_days(steps["expires_on"], ledger.NEVER),
        ceiling=_ints(steps["ceiling"]),
        source=_from_zero(source, source >= 0),
        partner=np.where(of_pools, partner - offset, np.where(of_tenders, _from_zero(partner, of_tenders), partner)),
    )


def _batch(steps: pa.Table, pools: pa.Table, portions: ledger.Portions, through: date) -> dict[str, pa.Table]:
    # Only the pools of this batch are closed; the kernel numbers them from 0.
    numbers = _ints(steps["pool"])
    targets = _ints(steps["partner"])[np.isin(_ints(steps["kind"]), (ledger.TRANSFER, ledger.REPLACE))]
    every = np.concatenate([numbers, targets])
    offset = int(every.min()) if len(every) else 0
    size = int(every.max()) - offset + 1 if len(every) else 0
    events = _events(steps, offset)
    folded = ledger.fold(
        events,
        ledger.Pools(
            _ints(pools["group_first"])[offset : offset + size] - offset,
            _ints(pools["group_last"])[offset : offset + size] - offset,
            _ints(pools["party"])[offset : offset + size],
        ),
        portions,
        through.toordinal() - EPOCH,
    )
    names = steps.select(_NAMES).combine_chunks()
    lots = _lots(folded, events, names, offset)
    entries = _entries(folded, events, names, lots["lot_id"], pools["card_id"], offset)
    made = folded.lots["entry"]
    lots = lots.append_column(
        "entry_id", pc.take(entries["entry_id"], pa.array(np.where(made < 0, 0, made), mask=made < 0))
    )
    of_entry, of_lot = folded.pieces["entry"], folded.pieces["lot"]
    pieces = pa.table(
        {
            "debit_entry_id": pc.take(entries["entry_id"], pa.array(of_entry)),
            "lot_id": pc.take(lots["lot_id"], pa.array(of_lot)),
            "pool": pa.array(folded.lots["pool"][of_lot] + offset),
            "points_h": pa.array(folded.pieces["points"]),
            "allocated_on": _dates(folded.pieces["day"]),
            "posted_date": pc.take(entries["posted_date"], pa.array(of_entry)),
        }
    )
    return {"entries": entries, "lots": lots, "pieces": pieces, "uncovered": _uncovered(folded, events, steps)}


def _lots(folded: ledger.Folded, events: ledger.Events, names: pa.Table, offset: int) -> pa.Table:
    """Every lot with its name: the carried one's, its event's, or of an event that opens several with its number."""
    lots = folded.lots
    origin = names.drop_columns(["event_type", "posted_date"]).take(pa.array(lots["origin"]))
    maker = names.select(["event_id", "posted_date"]).take(pa.array(lots["maker"]))
    carried = lots["entry"] < 0
    part = lots["part"]
    lot_ids = maker["event_id"]
    if part.any():
        numbered = pc.binary_join_element_wise(lot_ids, pa.array(part).cast(pa.string()), ":")
        lot_ids = pc.if_else(pa.array(part > 0), numbered, lot_ids)
    if carried.any():
        lot_ids = pc.if_else(pa.array(carried), origin["lot_id"], lot_ids)
    return pa.table(
        {
            "lot_id": lot_ids,
            "pool": pa.array(lots["pool"] + offset),
            "carried": pa.array(carried),
            "event_id": origin["event_id"],
            "points_h": pa.array(lots["points"]),
            "remaining_h": pa.array(lots["remaining"]),
            "earned_on": _dates(lots["earned"]),
            "usable_from": _dates(lots["usable"]),
            "expires_on": _dates(lots["expires"]),
            "posted_date": maker["posted_date"],
            "opened_on": _dates(events.day[lots["maker"]]),
            **{name: origin[name] for name in _PLACE},
        }
    )


def _entries(
    folded: ledger.Folded,
    events: ledger.Events,
    names: pa.Table,
    lot_ids: pa.ChunkedArray,
    cards: pa.ChunkedArray,
    offset: int,
) -> pa.Table:
    """Every entry with its name: its event's, with the card where that is another; ``expire:`` and ``write_off:``."""
    event, pool, kind = (folded.entries[name] for name in ("event", "pool", "kind"))
    day, lot = folded.entries["day"], folded.entries["lot"]
    expired, written_off = kind == ledger.EXPIRED, np.flatnonzero(kind == ledger.WRITTEN_OFF)
    elsewhere = (kind == ledger.POSTED) & (pool != events.pool[event])
    # All names there can be, one behind the other, and which of them each entry has.
    named = np.where(expired, len(names) + lot, event)
    named[written_off] = len(names) + len(lot_ids) + np.arange(len(written_off))
    entry_ids = _joined(
        names["event_id"],
        pc.binary_join_element_wise("expire:", lot_ids, ""),
        pc.binary_join_element_wise("write_off:", names["event_id"].take(pa.array(event[written_off])), ""),
    ).take(pa.array(named))
    if elsewhere.any():
        on_card = pc.binary_join_element_wise(entry_ids, cards.take(pa.array(pool + offset)), "@")
        entry_ids = pc.if_else(pa.array(elsewhere), on_card, entry_ids)
    of_entry = names.select(["event_id", "event_type", "document_id", "line_no", "rule_id", "posted_date"])
    of_entry = of_entry.take(pa.array(event))
    event_type = of_entry["event_type"]
    moved = np.isin(events.kind[event], (ledger.TRANSFER, ledger.REPLACE)) & (kind == ledger.POSTED)
    if moved.any():
        way = pc.if_else(pa.array(elsewhere), pa.scalar("transfer_in"), pa.scalar("transfer_out"))
        event_type = pc.if_else(pa.array(moved), way, event_type.cast(pa.string()))
    dates = _dates(day)
    credit = (events.kind[event] == ledger.CREDIT) & (kind == ledger.POSTED)
    return pa.table(
        {
            "entry_id": entry_ids,
            "pool": pa.array(pool + offset),
            "kind": pa.array(kind),
            "event_type": event_type,
            "points_h": pa.array(folded.entries["points"]),
            "entry_date": dates,
            "posted_date": pc.if_else(pa.array(expired), dates, of_entry["posted_date"]),
            "usable_from": _dates(np.where(credit, events.usable_from[event], ledger.NEVER)),
            "expires_on": _dates(np.where(credit, events.expires_on[event], ledger.NEVER)),
            "event_id": of_entry["event_id"],
            "document_id": of_entry["document_id"],
            "line_no": of_entry["line_no"],
            "rule_id": of_entry["rule_id"],
        }
    )


def _joined(*columns: pa.ChunkedArray) -> pa.Array:
    """Columns of texts, one behind the other, as one piece: numpy's numbers find a row of it at once."""
    return pa.chunked_array([chunk for column in columns for chunk in column.chunks], pa.string()).combine_chunks()


def _uncovered(folded: ledger.Folded, events: ledger.Events, steps: pa.Table) -> pa.Table:
    """What redeems and transfers fell short of, and what each refund had still to give back when it was done."""
    wanted = (events.kind == ledger.REFUND) | (
        (folded.uncovered > 0) & np.isin(events.kind, (ledger.REDEEM, ledger.TRANSFER))
    )
    short = np.flatnonzero(wanted)
    of_short = steps.select(["document_id", "event_id", "event_type", "pool", "business_date", "partner"])
    return (
        of_short.combine_chunks().take(pa.array(short)).append_column("uncovered_h", pa.array(folded.uncovered[short]))
    )
