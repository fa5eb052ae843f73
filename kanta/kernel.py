"""The lot kernel's steps, as plain functions over integers: one text that runs as it stands or compiled.

The rules are told in ``kanta/ledger.py``, which calls ``fold``. A night of a few thousand events is over before the
compiler's libraries would be loaded; a replay of millions wants them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import FunctionType
from typing import Any

import numpy as np

#: Days are counted from 1970-01-01; a lot that never expires has this last day.
NEVER = int(np.iinfo(np.int32).max)
#: More than anyone holds.
ALL = int(np.iinfo(np.int64).max)

# What an event is.
CARRIED_LOT, CARRIED_DEFICIT, CREDIT, REDEEM, TAKE_BACK, TAKE_USABLE, REFUND, TRANSFER, REPLACE, JOIN = range(10)
# How an event is carried out.
WRITE_OFF, WIDE, AVAILABLE_ONLY, RESTART = 1, 2, 4, 8
# What an entry is.
POSTED, EXPIRED, WRITTEN_OFF = range(3)


#: What goes from function to function is this, also where a row keeps it narrow: compiled, it is numpy's, and each
#: function would be compiled once for every mixture of types.
int64 = int


@cache
def compiled() -> Callable[..., None]:
    """``fold`` as machine code, which is kept on disk with all that it calls."""
    from numba import njit

    # Nothing is allocated inside: without counting references to arrays the fold is twice as fast, and sooner compiled.
    options: dict[str, Any] = {"_nrt": False, "error_model": "numpy"}
    inner = njit(**options, no_cpython_wrapper=True, no_cfunc_wrapper=True)  # type: ignore[call-overload]
    made: dict[str, Any] = {**globals(), "int64": np.int64}
    for step in _STEPS:
        made[step.__name__] = inner(FunctionType(step.__code__, made, step.__name__))
    options |= {"cache": True, "nogil": True}
    result: Callable[..., None] = njit(**options)(FunctionType(fold.__code__, made, fold.__name__))
    return result


def _part(earned, quantity, whole, unit):
    """What a quantity of a line takes back of what the line earned, rounded half up to the unit."""
    return (2 * earned * quantity + whole * unit) // (2 * whole * unit) * unit


def _post(s, event, pool, kind, points, today, lot):
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


def _add(s, event, pool, points, today):
    """Adds points to the entry that this event has on the pool; returns its number."""
    number = s.pools[pool].last_entry
    if number < 0 or s.entries[number].event != event or s.entries[number].kind != POSTED:
        return _post(s, event, pool, POSTED, points, today, -1)
    s.entries[number].points += points
    s.pools[pool].held += points
    return number


def _piece(s, entry, number, points, today):
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


def _sooner(lot, other):
    """Whether a lot is taken before another: soonest expiry, then oldest."""
    return lot.expires < other.expires or (lot.expires == other.expires and lot.age < other.age)


def _link(s, number):
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


def _unlink(s, lot):
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


def _open(s, origin, maker, part, entry, pool, points, earned, usable, expires, age):
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


def _credit(s, event, part, entry, pool, points, today, usable, expires):
    """Covers the pool's deficit and opens a lot with the rest."""
    covered = min(points, s.pools[pool].deficit)
    s.pools[pool].deficit -= covered
    if points > covered:
        _open(s, event, event, part, entry, pool, points - covered, today, usable, expires, s.count[0].lots)


def _next_part(s, event):
    """The next number of a lot opened by an event that may open several."""
    last = s.count[0].lots - 1
    return int64(s.lots[last].part) + 1 if last >= 0 and s.lots[last].maker == event else 1


def _expire(s, pool, today):
    """The date begins with expiry: closes the pool's lots whose last usable day has passed."""
    number = int64(s.pools[pool].head)
    while number >= 0 and s.lots[number].expires < today:
        lot = s.lots[number]
        following, left, ended = int64(lot.after), lot.remaining, int64(lot.expires) + 1
        _piece(s, _post(s, int64(lot.origin), pool, EXPIRED, -left, ended, number), number, left, ended)
        number = following


def _take(s, event, pool, left, today, unvested):
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


def _take_wide(s, event, paying, left, today):
    """Takes points from all usable lots of the card's party, in one order; returns what it could not take."""
    first, last, party = s.pools[paying].group_first, s.pools[paying].group_last, s.pools[paying].party
    for p in range(first, last + 1):
        pool = s.pools[p]
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


def _short(s, event, pool, points, flags, today):
    """What was not there is owed, or written off at once; returns what is owed."""
    _add(s, event, pool, -points, today)
    if flags & WRITE_OFF:
        _post(s, event, pool, WRITTEN_OFF, points, today, -1)
        return 0
    s.pools[pool].deficit += points
    return points


def _redeem(s, event, pool, points, flags, today, source):
    """Takes what a member paid with; returns what was not there. Remembers the pieces for its refunds."""
    if flags & WIDE:
        for p in range(s.pools[pool].group_first, s.pools[pool].group_last + 1):
            _expire(s, p, today)  # before the pieces are counted: what expires here was not paid with
    begun = s.count[0].pieces
    left = _take_wide(s, event, pool, points, today) if flags & WIDE else _take(s, event, pool, points, today, 0)
    owed = _short(s, event, pool, left, flags, today) if left > 0 else 0
    if source >= 0:
        redeem = s.sources[source]
        redeem.first_piece, redeem.end_piece, redeem.owed, redeem.pool = begun, s.count[0].pieces, owed, pool
    return left


def _take_back(s, event, pool, points, flags, today, kind):
    """Takes points of its own pool only, of a return those not yet usable first; returns what was not there."""
    left = points
    if kind == TAKE_BACK and not (flags & AVAILABLE_ONLY):
        left = _take(s, event, pool, left, today, 1)
    left = _take(s, event, pool, left, today, 0)
    if left > 0:
        _short(s, event, pool, left, flags, today)
    return left


def _refund(s, budget, event, pool, source, tender, points, today, usable, expires):
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


def _give_back(s, event, pool, number, points, today, usable, expires):
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


def _transfer(s, first, last, pool, partner, points, today, restart, usable_from, expires_on):
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


def _replace(s, event, old, new, today):
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


def fold(
    s, budget, uncovered, kind, flags, pool, day, points, usable_from, expires_on, ceiling, source, partner,
    before, after, whole, unit, through,
):  # fmt: skip
    """Carries all events out in their order, then closes what has expired by the end of day ``through``."""
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


#: All that ``fold`` calls.
_STEPS: list[Any] = [
    _part, _post, _add, _piece, _sooner, _link, _unlink, _open, _credit, _next_part, _expire, _take, _take_wide, _short,
    _redeem, _take_back, _refund, _give_back, _transfer, _replace,
]  # fmt: skip
