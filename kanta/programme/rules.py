"""What must hold between the keys of a programme: references, combinations, possible values.

Each function yields (path of the key, what is wrong with it). Source: every "programme error" of spec 2-loyalty,
4-call-center, 5-rfm and 6-distribution, and 1-interfaces section 4 ("dangling references, duplicate ids, impossible
values").
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise

from kanta.programme import dates
from kanta.programme.loopholes import loopholes
from kanta.programme.model import (
    Bound,
    CallCenter,
    CardNumbers,
    DateInterval,
    Distribution,
    Duration,
    EarningRule,
    Programme,
    RedemptionRule,
    RewardPoint,
    RfmDefinition,
    Scheme,
    Tier,
)
from kanta.programme.reading import MAX_EXAMPLE, KeyPath, Node
from kanta.programme.segments import OTHERS, TRIPLES, matches

Found = Iterator[tuple[KeyPath, str]]

#: Currencies (ISO 4217) without decimals, and those with three; all others have two.
_NO_DECIMALS = frozenset((
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF",
    "XPF",
))  # fmt: skip
_THREE_DECIMALS = frozenset(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"))

#: Four years with a leap day: what holds on each of these days holds on every day.
_DAYS = tuple(date(2023, 1, 1) + timedelta(days=n) for n in range(1461))

ALL_JOBS = "9999"


def decimals(currency: str) -> int:
    """Decimals of a currency, as far as points hold them (two)."""
    return 0 if currency in _NO_DECIMALS else 2


def smallest_amounts() -> dict[str, Decimal]:
    """The smallest amount of each currency that does not have two decimals."""
    return {
        **dict.fromkeys(sorted(_NO_DECIMALS), Decimal(1)),
        **dict.fromkeys(sorted(_THREE_DECIMALS), Decimal("0.001")),
    }


def point_decimals(point: RewardPoint) -> int:
    """Decimals of a reward point: none for quantity, the currency's for amount."""
    return decimals(point.currency) if point.type == "amount" and point.currency else 0


def duplicates(tree: Node) -> Found:
    """Ids given twice where they must be unique; rule ids count over the whole programme."""
    unique = [list(tree.items(key)) for key in ("reward_points", "date_intervals", "programs", "schemes", "rfm")]
    unique += [list(_below(at, program.items("tiers"))) for at, program in tree.items("programs")]
    unique.append(list(tree.items("distribution", "schedules")))
    rules = list(tree.items("call_center", "fraud", "rules"))
    for at, scheme in tree.items("schemes"):
        rules += [*_below(at, scheme.items("earning")), *_below(at, scheme.items("redemption"))]
    for items in [*unique, rules]:
        yield from _twice(items, "id")
    yield from _twice(list(tree.items("call_center", "holds")), "code")


def _below(path: KeyPath, items: Iterator[tuple[KeyPath, Node]]) -> Iterator[tuple[KeyPath, Node]]:
    return (((*path, *rest), item) for rest, item in items)


def _twice(items: list[tuple[KeyPath, Node]], name: str) -> Found:
    first: dict[str, Node] = {}
    for path, item in items:
        key = item.text(name)
        if key and key in first:
            where = f"{first[key].file}:{first[key].line}"
            yield (*path, name), f"{name} is already taken ({where}); every {name} here is unique"
        first.setdefault(key, item)


