"""From the steps of tonight's accounts to the kernel and back: a batch of whole accounts at a time, names kept aside.

The kernel (``kanta/ledger.py``) knows numbers only; here they get back the names of cards, events, entries and lots.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kanta import kernel, ledger
from kanta.engine import Engine

#: About so many steps are folded at once: few enough that memory is used again and not fetched anew.
BATCH = 50_000

EPOCH = date(1970, 1, 1).toordinal()

#: The total order of spec 2-loyalty section 1.
_ORDER = (
    " order by account_no, phase, business_date, day_part, order_at nulls first, order_document nulls first, rank,"
    " document_id, line_no nulls first, rule_id nulls first, event_id, lot_id, pool"
)

_TABLES = {
    "events": "loyalty._folded_events",
    "entries": "loyalty._folded_entries",
    "lots": "loyalty._folded_lots",
    "pieces": "loyalty._folded_pieces",
    "uncovered": "loyalty._uncovered",
}
#: The place of a lot's origin in the total order.
_PLACE = ("order_at", "order_document", "rank", "document_id", "line_no", "rule_id")
#: What the event that is posted has of its step as it is.
_SAID = {
    "event_id", "business_date", "occurred_at", "usable_from", "expires_on", "document_id", "line_no", "rule_id",
    "related_event_id", "version",
}  # fmt: skip
#: What an entry can be, what it is of an event that moves points (on another card it comes in), and its side.
_TYPES = (
    "earn", "return_earned", "redeem", "refund", "adjust", "transfer_out", "transfer_in", "expire", "write_off",
)  # fmt: skip
_MOVES = {"transfer": "transfer_out", "replace": "transfer_out"}
_SIDES = ("issued", "used", "expired", "written_off")
_SIDE_OF = {"redeem": 1, "refund": 1, "transfer_out": 1, "expire": 2, "write_off": 3}
#: Line numbers of what has none, but stands after all that do.
_NO_LINE = 2147483647


@dataclass(frozen=True)
class Days:
    """Of the night, counted from 1970: the last day worked through and the last that was published before."""

    business_date: int
    published: int

    def posted(self, known: ledger.Ints, day: ledger.Ints) -> pa.Array:
        """When what is new was first known: with its fact or on its day, but not on a day that was published."""
        natural = np.maximum(known, day)
        return _dates(np.where(natural > self.published, natural, self.business_date))


def fold(engine: Engine, business_date: date, published_date: date) -> None:
    """Runs the kernel over ``loyalty._steps`` up to the end of a day and registers what comes out as tables.

    Of what was not posted before these are the columns of the postings, in the order of the fold.
    """
    days = Days(business_date.toordinal() - EPOCH, published_date.toordinal() - EPOCH)
    pools = engine.arrow("select * from loyalty._pools order by pool")
    portions = _portions(engine)
    steps = engine.arrow("select * from loyalty._steps" + _ORDER)
    batches = _batches(steps)
    few = len(steps) <= ledger.FEW
    if not few:
        kernel.compiled()  # once, and not by each thread
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        parts = list(threads.map(lambda batch: _batch(batch, pools, portions, days, few), batches))
    for name, target in _TABLES.items():
        engine.register(target, pa.concat_tables(part[name] for part in parts))


def _batches(steps: pa.Table) -> list[pa.Table]:
    """The steps in parts of whole accounts."""
    ends = np.append(np.flatnonzero(np.diff(_ints(steps["account_no"]))) + 1, len(steps))
    borders = sorted({0, len(steps), *ends[np.searchsorted(ends, range(BATCH, len(steps), BATCH))].tolist()})
    return [steps.slice(begin, end - begin) for begin, end in pairwise(borders)] or [steps]


def _portions(engine: Engine) -> ledger.Portions:
    table = engine.arrow(
        "select before_milli, after_milli, original_milli, unit_h from loyalty._portions order by portion_no"
    )
    return ledger.Portions(*(_ints(table[name]) for name in table.column_names))


def _ints(column: pa.ChunkedArray) -> ledger.Ints:
    numbers: ledger.Ints = column.cast(pa.int64()).to_numpy()
    return numbers


def _days(column: pa.ChunkedArray, empty: int) -> ledger.Ints:
    return _ints(pc.fill_null(column.cast(pa.int32()), empty))


def _dates(days: ledger.Ints) -> pa.Array:
    """Days since 1970 as dates; NEVER is null."""
    never = days == ledger.NEVER
    return pa.array(days.astype(np.int32), pa.int32(), mask=never if never.any() else None).cast(pa.date32())


def _points(hundredths: ledger.Ints) -> pa.Array:
    """Whole hundredths as points: a decimal is 128 bits wide, of which these fill the lower half."""
    wide = np.empty((len(hundredths), 2), np.int64)
    wide[:, 0] = hundredths
    wide[:, 1] = wide[:, 0] >> 63
    return pa.Array.from_buffers(pa.decimal128(18, 2), len(wide), [None, pa.py_buffer(wide)])


def _chosen(column: pa.Array, numbers: npt.NDArray[np.integer[Any]]) -> pa.Array:
    """The rows of these numbers; the column itself where these are all of them, in their order."""
    if len(numbers) == len(column) and np.array_equal(numbers, np.arange(len(column))):
        return column
    return column.take(pa.array(numbers))


def _of(values: Sequence[str], numbers: npt.NDArray[np.integer[Any]]) -> pa.Array:
    """Few texts for many rows, by their numbers."""
    return pa.DictionaryArray.from_arrays(pa.array(numbers.astype(np.int8)), pa.array(values, pa.string()))


def _named(numbers: npt.NDArray[np.integer[Any]], names: pa.Array) -> pa.DictionaryArray:
    """The names of these numbers; they are put in their places where they are written. A carried deficit has none, and
    no dictionary with a null in it can be written."""
    nameless = np.asarray(names.is_null())[numbers] if names.null_count else None
    return pa.DictionaryArray.from_arrays(pa.array(numbers, mask=nameless), names.fill_null(""))


def _column(table: pa.Table, name: str) -> pa.Array:
    """A column in one piece: numpy's numbers find a row of it at once."""
    column = table[name]
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


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


