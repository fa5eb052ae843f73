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

Ints = npt.NDArray[np.int64]

#: Days are counted from 1970-01-01; a lot that never expires has this last day.
NEVER = np.iinfo(np.int64).max

# What an event is.
CARRIED_LOT, CARRIED_DEFICIT, CREDIT, REDEEM, TAKE_BACK, TAKE_USABLE, REFUND, TRANSFER, REPLACE, JOIN = range(10)
# How an event is carried out.
WRITE_OFF, WIDE, AVAILABLE_ONLY, RESTART = 1, 2, 4, 8
# What an entry is.
POSTED, EXPIRED, WRITTEN_OFF = range(3)

# Columns of the tables the fold fills.
E_EVENT, E_POOL, E_KIND, E_POINTS, E_DAY, E_LOT, ENTRY_COLUMNS = range(7)
P_ENTRY, P_LOT, P_POINTS, P_DAY, P_BACK, PIECE_COLUMNS = range(6)
(
    L_ORIGIN, L_MAKER, L_PART, L_ENTRY, L_POOL, L_POINTS, L_REMAINING, L_EARNED, L_USABLE, L_EXPIRES, L_AGE,
    L_BEFORE, L_AFTER, L_OPEN, LOT_COLUMNS,
) = range(15)  # fmt: skip
ENTRIES, PIECES, LOTS, OVERFLOW = range(4)


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

    * ``entries``, columns ``E_``: event (of an expiry: its lot's origin), pool, kind, points (signed), day, and
      of an expiry its lot, else -1
    * ``pieces``, columns ``P_``: entry, lot, points (negative: given back), day
    * ``lots``, columns ``L_``: origin (the event whose order it keeps), maker (the event that opened it here), part
      (from 1, where one event may open several; else 0), entry (-1 of a carried lot), pool, points, remaining, dates
    * ``uncovered``: for each event what a debit could not take, a transfer not move, a refund tender not give back (at
      the last of its events)
    * ``deficit``: for each pool what it owes at the end
    """

    entries: Ints
    pieces: Ints
    lots: Ints
    uncovered: Ints
    deficit: Ints


class _State(NamedTuple):
    """All that the fold carries from event to event."""

    entries: Any
    pieces: Any
    lots: Any
    count: Any
    head: Any  # open lots of each pool, a list in the order debits take them
    tail: Any
    deficit: Any
    held: Any
    owner: Any  # the pool that a replaced card's pool went over to, else itself
    party: Any
    entry_of: Any  # the entry of a pool that was begun last
    at: Any
    credited: Any  # by source: what a line was credited with
    taken_from: Any  # by source: first piece, one past the last, what was left owing, the paying pool
    budget: Any  # by refund tender: what is still to be given back; -1: not begun
    uncovered: Any


def fold(events: Events, pools: Pools, portions: Portions, through: int) -> Folded:
    """Folds the events of whole accounts and closes what has expired by the end of day ``through``."""
    lots = int(np.count_nonzero((events.kind == CREDIT) | (events.kind == CARRIED_LOT))) + 64
    while True:
        state = _new_state(events, pools, lots)
        columns = [*vars(events).values(), *vars(pools).values(), *vars(portions).values()]
        _fold(*[state, *columns, through])
        if not state.count[OVERFLOW]:
            break
        lots *= 2  # transfers, refunds and replacements open more lots than there are credits
    return Folded(
        state.entries[: state.count[ENTRIES]],
        state.pieces[: state.count[PIECES]],
        state.lots[: state.count[LOTS]],
        state.uncovered,
        state.deficit,
    )


def _new_state(events: Events, pools: Pools, lots: int) -> _State:
    size, number = len(events.kind), len(pools.party)
    sources = int(events.source.max(initial=-1)) + 1
    tenders = int(events.partner[events.kind == REFUND].max(initial=-1)) + 1
    pieces = 2 * lots + size + 64

    def empty(rows: int, columns: int) -> Ints:
        return np.empty((rows, columns), np.int64)

    return _State(
        entries=empty(2 * size + lots + pieces, ENTRY_COLUMNS),
        pieces=empty(pieces, PIECE_COLUMNS),
        lots=empty(lots, LOT_COLUMNS),
        count=np.zeros(4, np.int64),
        head=np.full(number, -1, np.int64),
        tail=np.full(number, -1, np.int64),
        deficit=np.zeros(number, np.int64),
        held=np.zeros(number, np.int64),
        owner=np.arange(number, dtype=np.int64),
        party=pools.party.copy(),
        entry_of=np.full(number, -1, np.int64),
        at=np.full(number, -1, np.int64),
        credited=np.zeros(sources, np.int64),
        taken_from=np.zeros((sources, 4), np.int64),
        budget=np.full(tenders, -1, np.int64),
        uncovered=np.zeros(size, np.int64),
    )


#: Nothing is allocated inside: without counting references to arrays the fold is twice as fast, and sooner compiled.
_compiled = njit(cache=True, _nrt=False)  # type: ignore[call-overload]


@_compiled
def _fold(  # type: ignore[no-untyped-def]
    s, kind, flags, pool, day, points, usable_from, expires_on, ceiling, source, partner,
    group_first, group_last, party, before, after, whole, unit, through,
):  # fmt: skip
    i, size = 0, len(kind)
    while i < size and not s.count[OVERFLOW]:
        p, today, what = pool[i], day[i], kind[i]
        if what == CARRIED_LOT:
            s.held[p] += points[i]
            _open(s, i, i, 0, -1, p, points[i], today, usable_from[i], expires_on[i], s.count[LOTS])
        elif what == CARRIED_DEFICIT:
            s.deficit[p] += points[i]
            s.held[p] -= points[i]
        elif what == JOIN:
            s.party[p] = partner[i]
        elif what == REPLACE:
            _replace(s, i, p, partner[i], today)
        elif what == TRANSFER:
            last = i
            while last + 1 < size and kind[last + 1] == TRANSFER and source[last + 1] == source[i]:
                last += 1
            restart = flags[i] & RESTART
            _transfer(s, i, last, pool, partner, points[i], today, restart, usable_from, expires_on)
            i = last
        elif what == REFUND:
            _refund(s, i, p, source[i], partner[i], points[i], today, usable_from[i], expires_on[i])
        else:
            _expire(s, p, today)
            if what == CREDIT:
                credit = points[i]
                if ceiling[i] > 0:
                    credit = max(min(credit, ceiling[i] - s.held[p]), 0)
                if source[i] >= 0:
                    s.credited[source[i]] += credit
                if credit > 0:
                    entry = _post(s, i, p, POSTED, credit, today, -1)
                    _credit(s, i, 0, entry, p, credit, today, usable_from[i], expires_on[i])
            else:
                debit = points[i]
                if what == TAKE_BACK and partner[i] < 0 and source[i] >= 0:
                    s.credited[source[i]] -= debit
                elif what == TAKE_BACK and partner[i] >= 0:
                    row = partner[i]
                    earned = s.credited[source[i]]
                    debit = _part(earned, after[row], whole[row], unit[row])
                    debit -= _part(earned, before[row], whole[row], unit[row])
                first, last = p, p
                if flags[i] & WIDE:
                    first, last = group_first[p], group_last[p]
                if debit > 0:
                    _debit(s, i, p, first, last, what, flags[i], debit, today, source[i])
        i += 1
    for p in range(len(s.head)):
        _expire(s, p, through)


@_compiled
def _part(earned, quantity, whole, unit):  # type: ignore[no-untyped-def]
    """What a quantity of a line takes back of what the line earned, rounded half up to the unit."""
    return (2 * earned * quantity + whole * unit) // (2 * whole * unit) * unit


@_compiled
def _post(s, event, pool, kind, points, today, lot):  # type: ignore[no-untyped-def]
    """Begins an entry; returns its number."""
    entry = s.count[ENTRIES]
    if entry == len(s.entries):
        s.count[OVERFLOW] = 1
        return entry - 1
    row = s.entries[entry]
    row[E_EVENT], row[E_POOL], row[E_KIND], row[E_POINTS] = event, pool, kind, points
    row[E_DAY], row[E_LOT] = today, lot
    s.entry_of[pool] = entry
    s.held[pool] += points
    s.count[ENTRIES] = entry + 1
    return entry


@_compiled
def _add(s, event, pool, points, today):  # type: ignore[no-untyped-def]
    """Adds points to the entry that this event has on the pool; returns its number."""
    entry = s.entry_of[pool]
    if entry < 0 or s.entries[entry, E_EVENT] != event or s.entries[entry, E_KIND] != POSTED:
        return _post(s, event, pool, POSTED, points, today, -1)
    s.entries[entry, E_POINTS] += points
    s.held[pool] += points
    return entry


@_compiled
def _piece(s, entry, lot, points, today):  # type: ignore[no-untyped-def]
    """Takes points from a lot for an entry; negative points are put back."""
    piece = s.count[PIECES]
    if piece == len(s.pieces):
        s.count[OVERFLOW] = 1
        return
    row = s.pieces[piece]
    row[P_ENTRY], row[P_LOT], row[P_POINTS], row[P_DAY], row[P_BACK] = entry, lot, points, today, 0
    s.count[PIECES] = piece + 1
    s.lots[lot, L_REMAINING] -= points
    if s.lots[lot, L_REMAINING] == 0:
        _unlink(s, lot)
    elif not s.lots[lot, L_OPEN]:
        _link(s, lot)


@_compiled
def _link(s, lot):  # type: ignore[no-untyped-def]
    """Puts a lot into its pool's list, behind all that expire sooner or are older."""
    new = s.lots[lot]
    p, expires, age = new[L_POOL], new[L_EXPIRES], new[L_AGE]
    ahead = s.tail[p]
    while ahead >= 0 and (
        s.lots[ahead, L_EXPIRES] > expires or (s.lots[ahead, L_EXPIRES] == expires and s.lots[ahead, L_AGE] > age)
    ):
        ahead = s.lots[ahead, L_BEFORE]
    if ahead < 0:
        following = s.head[p]
        s.head[p] = lot
    else:
        following = s.lots[ahead, L_AFTER]
        s.lots[ahead, L_AFTER] = lot
    new[L_BEFORE], new[L_AFTER], new[L_OPEN] = ahead, following, 1
    if following >= 0:
        s.lots[following, L_BEFORE] = lot
    else:
        s.tail[p] = lot


@_compiled
def _unlink(s, lot):  # type: ignore[no-untyped-def]
    """Takes a lot out of its pool's list; where it stood in it stays readable."""
    row = s.lots[lot]
    ahead, following, p = row[L_BEFORE], row[L_AFTER], row[L_POOL]
    if ahead >= 0:
        s.lots[ahead, L_AFTER] = following
    else:
        s.head[p] = following
    if following >= 0:
        s.lots[following, L_BEFORE] = ahead
    else:
        s.tail[p] = ahead
    row[L_OPEN] = 0


@_compiled
def _open(s, origin, maker, part, entry, pool, points, earned, usable, expires, age):  # type: ignore[no-untyped-def]
    """Opens a lot."""
    lot = s.count[LOTS]
    if lot == len(s.lots):
        s.count[OVERFLOW] = 1
        return
    row = s.lots[lot]
    row[L_ORIGIN], row[L_MAKER], row[L_PART], row[L_ENTRY], row[L_POOL] = origin, maker, part, entry, pool
    row[L_POINTS], row[L_REMAINING], row[L_EARNED] = points, points, earned
    row[L_USABLE], row[L_EXPIRES], row[L_AGE] = usable, expires, age
    s.count[LOTS] = lot + 1
    _link(s, lot)


@_compiled
def _credit(s, event, part, entry, pool, points, today, usable, expires):  # type: ignore[no-untyped-def]
    """Covers the pool's deficit and opens a lot with the rest."""
    covered = min(points, s.deficit[pool])
    s.deficit[pool] -= covered
    if points > covered:
        _open(s, event, event, part, entry, pool, points - covered, today, usable, expires, s.count[LOTS])


@_compiled
def _next_part(s, event):  # type: ignore[no-untyped-def]
    """The next number of a lot opened by an event that may open several."""
    last = s.count[LOTS] - 1
    return s.lots[last, L_PART] + 1 if last >= 0 and s.lots[last, L_MAKER] == event else 1


@_compiled
def _expire(s, pool, today):  # type: ignore[no-untyped-def]
    """The date begins with expiry: closes the pool's lots whose last usable day has passed."""
    lot = s.head[pool]
    while lot >= 0 and s.lots[lot, L_EXPIRES] < today and not s.count[OVERFLOW]:
        following, left, ended = s.lots[lot, L_AFTER], s.lots[lot, L_REMAINING], s.lots[lot, L_EXPIRES] + 1
        entry = _post(s, s.lots[lot, L_ORIGIN], pool, EXPIRED, -left, ended, lot)
        _piece(s, entry, lot, left, ended)
        lot = following


@_compiled
def _debit(s, event, pool, first, last, kind, flags, debit, today, source):  # type: ignore[no-untyped-def]
    """Takes points from lots in one or two turns; what is not there is owed or written off."""
    left, begun = debit, s.count[PIECES]
    for q in range(first, last + 1):
        if q != pool:
            _expire(s, q, today)
    unvested_first = kind == TAKE_BACK and not (flags & AVAILABLE_ONLY)
    for turn in range(2):
        if turn == 0 and not unvested_first:
            continue
        for q in range(first, last + 1):
            mine = q == pool or (s.party[q] >= 0 and s.party[q] == s.party[pool])
            s.at[q] = s.head[q] if mine else -1
        while left > 0 and not s.count[OVERFLOW]:
            # The next lot of this turn, over all pools in question: soonest expiry, then oldest.
            best = -1
            for q in range(first, last + 1):
                lot = s.at[q]
                while lot >= 0 and (s.lots[lot, L_USABLE] > today) != (turn == 0):
                    lot = s.lots[lot, L_AFTER]
                s.at[q] = lot
                if lot >= 0 and (best < 0 or _sooner(s, lot, best)):
                    best = lot
            if best < 0:
                break
            q = s.lots[best, L_POOL]
            taken = min(left, s.lots[best, L_REMAINING])
            left -= taken
            if taken == s.lots[best, L_REMAINING]:
                s.at[q] = s.lots[best, L_AFTER]
            _piece(s, _add(s, event, q, -taken, today), best, taken, today)
    owed = 0
    if left > 0:
        s.uncovered[event] = left
        _add(s, event, pool, -left, today)
        if flags & WRITE_OFF:
            _post(s, event, pool, WRITTEN_OFF, left, today, -1)
        else:
            s.deficit[pool] += left
            owed = left
    if kind == REDEEM and source >= 0:
        row = s.taken_from[source]
        row[0], row[1], row[2], row[3] = begun, s.count[PIECES], owed, pool


@_compiled
def _sooner(s, lot, other):  # type: ignore[no-untyped-def]
    """Whether a lot is taken before another: soonest expiry, then oldest."""
    if s.lots[lot, L_EXPIRES] != s.lots[other, L_EXPIRES]:
        return s.lots[lot, L_EXPIRES] < s.lots[other, L_EXPIRES]
    return s.lots[lot, L_AGE] < s.lots[other, L_AGE]


@_compiled
def _refund(s, event, pool, source, tender, points, today, usable, expires):  # type: ignore[no-untyped-def]
    """Gives back what one redeem took, latest piece first, up to what its tender still has to give."""
    left = s.budget[tender] if s.budget[tender] >= 0 else points
    if source < 0:  # released: given back whatever was taken
        _give_back(s, event, pool, -1, left, today, usable, expires)
        left = 0
    else:
        begun, ended, owed, paying = s.taken_from[source]
        given = min(left, owed)
        if given > 0:  # what was not covered is the latest
            s.taken_from[source, 2] -= given
            left -= given
            _give_back(s, event, paying, -1, given, today, usable, expires)
        for piece in range(ended - 1, begun - 1, -1):
            row = s.pieces[piece]
            given = min(left, row[P_POINTS] - row[P_BACK])
            if given > 0:
                row[P_BACK] += given
                left -= given
                _give_back(s, event, s.lots[row[P_LOT], L_POOL], row[P_LOT], given, today, usable, expires)
    s.budget[tender] = left
    s.uncovered[event] = left


@_compiled
def _give_back(s, event, pool, lot, points, today, usable, expires):  # type: ignore[no-untyped-def]
    """Covers the deficit of the piece's card, then its lot rises; a lot that has ended gives way to a new one."""
    p = pool
    while s.owner[p] != p:
        p = s.owner[p]
    _expire(s, p, today)
    entry = _add(s, event, p, points, today)
    covered = min(points, s.deficit[p])
    s.deficit[p] -= covered
    left = points - covered
    if left == 0:
        return
    if lot >= 0 and s.lots[lot, L_EXPIRES] >= today:
        if p == pool:
            _piece(s, entry, lot, -left, today)
            return
        usable, expires = s.lots[lot, L_USABLE], s.lots[lot, L_EXPIRES]  # its card was replaced: the same dates there
    last = s.count[LOTS] - 1
    row = s.lots[last]
    same = last >= 0 and row[L_MAKER] == event and row[L_POOL] == p
    if same and row[L_USABLE] == usable and row[L_EXPIRES] == expires:
        row[L_POINTS] += left
        row[L_REMAINING] += left
        return
    _open(s, event, event, _next_part(s, event), entry, p, left, today, usable, expires, s.count[LOTS])


@_compiled
def _transfer(s, first, last, pool, partner, points, today, restart, usable_from, expires_on):  # type: ignore[no-untyped-def]
    """Moves usable lots of all programs, one event for each, in the order a debit takes them."""
    for event in range(first, last + 1):
        _expire(s, pool[event], today)
        _expire(s, partner[event], today)
    left = points if points > 0 else NEVER
    while left > 0 and not s.count[OVERFLOW]:
        best, of = -1, -1
        for event in range(first, last + 1):
            lot = s.head[pool[event]]
            while lot >= 0 and s.lots[lot, L_USABLE] > today:
                lot = s.lots[lot, L_AFTER]
            if lot >= 0 and (best < 0 or _sooner(s, lot, best)):
                best, of = lot, event
        if best < 0:
            break
        taken = min(left, s.lots[best, L_REMAINING])
        left -= taken
        usable, expires = s.lots[best, L_USABLE], s.lots[best, L_EXPIRES]
        if restart:
            usable, expires = usable_from[of], expires_on[of]
        _piece(s, _add(s, of, pool[of], -taken, today), best, taken, today)
        entry = _add(s, of, partner[of], taken, today)
        _credit(s, of, _next_part(s, of), entry, partner[of], taken, today, usable, expires)
    if points > 0:
        s.uncovered[first] = left


@_compiled
def _replace(s, event, old, new, today):  # type: ignore[no-untyped-def]
    """A replaced card's lots go to the new card with all their dates, a deficit too; entries of the net."""
    _expire(s, old, today)
    _expire(s, new, today)
    s.owner[old] = new
    if s.head[old] < 0 and s.deficit[old] == 0:
        return
    net = s.held[old]
    out = _post(s, event, old, POSTED, -net, today, -1)
    into = _post(s, event, new, POSTED, net, today, -1)
    lot = s.head[old]
    while lot >= 0 and not s.count[OVERFLOW]:
        row = s.lots[lot]
        following, left = row[L_AFTER], row[L_REMAINING]
        _piece(s, out, lot, left, today)
        covered = min(left, s.deficit[new])
        s.deficit[new] -= covered
        if left > covered:
            _open(
                s, row[L_ORIGIN], event, _next_part(s, event), into, new, left - covered, row[L_EARNED],
                row[L_USABLE], row[L_EXPIRES], row[L_AGE],
            )  # fmt: skip
        lot = following
    s.deficit[new] += s.deficit[old]
    s.deficit[old] = 0
