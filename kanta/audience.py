"""``kanta audience``: who may be written to or called for a campaign, and who was left out and why.

The condition is a user's: it is parsed, held against the documented columns and written anew from its tree, so that it
can be nothing but a yes or no about one customer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlglot
from sqlglot import exp

from kanta.engine import Engine, literal
from kanta.errors import BadArguments, KantaError
from kanta.home import Home
from kanta.questions import is_unicode

#: What a condition may ask for, with its meaning.
COLUMNS = {
    "customer_id": "the customer",
    "language": "the language to write in, as marketing.contact_list has it",
    "segment": "segment on the newest date of the RFM definition",
    "r": "recency score", "f": "frequency score", "m": "monetary score", "composite": "the scores together",
    "recency": "days, weeks or months since the last purchase, on that date",
    "frequency": "purchases in the definition's period",
    "monetary_total": "money spent in it",
    "last_purchase_on": "business date of the last purchase in it",
    "last_order_on": "business date of the last order ever, as marketing.contact_list has it",
    "channel": "channel of the last purchase", "country": "country of that channel",
    "tier": "best tier of the customer's cards tonight",
    "points_available": "points usable after tonight: the most of any one kind that can be redeemed",
    "points_value": "money that all points usable after tonight are worth, by the programme's value of a point",
    "p_alive": "probability of still being a customer (rfm.lifetime_value)",
    "expected_purchases_90d": "expected days with a purchase in 90 days",
    "expected_value_90d": "expected amount in 90 days", "expected_value_365d": "expected amount in 365 days",
    "business_date": "the night the lake is as of",
}  # fmt: skip

#: A condition is no longer than this, and its parts stand no deeper in each other.
_LONGEST, _DEEPEST = 10_000, 100

#: What a condition may be made of, besides columns: written anew from these tables, node by node.
_JOINED: dict[type[exp.Expr], str] = {
    exp.And: "and", exp.Or: "or", exp.EQ: "=", exp.NEQ: "<>", exp.GT: ">", exp.GTE: ">=", exp.LT: "<", exp.LTE: "<=",
    exp.Like: "like", exp.ILike: "ilike", exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Is: "is",
}  # fmt: skip
_CALLED: dict[type[exp.Expr], str] = {exp.Lower: "lower", exp.Upper: "upper", exp.Abs: "abs", exp.Coalesce: "coalesce"}
_TYPES = {
    exp.DataType.Type.BOOLEAN: "boolean", exp.DataType.Type.INT: "integer", exp.DataType.Type.BIGINT: "bigint",
    exp.DataType.Type.DOUBLE: "double", exp.DataType.Type.DECIMAL: "decimal", exp.DataType.Type.VARCHAR: "varchar",
    exp.DataType.Type.TEXT: "varchar", exp.DataType.Type.DATE: "date", exp.DataType.Type.TIMESTAMP: "timestamp",
    exp.DataType.Type.TIMESTAMPTZ: "timestamptz",
}  # fmt: skip
_UNITS = frozenset({"DAY", "DAYS", "WEEK", "WEEKS", "MONTH", "MONTHS", "YEAR", "YEARS"})
_NUMBER = re.compile(r"\d{1,18}(\.\d{0,10})?|\.\d{1,10}")

#: The arguments of each kind of node that are written; one that has others is refused.
_WRITTEN: dict[type[exp.Expr], tuple[str, ...]] = {
    **dict.fromkeys(_JOINED, ("this", "expression")), **dict.fromkeys(_CALLED, ("this", "expressions")),
    **dict.fromkeys((exp.Like, exp.ILike), ("this", "expression", "negate")),
    exp.Paren: ("this",), exp.Neg: ("this",), exp.Not: ("this",), exp.In: ("this", "expressions"),
    exp.Between: ("this", "low", "high"), exp.Cast: ("this", "to"), exp.Interval: ("this", "unit"),
    exp.Literal: ("this", "is_string"), exp.Boolean: ("this",), exp.Null: (), exp.Column: ("this",),
}  # fmt: skip

#: Columns that a lifetime model foretells, and which of the models.
_FORETOLD = {
    "p_alive": "purchases", "expected_purchases_90d": "purchases", "expected_value_90d": "amounts",
    "expected_value_365d": "amounts",
}  # fmt: skip

#: A group of fewer customers than this cannot show an effect: of 50 and 50 of whom one in ten buys, a campaign must
#: make nearly one in three buy to be told from chance (two proportions, 5 % and 80 %).
LEAST_CONTROL = 50

_READ = (
    "rfm.scores", "rfm.segments", "rfm.lifetime_models", "rfm.lifetime_value", "loyalty.balances", "loyalty.open_lots",
    "loyalty.card_tiers",
    "reference.loyalty_cards", "reference.channels", "sales.transactions", "customers.contacts",
    "marketing.contact_list",
)  # fmt: skip

_CUSTOMERS = """
    with scores as (
        select * from rfm.scores where definition = $definition
        and as_of = (select max(as_of) from rfm.segments where definition = $definition)
    ),
    lives as (
        select * from rfm.lifetime_value where definition = $definition
        and as_of = (select max(as_of) from rfm.lifetime_models where definition = $definition)
    ),
    listed as (
        select customer_id, max(language) as language, max(last_order_on) as last_order_on
        from marketing.contact_list group by customer_id
    ),
    redeemable as (
        select points.reward_point_id, points.value
        from programme.reward_points as points inner join programme.calendar as calendar using (version)
        where calendar.business_date = $business_date and points.redeemable
    ),
    gone as (
        select card_id, program_id, reward_point_id, sum(points - taken) as gone from loyalty.open_lots
        where expires_on = $business_date and usable_from <= $business_date group by all
    ),
    kinds as (
        select cards.customer_id, reward_point_id, any_value(redeemable.value) as value,
            sum(balances.available - coalesce(gone.gone, 0)) as available
        from loyalty.balances as balances
        inner join redeemable using (reward_point_id)
        left join gone using (card_id, program_id, reward_point_id)
        inner join (
            select card_id, max(customer_id) as customer_id from reference.loyalty_cards
            where $business_date between valid_from and valid_to group by card_id
        ) as cards using (card_id)
        group by cards.customer_id, reward_point_id
    ),
    points as (
        select customer_id, max(available) as points_available,
            cast(sum(round(available * value, 2)) as decimal(18, 2)) as points_value
        from kinds group by customer_id
    ),
    everybody as (
        select customer_id from scores union select customer_id from listed
        union select account from customers.contacts union select customer_id from analysts._profiles
    )
    select
        everybody.customer_id, listed.language, scores.segment, scores.r, scores.f, scores.m, scores.composite,
        scores.recency, scores.frequency, scores.monetary_total, scores.last_purchase_on, listed.last_order_on,
        profiles.channel, profiles.country, profiles.tier, coalesce(points.points_available, 0) as points_available,
        coalesce(points.points_value, 0) as points_value,
        lives.p_alive, lives.expected_purchases_90d, lives.expected_value_90d, lives.expected_value_365d,
        $business_date as business_date
    from everybody
    left join scores using (customer_id)
    left join lives using (customer_id)
    left join listed using (customer_id)
    left join points using (customer_id)
    left join analysts._profiles as profiles using (customer_id)
    where everybody.customer_id is not null
    and everybody.customer_id not in (select account from customers._placeholder_accounts)