def dangling(tree: Node) -> Found:
    """References to ids that the programme does not define, looked for in the tree so that none hides another."""
    points, intervals, programs = (_ids(tree, key) for key in ("reward_points", "date_intervals", "programs"))
    tiers = {program.text("id"): _ids(program, "tiers") for _, program in tree.items("programs")}
    for at, program in tree.items("programs"):
        for path, tier in _below(at, program.items("tiers")):
            yield from _known((*path, "validity"), tier, intervals, "date interval")
            for rule_path, rule in _below(path, tier.items("rules")):
                yield from _known((*rule_path, "reward_point"), rule, points, "reward point")
                yield from _known((*rule_path, "window"), rule, intervals, "date interval")
    for at, scheme in tree.items("schemes"):
        yield from _known((*at, "program"), scheme, programs, "program")
        program_id = scheme.text("program")
        for kind in ("earning", "redemption"):
            for path, rule in _below(at, scheme.items(kind)):
                yield from _known((*path, "reward_point"), rule, points, "reward point")
                if program_id in tiers:
                    yield from _known((*path, "tier"), rule, tiers[program_id], f"tier of {program_id}")
    fraud = (tree.child("call_center") or tree).child("fraud")
    if fraud:
        holds = _ids(tree, "call_center", "holds", name="code")
        yield from _known(("call_center", "fraud", "hold_code"), fraud, holds, "hold code")


def _ids(node: Node, *keys: str, name: str = "id") -> frozenset[str]:
    return frozenset(item.text(name) for _, item in node.items(*keys))


def _known(path: KeyPath, holder: Node, known: Collection[str], what: str) -> Found:
    value = holder.text(str(path[-1]))
    if value and value not in known:
        yield path, unknown(value, known, what)


