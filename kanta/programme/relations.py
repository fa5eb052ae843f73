"""The programme as relations, so that SQL models join it by equality: on the version, or on the business date.

``RELATIONS`` says the columns and types of each without a programme, to type-check models; :func:`relations` fills
them. Units: ``_h`` are hundredths (DECIMAL(18,2) as an integer), ``_milli`` thousandths. NULL is "empty": no limit, no
end, for all. Source: spec 1-interfaces section 4, 2-loyalty, 5-rfm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from decimal import ROUND_HALF_UP, Decimal

import pyarrow as pa

from kanta.programme import call_center, dates
from kanta.programme.model import (
    EarningRule,
    Programme,
    RedemptionRule,
    RewardPoint,
    RfmDefinition,
    RfmLifetime,
    Scheme,
)
from kanta.programme.rules import point_decimals, smallest_amounts
from kanta.programme.segments import segment_map
from kanta.programme.versions import Span, Version, in_force, spans

_RULE = {
    "version": "INTEGER", "scheme_id": "VARCHAR", "program_id": "VARCHAR", "rule_id": "VARCHAR",
    "reward_point_id": "VARCHAR", "points_h": "BIGINT", "per_milli": "BIGINT", "currency": "VARCHAR",
    "tier_id": "VARCHAR", "affiliation_id": "VARCHAR", "category_id": "VARCHAR", "product_id": "VARCHAR",
    "variant_id": "VARCHAR", "valid_from": "DATE", "valid_to": "DATE",
}  # fmt: skip

#: Columns and engine types of each relation.
RELATIONS: dict[str, dict[str, str]] = {
    # The version that judges facts of a business date: one row for each day asked for.
    "programme.calendar": {"business_date": "DATE", "version": "INTEGER"},
    # Each version ever in force: from in_force_from (NULL: the beginning) to in_force_to (NULL: no end).
    "programme.versions": {
        "version": "INTEGER", "effective_from": "DATE", "in_force_from": "DATE", "in_force_to": "DATE",
        "sha256": "VARCHAR",
    },
    "programme.parameters": {
        "version": "INTEGER", "accounting_currency": "VARCHAR", "loyalty_tender": "VARCHAR",
        "quantity_rounding": "VARCHAR", "post_per_sales_line": "BOOLEAN", "return_consumes": "VARCHAR",
        "negative_balance": "VARCHAR", "transfer_expiry": "VARCHAR", "tax_in_basis": "BOOLEAN",
        "charges_in_basis": "BOOLEAN", "gift_cards_in_basis": "BOOLEAN",
        "ultimate_redemption": "DECIMAL(18,6)",
    },
    # How far tenders and stated points may be off; the rules that refuse a receipt.
    "programme.store_checks": {
        "version": "INTEGER", "tender_limit": "DECIMAL(18,2)", "points_limit": "DECIMAL(18,2)",
    },
    "programme.refusing_rules": {"version": "INTEGER", "rule": "VARCHAR"},
    # Currencies that do not have two decimals.
    "programme.smallest_amounts": {"version": "INTEGER", "currency": "VARCHAR", "unit": "DECIMAL(18,6)"},
    # unit_h: the smallest step of the points (100: whole points, 1: cents); maximum_h NULL: no limit;
    # value: money a point is worth in the accounting currency, NULL: nothing says so.
    "programme.reward_points": {
        "version": "INTEGER", "reward_point_id": "VARCHAR", "type": "VARCHAR", "currency": "VARCHAR",
        "unit_h": "BIGINT", "redeemable": "BOOLEAN", "redeem_ranking": "INTEGER", "maximum_h": "BIGINT",
        "value": "DECIMAL(18,6)",
    },
    # Ids that stand for no customer, in any case of letters.
    "programme.placeholder_customers": {"version": "INTEGER", "customer_id": "VARCHAR"},
    # Dates of points earned on a business date; expires_on is the last usable day, NULL: never.
    "programme.point_dates": {
        "business_date": "DATE", "reward_point_id": "VARCHAR", "usable_from": "DATE", "expires_on": "DATE",
    },
    # Numbers of equal length between which, as text, cards may pay; none of a version: all.
    "programme.card_numbers": {"version": "INTEGER", "first_number": "VARCHAR", "last_number": "VARCHAR"},
    "programme.programs": {"version": "INTEGER", "program_id": "VARCHAR", "pool_related_cards": "BOOLEAN"},
    # everyone: a rule with minimum 0 gives the tier to every card for as long as the version is in force.
    "programme.tiers": {
        "version": "INTEGER", "program_id": "VARCHAR", "tier_id": "VARCHAR", "level": "INTEGER", "everyone": "BOOLEAN",
    },
    "programme.price_groups": {
        "version": "INTEGER", "program_id": "VARCHAR", "tier_id": "VARCHAR", "price_group": "VARCHAR",
    },
    # Tier rules seen from an evaluation date; minimum_h 0: everyone, valid_until NULL.
    "programme.tier_rules": {
        "business_date": "DATE", "program_id": "VARCHAR", "tier_id": "VARCHAR", "level": "INTEGER",
        "rule_no": "INTEGER", "reward_point_id": "VARCHAR", "minimum_h": "BIGINT", "window_start": "DATE",
        "window_end": "DATE", "valid_until": "DATE",
    },
    "programme.schemes": {
        "version": "INTEGER", "scheme_id": "VARCHAR", "program_id": "VARCHAR", "valid_from": "DATE",
        "valid_to": "DATE",
    },
    # channel: all, a channel id, or an org path (begins with /).
    "programme.scheme_channels": {"version": "INTEGER", "scheme_id": "VARCHAR", "channel": "VARCHAR"},
    "programme.excluded_affiliations": {"version": "INTEGER", "scheme_id": "VARCHAR", "affiliation_id": "VARCHAR"},
    # valid_from, valid_to: when both the rule and its scheme are valid.
    "programme.earning_rules": {
        **_RULE, "activity": "VARCHAR", "activity_type": "VARCHAR", "scaling": "VARCHAR", "ignore_vesting": "BOOLEAN",
    },
    "programme.redemption_rules": {**_RULE, "type": "VARCHAR"},
    "programme.rfm_definitions": {
        "version": "INTEGER", "definition": "VARCHAR", "active": "BOOLEAN",
        "rolling": "INTEGER", "rolling_unit": "VARCHAR", "period_start": "DATE", "period_end": "DATE",
        "divisions_recency": "INTEGER", "divisions_frequency": "INTEGER", "divisions_monetary": "INTEGER",
        "priority_recency": "VARCHAR", "priority_frequency": "VARCHAR", "priority_monetary": "VARCHAR",
        "multiplier_recency": "INTEGER", "multiplier_frequency": "INTEGER", "multiplier_monetary": "INTEGER",
        "binning": "VARCHAR", "cut_offset": "DECIMAL(18,4)", "composite": "VARCHAR", "recency_unit": "VARCHAR",
        "monetary": "VARCHAR", "amount": "VARCHAR", "subtract_returns": "BOOLEAN", "frequency_counts": "VARCHAR",
        "schedule": "VARCHAR", "history_months": "INTEGER", "lifetime_model": "VARCHAR", "lifetime_unit": "VARCHAR",
        "lifetime_holdout_days": "INTEGER", "lifetime_tolerance": "DECIMAL(18,4)",
    },
    "programme.rfm_channels": {"version": "INTEGER", "definition": "VARCHAR", "channel": "VARCHAR"},
    # The runs due among the days asked for, each with the purchases it looks at (both ends included).
    "programme.rfm_due": {
        "version": "INTEGER", "definition": "VARCHAR", "as_of": "DATE", "period_start": "DATE", "period_end": "DATE",
    },
    "programme.rfm_cuts": {
        "version": "INTEGER", "definition": "VARCHAR", "measure": "VARCHAR", "cut_no": "INTEGER",
        "cut": "DECIMAL(18,4)",
    },
    # The segment of every triple of scores from 1 to 5.
    "programme.rfm_segments": {
        "version": "INTEGER", "definition": "VARCHAR", "r": "INTEGER", "f": "INTEGER", "m": "INTEGER",
        "segment": "VARCHAR",
    },
    **call_center.RELATIONS,
}  # fmt: skip

Row = tuple[object, ...]
Rows = Iterator[Row]

_ARROW: dict[str, pa.DataType] = {
    "VARCHAR": pa.string(),
    "BIGINT": pa.int64(),
    "INTEGER": pa.int32(),
    "BOOLEAN": pa.bool_(),
    "DATE": pa.date32(),
    "DECIMAL(18,2)": pa.decimal128(18, 2),
    "DECIMAL(18,4)": pa.decimal128(18, 4),
    "DECIMAL(18,6)": pa.decimal128(18, 6),
}

_MEASURES = ("recency", "frequency", "monetary")


def relations(seen: Sequence[Version], days: Iterable[date]) -> dict[str, pa.Table]:
    """Every relation of ``RELATIONS`` for these versions (in the order seen) and business dates.

    Relations by version hold each version ever in force, those by date the given days only. Rows are in key order.
    """
    in_order = spans(seen)
    by_day = [(day, in_force(in_order, day)) for day in sorted(set(days))] if in_order else []
    tables = {
        name: _table(name, [row for span in in_order for row in make(span)]) for name, make in _BY_VERSION.items()
    }
    tables |= {name: _table(name, [row for day in by_day for row in make(*day)]) for name, make in _BY_DAY.items()}
    return {name: tables[name] for name in RELATIONS}


def _table(name: str, rows: list[Row]) -> pa.Table:
    columns = RELATIONS[name]
    return pa.table(
        [pa.array([row[position] for row in rows], _ARROW[type_]) for position, type_ in enumerate(columns.values())],
        names=list(columns),
    )


def _hundredths(value: Decimal) -> int:
    return int(value.scaleb(2))


# By version


def _versions(span: Span) -> Rows:
    yield span.number, span.version.effective_from, span.first, span.last, span.version.sha256


def _parameters(span: Span) -> Rows:
    chosen = span.version.programme.parameters
    basis = chosen.earn_basis
    yield (
        *(span.number, span.version.programme.accounting_currency, chosen.loyalty_tender, chosen.quantity_rounding),
        *(chosen.post_per_sales_line, chosen.return_consumes, chosen.negative_balance, chosen.transfer_expiry),
        *(part != "excluded" for part in (basis.tax, basis.charges, basis.gift_cards)),
        span.version.programme.liability.ultimate_redemption,
    )


def _store_checks(span: Span) -> Rows:
    checks = span.version.programme.store_checks
    yield span.number, checks.tender_limit, checks.points_limit


def _refusing_rules(span: Span) -> Rows:
    yield from ((span.number, rule) for rule in sorted(set(span.version.programme.store_checks.refuse)))


def _smallest_amounts(span: Span) -> Rows:
    yield from ((span.number, currency, unit) for currency, unit in smallest_amounts().items())


def _reward_points(span: Span) -> Rows:
    for point in span.version.programme.reward_points:
        unit = 10 ** (2 - point_decimals(point))
        yield (
            *(span.number, point.id, point.type, point.currency, unit, point.redeemable, point.redeem_ranking),
            *(_hundredths(point.maximum) or None, point_value(span.version.programme, point)),
        )


def _card_numbers(span: Span) -> Rows:
    for numbers in span.version.programme.card_numbers:
        yield span.number, numbers.from_, numbers.to


def point_value(programme: Programme, point: RewardPoint) -> Decimal | None:
    """Money a point is worth in the accounting currency, six decimals, rounded half up.

    What the programme says; else itself, where it is money; else the most that paying with it gives.
    """
    if point.value is not None:
        return point.value
    if point.type == "amount" and point.currency == programme.accounting_currency:
        return Decimal(1)
    paid = [
        rule.per / rule.points
        for scheme in programme.schemes
        for rule in scheme.redemption
        if rule.type == "payment_by_amount"
        and (rule.reward_point, rule.currency) == (point.id, programme.accounting_currency)
    ]
    return max(paid).quantize(Decimal("0.000001"), ROUND_HALF_UP) if paid else None


def _programs(span: Span) -> Rows:
    for program in span.version.programme.programs:
        yield span.number, program.id, program.pool_related_cards


def _tiers(span: Span) -> Rows:
    for program in span.version.programme.programs:
        for tier in program.tiers:
            yield span.number, program.id, tier.id, tier.level, any(not rule.minimum for rule in tier.rules)


def _price_groups(span: Span) -> Rows:
    for program in span.version.programme.programs:
        yield from ((span.number, program.id, None, group) for group in program.price_groups)
        for tier in program.tiers:
            yield from ((span.number, program.id, tier.id, group) for group in tier.price_groups)


def _schemes(span: Span) -> Rows:
    for scheme in span.version.programme.schemes:
        yield span.number, scheme.id, scheme.program, scheme.valid_from, scheme.valid_to


def _scheme_channels(span: Span) -> Rows:
    for scheme in span.version.programme.schemes:
        yield from ((span.number, scheme.id, channel) for channel in scheme.channels)


def _excluded_affiliations(span: Span) -> Rows:
    for scheme in span.version.programme.schemes:
        yield from ((span.number, scheme.id, affiliation) for affiliation in scheme.excluded_affiliations)


def _earning_rules(span: Span) -> Rows:
    for scheme in span.version.programme.schemes:
        for rule in scheme.earning:
            kind = (rule.activity, rule.activity_type, rule.scaling, rule.ignore_vesting)
            yield *_rule(span, scheme, rule), *kind


def _redemption_rules(span: Span) -> Rows:
    for scheme in span.version.programme.schemes:
        for rule in scheme.redemption:
            yield *_rule(span, scheme, rule), rule.type


def _rule(span: Span, scheme: Scheme, rule: EarningRule | RedemptionRule) -> Row:
    return (
        *(span.number, scheme.id, scheme.program, rule.id, rule.reward_point),
        *(_hundredths(rule.points), int(rule.per.scaleb(3)), rule.currency, rule.tier, rule.affiliation),
        *(rule.category, rule.product, rule.variant),
        max((day for day in (rule.valid_from, scheme.valid_from) if day), default=None),
        min((day for day in (rule.valid_to, scheme.valid_to) if day), default=None),
    )


def _rfm_definitions(span: Span) -> Rows:
    for chosen in span.version.programme.rfm:
        lifetime = chosen.lifetime or RfmLifetime(model=None)
        yield (
            *(span.number, chosen.id, chosen.active),
            *(chosen.period.rolling, chosen.period.unit, chosen.period.start, chosen.period.end),
            *(getattr(chosen.divisions, measure) for measure in _MEASURES),
            *(getattr(chosen.priority, measure) for measure in _MEASURES),
            *(getattr(chosen.multiplier, measure) for measure in _MEASURES),
            *(chosen.binning, chosen.cut_offset, chosen.composite, chosen.recency_unit, chosen.monetary),
            *(chosen.amount, chosen.subtract_returns, chosen.frequency_counts, chosen.schedule, chosen.history_months),
            *(lifetime.model, lifetime.unit, lifetime.holdout_days, lifetime.tolerance),
        )


def _rfm_channels(span: Span) -> Rows:
    for definition in span.version.programme.rfm:
        yield from ((span.number, definition.id, channel) for channel in definition.channels)


def _rfm_cuts(span: Span) -> Rows:
    for definition in span.version.programme.rfm:
        for measure in _MEASURES if definition.cuts else ():
            for position, cut in enumerate(getattr(definition.cuts, measure), start=1):
                yield span.number, definition.id, measure, position, cut


def _rfm_segments(span: Span) -> Rows:
    for definition in span.version.programme.rfm:
        for triple, segment in segment_map(definition.segments).items():
            yield span.number, definition.id, *triple, segment


def _placeholder_customers(span: Span) -> Rows:
    for identifier in sorted(set(span.version.programme.placeholder_customers)):
        yield span.number, identifier


# By business date


def _calendar(day: date, span: Span) -> Rows:
    yield day, span.number


def _point_dates(day: date, span: Span) -> Rows:
    for point in span.version.programme.reward_points:
        yield day, point.id, dates.usable_from(point, day), dates.expires_on(point, day)


def _tier_rules(day: date, span: Span) -> Rows:
    programme = span.version.programme
    intervals = {interval.id: interval for interval in programme.date_intervals}
    for program in programme.programs:
        for tier in program.tiers:
            until = dates.bound(intervals[tier.validity].end, day)
            for number, rule in enumerate(tier.rules, start=1):
                first, last = dates.interval(intervals[rule.window], day)
                # A stay begins on the day after: a validity that is over by then gives none.
                if rule.minimum and until <= day:
                    continue
                yield (
                    *(day, program.id, tier.id, tier.level, number, rule.reward_point, _hundredths(rule.minimum)),
                    # A fixed end may lie ahead of a day before effective_from; what is ahead never counts.
                    *(first, min(last, day), until if rule.minimum else None),
                )


def _rfm_due(day: date, span: Span) -> Rows:
    for definition in span.version.programme.rfm:
        if definition.active and (definition.schedule == "daily" or dates.is_month_end(day)):
            first, last = _period(definition, day)
            if first <= last:
                yield span.number, definition.id, day, first, last


def _period(definition: RfmDefinition, day: date) -> tuple[date, date]:
    """The purchases a run looks at: n units back to the day itself, or the fixed period as far as it has come."""
    period = definition.period
    if period.rolling is not None and period.unit is not None:
        return dates.add(day, -period.rolling, period.unit), day
    return period.start or day, min(period.end or day, day)


_BY_VERSION: dict[str, Callable[[Span], Rows]] = {
    "programme.versions": _versions,
    "programme.parameters": _parameters,
    "programme.store_checks": _store_checks,
    "programme.refusing_rules": _refusing_rules,
    "programme.smallest_amounts": _smallest_amounts,
    "programme.reward_points": _reward_points,
    "programme.card_numbers": _card_numbers,
    "programme.programs": _programs,
    "programme.tiers": _tiers,
    "programme.price_groups": _price_groups,
    "programme.schemes": _schemes,
    "programme.scheme_channels": _scheme_channels,
    "programme.excluded_affiliations": _excluded_affiliations,
    "programme.earning_rules": _earning_rules,
    "programme.redemption_rules": _redemption_rules,
    "programme.placeholder_customers": _placeholder_customers,
    "programme.rfm_definitions": _rfm_definitions,
    "programme.rfm_channels": _rfm_channels,
    "programme.rfm_cuts": _rfm_cuts,
    "programme.rfm_segments": _rfm_segments,
    **call_center.BY_VERSION,
}

_BY_DAY: dict[str, Callable[[date, Span], Rows]] = {
    "programme.calendar": _calendar,
    "programme.point_dates": _point_dates,
    "programme.tier_rules": _tier_rules,
    "programme.rfm_due": _rfm_due,
}
