"""The call center tonight: fraud checks, holds, notices and the state of orders (spec 4-call-center).

Rules are SQL (``transforms/call_center``); this module says what is worked out, and keeps what changed. Checks are
kept by the date of the drop that was checked, events by their own, orders by their business date. What an analyst
asks for beyond that is a view over the same steps.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

import pyarrow as pa

from kanta import holds, models
from kanta.contracts import lake
from kanta.engine import literal
from kanta.night import Night
from kanta.programme import when

_REFERENCE = (
    "call_center._channels",
    "call_center._coupons",
    "call_center._coupon_spellings",
    "call_center._products",
    "call_center._programme",
)
_FRAUD = (
    "call_center._order_versions",
    "call_center._addresses",
    "call_center._fraud_orders",
    "call_center._fraud_lines",
    "call_center._fraud_values",
    "call_center._static_hits",
)
_ORDERS = (
    "call_center._orders",
    "call_center._lines",
    "call_center._payments",
    "call_center._order_customers",
    "call_center._hold_kinds",
    "call_center._hold_events",
    "call_center._clearing_versions",
    "call_center._judged",
    "call_center._paid",
)
_REASONS = (
    "call_center._installment_payments",
    "call_center._category_paths",
    "call_center._delivery_modes",
    "call_center._undeliverable",
    "call_center._source_codes",
    "call_center._unshipped",
    "reference._rates",
    "call_center._reasons",
)


@dataclass(frozen=True)
class Kept:
    """A stored table: the step its new rows are in, and the condition that tells which stored rows these replace."""

    table: str
    scope: str


_IN_SCOPE = "order_id in (select order_id from call_center._scope)"
_CHECKED = "checked_on in (select checked_on from call_center._fraud_days)"


def judge(night: Night) -> None:
    """Judges the orders tonight can change (``_touched.sql``); a programme without ``call_center:`` judges none."""
    if not any(version.programme.call_center for version in night.versions):
        return
    night.programme_relations(night.business_date)
    night.define("sales._touched_drops", "sales._changed_placeholders", "call_center._changed_orders")
    night.attach("call_center._known_orders")
    night.define("call_center._fraud_days")
    night.attach("call_center.hold_events", "call_center.order_status", "call_center.fraud_checks")
    night.define("call_center._customer_ids", "call_center._touched")
    night.substitute("call_center._scope", "select order_id from call_center._touched")
    orders = night.engine.value("select count(*) from call_center._scope")
    night.log["orders"] = orders
    if not orders and not night.engine.value("select count(*) from call_center._fraud_days"):
        return
    night.define(*_REFERENCE)
    _check_fraud(night)
    night.define(*_ORDERS)
    night.attach("call_center.fraud_checks")
    night.define("call_center._system_holds", "call_center._hold_steps")
    _fold_holds(night)
    _keep(night, Kept("call_center.hold_events", _IN_SCOPE))
    _send_notices(night)
    night.attach("call_center.hold_events", "call_center.order_holds", "call_center.notices")
    night.define(*_REASONS)
    _keep(night, Kept("call_center.order_status", _IN_SCOPE))


def _check_fraud(night: Night) -> None:
    night.define(*_FRAUD)
    night.engine.define("call_center._rule_hits", " union all ".join(_rule_hits(night)))
    _keep(night, Kept("call_center.fraud_matches", _CHECKED))
    _keep(night, Kept("call_center.fraud_checks", _CHECKED))


def _rule_hits(night: Night) -> Iterable[str]:
    """The SELECT of each fraud rule's hits, made from its condition; the first gives the columns and no row."""
    yield (
        "select order_id, checked_on, 'order' as area, cast(null as bigint) as line_no, '' as rule_id,"
        " cast(0 as bigint) as score from call_center._fraud_orders where false"
    )
    rules = night.engine.rows(
        "select version, rule_id, level, score, condition from programme.fraud_rules"
        " where version in (select version from call_center._fraud_orders) order by version, rule_id"
    )
    for version, rule_id, level, score, condition in rules:
        line_no = "line_no" if level == "line" else "cast(null as bigint)"
        yield (
            f"select order_id, checked_on, {literal(level)}, {line_no}, {literal(rule_id)}, cast({score} as bigint)"
            f" from call_center._fraud_{level}s where version = {version} and {when.to_sql(condition, level)}"
        )


def _fold_holds(night: Night) -> None:
    """Runs the state machine over the events of each order and hold code."""
    columns = 'order_id, hold_code, event_id, event, "user", manager, clears, under, submits, system'
    steps = night.engine.rows(
        f'select {columns} from call_center._hold_steps order by order_id, hold_code, "at", system desc, event_id'
    )
    outcomes: list[holds.Outcome] = []
    for (_, code), group in groupby(steps, key=lambda step: (step[0], step[1])):
        events = [holds.Event(*step[2:]) for step in group]
        if code is None:
            outcomes += [holds.Outcome(event.event_id, False, "no_default") for event in events]
        else:
            outcomes += holds.fold(events)
    night.engine.register(
        "call_center._folded_events",
        pa.table(
            {
                "event_id": pa.array([outcome.event_id for outcome in outcomes], pa.int64()),
                "applied": pa.array([outcome.applied for outcome in outcomes], pa.bool_()),
                "reason": pa.array([outcome.reason for outcome in outcomes], pa.string()),
            }
        ),
    )
    night.log["hold_events_refused"] = sum(not outcome.applied for outcome in outcomes)


def _send_notices(night: Night) -> None:
    """Decides on the notices that are due, each recorded with the night that sends it."""
    night.attach("call_center.notices")
    night.define("call_center._due_notices")
    due = night.engine.value("select count(*) from call_center._due_notices")
    night.log["notices"] = due
    if due:
        night.append(
            "ops.decisions",
            "select concat_ws(' ', 'notice', order_id, notice) as decision_id, 'notice' as kind,"
            " sent_on as recorded_on, cast(json_object('order_id', order_id, 'notice', notice, 'due_on', due_on,"
            f" 'sent_on', sent_on) as varchar) as content, {night.seq} as seq from call_center._due_notices",
        )
        night.attach("ops.decisions")


def _keep(night: Night, kept: Kept) -> None:
    """Works a table's rows out for tonight's scope and replaces the partitions in which they differ from what is kept.

    Leaves the new rows as ``call_center._new_<table>``.
    """
    contract = lake()[kept.table]
    new = f"call_center._new_{contract.dataset}"
    columns = ", ".join(f'cast("{column.name}" as {column.type}) as "{column.name}"' for column in contract.columns)
    names = ", ".join(f'"{name}"' for name in contract.names)
    night.attach(kept.table)
    model = models.models()[kept.table]
    night.attach(*(name for name in model.inputs if not name.split(".")[1].startswith("_")))
    night.engine.define(new, f"select {columns} from ({model.sql})", night.parameters)
    stored = f"select {names} from {kept.table} where {kept.scope}"
    partitions = [
        value
        for (value,) in night.engine.rows(
            f"with stored as ({stored}), made as (select {names} from {new}),"
            " changed as ((table made except all table stored) union all (table stored except all table made))"
            f" select distinct {contract.partition} from changed order by 1"
        )
    ]
    if not partitions:
        return
    listed = ", ".join(literal(value) for value in partitions)
    night.put(
        kept.table,
        f"select {names} from {kept.table} where {contract.partition} in ({listed}) and not ({kept.scope})"
        f" union all select {names} from {new} where {contract.partition} in ({listed})",
        partitions,
    )
    night.attach(kept.table)
