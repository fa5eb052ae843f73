"""The lot kernel: a fold over each account's ordered events, in whole hundredths of a point.

Pure functions over integer arrays: no I/O, no clock, no floats. Rules: spec 2-loyalty sections 3 (cap), 4 and 5.

* A credit covers the deficit of its pool first; what is left opens a lot. A capped one is cut to what the
  pool may hold.
* A debit takes from lots, soonest expiry first, never-expiring last, then oldest; what it cannot take is a
  deficit of its pool, or is written off at once.
* A refund gives back what a redeem took, latest piece first: to a deficit, else to the piece's lot, else in a new lot.
* A transfer moves usable lots to another card's pools; a replaced card's lots and deficit go to the new card whole.
* A lot whose last usable day has passed is closed by an expiry of its own, dated the day after.

A *pool* is one card, program and reward point. The pools that a contact-tender card may ever draw on stand next to each
other (``group_first`` … ``group_last``); on a day it draws on those of its own ``party`` then.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numpy import int64

from kanta import kernel
from kanta.kernel import (
    ALL,
    AVAILABLE_ONLY,
    CARRIED_DEFICIT,
    CARRIED_LOT,
    CREDIT,
    EXPIRED,
    JOIN,
    NEVER,
    POSTED,
    REDEEM,
    REFUND,
    REPLACE,
    RESTART,
    TAKE_BACK,
    TAKE_USABLE,
    TRANSFER,
    WIDE,
    WRITE_OFF,
    WRITTEN_OFF,
)

__all__ = [
    "ALL", "AVAILABLE_ONLY", "CARRIED_DEFICIT", "CARRIED_LOT", "CREDIT", "ENTRY", "EXPIRED", "JOIN", "LOT", "NEVER",
    "PIECE", "POSTED", "REDEEM", "REFUND", "REPLACE", "RESTART", "TAKE_BACK", "TAKE_USABLE", "TRANSFER", "WIDE",
    "WRITE_OFF", "WRITTEN_OFF", "Events", "Folded", "Ints", "Pools", "Portions", "Rows", "fold",
]  # fmt: skip

Ints = npt.NDArray[np.int64]
Rows = npt.NDArray[np.void]

#: So many events are folded as Python in about the time that loading the compiled steps takes.
FEW = 30_000


def _row(numbers: str, points: str) -> np.dtype[np.void]:
    """Columns of points, then of numbers and days; narrow, for what memory is written to is most of a fold's time."""
    return np.dtype([(name, int64) for name in points.split()] + [(name, np.int32) for name in numbers.split()])


ENTRY = _row("event pool kind day lot", points="points")
PIECE = _row("entry lot day", points="points given_back")
LOT = _row("origin maker part entry pool earned usable expires age before after open", points="points remaining")
_POOL = _row("head tail owner party last_entry at group_first group_last", points="deficit held")
_SOURCE = _row("first_piece end_piece pool", points="credited owed")
_COUNT = _row("", points="entries pieces lots overflow")


@dataclass(frozen=True)
class Events:
    """Events sorted by account and the total order of section 1; all arrays have one length.

    ``kind``, ``flags``: the constants above · ``pool``: 0 … pools-1 · ``day``: business date · ``points``: > 0, in
    hundredths (of a transfer 0: all) · ``usable_from``, ``expires_on``: of credits, carried lots, refunds and
    restarting transfers (NEVER: does not expire) · ``ceiling``: what the pool may hold after this credit, 0: no limit.

    ``source``, -1 for none, numbers what belongs together: the sale line a capped credit counts for and that
    a take-back undoes; the redeem and the refunds of it; the steps of one transfer, one for each program.

    ``partner``, -1 for none: of a transfer or replacement the pool it goes to; of a refund the number of its tender; of
    a take-back by line its row in Portions; of a joining card its new party.
    """

    kind: Ints
    flags: Ints
    pool: Ints
    day: Ints
    points: Ints
    usable_from: Ints
    expires_on: Ints
    ceiling: Ints
    source: Ints
    partner: Ints


@dataclass(frozen=True)
class Pools:
    """``group_first``, ``group_last``: the pools a contact tender may ever draw on with this one. ``party``: whose
    the pool is when the fold begins, -1: nobody's but the card's own."""

    group_first: Ints
    group_last: Ints
    party: Ints


@dataclass(frozen=True)
class Portions:
    """How much of a line has come back ``before`` and ``after`` a return, of its ``whole`` quantity, and the ``unit``
    of its reward point. For take-backs of points that may have been cut when they were earned."""

    before: Ints
    after: Ints
    whole: Ints
    unit: Ints


