"""Holds of orders as a state machine (spec 4-call-center, ``order_holds``): the one table of what may follow what.

The table is drawn in docs/call-center.md. :func:`fold` takes an order's events for one hold code in their order; an
event that may not follow is not applied and says why, and so nothing but the table can bring a hold to a state.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

State = Literal["none", "held", "checked_out", "cleared"]

#: Every event in the order in which events of one moment happen; SQL has them in ``call_center._hold_kinds``.
EVENTS = ("hold", "check_out", "clear_check_out", "clear", "clear_and_submit", "clear_and_modify")

#: What may follow what: (state, event) -> state. Nothing else can happen to a hold.
TRANSITIONS: dict[tuple[State, str], State] = {
    ("none", "hold"): "held",
    ("cleared", "hold"): "held",
    ("held", "check_out"): "checked_out",
    ("checked_out", "clear_check_out"): "held",
    ("held", "clear"): "cleared",
    ("checked_out", "clear"): "cleared",
    ("held", "clear_and_submit"): "cleared",
    ("checked_out", "clear_and_submit"): "cleared",
    ("held", "clear_and_modify"): "cleared",
    ("checked_out", "clear_and_modify"): "cleared",
}

#: The events that end a hold, for which one needs the hold code's role.
CLEARING = frozenset(event for (_, event), state in TRANSITIONS.items() if state == "cleared")

#: Why an event is not applied, with what it means; ``submit_failed`` is, though the order is not submitted by it.
REASONS = {
    "not_held": "the order is not held for this code",
    "already_held": "the order is held for this code already",
    "already_checked_out": "somebody has it checked out already",
    "not_checked_out": "nobody has it checked out",
    "not_owner": "another user has it checked out, and this one is no manager",
    "no_role": "the user has neither the hold code's role nor is a manager",
    "no_default": "the event names no hold code, and the programme no default",
    "under_paid": "clearing would submit the order, and too little of it is paid",
    "submit_failed": "the hold is gone, but too little is paid: the order is not submitted",
}


@dataclass(frozen=True)
class Event:
    """One event of a hold. ``system``: Kanta's own hold, from the order or its fraud check; it never needs a reason."""

    event_id: int
    event: str
    user: str
    manager: bool = False
    clears: bool = False  # the user has the code's role
    under: bool = False  # too little of the order was paid then
    submits: bool = False  # clearing submits the order
    system: bool = False


@dataclass(frozen=True)
class Outcome:
    """Whether an event was applied, and why not."""

    event_id: int
    applied: bool
    reason: str | None


def fold(events: Iterable[Event]) -> Iterator[Outcome]:
    """What becomes of the events of one order and hold code, in their order, beginning with no hold."""
    state: State = "none"
    owner = ""
    for event in events:
        reason = _refused(state, owner, event)
        if reason is None:
            state = TRANSITIONS[state, event.event]
            owner = event.user if state == "checked_out" else ""
        if not event.system:
            failed = reason is None and event.event == "clear_and_submit" and event.under
            yield Outcome(event.event_id, reason is None, "submit_failed" if failed else reason)


def _refused(state: State, owner: str, event: Event) -> str | None:
    if (state, event.event) not in TRANSITIONS:
        if state in ("none", "cleared"):
            return "not_held"
        if event.event == "clear_check_out":
            return "not_checked_out"
        return "already_checked_out" if event.event == "check_out" else "already_held"
    if state == "checked_out" and event.user != owner and not event.manager:
        return "not_owner"
    if event.event in CLEARING and not (event.clears or event.manager):
        return "no_role"
    if event.event == "clear" and event.submits and event.under:
        return "under_paid"
    return None
