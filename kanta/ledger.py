"""The lot kernel: a fold over each account's ordered events, in whole hundredths of a point.

Pure functions over integer arrays: no I/O, no clock, no floats. Rules: spec 2-loyalty section 5.

* A credit covers the deficit of its pool first; what is left opens a lot.
* A debit takes from lots, soonest expiry first, never-expiring last, then oldest; what it cannot take is a
  deficit of its pool, or is written off at once.
* A lot whose last usable day has passed is closed by an expiry of its own, dated the day after.

A *pool* is one card, program and reward point. The pools of one account that a contact-tender card may draw on
stand next to each other (``group_first`` … ``group_last``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

Ints = npt.NDArray[np.int64]

#: Days are counted from 1970-01-01; a lot that never expires has this last day.
NEVER = np.iinfo(np.int64).max

# What an event is.
CARRIED_LOT, CARRIED_DEFICIT, CREDIT, REDEEM, TAKE_BACK, TAKE_USABLE = range(6)
# How an event is carried out.
WRITE_OFF, WIDE, AVAILABLE_ONLY = 1, 2, 4
# What an entry is.
POSTED, EXPIRED, WRITTEN_OFF = range(3)


@dataclass(frozen=True)
class Events:
    """Events sorted by account and the total order of section 1; all arrays have one length.

    ``kind``, ``flags``: the constants above · ``pool``: 0 … pools-1 · ``day``: business date · ``points``: > 0, in
    hundredths · ``usable_from``, ``expires_on``: of credits and carried lots (NEVER: does not expire).
    """

    kind: Ints
    flags: Ints
    pool: Ints
    day: Ints
    points: Ints
    usable_from: Ints
    expires_on: Ints


@dataclass(frozen=True)
class Folded:
    """What the events came to. ``event`` and ``lot`` are positions in Events and in the lots.

    * entries: ``entry_event`` (of an expiry: the event that opened the lot), ``entry_pool``, ``entry_kind``,
      ``entry_points`` (signed), ``entry_day``, ``entry_lot`` (the lot it opened or expired, else -1)
    * allocations: ``piece_entry``, ``piece_lot``, ``piece_points``, ``piece_day``
    * lots: ``lot_event``, ``lot_pool``, ``lot_points``, ``lot_remaining``, ``lot_earned``, ``lot_usable`` and
      ``lot_expires``
    * ``uncovered``: for each event what a debit could not take
    * ``deficit``: for each pool what it owes at the end
    """

    entry_event: Ints
    entry_pool: Ints
    entry_kind: Ints
    entry_points: Ints
    entry_day: Ints
    entry_lot: Ints
    piece_entry: Ints
    piece_lot: Ints
    piece_points: Ints
    piece_day: Ints
    lot_event: Ints
    lot_pool: Ints
    lot_points: Ints
    lot_remaining: Ints
    lot_earned: Ints
    lot_usable: Ints
    lot_expires: Ints
    uncovered: Ints
    deficit: Ints


def fold(events: Events, group_first: Ints, group_last: Ints, through: int) -> Folded:
    """Folds the events of whole accounts and closes what has expired by the end of day ``through``."""
    return Folded(
        *_fold(
            events.kind,
            events.flags,
            events.pool,
            events.day,
            events.points,
            events.usable_from,
            events.expires_on,
            group_first,
            group_last,
            through,
        )
    )


@njit(cache=True)
def _fold(kind, flags, pool, day, points, usable_from, expires_on, group_first, group_last, through):  # type: ignore[no-untyped-def]
    events, pools = len(kind), len(group_first)
    lots_at_most = 0
    for i in range(events):
        if kind[i] == CREDIT or kind[i] == CARRIED_LOT:
            lots_at_most += 1
    pieces_at_most = 2 * lots_at_most + events + 1
    entries_at_most = 2 * events + lots_at_most + pieces_at_most + 1

    entry_event = np.empty(entries_at_most, np.int64)
    entry_pool = np.empty(entries_at_most, np.int64)
    entry_kind = np.empty(entries_at_most, np.int64)
    entry_points = np.empty(entries_at_most, np.int64)
    entry_day = np.empty(entries_at_most, np.int64)
    entry_lot = np.empty(entries_at_most, np.int64)
    piece_entry = np.empty(pieces_at_most, np.int64)
    piece_lot = np.empty(pieces_at_most, np.int64)
    piece_points = np.empty(pieces_at_most, np.int64)
    piece_day = np.empty(pieces_at_most, np.int64)
    lot_event = np.empty(lots_at_most, np.int64)
    lot_pool = np.empty(lots_at_most, np.int64)
    lot_points = np.empty(lots_at_most, np.int64)
    lot_remaining = np.empty(lots_at_most, np.int64)
    lot_earned = np.empty(lots_at_most, np.int64)
    lot_usable = np.empty(lots_at_most, np.int64)
    lot_expires = np.empty(lots_at_most, np.int64)
    uncovered = np.zeros(events, np.int64)
    deficit = np.zeros(pools, np.int64)

    # Open lots of each pool as a list in the order debits take them.
    head = np.full(pools, -1, np.int64)
    tail = np.full(pools, -1, np.int64)
    after = np.full(lots_at_most, -1, np.int64)
    before = np.full(lots_at_most, -1, np.int64)
    entry_of = np.full(pools, -1, np.int64)
    at = np.full(pools, -1, np.int64)
    entries = pieces = lots = 0

    for i in range(events + pools):
        # The end of the run is one more look at every pool, so that it is closed up to ``through``.
        if i < events:
            p = pool[i]
            today = day[i]
            first, last = p, p
            if flags[i] & WIDE:
                first, last = group_first[p], group_last[p]
        else:
            p = i - events
            today = through
            first, last = p, p

        # The date begins with expiry.
        if i >= events or (kind[i] != CARRIED_LOT and kind[i] != CARRIED_DEFICIT):
            for q in range(first, last + 1):
                lot = head[q]
                while lot >= 0 and lot_expires[lot] < today:
                    following = after[lot]
                    entry_event[entries] = lot_event[lot]
                    entry_pool[entries] = q
                    entry_kind[entries] = EXPIRED
                    entry_points[entries] = -lot_remaining[lot]
                    entry_day[entries] = lot_expires[lot] + 1
                    entry_lot[entries] = lot
                    piece_entry[pieces] = entries
                    piece_lot[pieces] = lot
                    piece_points[pieces] = lot_remaining[lot]
                    piece_day[pieces] = lot_expires[lot] + 1
                    entries += 1
                    pieces += 1
                    lot_remaining[lot] = 0
                    head[q] = following
                    if following >= 0:
                        before[following] = -1
                    else:
                        tail[q] = -1
                    lot = following
        if i >= events:
            continue

        if kind[i] == CARRIED_DEFICIT:
            deficit[p] += points[i]
            continue

        if kind[i] == CREDIT or kind[i] == CARRIED_LOT:
            left = points[i]
            if kind[i] == CREDIT:
                covered = min(left, deficit[p])
                deficit[p] -= covered
                left -= covered
                entry_event[entries] = i
                entry_pool[entries] = p
                entry_kind[entries] = POSTED
                entry_points[entries] = points[i]
                entry_day[entries] = today
                entry_lot[entries] = lots if left > 0 else -1
                entries += 1
            if left > 0:
                lot_event[lots] = i
                lot_pool[lots] = p
                lot_points[lots] = left
                lot_remaining[lots] = left
                lot_earned[lots] = today
                lot_usable[lots] = usable_from[i]
                lot_expires[lots] = expires_on[i]
                # Behind all that expire no later: they are taken first.
                ahead = tail[p]
                while ahead >= 0 and lot_expires[ahead] > expires_on[i]:
                    ahead = before[ahead]
                if ahead < 0:
                    following = head[p]
                    head[p] = lots
                else:
                    following = after[ahead]
                    after[ahead] = lots
                before[lots] = ahead
                after[lots] = following
                if following >= 0:
                    before[following] = lots
                else:
                    tail[p] = lots
                lots += 1
            continue

        # A debit: in one or two passes over the lots in question.
        left = points[i]
        paying = entries
        entry_event[entries] = i
        entry_pool[entries] = p
        entry_kind[entries] = POSTED
        entry_points[entries] = 0
        entry_day[entries] = today
        entry_lot[entries] = -1
        entries += 1
        for q in range(first, last + 1):
            entry_of[q] = -1
        entry_of[p] = paying
        unvested_first = kind[i] == TAKE_BACK and not (flags[i] & AVAILABLE_ONLY)
        for turn in range(2):
            if turn == 0 and not unvested_first:
                continue
            for q in range(first, last + 1):
                at[q] = head[q]
            while left > 0:
                # The next lot of this turn, over all pools in question: soonest expiry, then oldest.
                best = -1
                for q in range(first, last + 1):
                    lot = at[q]
                    while lot >= 0 and (lot_usable[lot] > today) != (turn == 0):
                        lot = after[lot]
                    at[q] = lot
                    if lot >= 0 and (
                        best < 0
                        or lot_expires[lot] < lot_expires[best]
                        or (lot_expires[lot] == lot_expires[best] and lot < best)
                    ):
                        best = lot
                if best < 0:
                    break
                q = lot_pool[best]
                taken = min(left, lot_remaining[best])
                left -= taken
                lot_remaining[best] -= taken
                if entry_of[q] < 0:
                    entry_of[q] = entries
                    entry_event[entries] = i
                    entry_pool[entries] = q
                    entry_kind[entries] = POSTED
                    entry_points[entries] = 0
                    entry_day[entries] = today
                    entry_lot[entries] = -1
                    entries += 1
                entry_points[entry_of[q]] -= taken
                piece_entry[pieces] = entry_of[q]
                piece_lot[pieces] = best
                piece_points[pieces] = taken
                piece_day[pieces] = today
                pieces += 1
                if lot_remaining[best] == 0:
                    ahead, following = before[best], after[best]
                    if ahead >= 0:
                        after[ahead] = following
                    else:
                        head[q] = following
                    if following >= 0:
                        before[following] = ahead
                    else:
                        tail[q] = ahead
                    at[q] = following
        if left > 0:
            uncovered[i] = left
            entry_points[paying] -= left
            if flags[i] & WRITE_OFF:
                entry_event[entries] = i
                entry_pool[entries] = p
                entry_kind[entries] = WRITTEN_OFF
                entry_points[entries] = left
                entry_day[entries] = today
                entry_lot[entries] = -1
                entries += 1
            else:
                deficit[p] += left
        # A contact tender that took nothing from the paying card leaves no empty entry there.
        if entry_points[paying] == 0 and entries > paying + 1 and left == 0:
            entries -= 1
            entry_pool[paying] = entry_pool[entries]
            entry_points[paying] = entry_points[entries]
            for j in range(pieces - 1, -1, -1):
                if piece_entry[j] < paying:
                    break
                if piece_entry[j] == entries:
                    piece_entry[j] = paying

    return (
        entry_event[:entries],
        entry_pool[:entries],
        entry_kind[:entries],
        entry_points[:entries],
        entry_day[:entries],
        entry_lot[:entries],
        piece_entry[:pieces],
        piece_lot[:pieces],
        piece_points[:pieces],
        piece_day[:pieces],
        lot_event[:lots],
        lot_pool[:lots],
        lot_points[:lots],
        lot_remaining[:lots],
        lot_earned[:lots],
        lot_usable[:lots],
        lot_expires[:lots],
        uncovered,
        deficit,
    )
