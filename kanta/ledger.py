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

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit
from numpy import int64

Ints = npt.NDArray[np.int64]
Rows = npt.NDArray[np.void]

#: Days are counted from 1970-01-01; a lot that never expires has this last day.
NEVER = np.iinfo(np.int32).max
#: More than anyone holds.
ALL = np.iinfo(int64).max

# What an event is.
CARRIED_LOT, CARRIED_DEFICIT, CREDIT, REDEEM, TAKE_BACK, TAKE_USABLE, REFUND, TRANSFER, REPLACE, JOIN = range(10)
# How an event is carried out.
WRITE_OFF, WIDE, AVAILABLE_ONLY, RESTART = 1, 2, 4, 8
# What an entry is.
POSTED, EXPIRED, WRITTEN_OFF = range(3)


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


def fold(events: Events, pools: Pools, portions: Portions, through: int) -> Folded:
    """Folds the events of whole accounts and closes what has expired by the end of day ``through``."""
    columns = [np.ascontiguousarray(column, int64) for column in (*vars(events).values(), *vars(portions).values())]
    tenders = int(events.partner[events.kind == REFUND].max(initial=-1)) + 1
    lots = int(np.count_nonzero((events.kind == CREDIT) | (events.kind == CARRIED_LOT))) + 64
    while True:
        books = _new_books(events, pools, lots)
        budget, uncovered = np.full(tenders, -1, int64), np.zeros(len(events.kind), int64)
        _fold(books, budget, uncovered, *columns, through)
        count = books.count[0]
        if not count["overflow"]:
            break
        lots *= 2  # transfers, refunds and replacements open more lots than there are credits
    return Folded(
        books.entries[: count["entries"]],
        books.pieces[: count["pieces"]],
        books.lots[: count["lots"]],
        uncovered,
        books.pools["deficit"],
    )


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


#: Nothing is allocated inside: without counting references to arrays the fold is twice as fast, and sooner compiled.
#: Only the fold itself is called from outside and kept on disk, with all that it calls. What goes from function to
#: function is int64, also where a row keeps it narrow: each would be compiled once for every mixture of types.
_options = {"_nrt": False, "error_model": "numpy"}
_compiled = njit(**_options, no_cpython_wrapper=True, no_cfunc_wrapper=True)  # type: ignore[call-overload]


@_compiled
def _part(earned, quantity, whole, unit):  # type: ignore[no-untyped-def]
    """What a quantity of a line takes back of what the line earned, rounded half up to the unit."""
    return (2 * earned * quantity + whole * unit) // (2 * whole * unit) * unit


@_compiled
def _post(s, event, pool, kind, points, today, lot):  # type: ignore[no-untyped-def]
    """Begins an entry; returns its number."""
    count = s.count[0]
    number = count.entries
    if number == len(s.entries):
        count.overflow = 1
        return number - 1
    entry = s.entries[number]
    entry.event, entry.pool, entry.kind, entry.points, entry.day, entry.lot = event, pool, kind, points, today, lot
    s.pools[pool].last_entry = number
    s.pools[pool].held += points
    count.entries = number + 1
    return number


@_compiled
def _add(s, event, pool, points, today):  # type: ignore[no-untyped-def]
    """Adds points to the entry that this event has on the pool; returns its number."""
    number = s.pools[pool].last_entry
    if number < 0 or s.entries[number].event != event or s.entries[number].kind != POSTED:
        return _post(s, event, pool, POSTED, points, today, -1)
    s.entries[number].points += points
    s.pools[pool].held += points
    return number


@_compiled
def _piece(s, entry, number, points, today):  # type: ignore[no-untyped-def]
    """Takes points from a lot for an entry; negative points are put back."""
    count = s.count[0]
    if count.pieces == len(s.pieces):
        count.overflow = 1
        return
    piece = s.pieces[count.pieces]
    piece.entry, piece.lot, piece.points, piece.day, piece.given_back = entry, number, points, today, 0
    count.pieces += 1
    lot = s.lots[number]
    lot.remaining -= points
    if lot.remaining == 0:
        _unlink(s, lot)
    elif not lot.open:
        _link(s, number)


@_compiled
def _sooner(lot, other):  # type: ignore[no-untyped-def]
    """Whether a lot is taken before another: soonest expiry, then oldest."""
    return lot.expires < other.expires or (lot.expires == other.expires and lot.age < other.age)


