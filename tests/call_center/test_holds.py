"""Holds: the state machine and what an order's events make of it (spec 4-call-center, ``order_holds``)."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kanta import contracts
from kanta.holds import CLEARING, EVENTS, REASONS, TRANSITIONS, Event, fold
from kanta.models import models
from tests.call_center.conftest import Center

pytestmark = pytest.mark.slow  # whole nights

ROLES = [
    {"operator_id": "fay", "role": "fraud_desk"}, {"operator_id": "max", "role": "manager"},
    {"operator_id": "ann", "role": "agent"},
]  # fmt: skip
PAID = [{"amount": "10.00"}]


def at(day: int, hour: int = 10) -> str:
    return f"2020-05-{day:02}T{hour:02}:00:00Z"


def hold(event: str, day: int, user: str = "max", code: str | None = "FRAUD", hour: int = 10) -> dict[str, Any]:
    return {"event": event, "at": at(day, hour), "user": user, "hold_code": code}


EVENT = st.builds(
    Event,
    event_id=st.just(1), event=st.sampled_from(EVENTS), user=st.sampled_from(["a", "b"]), manager=st.booleans(),
    clears=st.booleans(), under=st.booleans(), submits=st.booleans(), system=st.just(False),
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(EVENT, max_size=8))
def test_a_state_is_reached_by_the_table_only_and_every_event_has_its_outcome(events: list[Event]) -> None:
    state, owner = "none", ""
    outcomes = list(fold(events))
    assert len(outcomes) == len(events)
    for event, outcome in zip(events, outcomes, strict=True):
        if not outcome.applied:
            assert outcome.reason in REASONS
            continue
        assert (state, event.event) in TRANSITIONS
        if state == "checked_out":
            assert event.user == owner or event.manager
        if event.event in CLEARING:
            assert event.clears or event.manager
            assert not (event.event == "clear" and event.under and event.submits)
            assert outcome.reason == ("submit_failed" if event.event == "clear_and_submit" and event.under else None)
        state = TRANSITIONS[state, event.event]  # type: ignore[index]
        owner = event.user if state == "checked_out" else ""


def test_the_events_are_those_of_the_contract_and_of_the_table() -> None:
    (column,) = [c for c in contracts.contract_of("landed.hold_events").columns if c.name == "event"]
    assert column.allowed == EVENTS
    assert set(EVENTS) == {event for _, event in TRANSITIONS}
    kinds = duckdb.sql(models()["call_center._hold_kinds"].sql).fetchall()
    assert kinds == [(event, place, event in CLEARING) for place, event in enumerate(EVENTS)]


def test_held_on_1_may_and_cleared_on_the_4th_is_3_days(center: Center) -> None:
    center.land("2020-05-01", "hq", operator_roles=ROLES)
    center.order("2020-05-04", payments=PAID, events=[hold("hold", 1, "ann", hour=23), hold("clear", 4, hour=1)])
    center.night("2020-05-06")
    columns = ("hold_code", "held_by", "cleared_by", "owner", "days", "reservations_released")
    assert center.one("call_center.order_holds", *columns) == ("FRAUD", "ann", "max", None, 3, True)
    assert center.one("call_center.order_status", "do_not_process") is False


def test_an_open_hold_counts_its_days_to_tonight(center: Center) -> None:
    center.order("2020-05-01", payments=PAID, events=[hold("hold", 1, "ann", None)])
    center.night("2020-05-01")
    center.night("2020-05-03")
    assert center.one("call_center.order_holds", "hold_code", "days", "cleared_at") == ("CREDIT", 2, None)
    assert center.one("call_center.order_status", "reasons", "do_not_process") == ("on_hold", True)


REFUSED = [
    ([hold("clear", 2)], ["not_held"]),
    ([hold("check_out", 2)], ["not_held"]),
    ([hold("hold", 2), hold("hold", 3)], [None, "already_held"]),
    ([hold("hold", 2), hold("clear_check_out", 3)], [None, "not_checked_out"]),
    ([hold("hold", 2), hold("check_out", 3, "ann"), hold("check_out", 4)], [None, None, "already_checked_out"]),
    ([hold("hold", 2), hold("check_out", 3, "ann"), hold("hold", 4)], [None, None, "already_held"]),
    ([hold("hold", 2), hold("check_out", 3, "ann"), hold("clear", 4, "fay")], [None, None, "not_owner"]),
    ([hold("hold", 2), hold("check_out", 3, "ann"), hold("clear_check_out", 4)], [None, None, None]),
    ([hold("hold", 2), hold("check_out", 3, "fay"), hold("clear", 4, "fay")], [None, None, None]),
    ([hold("hold", 2), hold("clear", 3, "ann")], [None, "no_role"]),
    ([hold("hold", 2, code="CREDIT"), hold("clear", 3, "fay", "CREDIT")], [None, "no_role"]),
    ([hold("hold", 2), hold("clear", 2)], [None, None]),
    ([hold("hold", 2), hold("clear", 3), hold("hold", 4), hold("clear_and_modify", 5)], [None] * 4),
]


def test_an_event_that_may_not_follow_is_reported_and_not_applied(center: Center) -> None:
    center.land("2020-05-01", "hq", operator_roles=ROLES)
    told = [
        {"order_id": f"O{number}", **event} for number, (events, _) in enumerate(REFUSED) for event in reversed(events)
    ]
    orders = [{"order_id": f"O{number}"} for number in range(len(REFUSED))]
    center.land("2020-05-06", orders=orders, order_payments=orders, hold_events=told)
    center.night("2020-05-06")
    found: dict[str, list[str | None]] = {}
    for order_id, applied, reason in center.rows(
        "call_center.hold_events", "order_id", "applied", "reason", order="\"at\", event = 'clear'"
    ):
        assert applied == (reason is None)
        found.setdefault(order_id, []).append(reason)
    assert found == {f"O{number}": reasons for number, (_, reasons) in enumerate(REFUSED)}


def test_an_event_without_a_code_and_no_default_names_nothing(make: Any) -> None:
    center = make(holds=[{"code": "FRAUD", "name": "Fraud"}])
    center.order("2020-05-02", payments=PAID, events=[hold("hold", 1, code=None)])
    center.night("2020-05-02")
    assert center.one("call_center.hold_events", "hold_code", "applied", "reason") == (None, False, "no_default")


UNDER = [
    ("clear", "under_paid", None, "under|fraud_hold"),
    ("clear_and_modify", None, "max", "under|modify"),
    ("clear_and_submit", "submit_failed", "max", "under|submit_failed"),
]


def test_clearing_an_under_paid_order(center: Center) -> None:
    center.land("2020-05-01", "hq", operator_roles=ROLES)
    ids = [event for event, *_ in UNDER]
    orders = [{"order_id": event} for event in ids]
    center.land(
        "2020-05-01",
        orders=orders,
        order_payments=[{**order, "amount": "7.99"} for order in orders],
        hold_events=[{**order, **hold("hold", 2)} for order in orders],
    )
    center.land("2020-05-03", hold_events=[{"order_id": event, **hold(event, 3)} for event in ids])
    center.night("2020-05-03")
    events = center.rows("call_center.hold_events", "order_id", "reason", where="event <> 'hold'")
    assert events == [(event, reason) for event, reason, *_ in UNDER]
    assert center.rows("call_center.order_holds", "order_id", "cleared_by") == [
        (event, cleared) for event, _, cleared, _ in UNDER
    ]
    states = center.rows("call_center.order_status", "order_id", "reasons", "do_not_process")
    assert states == [(event, reasons, True) for event, _, _, reasons in UNDER]
    # Paid in the next version: what was refused stays refused, what waited for it is over.
    center.land("2020-05-04", orders=orders, order_payments=orders)
    center.night("2020-05-04")
    assert center.rows("call_center.hold_events", "order_id", "reason", where="event <> 'hold'") == events
    assert center.rows("call_center.order_status", "reasons") == [("fraud_hold",), (None,), (None,)]


def test_a_code_the_order_comes_with_and_a_fraud_check_hold_it_too(center: Center) -> None:
    center.land("2020-05-01", "hq", operator_roles=ROLES, fraud_static=[{"type": "zip", "value": "00100", "score": 99}])
    center.order(
        "2020-05-01", payments=PAID, addresses=[{}], manual_hold_code="CREDIT", operator_id="ann",
        ordered_at="2020-05-01T08:00:00Z",
    )  # fmt: skip
    center.night("2020-05-01")
    assert center.rows("call_center.order_holds", "hold_code", "held_by", "cast(held_at as text)") == [
        ("CREDIT", "ann", "2020-05-01 08:00:00+00"), ("FRAUD", "fraud_check", "2020-05-01 23:59:59+00"),
    ]  # fmt: skip
    assert center.one("call_center.order_status", "reasons") == "fraud_hold|on_hold"
    # The desk clears what no event had held.
    center.land("2020-05-02", hold_events=[{"order_id": "O1", **hold("clear", 2, "fay")}])
    center.night("2020-05-02")
    assert center.one("call_center.order_status", "reasons") == "on_hold"
    assert center.rows("call_center.hold_events", "applied") == [(True,)]


def test_a_hold_that_the_feed_has_is_not_made_again(center: Center) -> None:
    center.land("2020-05-01", "hq", fraud_static=[{"type": "zip", "value": "00100", "score": 99}])
    center.order("2020-05-01", payments=PAID, addresses=[{}], events=[hold("hold", 1, "ann")])
    center.night("2020-05-01")
    assert center.one("call_center.order_holds", "held_by") == "ann"


def test_events_in_any_drops_and_nights_end_the_same(center: Center) -> None:
    """Of three orders: all events in one drop; each night some; in several drops of one night, the last ones first."""
    events = [
        hold("hold", 1, "ann"), hold("check_out", 2, "fay"), hold("clear", 3, "ann"), hold("clear", 3, "fay", hour=12),
        hold("hold", 4, "max"), hold("check_out", 4, "ann", hour=11),
    ]  # fmt: skip
    orders = [{"order_id": name} for name in ("AT_ONCE", "NIGHTLY", "DROPS")]
    center.land("2020-05-01", "hq", operator_roles=ROLES)
    center.land("2020-05-01", orders=orders, order_payments=orders)
    center.night("2020-05-01")

    def come(day: int, order_id: str, *chosen: int) -> None:
        center.land(f"2020-05-{day:02}", hold_events=[{"order_id": order_id, **events[which]} for which in chosen])

    come(5, "AT_ONCE", 0, 1, 2, 3, 4, 5)
    for day, chosen in enumerate([[5], [0, 3], [1], [4, 2]], start=6):
        come(day, "NIGHTLY", *chosen)
        center.night(f"2020-05-{day:02}")
    for day, chosen in enumerate([[4, 5], [2, 3], [0, 1]], start=10):
        come(day, "DROPS", *chosen)
    center.night("2020-05-12")
    columns = ("event", '"at"', '"user"', "applied", "reason")
    holds = ("held_at", "held_by", "cleared_at", "cleared_by", "owner")
    found = [
        (
            center.rows("call_center.hold_events", *columns, where=f"order_id = '{order['order_id']}'"),
            center.rows("call_center.order_holds", *holds, where=f"order_id = '{order['order_id']}'"),
        )
        for order in orders
    ]
    assert found[0] == found[1] == found[2]
    assert (len(found[0][0]), len(found[0][1])) == (6, 2)


def test_an_event_of_an_order_that_never_came_waits_for_it(center: Center) -> None:
    center.land("2020-05-02", hold_events=[{"order_id": "LATER", **hold("hold", 1)}])
    center.night("2020-05-02")
    assert center.one("call_center.hold_events", "order_id", "applied") == ("LATER", True)
    center.order("2020-05-01", "LATER", payments=PAID)
    center.night("2020-05-03")
    assert center.one("call_center.order_status", "reasons") == "fraud_hold"


def test_a_withdrawn_drop_takes_its_events_and_orders_along(center: Center) -> None:
    center.order("2020-05-01", payments=PAID, events=[hold("hold", 1)])
    center.night("2020-05-01")
    center.landed = {dataset: [] for dataset in center.landed}
    center.land("2020-05-01", orders=[{"order_id": "O2"}])
    center.night("2020-05-02")
    assert center.rows("call_center.order_status", "order_id") == [("O2",)]
    assert center.rows("call_center.hold_events", "*") == []
    assert [row[0] for row in center.rows("call_center.fraud_checks", "order_id")] == ["O2"]
