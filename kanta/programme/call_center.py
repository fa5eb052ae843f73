"""The call center's rules as relations (spec 4-call-center): part of ``kanta.programme.relations``.

All are by version. Money, percents and rates are DECIMALs in the order's currency; NULL is "no such rule".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from kanta.programme.model import CallCenter
from kanta.programme.versions import Span

_MONEY, _PERCENT = "DECIMAL(18,2)", "DECIMAL(18,4)"

RELATIONS: dict[str, dict[str, str]] = {
    # One row for each version that judges orders; a block it lacks leaves its columns empty.
    "programme.call_center": {
        "version": "INTEGER", "order_completion": "BOOLEAN", "manager_role": "VARCHAR",
        "submit_when_cleared": "BOOLEAN", "source_code_required": "BOOLEAN", "default_hold_code": "VARCHAR",
        "minimum_score": "BIGINT", "fraud_hold_code": "VARCHAR", "score_phone": "BIGINT", "score_email": "BIGINT",
        "score_zip": "BIGINT", "score_extended_zip": "BIGINT",
        "first_notice": "INTEGER", "second_notice": "INTEGER", "cancel_notice": "INTEGER",
        "acceptable_margin": _PERCENT, "questionable_margin": _PERCENT, "overrides_judged": "BOOLEAN",
        "payments_judged": "BOOLEAN", "check_hold_over": _MONEY, "check_hold_days": "INTEGER",
        "tolerance_percent": _PERCENT, "decline_limit": "BIGINT", "max_order_credit": _MONEY,
        "refund_cash": "VARCHAR", "refund_check": "VARCHAR", "refund_default": "VARCHAR", "approve_over": _MONEY,
    },
    "programme.fraud_static": {"version": "INTEGER", "type": "VARCHAR", "value": "VARCHAR", "score": "BIGINT"},
    # The conditions themselves: kanta.programme.when makes SQL of them.
    "programme.fraud_rules": {
        "version": "INTEGER", "rule_id": "VARCHAR", "level": "VARCHAR", "score": "BIGINT", "condition": "VARCHAR",
    },
    "programme.holds": {
        "version": "INTEGER", "hold_code": "VARCHAR", "name": "VARCHAR", "role": "VARCHAR", "color": "VARCHAR",
        "release_reservations": "BOOLEAN",
    },
    # to_amount NULL: no end; either amount or percent.
    "programme.delivery_charges": {
        "version": "INTEGER", "charge_no": "INTEGER", "tier_no": "INTEGER", "mode": "VARCHAR", "level": "VARCHAR",
        "from_amount": _MONEY, "to_amount": _MONEY, "amount": _MONEY, "percent": _PERCENT,
    },
    "programme.price_overrides": {
        "version": "INTEGER", "role": "VARCHAR", "cost": "VARCHAR", "markup_percent": _PERCENT,
    },
}  # fmt: skip

Rows = Iterator[tuple[object, ...]]


def _call_center(number: int, rules: CallCenter) -> Rows:
    fraud, notices, margin, payments = rules.fraud, rules.notices, rules.margin_alert, rules.payments
    scores = fraud.default_scores if fraud else None
    check = payments.check_hold if payments else None
    refund = payments.refund if payments else None
    yield (
        *(number, rules.order_completion, rules.manager_role, rules.submit_when_cleared, rules.source_code_required),
        next((hold.code for hold in rules.holds if hold.default), None),
        *((fraud.minimum_score, fraud.hold_code) if fraud else (None, None)),
        *((scores.phone, scores.email, scores.zip, scores.extended_zip) if scores else (None,) * 4),
        *((notices.first, notices.second, notices.cancel) if notices else (None,) * 3),
        *((margin.acceptable, margin.questionable) if margin else (None, None)),
        *(bool(rules.price_override), payments is not None),
        *((check.over, check.days) if check else (None, None)),
        *((payments.tolerance_percent, payments.decline_limit, payments.max_order_credit) if payments else (None,) * 3),
        *((refund.cash, refund.check, refund.default, refund.approve_over) if refund else (None,) * 4),
    )


def _fraud_static(number: int, rules: CallCenter) -> Rows:
    for entry in rules.fraud.static if rules.fraud else ():
        yield number, entry.type, entry.value, entry.score


def _fraud_rules(number: int, rules: CallCenter) -> Rows:
    for rule in rules.fraud.rules if rules.fraud else ():
        yield number, rule.id, rule.level, rule.score, rule.when


def _holds(number: int, rules: CallCenter) -> Rows:
    for hold in rules.holds:
        yield number, hold.code, hold.name, hold.role, hold.color, hold.release_reservations


def _delivery_charges(number: int, rules: CallCenter) -> Rows:
    for charge_no, charge in enumerate(rules.delivery_charges, start=1):
        for tier_no, tier in enumerate(charge.tiers, start=1):
            yield (
                *(number, charge_no, tier_no, charge.mode, charge.level, tier.from_, tier.to),
                *(tier.amount, tier.percent),
            )


def _price_overrides(number: int, rules: CallCenter) -> Rows:
    for override in rules.price_override:
        yield number, override.role, override.cost, override.markup_percent


_MAKERS: dict[str, Callable[[int, CallCenter], Rows]] = {
    "programme.call_center": _call_center,
    "programme.fraud_static": _fraud_static,
    "programme.fraud_rules": _fraud_rules,
    "programme.holds": _holds,
    "programme.delivery_charges": _delivery_charges,
    "programme.price_overrides": _price_overrides,
}


def _of_span(make: Callable[[int, CallCenter], Rows]) -> Callable[[Span], Rows]:
    def rows(span: Span) -> Rows:
        rules = span.version.programme.call_center
        return make(span.number, rules) if rules else iter(())

    return rows


#: What makes each relation's rows for a version.
BY_VERSION: dict[str, Callable[[Span], Rows]] = {name: _of_span(make) for name, make in _MAKERS.items()}