def _batch(steps: pa.Table, pools: pa.Table, portions: ledger.Portions, days: Days, few: bool) -> dict[str, pa.Table]:
    # Only the pools of this batch are closed; the kernel numbers them from 0.
    numbers = _ints(steps["pool"])
    targets = _ints(steps["partner"])[np.isin(_ints(steps["kind"]), (ledger.TRANSFER, ledger.REPLACE))]
    every = np.concatenate([numbers, targets])
    offset = int(every.min()) if len(every) else 0
    size = int(every.max()) - offset + 1 if len(every) else 0
    events = _events(steps, offset)
    pools = pools.slice(offset, size)
    folded = ledger.fold(
        events,
        ledger.Pools(_ints(pools["group_first"]) - offset, _ints(pools["group_last"]) - offset, _ints(pools["party"])),
        portions,
        days.business_date,
        as_python=few,
    )
    batch = _Batch(steps, pools, events, folded, days)
    lot_ids = batch.lot_ids()
    entry_ids = batch.entry_ids(lot_ids)
    return {
        "events": batch.said(),
        "entries": batch.entries(entry_ids),
        "lots": batch.lots(lot_ids, entry_ids),
        "pieces": batch.pieces(lot_ids, entry_ids),
        "uncovered": _uncovered(folded, events, steps),
    }