def unknown(value: str, known: Collection[str], what: str) -> str:
    """That a name is not defined, with the nearest one that is."""
    close = difflib.get_close_matches(value, sorted(known), n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    return f"{value[:MAX_EXAMPLE]} is no {what} of this programme{hint}"


def problems(programme: Programme, effective_from: date | None, *, conditions: bool = True) -> Found:
    """Everything wrong between the keys. ``effective_from``: when it comes into force, if that is known."""
    yield from _parameters(programme)
    for i, point in enumerate(programme.reward_points):
        yield from _at(("reward_points", i), _reward_point(point))
    for i, numbers in enumerate(programme.card_numbers):
        yield from _at(("card_numbers", i), _card_numbers(numbers))
    for i, dates_ in enumerate(programme.date_intervals):
        yield from _at(("date_intervals", i), _date_interval(dates_))
    yield from _programs(programme, effective_from)
    points = {point.id: point for point in programme.reward_points}
    for i, scheme in enumerate(programme.schemes):
        yield from _at(("schemes", i), _scheme(scheme, points))
    for i, definition in enumerate(programme.rfm):
        yield from _at(("rfm", i), _rfm(definition))
    if programme.call_center:
        yield from _at(("call_center",), _call_center(programme.call_center, conditions))
    yield from _at(("distribution",), _distribution(programme.distribution))


def _at(path: KeyPath, found: Found) -> Found:
    return (((*path, *rest), message) for rest, message in found)


def _span(first: date | None, last: date | None) -> Found:
    if first and last and last < first:
        yield ("valid_to",), "is before valid_from"


def _repeated(path: KeyPath, names: Sequence[str]) -> Found:
    for position, name in enumerate(names):
        if name in names[:position]:
            yield (*path, position), "is named twice"


def _places(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


# Points, intervals, programs


def _parameters(programme: Programme) -> Found:
    parameters = programme.parameters
    vesting = [point.id for point in programme.reward_points if point.vesting.value]
    if (parameters.return_consumes, parameters.negative_balance) == ("available_only", "write_off") and vesting:
        yield (
            ("parameters", "return_consumes"),
            f"available_only with negative_balance write_off gives points away, because {', '.join(vesting)} "
            "does not vest at once; use unvested_first, or carry",
        )


def _reward_point(point: RewardPoint) -> Found:
    if point.type == "amount" and point.currency is None:
        yield ("currency",), "is missing; points of type amount need one"
    if point.type == "quantity" and point.currency is not None:
        yield ("currency",), "is only for points of type amount"
    if point.currency in _THREE_DECIMALS:
        yield ("currency",), "has three decimals; points hold two"
    sound = True
    for name, duration in (("expiration", point.expiration), ("vesting", point.vesting)):
        for path, message in _duration(duration):
            sound = False
            yield (name, *path), message
    if _places(point.maximum) > point_decimals(point):
        yield ("maximum",), "is finer than the points themselves"
    if sound and point.expiration.value:
        ends = ((dates.usable_from(point, day), dates.expires_on(point, day)) for day in _DAYS)
        if all(last is not None and last < first for first, last in ends):
            yield ("expiration",), "ends before vesting: the points could never be used"


def _card_numbers(numbers: CardNumbers) -> Found:
    if len(numbers.from_) != len(numbers.to):
        yield ("to",), "is not as long as from"
    elif numbers.to < numbers.from_:
        yield ("to",), "is before from"


def _duration(duration: Duration) -> Found:
    if duration.value and duration.unit is None:
        yield ("unit",), "is missing; say day, week, month, quarter or year"
    elif duration.unit is not None and duration.value > dates.LONGEST[duration.unit]:
        yield ("value",), "is more than a hundred years"


def _date_interval(dates_: DateInterval) -> Found:
    ends = list(_at(("start",), _bound(dates_.start))) + list(_at(("end",), _bound(dates_.end)))
    yield from ends
    fixed = [end.from_ == "fixed" for end in (dates_.start, dates_.end)]
    if not ends and fixed[0] == fixed[1] and all(first > last for first, last in _seen(dates_)):
        yield ("end",), "is always before start"


def _bound(end: Bound) -> Found:
    if (end.date is None) == (end.from_ == "fixed"):
        yield ("date",), "is missing; from: fixed needs it" if end.date is None else "is only for from: fixed"
    if (end.period is None) == (end.from_ in ("period_start", "period_end")):
        yield ("period",), f"is {'missing; needed' if end.period is None else 'only'} for period_start and period_end"
    if end.offset and end.unit is None:
        yield ("unit",), "is missing; the offset needs one"
    if end.unit is not None and abs(end.offset) > dates.LONGEST[end.unit]:
        yield ("offset",), "is more than a hundred years"


def _seen(dates_: DateInterval) -> Iterator[tuple[date, date]]:
    return (dates.interval(dates_, day) for day in _DAYS)


def _programs(programme: Programme, effective_from: date | None) -> Found:
    sound = {item.id: item for item in programme.date_intervals if not list(_date_interval(item))}
    points = {point.id: point for point in programme.reward_points}
    for i, program in enumerate(programme.programs):
        levels: dict[int, str] = {}
        yield from _repeated(("programs", i, "price_groups"), program.price_groups)
        for j, tier in enumerate(program.tiers):
            at: KeyPath = ("programs", i, "tiers", j)
            if tier.level in levels:
                yield (*at, "level"), f"is also the level of tier {levels[tier.level]}; levels are unique in a program"
            levels.setdefault(tier.level, tier.id)
            yield from _at(at, _tier(tier, points))
            yield from _at(at, _tier_dates(tier, sound, effective_from))


def _tier(tier: Tier, points: Mapping[str, RewardPoint]) -> Found:
    yield from _repeated(("price_groups",), tier.price_groups)
    for k, rule in enumerate(tier.rules):
        point = points.get(rule.reward_point)
        if point and _places(rule.minimum) > point_decimals(point):
            yield ("rules", k, "minimum"), "is finer than the points themselves"


def _tier_dates(tier: Tier, intervals: Mapping[str, DateInterval], effective_from: date | None) -> Found:
    for k, rule in enumerate(tier.rules):
        window = intervals.get(rule.window)
        if window is None:
            continue
        if window.end.from_ == "fixed":
            end = dates.bound(window.end, _DAYS[0])
            if effective_from and end > effective_from:
                yield ("rules", k, "window"), f"ends on {end}, later than effective_from ({effective_from})"
        else:
            late = next(((day, end) for day in _DAYS if (end := dates.bound(window.end, day)) > day), None)
            if late:
                yield ("rules", k, "window"), f"ends after the evaluation date (seen from {late[0]}: on {late[1]})"
    validity = intervals.get(tier.validity)
    if validity is None:
        return
    if validity.end.from_ == "fixed":
        end = dates.bound(validity.end, _DAYS[0])
        if effective_from and end <= effective_from:
            yield ("validity",), f"ends on {end}, not after effective_from ({effective_from}): no stay could begin"
    elif all(dates.bound(validity.end, day) <= day for day in _DAYS):
        yield ("validity",), "never ends after the evaluation date: no stay could begin"


# Schemes


def _scheme(scheme: Scheme, points: Mapping[str, RewardPoint]) -> Found:
    yield from _repeated(("channels",), scheme.channels)
    yield from _repeated(("excluded_affiliations",), scheme.excluded_affiliations)
    yield from _span(scheme.valid_from, scheme.valid_to)
    rules: list[tuple[KeyPath, EarningRule | RedemptionRule]] = [
        *((("earning", i), rule) for i, rule in enumerate(scheme.earning)),
        *((("redemption", i), rule) for i, rule in enumerate(scheme.redemption)),
    ]
    for path, rule in rules:
        yield from _at(path, _span(rule.valid_from, rule.valid_to))
        if isinstance(rule, EarningRule):
            yield from _at(path, _per(rule, money=rule.activity == "purchase_amount"))
            yield from _at(path, _activity(rule))
        else:
            yield from _at(path, _per(rule, money=rule.type == "payment_by_amount"))
            point = points.get(rule.reward_point)
            if point and not point.redeemable:
                yield (*path, "reward_point"), f"{point.id} is not redeemable"


def _per(rule: EarningRule | RedemptionRule, *, money: bool) -> Found:
    if money and rule.currency is None:
        yield ("currency",), "is missing; per is money here"
    elif money and rule.currency and _places(rule.per) > decimals(rule.currency):
        yield ("per",), f"is finer than {rule.currency} is"
    elif not money and rule.currency is not None:
        yield ("currency",), "is only for rules whose per is money"


def _activity(rule: EarningRule) -> Found:
    other = rule.activity == "other_activity"
    if other and rule.activity_type is None:
        yield ("activity_type",), "is missing; other_activity needs one"
    if not other and rule.activity_type is not None:
        yield ("activity_type",), "is only for other_activity"
    if rule.activity in ("transaction_count", "other_activity") and rule.per > 1:
        yield ("per",), "is more than 1: a transaction or activity counts once, so the rule could never pay"
    if other:
        for key in ("category", "product", "variant"):
            if getattr(rule, key) is not None:
                yield (key,), "is only for purchases"


# RFM


def _rfm(definition: RfmDefinition) -> Found:
    period, measures = definition.period, ("recency", "frequency", "monetary")
    yield from _repeated(("channels",), definition.channels)
    if (period.rolling is None) == (period.start is None):
        yield ("period",), "must give either rolling and unit, or start and end"
    if (period.rolling is None) != (period.unit is None):
        yield ("period", "unit"), "goes with rolling"
    elif period.rolling and period.unit and period.rolling > dates.LONGEST[period.unit]:
        yield ("period", "rolling"), "is more than a hundred years"
    if period.end and not period.start:
        yield ("period", "end"), "goes with start"
    if period.start and period.end and period.end < period.start:
        yield ("period", "end"), "is before start"
    if definition.cut_offset and definition.binning != "quantile":
        yield ("cut_offset",), "is only for binning: quantile"
    if (definition.cuts is None) == (definition.binning == "fixed"):
        yield ("cuts",), "is missing; binning: fixed needs it" if definition.cuts is None else "is only for fixed"
    for measure in measures:
        divisions = getattr(definition.divisions, measure)
        if definition.cuts is not None:
            cuts = getattr(definition.cuts, measure)
            if len(cuts) != divisions - 1:
                yield ("cuts", measure), f"has {len(cuts)} cuts; {divisions} divisions need {divisions - 1}"
            if any(low >= high for low, high in pairwise(cuts)):
                yield ("cuts", measure), "must be ascending"
        multiplier = getattr(definition.multiplier, measure)
        if definition.composite == "digits" and divisions * multiplier > 9:
            yield (
                ("multiplier", measure),
                f"makes {divisions} x {multiplier} more than one digit; use composite: sum",
            )
    if not isinstance(definition.segments, str):
        for i, line in enumerate(definition.segments):
            for measure in measures:
                low, high = getattr(line, measure)
                if low > high:
                    yield ("segments", i, measure), "must be lowest, highest"


# Call center, distribution


def _call_center(rules: CallCenter, conditions: bool) -> Found:
    if rules.fraud and conditions:
        from kanta.programme import when  # reads the landing contracts, which only these rules need

        for i, rule in enumerate(rules.fraud.rules):
            try:
                when.to_sql(rule.when, rule.level)
            except ValueError as error:
                yield ("fraud", "rules", i, "when"), str(error)
    defaults = [i for i, hold in enumerate(rules.holds) if hold.default]
    for i in defaults[1:]:
        yield ("holds", i, "default"), f"{rules.holds[defaults[0]].code} is the default already"
    for i, charge in enumerate(rules.delivery_charges):
        for j, tier in enumerate(charge.tiers):
            at: KeyPath = ("delivery_charges", i, "tiers", j)
            if (tier.amount is None) == (tier.percent is None):
                yield (*at, "amount"), "give either amount or percent"
            if tier.to is not None and tier.to <= tier.from_:
                yield (*at, "to"), "must be more than from"
    if rules.notices and not rules.notices.first < rules.notices.second < rules.notices.cancel:
        yield ("notices",), "must come in order: first, second, cancel"
    for path, message in _repeated((), [override.role for override in rules.price_override]):
        yield ("price_override", *path, "role"), message
    if rules.margin_alert and rules.margin_alert.questionable > rules.margin_alert.acceptable:
        yield ("margin_alert", "questionable"), "is more than acceptable"


def _distribution(rules: Distribution) -> Found:
    owners: dict[str, str] = {}
    if ALL_JOBS in rules.jobs:
        yield ("jobs", ALL_JOBS), "means all jobs and cannot be one"
    for job, datasets in rules.jobs.items():
        for i, dataset in enumerate(datasets):
            if dataset in owners:
                yield ("jobs", job, i), f"{dataset} is already in job {owners[dataset]}"
            owners.setdefault(dataset, job)
    for i, schedule in enumerate(rules.schedules):
        yield from _repeated(("schedules", i, "jobs"), schedule.jobs)
        yield from _repeated(("schedules", i, "data_groups"), schedule.data_groups)
        for j, job in enumerate(schedule.jobs):
            if job not in rules.jobs and job != ALL_JOBS:
                yield ("schedules", i, "jobs", j), unknown(job, rules.jobs, "job")
    for j, job in enumerate(rules.exclude_from_offline):
        if job not in rules.jobs:
            yield ("exclude_from_offline", j), unknown(job, rules.jobs, "job")
    if rules.filter_shared_customer_tables and "1010" not in rules.exclude_from_offline:
        yield (
            ("filter_shared_customer_tables",),
            "needs 1010 in exclude_from_offline: customers would be sent whose cards are not theirs",
        )
    for offline, database in rules.offline_databases.items():
        if offline == database or database in rules.offline_databases:
            yield ("offline_databases", offline), "must serve the channels of an online database"
    for name, keys in rules.keys.items():
        if isinstance(keys, str) != (name == "sign"):
            yield ("keys", name), "sign is one text such as env:KEY; a database has encrypt and verify"


# What is no problem but worth knowing


@dataclass(frozen=True)
class HqNames:
    """The names only headquarters' data can know; what has not come yet stays None and is not looked at."""

    channels: Mapping[str, str] | None = None  # channel id → org path
    categories: Collection[str] | None = None
    products: Collection[str] | None = None
    variants: Collection[str] | None = None
    affiliations: Collection[str] | None = None
    databases: Collection[str] | None = None
    data_groups: Collection[str] | None = None


def warnings(programme: Programme) -> list[str]:
    """What a valid programme's owner should know, as ``key: message``."""
    found = []
    if programme.parameters.transfer_expiry == "restart":
        found.append("parameters.transfer_expiry: restart lets members renew points for ever by transferring them")
    found.extend(loopholes(programme))
    redeemed = {rule.reward_point for scheme in programme.schemes for rule in scheme.redemption}
    for point in programme.reward_points:
        if point.redeemable and point.id not in redeemed:
            found.append(f"reward_points[{point.id}]: is redeemable, but no redemption rule takes it")
    for scheme in programme.schemes:
        if "all" in scheme.channels and len(scheme.channels) > 1:
            found.append(f"schemes[{scheme.id}].channels: all makes the others superfluous")
        for kind in ("earning", "redemption"):
            for rule in getattr(scheme, kind):
                first = max(rule.valid_from or date.min, scheme.valid_from or date.min)
                if first > min(rule.valid_to or date.max, scheme.valid_to or date.max):
                    found.append(f"schemes[{scheme.id}].{kind}[{rule.id}]: is never valid within its scheme's dates")
    for definition in programme.rfm:
        if not isinstance(definition.segments, str):
            found.extend(f"rfm[{definition.id}].segments: {text}" for text in _overlaps_and_gaps(definition))
    return found


def _overlaps_and_gaps(definition: RfmDefinition) -> Iterator[str]:
    """How an own segment map fails to give each of the 125 triples exactly one name (spec 5-rfm)."""
    ranges = () if isinstance(definition.segments, str) else definition.segments
    covers = {triple: list(matches(ranges, triple)) for triple in TRIPLES}
    for what, triples in (
        (f"covered by no line ({OTHERS})", [triple for triple, names in covers.items() if not names]),
        ("covered by several lines (the first counts)", [triple for triple, names in covers.items() if names[1:]]),
    ):
        if triples:
            shown = " ".join("".join(map(str, triple)) for triple in triples[:10])
            yield f"{len(triples)} of 125 score triples are {what}: {shown}{' …' if triples[10:] else ''}"


def check_against_hq(programme: Programme, hq: HqNames) -> list[str]:
    """Names in the programme that headquarters' data does not know, as ``key: message`` (warnings, never errors)."""
    return [f"{key}: {name} is not known to hq" for key, name, known in _hq_uses(programme, hq) if name not in known]


def _hq_uses(programme: Programme, hq: HqNames) -> Iterator[tuple[str, str, Collection[str]]]:
    """Every use of such a name: key, name, and the names there are."""
    selectors: set[str] | None = None
    if hq.channels is not None:
        paths = [path.split("/") for path in hq.channels.values()]
        selectors = {"all", *hq.channels, *("/".join(parts[:n]) for parts in paths for n in range(2, len(parts) + 1))}
    uses: list[tuple[str, str | None, Collection[str] | None]] = []
    for scheme in programme.schemes:
        at = f"schemes[{scheme.id}]"
        uses += [(f"{at}.channels", name, selectors) for name in scheme.channels]
        uses += [(f"{at}.excluded_affiliations", name, hq.affiliations) for name in scheme.excluded_affiliations]
        for kind in ("earning", "redemption"):
            for rule in getattr(scheme, kind):
                here = f"{at}.{kind}[{rule.id}]"
                uses += [
                    (f"{here}.category", rule.category, hq.categories),
                    (f"{here}.product", rule.product, hq.products),
                    (f"{here}.variant", rule.variant, hq.variants),
                    (f"{here}.affiliation", rule.affiliation, hq.affiliations),
                ]
    for definition in programme.rfm:
        uses += [(f"rfm[{definition.id}].channels", name, selectors) for name in definition.channels]
    rules = programme.distribution
    uses += [("distribution.formats", name, hq.databases) for name in rules.formats if name != "default"]
    uses += [("distribution.offline_databases", name, hq.databases) for name in rules.offline_databases.values()]
    for schedule in rules.schedules:
        groups = [name for name in schedule.data_groups if name != "all"]
        uses += [(f"distribution.schedules[{schedule.id}].data_groups", name, hq.data_groups) for name in groups]
    yield from ((key, name, known) for key, name, known in uses if name is not None and known is not None)