"""

_CHOSEN = """
    with matching as (select * from audience.customers where {condition}),
    contacts as (
        select account as customer_id, bool_or(is_valid) as any_valid, bool_or(is_valid and consent) as any_consent
        from customers.contacts
        where kind = $kind and (valid_to is null or valid_to > $business_date)
        group by account
    ),
    candidates as (
        select
            matching.*, list.value,
            contacts.customer_id is not null as has_contact,
            coalesce(contacts.any_valid, false) as any_valid,
            coalesce(contacts.any_consent, false) as any_consent,
            suppressed.reason as suppressed,
            row_number() over (partition by list.customer_id order by list.value) as of_customer,
            row_number() over (partition by list.value order by list.customer_id) as of_value
        from matching
        left join (select * from marketing.contact_list where kind = $kind) as list using (customer_id)
        left join contacts using (customer_id)
        left join audience.suppressed as suppressed
            on lower(suppressed.value) in (lower(list.value), lower(list.customer_id))
    ),
    judged as (select
        customer_id, value, language, segment, tier,
        case
            when value is null and not has_contact then 'no contact of this kind'
            when value is null and not any_valid then 'contact is not valid'
            when value is null and not any_consent then 'no consent'
            when value is null then 'on hold, erased, or opted out elsewhere'
            when suppressed is not null then 'suppressed: ' || suppressed
            when of_customer > 1 then 'further contact of the same customer'
            when of_value > 1 then 'contact of another customer, too'
        end as left_out
    from candidates),
    -- the same hash each time: of the same customers the same are in the control group of a campaign
    ranked as (
        select *, count(*) over (partition by left_out is null) as people,
            row_number() over (
                partition by left_out is null order by md5($campaign || '|' || customer_id), customer_id
            ) as place
        from judged
    )
    -- exactly the share, rounded half up, but one at least; $control is in hundredths of a percent
    select * exclude (people, place),
        $control > 0 and place <= greatest((2 * people * $control + 10000) // 20000, 1) as is_control
    from ranked
"""


@dataclass(frozen=True)
class Audience:
    """``rows``: customer_id, value, language, segment, tier, group (``target`` or ``control``); no one twice.

    ``left_out``: customers the condition took in who are not in it, by reason. ``warnings``: what to mind of it.
    """

    rows: pa.Table
    left_out: dict[str, int]
    warnings: tuple[str, ...] = ()

    def counts(self) -> dict[str, int]:
        """How many the condition took in, and what became of them."""
        groups = self.rows["group"].to_pylist()
        target, control = groups.count("target"), groups.count("control")
        return {"matching": len(groups) + sum(self.left_out.values()), "target": target, "control": control}


class _RefusedError(Exception):
    """What a condition cannot hold."""


def condition(text: str) -> str:
    """A user's condition as SQL that is safe to run. Raises BadArguments saying what it may not be."""
    try:
        if not is_unicode(text):
            raise _RefusedError("The condition is no text in UTF-8")
        if len(text) > _LONGEST:
            raise _RefusedError(f"The condition is longer than {_LONGEST:,} characters")
        trees = sqlglot.parse(text, dialect="duckdb")
        if len(trees) != 1 or trees[0] is None:
            raise _RefusedError("The condition must be one expression")
        return _written(trees[0], 0)
    except sqlglot.errors.SqlglotError as error:
        what = f"The condition is no SQL: {str(error).splitlines()[0]}"
    except RecursionError:
        what = f"The condition holds parts that stand more than {_DEEPEST} deep in each other"
    except _RefusedError as refused:
        what = str(refused)
    raise BadArguments(
        what,
        where=text[:2000].encode(errors="replace").decode(),
        next_step=f"a condition such as \"segment = 'Champions' and r >= 4\"; columns: {', '.join(COLUMNS)}",
    )


def _written(node: Any, depth: int) -> str:
    """A part of a condition as SQL, made anew from what is known of its kind. Raises _RefusedError."""
    kind = type(node)
    if depth > _DEEPEST:
        raise RecursionError
    if kind not in _WRITTEN or any(value for name, value in node.args.items() if name not in _WRITTEN[kind]):
        name = getattr(node, "key", kind.__name__)
        raise _RefusedError(f"A condition cannot hold {name}: {str(node)[:200] if kind in _WRITTEN else '…'}")
    if kind in (exp.And, exp.Or):
        parts = [_written(part, depth + 1) for part in node.flatten(unnest=False)]  # a chain is wide, not deep
        return "(" + f" {_JOINED[kind]} ".join(parts) + ")"
    if kind in _JOINED:
        word = f"{'not ' if node.args.get('negate') else ''}{_JOINED[kind]}"
        return f"({_written(node.this, depth + 1)} {word} {_written(node.expression, depth + 1)})"
    if kind in _CALLED:
        return f"{_CALLED[kind]}({_list([node.this, *node.expressions], depth)})"
    if kind in (exp.Paren, exp.Neg, exp.Not):
        return f"({ {exp.Paren: '', exp.Neg: '-', exp.Not: 'not '}[kind] }{_written(node.this, depth + 1)})"
    if kind is exp.In:
        return f"({_written(node.this, depth + 1)} in ({_list(node.expressions, depth)}))"
    if kind is exp.Between:
        low, high = (_written(node.args[end], depth + 1) for end in ("low", "high"))
        return f"({_written(node.this, depth + 1)} between {low} and {high})"
    if kind is exp.Cast:
        return f"cast({_written(node.this, depth + 1)} as {_type(node.args['to'])})"
    return _leaf(node)


def _list(nodes: Iterable[Any], depth: int) -> str:
    return ", ".join(_written(node, depth + 1) for node in nodes)


def _leaf(node: Any) -> str:
    if isinstance(node, exp.Column):
        name = str(node.name).lower()
        if not isinstance(node.this, exp.Identifier) or name not in COLUMNS:
            raise _RefusedError(f"There is no column {str(node.name)[:200]}")
        return f'"{name}"'
    if isinstance(node, exp.Interval):
        amount, unit = str(getattr(node.this, "name", "")), str(getattr(node.args.get("unit"), "name", "")).upper()
        if type(node.this) is not exp.Literal or not re.fullmatch(r"-?\d{1,6}", amount) or unit not in _UNITS:
            raise _RefusedError("An interval is written as interval 30 day; units: day, week, month, year")
        return f"interval '{amount} {unit.lower()}'"
    if isinstance(node, exp.Boolean):
        return "true" if node.this else "false"
    if isinstance(node, exp.Null):
        return "null"
    text = str(node.this)
    if node.is_string:
        return literal(text)
    if not _NUMBER.fullmatch(text):
        raise _RefusedError(f"{text[:40]} is no number of at most 18 digits and 10 decimals")
    return text


def _type(node: Any) -> str:
    """One of the few types a value may be cast to; ``decimal`` with its digits."""
    if type(node) is not exp.DataType or node.this not in _TYPES:
        raise _RefusedError(f"A value cannot be cast to that; types: {', '.join(sorted(set(_TYPES.values())))}")
    digits = [str(getattr(each.this, "name", "")) for each in node.expressions]
    other = any(value for name, value in node.args.items() if name not in ("this", "expressions"))
    if other or not all(re.fullmatch(r"\d{1,2}", one) for one in digits) or len(digits) > 2:
        raise _RefusedError("A type is a plain one, such as date or decimal(18, 2)")
    name = _TYPES[node.this]
    return f"{name}({', '.join(digits)})" if digits and name == "decimal" else name


def of(
    home: Home,
    text: str,
    kind: str,
    *,
    definition: str | None = None,
    control: Decimal = Decimal(0),
    campaign: str = "",
    suppress: tuple[Path, ...] = (),
) -> Audience:
    """The audience of the newest publication.

    ``kind``: ``email`` or ``phone``; ``control``: percent held back; ``suppress``: CSV files of addresses or customers
    not to be written to (columns ``value`` and, if there, ``reason``), such as bounces.
    """
    safe = condition(text)
    from kanta import contracts
    from kanta.reading import open_published

    if missing := [table for table in _READ if table not in contracts.lake()]:
        raise KantaError(f"The lake has no table {missing[0]}, which says who may be written to")
    night = open_published(home, *_READ, shared=False)
    with night.engine as engine:
        night.attach("rfm._receipts", "sales._placeholders", "programme.calendar")
        night.define("analysts._profiles", "customers._placeholder_accounts")
        known = [row[0] for row in engine.rows("select distinct definition from rfm.segments order by 1")]
        if definition and definition not in known:
            raise BadArguments(f"There is no RFM definition {definition}", next_step=f"one of {', '.join(known)}")
        engine.register("audience.suppressed", _suppressed(suppress))
        of_definition = definition or (known[0] if known else "")
        engine.define(
            "audience.customers", _CUSTOMERS, {"definition": of_definition, "business_date": night.business_date}
        )
        engine.confine()
        chosen = choose(engine, safe, kind, control, campaign, night.business_date)
        return replace(chosen, warnings=(*_not_foretold(engine, safe, of_definition), *chosen.warnings))


def _not_foretold(engine: Engine, safe: str, definition: str) -> list[str]:
    """What is to be minded of the lifetime columns that a condition uses: why they are empty, or hold only so far."""
    columns = {column.name.lower() for column in sqlglot.parse_one(safe, dialect="duckdb").find_all(exp.Column)}
    used = [name for name in _FORETOLD if name in columns]
    models = engine.rows(
        "select model, published, reason, as_of from rfm.lifetime_models where definition = $definition"
        " and as_of = (select max(as_of) from rfm.lifetime_models where definition = $definition) order by model",
        {"definition": definition},
    )
    if used and not models:
        return [f"{', '.join(used)}: no lifetime value was worked out for {definition or 'any definition'} yet"]
    asked = {_FORETOLD[name] for name in used}
    said = {True: "is published with a warning", False: "is not published"}
    return [
        f"{', '.join(used)}: {model} of {as_of} {said[published]}: {reason}"
        for model, published, reason, as_of in models
        if reason and asked and (model != "gamma_gamma" or "amounts" in asked)
    ]


def choose(engine: Engine, safe: str, kind: str, control: Decimal, campaign: str, business_date: Any) -> Audience:
    """Applies a safe condition to ``audience.customers``; the rest as :func:`of` says."""
    try:
        kinds = engine.rows(f"select typeof({safe}) from audience.customers limit 1")
        if not kinds or kinds[0][0] == "BOOLEAN":
            engine.value(f"select count(*) from audience.customers where {safe}")
    except KantaError as error:
        raise BadArguments(f"The condition cannot be worked out: {error.what}", where=safe) from None
    if kinds and kinds[0][0] != "BOOLEAN":
        raise BadArguments(f"The condition is no yes or no but {kinds[0][0].lower()}", where=safe)
    engine.define(
        "audience.chosen",
        _CHOSEN.format(condition=f"({safe})"),
        {"kind": kind, "business_date": business_date, "campaign": campaign, "control": int(control * 100)},
    )
    rows = engine.arrow(
        "select customer_id, value, language, segment, tier,"
        " case when is_control then 'control' else 'target' end as \"group\""
        " from audience.chosen where left_out is null order by customer_id"
    )
    left_out = engine.rows(
        "select left_out, count(*) from audience.chosen where left_out is not null group by 1 order by 2 desc, 1"
    )
    warnings = []
    held_back = rows["group"].to_pylist().count("control")
    if control and rows.num_rows and min(held_back, rows.num_rows - held_back) < LEAST_CONTROL:
        warnings.append(
            f"a control group of {held_back} and a target group of {rows.num_rows - held_back} are too small to show an"
            f" effect: each should have {LEAST_CONTROL} customers at least"
        )
    return Audience(rows, dict(left_out), tuple(warnings))


def _suppressed(files: tuple[Path, ...]) -> pa.Table:
    """The values of the files, each once with its first reason."""
    import csv

    found: dict[str, str] = {}
    for file in files:
        try:
            with file.open(encoding="utf-8-sig", newline="") as lines:
                reader = csv.DictReader(lines)
                if "value" not in (reader.fieldnames or []):
                    raise BadArguments("A list of suppressed contacts needs a column value", where=str(file))
                for row in reader:
                    if row["value"]:
                        found.setdefault(row["value"].strip().lower(), row.get("reason") or "listed")
        except OSError as error:
            raise BadArguments(f"The list cannot be read: {error.strerror}", where=str(file)) from None
    return pa.table({"value": pa.array(found, pa.string()), "reason": pa.array(found.values(), pa.string())})