class _Batch:
    """What the kernel made of a batch of whole accounts, given its names back."""

    def __init__(
        self, steps: pa.Table, pools: pa.Table, events: ledger.Events, folded: ledger.Folded, days: Days
    ) -> None:
        self.events, self.folded, self.days = events, folded, days
        self.steps = {name: _column(steps, name) for name in steps.column_names}
        self.steps["rule_id"] = self.steps["rule_id"].dictionary_encode()
        self.types = self.steps["event_type"].dictionary_encode()
        self.posted = _days(steps["posted_date"], 0)
        # Which entries are on another card than their event.
        pool, event = folded.entries["pool"], folded.entries["event"]
        self.elsewhere = (folded.entries["kind"] == ledger.POSTED) & (pool != events.pool[event])
        self.pools = {
            name: pools[name].combine_chunks().dictionary_encode()
            for name in ("card_id", "program_id", "reward_point_id")
        }

    def _whose(self, pool: npt.NDArray[np.integer[Any]]) -> dict[str, pa.Array]:
        return {name: column.take(pa.array(pool)) for name, column in self.pools.items()}

    def said(self) -> pa.Table:
        """The events that are what the facts and rules say; what a refund or transfer moves only the fold knows."""
        said = _ints(self.steps["said_h"])
        numbers = np.flatnonzero((self.events.kind >= ledger.CREDIT) & (self.events.kind < ledger.REFUND) & (said != 0))
        step = {name: _chosen(column, numbers) for name, column in self.steps.items() if name in _SAID}
        return pa.table(
            {
                "event_id": step["event_id"],
                **self._whose(self.events.pool[numbers]),
                "event_type": _chosen(self.types, numbers),
                "business_date": step["business_date"],
                "occurred_at": step["occurred_at"],
                "points": _points(said[numbers]),
                "usable_from": step["usable_from"],
                "expires_on": step["expires_on"],
                "transaction_id": step["document_id"],
                "line_no": step["line_no"],
                "rule_id": step["rule_id"],
                "related_event_id": step["related_event_id"],
                "programme_version": step["version"],
                "posted_date": self.days.posted(self.posted[numbers], self.events.day[numbers]),
            }
        )

    def lot_ids(self) -> pa.Array:
        """Each lot's name: the carried one's, its event's, or of an event that opens several with its number."""
        lots = self.folded.lots
        carried, part = lots["entry"] < 0, lots["part"]
        lot_ids = _chosen(self.steps["event_id"], lots["maker"])
        if part.any():
            numbered = pc.binary_join_element_wise(lot_ids, pa.array(part).cast(pa.string()), ":")
            lot_ids = pc.if_else(pa.array(part > 0), numbered, lot_ids)
        if carried.any():
            lot_ids = pc.if_else(pa.array(carried), _chosen(self.steps["lot_id"], lots["origin"]), lot_ids)
        return lot_ids

    def entry_ids(self, lot_ids: pa.Array) -> pa.DictionaryArray:
        """Each entry's name: its event's, with the card where that is another; ``expire:`` and ``write_off:``."""
        event, pool, kind, lot = (self.folded.entries[name] for name in ("event", "pool", "kind", "lot"))
        event_ids, named = self.steps["event_id"], event.copy()
        expired, written_off = np.flatnonzero(kind == ledger.EXPIRED), np.flatnonzero(kind == ledger.WRITTEN_OFF)
        elsewhere = np.flatnonzero(self.elsewhere)
        cards = self.pools["card_id"].take(pa.array(pool[elsewhere])).cast(pa.string())
        # All names there are, one behind the other, and which of them each entry has.
        names = [event_ids]
        for entries, made in (
            (expired, pc.binary_join_element_wise("expire:", lot_ids.take(pa.array(lot[expired])), "")),
            (written_off, pc.binary_join_element_wise("write_off:", event_ids.take(pa.array(event[written_off])), "")),
            (elsewhere, pc.binary_join_element_wise(event_ids.take(pa.array(event[elsewhere])), cards, "@")),
        ):
            named[entries] = sum(map(len, names)) + np.arange(len(entries))
            names.append(made)
        return _named(named, pa.concat_arrays(names))

    def _entry_types(self) -> ledger.Ints:
        """Each entry's number in ``_TYPES``."""
        entries = self.folded.entries
        known = self.types.dictionary.to_pylist()
        numbers = np.array([_TYPES.index(_MOVES.get(name, name)) for name in known] + [-1])
        of_event = pc.fill_null(self.types.indices, len(known)).to_numpy()
        types: ledger.Ints = numbers[of_event[entries["event"]]]
        moved = np.isin(self.events.kind[entries["event"]], (ledger.TRANSFER, ledger.REPLACE))
        types[moved & self.elsewhere] = _TYPES.index("transfer_in")
        types[entries["kind"] == ledger.EXPIRED] = _TYPES.index("expire")
        types[entries["kind"] == ledger.WRITTEN_OFF] = _TYPES.index("write_off")
        return types

    def entries(self, entry_ids: pa.DictionaryArray) -> pa.Table:
        """Every entry with its name, in the columns of ``loyalty.entries``."""
        event, points = self.folded.entries["event"], self.folded.entries["points"]
        day, kind = self.folded.entries["day"].astype(np.int64), self.folded.entries["kind"]
        types = self._entry_types()
        sides = np.array([_SIDE_OF.get(name, 0) for name in _TYPES])[types]
        sides[(types == _TYPES.index("adjust")) & (points < 0)] = _SIDES.index("used")
        credit = (self.events.kind[event] == ledger.CREDIT) & (kind == ledger.POSTED) & (points > 0)
        lines = pc.fill_null(self.steps["line_no"], _NO_LINE).to_numpy()[event]
        return pa.table(
            {
                "entry_id": entry_ids,
                **self._whose(self.folded.entries["pool"]),
                "entry_type": _of(_TYPES, types),
                "points": _points(points),
                "entry_date": _dates(day),
                "posted_date": self.days.posted(np.where(kind == ledger.EXPIRED, day, self.posted[event]), day),
                "usable_from": _dates(np.where(credit, self.events.usable_from[event], ledger.NEVER)),
                "expires_on": _dates(np.where(credit, self.events.expires_on[event], ledger.NEVER)),
                "event_id": _named(event, self.steps["event_id"]),
                "transaction_id": _named(event, self.steps["document_id"]),
                "line_no": pa.array(lines, mask=lines == _NO_LINE),
                "rule_id": _chosen(self.steps["rule_id"], event),
                "side": _of(_SIDES, sides),
            }
        )

    def lots(self, lot_ids: pa.Array, entry_ids: pa.DictionaryArray) -> pa.Table:
        """Every lot as it is now, in the columns of ``loyalty.lot_postings`` and those of its state."""
        lots = self.folded.lots
        maker, origin, made = lots["maker"], lots["origin"], lots["entry"]
        opened_by = entry_ids.take(pa.array(made, mask=made < 0))
        return pa.table(
            {
                "lot_id": lot_ids,
                **self._whose(lots["pool"]),
                "carried": pa.array(made < 0),
                "event_id": _named(origin, self.steps["event_id"]),
                "points": _points(lots["points"]),
                "remaining": _points(lots["remaining"]),
                "earned_on": _dates(lots["earned"]),
                "usable_from": _dates(lots["usable"]),
                "expires_on": _dates(lots["expires"]),
                "posted_date": self.days.posted(self.posted[maker], self.events.day[maker]),
                **{name: _chosen(self.steps[name], origin) for name in _PLACE},
                "entry_id": opened_by,
            }
        )

    def pieces(self, lot_ids: pa.Array, entry_ids: pa.DictionaryArray) -> pa.Table:
        """What each debit took of each lot in all, in the columns of ``loyalty.allocations``."""
        pieces = self.folded.pieces
        entry, lot, points = pieces["entry"], pieces["lot"], pieces["points"]
        day = pieces["day"].astype(np.int64)
        keys = entry.astype(np.int64) * (len(self.folded.lots) + 1) + lot
        if len(keys) and (np.diff(keys) <= 0).any():  # in another order, or one twice
            _, first, which = np.unique(keys, return_index=True, return_inverse=True)
            sums = np.zeros(len(first), np.int64)
            np.add.at(sums, which, points)
            order = np.argsort(first)
            points, first = sums[order], first[order]
            entry, lot, day = entry[first], lot[first], day[first]
        expired = self.folded.entries["kind"][entry] == ledger.EXPIRED
        known = np.where(expired, day, self.posted[self.folded.entries["event"][entry]])
        return pa.table(
            {
                "debit_entry_id": entry_ids.take(pa.array(entry)),
                "lot_id": _named(lot, lot_ids),
                "allocated_on": _dates(day),
                "points": _points(points),
                "card_id": self.pools["card_id"].take(pa.array(self.folded.lots["pool"][lot])),
                "posted_date": self.days.posted(known, day),
            }
        )


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