@_compiled
def _link(s, number):  # type: ignore[no-untyped-def]
    """Puts a lot into its pool's list, behind all that expire sooner or are older."""
    lot = s.lots[number]
    pool = s.pools[lot.pool]
    ahead = pool.tail
    while ahead >= 0 and _sooner(lot, s.lots[ahead]):
        ahead = s.lots[ahead].before
    if ahead < 0:
        following = pool.head
        pool.head = number
    else:
        following = s.lots[ahead].after
        s.lots[ahead].after = number
    lot.before, lot.after, lot.open = ahead, following, 1
    if following >= 0:
        s.lots[following].before = number
    else:
        pool.tail = number


@_compiled
def _unlink(s, lot):  # type: ignore[no-untyped-def]
    """Takes a lot out of its pool's list; where it stood in it stays readable."""
    pool = s.pools[lot.pool]
    if lot.before >= 0:
        s.lots[lot.before].after = lot.after
    else:
        pool.head = lot.after
    if lot.after >= 0:
        s.lots[lot.after].before = lot.before
    else:
        pool.tail = lot.before
    lot.open = 0


@_compiled
def _open(s, origin, maker, part, entry, pool, points, earned, usable, expires, age):  # type: ignore[no-untyped-def]
    """Opens a lot."""
    count = s.count[0]
    number = count.lots
    if number == len(s.lots):
        count.overflow = 1
        return
    lot = s.lots[number]
    lot.origin, lot.maker, lot.part, lot.entry, lot.pool = origin, maker, part, entry, pool
    lot.points, lot.remaining, lot.earned = points, points, earned
    lot.usable, lot.expires, lot.age = usable, expires, age
    count.lots = number + 1
    _link(s, number)


@_compiled
def _credit(s, event, part, entry, pool, points, today, usable, expires):  # type: ignore[no-untyped-def]
    """Covers the pool's deficit and opens a lot with the rest."""
    covered = min(points, s.pools[pool].deficit)
    s.pools[pool].deficit -= covered
    if points > covered:
        _open(s, event, event, part, entry, pool, points - covered, today, usable, expires, s.count[0].lots)


@_compiled
def _next_part(s, event):  # type: ignore[no-untyped-def]
    """The next number of a lot opened by an event that may open several."""
    last = s.count[0].lots - 1
    return int64(s.lots[last].part) + 1 if last >= 0 and s.lots[last].maker == event else 1


@_compiled
def _expire(s, pool, today):  # type: ignore[no-untyped-def]
    """The date begins with expiry: closes the pool's lots whose last usable day has passed."""
    number = int64(s.pools[pool].head)
    while number >= 0 and s.lots[number].expires < today:
        lot = s.lots[number]
        following, left, ended = int64(lot.after), lot.remaining, int64(lot.expires) + 1
        _piece(s, _post(s, int64(lot.origin), pool, EXPIRED, -left, ended, number), number, left, ended)
        number = following


@_compiled
def _take(s, event, pool, left, today, unvested):  # type: ignore[no-untyped-def]
    """Takes points from one pool's lots, those usable today or those not yet; returns what it could not take."""
    number = int64(s.pools[pool].head)
    while left > 0 and number >= 0:
        lot = s.lots[number]
        following = int64(lot.after)
        if (lot.usable > today) == unvested:
            taken = min(left, lot.remaining)
            left -= taken
            _piece(s, _add(s, event, pool, -taken, today), number, taken, today)
        number = following
    return left


@_compiled
def _take_wide(s, event, paying, left, today):  # type: ignore[no-untyped-def]
    """Takes points from all usable lots of the card's party, in one order; returns what it could not take."""
    first, last, party = s.pools[paying].group_first, s.pools[paying].group_last, s.pools[paying].party
    for p in range(first, last + 1):
        pool = s.pools[p]
        _expire(s, p, today)
        pool.at = pool.head if p == paying or (party >= 0 and pool.party == party) else -1
    while left > 0:
        best = -1
        for p in range(first, last + 1):
            number = s.pools[p].at
            while number >= 0 and s.lots[number].usable > today:
                number = s.lots[number].after
            s.pools[p].at = number
            if number >= 0 and (best < 0 or _sooner(s.lots[number], s.lots[best])):
                best = number
        if best < 0:
            break
        lot = s.lots[best]
        taken = min(left, lot.remaining)
        left -= taken
        s.pools[lot.pool].at = lot.after
        _piece(s, _add(s, event, int64(lot.pool), -taken, today), best, taken, today)
    return left