@dataclass(frozen=True)
class Folded:
    """What the events came to. ``event`` and ``lot`` are positions in Events and in the lots.

    * ``entries``, rows of ``ENTRY``: event (of an expiry: its lot's origin), pool, kind, points (signed), day, and
      of an expiry its lot, else -1
    * ``pieces``, rows of ``PIECE``: entry, lot, points (negative: put back), day
    * ``lots``, rows of ``LOT``: origin (the event whose order it keeps), maker (the event that opened it here), part
      (from 1, where one event may open several; else 0), entry (-1 of a carried lot), pool, points, remaining, dates
    * ``uncovered``: for each event what a debit could not take, a transfer not move, a refund tender not give back (at
      the last of its events)
    * ``deficit``: for each pool what it owes at the end
    """

    entries: Rows
    pieces: Rows
    lots: Rows
    uncovered: Ints
    deficit: Ints


class _Books(NamedTuple):
    """All that the fold writes on its way; few arrays, because each call hands on every one of them."""

    entries: Any
    pieces: Any
    lots: Any
    pools: Any  # head, tail: open lots in the order debits take them; owner: the pool a replaced card went over to
    sources: Any  # what a line was credited with; of a redeem its pieces, what was left owing, the paying pool
    count: Any  # one row: how many entries, pieces, lots there are


def fold(events: Events, pools: Pools, portions: Portions, through: int, *, as_python: bool | None = None) -> Folded:
    """Folds the events of whole accounts and closes what has expired by the end of day ``through``.

    ``as_python``: whether the steps run as they stand or compiled, which give the same; None: as is sooner done.
    """
    # Copies, since what the engine hands over may only be read, for which all would be compiled once more.
    columns = [np.array(column, int64) for column in (*vars(events).values(), *vars(portions).values())]
    tenders = int(events.partner[events.kind == REFUND].max(initial=-1)) + 1
    lots = int(np.count_nonzero((events.kind == CREDIT) | (events.kind == CARRIED_LOT))) + 64
    few = len(events.kind) <= FEW if as_python is None else as_python
    while True:
        books = _new_books(events, pools, lots)
        scratch = np.full(tenders, -1, int64), np.zeros(len(events.kind), int64)
        if few:
            books, scratch = _fold_as_python(books, scratch, columns, through)
        else:
            kernel.compiled()(books, *scratch, *columns, through)
        count = books.count[0]
        if not count["overflow"]:
            break
        lots *= 2  # transfers, refunds and replacements open more lots than there are credits
    return Folded(
        books.entries[: count["entries"]],
        books.pieces[: count["pieces"]],
        books.lots[: count["lots"]],
        scratch[1],
        books.pools["deficit"],
    )


def _fold_as_python(
    books: _Books, scratch: tuple[Ints, Ints], columns: list[Ints], through: int
) -> tuple[_Books, tuple[Ints, Ints]]:
    """The same over lists of objects, which Python reads ten times as fast as rows of numpy."""
    written = {name: _objects(getattr(books, name), blank=True) for name in ("entries", "pieces", "lots")}
    rows = books._replace(**written, **{n: _objects(getattr(books, n)) for n in ("pools", "sources", "count")})
    budget, uncovered = (numbers.tolist() for numbers in scratch)
    steps: Callable[..., None] = kernel.fold
    steps(rows, budget, uncovered, *(column.tolist() for column in columns), through)
    (count,) = rows.count
    for name, of in written.items():  # what was too little is of no use, nor are rows that nothing came into
        rows = rows._replace(**{name: [] if count.overflow else of[: getattr(count, name)]})
    found = (_array(each, before.dtype) for each, before in zip(rows, books, strict=True))
    return _Books(*found), (np.array(budget, int64), np.array(uncovered, int64))


def _objects(rows: Rows, *, blank: bool = False) -> list[Any]:
    """``blank``: with nothing in them yet."""
    names = rows.dtype.names or ()
    row = type("Row", (), {"__slots__": names})
    found = [row() for _ in range(len(rows))]
    for name in () if blank else names:
        for each, value in zip(found, rows[name].tolist(), strict=True):
            setattr(each, name, value)
    return found


def _array(rows: list[Any], dtype: np.dtype[np.void]) -> Rows:
    return np.array(list(map(attrgetter(*(dtype.names or ())), rows)), dtype)


def _new_books(events: Events, pools: Pools, lots: int) -> _Books:
    size = len(events.kind)
    pieces = 2 * lots + size + 64
    of_pools = np.zeros(len(pools.party), _POOL)
    for name in ("head", "tail", "last_entry", "at"):
        of_pools[name] = -1
    of_pools["owner"] = np.arange(len(of_pools))
    for name, column in vars(pools).items():
        of_pools[name] = column
    return _Books(
        entries=np.empty(2 * size + lots + pieces, ENTRY),
        pieces=np.empty(pieces, PIECE),
        lots=np.empty(lots, LOT),
        pools=of_pools,
        sources=np.zeros(int(events.source.max(initial=-1)) + 1, _SOURCE),
        count=np.zeros(1, _COUNT),
    )