@_compiled
def _short(s, event, pool, points, flags, today):  # type: ignore[no-untyped-def]
    """What was not there is owed, or written off at once; returns what is owed."""
    _add(s, event, pool, -points, today)
    if flags & WRITE_OFF:
        _post(s, event, pool, WRITTEN_OFF, points, today, -1)
        return 0
    s.pools[pool].deficit += points
    return points


@_compiled
def _redeem(s, event, pool, points, flags, today, source):  # type: ignore[no-untyped-def]
    """Takes what a member paid with; returns what was not there. Remembers the pieces for its refunds."""
    begun = s.count[0].pieces
    left = _take_wide(s, event, pool, points, today) if flags & WIDE else _take(s, event, pool, points, today, 0)
    owed = _short(s, event, pool, left, flags, today) if left > 0 else 0
    if source >= 0:
        redeem = s.sources[source]
        redeem.first_piece, redeem.end_piece, redeem.owed, redeem.pool = begun, s.count[0].pieces, owed, pool
    return left


@_compiled
def _take_back(s, event, pool, points, flags, today, kind):  # type: ignore[no-untyped-def]
    """Takes points of its own pool only, of a return those not yet usable first; returns what was not there."""
    left = points
    if kind == TAKE_BACK and not (flags & AVAILABLE_ONLY):
        left = _take(s, event, pool, left, today, 1)
    left = _take(s, event, pool, left, today, 0)
    if left > 0:
        _short(s, event, pool, left, flags, today)
    return left


@_compiled
def _refund(s, budget, event, pool, source, tender, points, today, usable, expires):  # type: ignore[no-untyped-def]
    """Gives back what one redeem took, latest piece first; returns what its tender still has to give."""
    left = budget[tender] if budget[tender] >= 0 else points
    if source < 0:  # released: given back whatever was taken
        _give_back(s, event, pool, -1, left, today, usable, expires)
        left = 0
    else:
        redeem = s.sources[source]
        given = min(left, redeem.owed)
        if given > 0:  # what was not covered is the latest
            redeem.owed -= given
            left -= given
            _give_back(s, event, int64(redeem.pool), -1, given, today, usable, expires)
        for number in range(redeem.end_piece - 1, redeem.first_piece - 1, -1):
            piece = s.pieces[number]
            given = min(left, piece.points - piece.given_back)
            if given > 0:
                piece.given_back += given
                left -= given
                pool = int64(s.lots[piece.lot].pool)
                _give_back(s, event, pool, int64(piece.lot), given, today, usable, expires)
    budget[tender] = left
    return left


@_compiled
def _give_back(s, event, pool, number, points, today, usable, expires):  # type: ignore[no-untyped-def]
    """Covers the deficit of the piece's card, then its lot rises; a lot that has ended gives way to a new one."""
    p = pool
    while s.pools[p].owner != p:
        p = s.pools[p].owner
    _expire(s, p, today)
    entry = _add(s, event, p, points, today)
    covered = min(points, s.pools[p].deficit)
    s.pools[p].deficit -= covered
    left = points - covered
    if left == 0:
        return
    if number >= 0 and s.lots[number].expires >= today:
        if p == pool:
            _piece(s, entry, number, -left, today)
            return
        usable, expires = s.lots[number].usable, s.lots[number].expires  # its card was replaced: the same dates there
    last = s.count[0].lots - 1
    if last >= 0:
        lot = s.lots[last]
        if lot.maker == event and lot.pool == p and lot.usable == usable and lot.expires == expires:
            lot.points += left
            lot.remaining += left
            return
    _open(s, event, event, _next_part(s, event), entry, p, left, today, usable, expires, s.count[0].lots)


@_compiled
def _transfer(s, first, last, pool, partner, points, today, restart, usable_from, expires_on):  # type: ignore[no-untyped-def]
    """Moves usable lots of all programs, one event for each, in the order a debit takes them; returns the shortfall."""
    for event in range(first, last + 1):
        _expire(s, pool[event], today)
        _expire(s, partner[event], today)
    left = points if points > 0 else ALL
    while left > 0 and not s.count[0].overflow:
        best, of = -1, first
        for event in range(first, last + 1):
            number = s.pools[pool[event]].head
            while number >= 0 and s.lots[number].usable > today:
                number = s.lots[number].after
            if number >= 0 and (best < 0 or _sooner(s.lots[number], s.lots[best])):
                best, of = number, event
        if best < 0:
            break
        lot = s.lots[best]
        taken = min(left, lot.remaining)
        left -= taken
        usable, expires = lot.usable, lot.expires
        if restart:
            usable, expires = usable_from[of], expires_on[of]
        _piece(s, _add(s, of, pool[of], -taken, today), best, taken, today)
        entry = _add(s, of, partner[of], taken, today)
        _credit(s, of, _next_part(s, of), entry, partner[of], taken, today, usable, expires)
    return left if points > 0 else 0


@_compiled
def _replace(s, event, old, new, today):  # type: ignore[no-untyped-def]
    """A replaced card's lots go to the new card with all their dates, a deficit too; entries of the net."""
    _expire(s, old, today)
    _expire(s, new, today)
    s.pools[old].owner = new
    number = int64(s.pools[old].head)
    if number < 0 and s.pools[old].deficit == 0:
        return
    net = s.pools[old].held
    out = _post(s, event, old, POSTED, -net, today, -1)
    into = _post(s, event, new, POSTED, net, today, -1)
    while number >= 0:
        lot = s.lots[number]
        following, left = int64(lot.after), lot.remaining
        _piece(s, out, number, left, today)
        covered = min(left, s.pools[new].deficit)
        s.pools[new].deficit -= covered
        if left > covered:
            _open(
                s, int64(lot.origin), event, _next_part(s, event), into, new, left - covered, int64(lot.earned),
                int64(lot.usable), int64(lot.expires), int64(lot.age),
            )  # fmt: skip
        number = following
    s.pools[new].deficit += s.pools[old].deficit
    s.pools[old].deficit = 0


@njit(**_options, cache=True)  # type: ignore[call-overload]
def _fold(  # type: ignore[no-untyped-def]
    s, budget, uncovered, kind, flags, pool, day, points, usable_from, expires_on, ceiling, source, partner,
    before, after, whole, unit, through,
):  # fmt: skip
    i, size = int64(0), len(kind)
    while i < size and not s.count[0].overflow:
        p, today, what = pool[i], day[i], kind[i]
        if what == CREDIT:
            _expire(s, p, today)
            credit = points[i]
            if ceiling[i] > 0:
                credit = max(min(credit, ceiling[i] - s.pools[p].held), 0)
            if source[i] >= 0:
                s.sources[source[i]].credited += credit
            if credit > 0:
                entry = _post(s, i, p, POSTED, credit, today, -1)
                _credit(s, i, 0, entry, p, credit, today, usable_from[i], expires_on[i])
        elif what == REDEEM:
            _expire(s, p, today)
            if points[i] > 0:
                uncovered[i] = _redeem(s, i, p, points[i], flags[i], today, source[i])
        elif what in (TAKE_BACK, TAKE_USABLE):
            _expire(s, p, today)
            debit = points[i]
            if what == TAKE_BACK and partner[i] < 0 and source[i] >= 0:
                s.sources[source[i]].credited -= debit
            elif what == TAKE_BACK and partner[i] >= 0:
                row, earned = partner[i], s.sources[source[i]].credited
                debit = _part(earned, after[row], whole[row], unit[row])
                debit -= _part(earned, before[row], whole[row], unit[row])
            if debit > 0:
                uncovered[i] = _take_back(s, i, p, debit, flags[i], today, what)
        elif what == CARRIED_LOT:
            s.pools[p].held += points[i]
            _open(s, i, i, 0, -1, p, points[i], today, usable_from[i], expires_on[i], s.count[0].lots)
        elif what == CARRIED_DEFICIT:
            s.pools[p].deficit += points[i]
            s.pools[p].held -= points[i]
        elif what == JOIN:
            s.pools[p].party = partner[i]
        elif what == REPLACE:
            _replace(s, i, p, partner[i], today)
        elif what == REFUND:
            uncovered[i] = _refund(
                s, budget, i, p, source[i], partner[i], points[i], today, usable_from[i], expires_on[i]
            )
        elif what == TRANSFER:
            last = i
            while last + 1 < size and kind[last + 1] == TRANSFER and source[last + 1] == source[i]:
                last += 1
            restart = flags[i] & RESTART
            uncovered[i] = _transfer(s, i, last, pool, partner, points[i], today, restart, usable_from, expires_on)
            i = last
        i += 1
    for p in range(len(s.pools)):
        _expire(s, p, through)
