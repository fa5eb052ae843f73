"""The programme's shape: one frozen pydantic model for each block of ``programme/*.yaml``.

Source: spec 1-interfaces section 4, 4-call-center, 5-rfm, 6-distribution. What one key alone cannot tell (references,
combinations) is in ``rules``. The docstring below a field is its help text in the JSON Schema and so in an editor.
Money, points and rates are decimals of the text written, never floats; a default is what the specification says.
"""

from __future__ import annotations

import json
import re
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainSerializer,
    StringConstraints,
    Tag,
)

#: All numbers of a programme stay below it, so that thousandths of them fit a 64-bit integer many times over.
LIMIT = 10**12

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_WHOLE = re.compile(r"[+-]?\d{1,18}")
_NUMBER = re.compile(r"[+-]?\d{1,30}(\.\d{1,30})?")


def _to_date(value: object) -> object:
    if isinstance(value, date):
        return value
    if isinstance(value, str) and _DATE.fullmatch(value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            raise ValueError("is no day of the calendar") from None
    raise ValueError("must be a date such as 2017-01-31")


def _to_bool(value: object) -> object:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise ValueError("must be true or false")


def _to_whole(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        return int(value)
    raise ValueError("must be a whole number")


def _to_decimal(value: object) -> object:
    if isinstance(value, Decimal) or (isinstance(value, int) and not isinstance(value, bool)):
        return Decimal(value)
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return Decimal(value)
    raise ValueError("must be a number such as 12.50")


def _decimal_text(value: Decimal) -> str:
    """The shortest plain text of a decimal: 1.00 and 1 are the same number, so the same text."""
    return format(value.normalize(), "f") if value else "0"


Date = Annotated[date, BeforeValidator(_to_date)]
Bool = Annotated[bool, BeforeValidator(_to_bool)]
Whole = Annotated[int, BeforeValidator(_to_whole), Field(lt=LIMIT)]
Count = Annotated[Whole, Field(ge=0)]
Decimals = Annotated[
    Decimal,
    BeforeValidator(_to_decimal),
    Field(lt=LIMIT, gt=-LIMIT),
    PlainSerializer(_decimal_text, return_type=str, when_used="json"),
]
Amount = Annotated[Decimals, Field(ge=0, decimal_places=2)]
Rate = Annotated[Decimals, Field(gt=0, decimal_places=2)]
Percent = Annotated[Decimals, Field(ge=0, le=10_000, decimal_places=4)]

#: Ids that the programme itself gives.
Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$", max_length=64)]
#: Names that others give (categories, products, price groups…): any text on one line.
Name = Annotated[str, Field(pattern=r"^\S(.*\S)?$", max_length=200)]
#: An id as a source writes it; spaces around it say nothing.
GivenId = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
#: ``all``, a channel id, or an org path such as ``/EU/FI``.
Channel = Annotated[str, Field(pattern=r"^((/[^/]+)+|[^/\s](.*\S)?)$", max_length=200)]
Channels = Annotated[tuple[Channel, ...], Field(min_length=1)]

Unit = Literal["day", "week", "month", "quarter", "year"]
Period = Literal["month", "quarter", "year"]


class Model(BaseModel):
    """What all blocks share: frozen, no unknown keys, field docstrings as descriptions."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


# Parameters and reward points


class EarnBasis(Model):
    """What counts as the amount of a purchase besides its net amount."""

    tax: Literal["excluded", "included"] = "excluded"
    """Whether tax earns."""
    charges: Literal["excluded"] = "excluded"
    """Charges never earn."""
    gift_cards: Literal["excluded"] = "excluded"
    """Gift cards sold never earn."""


class Parameters(Model):
    """Choices that hold for all programs (spec 2-loyalty sections 3 to 5)."""

    earn_basis: EarnBasis = EarnBasis()
    """What counts as the amount of a purchase."""
    loyalty_tender: Literal["no_earn", "earn_on_rest"] = "no_earn"
    """A purchase paid with points earns nothing, or on the rest."""
    quantity_rounding: Literal["truncate", "nearest"] = "truncate"
    """How points of type quantity become whole."""
    post_per_sales_line: Bool = True
    """A linked return takes back what its line earned; false: worked out anew by the rules in force."""
    return_consumes: Literal["unvested_first", "available_only"] = "unvested_first"
    """Which lots a return takes from."""
    negative_balance: Literal["carry", "write_off"] = "carry"
    """What cannot be covered stays a deficit, or is written off at once."""
    transfer_expiry: Literal["keep", "restart"] = "keep"
    """Lots keep their dates when transferred, or count anew."""


class Duration(Model):
    """A time counted from a business date; value 0: at once (vesting) or never (expiration)."""

    value: Count
    """How many units."""
    unit: Unit | None = None
    """day, week, month, quarter or year; needed unless the value is 0."""


class RewardPoint(Model):
    """A kind of point that cards hold."""

    id: Id
    """Its id."""
    type: Literal["quantity", "amount"]
    """quantity: whole points; amount: money-like, with the currency's decimals."""
    currency: Currency | None = None
    """The currency of a point of type amount."""
    redeemable: Bool = False
    """Whether it can pay."""
    redeem_ranking: Annotated[Whole, Field(ge=1)] | None = None
    """Which redeemable point a store takes first (1 before 2)."""
    expiration: Duration = Duration(value=0)
    """Last usable day, counted from the earning; 0: never expires."""
    vesting: Duration = Duration(value=0)
    """First usable day, counted from the earning; 0: at once."""
    maximum: Amount = Decimal(0)
    """Earning stops when a card holds this many; 0: no limit."""
    value: Annotated[Decimals, Field(gt=0, decimal_places=6)] | None = None
    """Money a point is worth in the accounting currency (liability, what-if); empty: what paying with it gives."""


class Liability(Model):
    """What is known of points owed to members that their own history cannot tell yet (IFRS 15 B46)."""

    ultimate_redemption: Annotated[Decimals, Field(gt=0, le=1, decimal_places=6)] | None = None
    """Share of points that is redeemed in the end (0.85), where no older points have lived that long; empty: all."""


class CardNumbers(Model):
    """A range of card numbers, compared as text of one length (spec 7-seeds-whole section 2)."""

    from_: Name = Field(alias="from")
    """The first, such as "500"."""
    to: Name
    """The last, as long as the first."""


#: What a receipt is checked for and told of (spec 7-seeds-whole section 9); all but points can refuse it.
ReceiptRule = Literal[
    "tenders", "double", "points", "sign", "negative_price", "discount", "tax", "empty", "rounding", "unknown"
]


def _to_refusing(value: object) -> object:
    if value == "points":
        raise ValueError("must not be points: what a receipt earns is known only once it counts")
    return value


class StoreChecks(Model):
    """How receipts are checked (spec 7-seeds-whole section 9)."""

    tender_limit: Amount = Decimal("0.01")
    """Tenders may be off the total by so much, in the receipt's currency."""
    points_limit: Amount = Decimal(0)
    """Points that a till states may be off ours by so many."""
    refuse: tuple[Annotated[ReceiptRule, BeforeValidator(_to_refusing)], ...] = ()
    """Rules whose receipts wait in quarantine; the others are told and change nothing."""


# Date intervals, programs, tiers


class Bound(Model):
    """One end of a date interval, seen from an evaluation date (spec 2-loyalty section 6)."""

    from_: Literal["evaluation_date", "fixed", "period_start", "period_end"] = Field(alias="from")
    """What the end is counted from."""
    date: Date | None = None
    """The date, for from: fixed."""
    period: Period | None = None
    """The period around the evaluation date, for period_start and period_end."""
    offset: Whole = 0
    """Moves the end by so many units; negative: earlier."""
    unit: Unit | None = None
    """Unit of the offset."""


class DateInterval(Model):
    """Named interval of dates, both ends included."""

    id: Id
    """Its id."""
    start: Bound
    """First day."""
    end: Bound
    """Last day."""


class TierRule(Model):
    """Reaching the minimum of issued points within the window gives the tier."""

    reward_point: Id
    """The reward point counted."""
    minimum: Amount
    """How many must have been issued; 0: everyone."""
    window: Id
    """The date interval counted."""


class Tier(Model):
    """A level of a program."""

    id: Id
    """Its id, unique in its program."""
    level: Annotated[Whole, Field(ge=0, le=1_000)]
    """Higher is better; unique in its program."""
    validity: Id
    """The date interval whose end is the last day of a stay."""
    price_groups: tuple[Name, ...] = ()
    """Price groups that only holders of the tier get."""
    rules: tuple[TierRule, ...] = ()
    """Any one of them is enough."""


class Program(Model):
    """A loyalty program that cards are enrolled in."""

    id: Id
    """Its id."""
    pool_related_cards: Bool = False
    """All cards of a customer count together for tiers."""
    price_groups: tuple[Name, ...] = ()
    """Price groups that every member gets."""
    tiers: tuple[Tier, ...] = ()
    """Its tiers."""


# Schemes


class Rule(Model):
    """What earning and redemption rules share."""

    id: Id
    """Its id, unique over the whole programme."""
    reward_point: Id
    """The reward point earned or taken."""
    points: Rate
    """How many points for each `per`."""
    per: Annotated[Decimals, Field(gt=0, decimal_places=3)]
    """How much money or how many units the points are for; less gives nothing."""
    currency: Currency | None = None
    """The currency of `per`, where it is money."""
    tier: Id | None = None
    """Only for cards in this tier of the scheme's program."""
    affiliation: Name | None = None
    """Only for customers with this affiliation."""
    category: Name | None = None
    """Only products in this category or below it."""
    product: Name | None = None
    """Only this product."""
    variant: Name | None = None
    """Only this variant."""
    valid_from: Date | None = None
    """First day; empty: the scheme's."""
    valid_to: Date | None = None
    """Last day; empty: the scheme's."""


class EarningRule(Rule):
    """Points for an activity (spec 2-loyalty section 3)."""

    activity: Literal["purchase_amount", "purchase_quantity", "transaction_count", "other_activity"]
    """What is counted."""
    activity_type: Name | None = None
    """Which activity, for other_activity."""
    scaling: Literal["proportional", "whole_units"] = "proportional"
    """Points for parts of `per` too, or for whole ones only."""
    ignore_vesting: Bool = False
    """Usable at once whatever the reward point's vesting."""


class RedemptionRule(Rule):
    """What points can pay for (spec 2-loyalty section 7)."""

    type: Literal["payment_by_amount", "payment_by_quantity"]
    """Points for money, or points for units of a product."""


class Scheme(Model):
    """Ties a program to channels and says what earns and what redeems there."""

    id: Id
    """Its id."""
    program: Id
    """The program whose cards it serves."""
    valid_from: Date | None = None
    """First day; empty: from the beginning."""
    valid_to: Date | None = None
    """Last day; empty: no end."""
    channels: Channels
    """`all`, channel ids, or org paths such as /EU/FI (with all channels below)."""
    excluded_affiliations: tuple[Name, ...] = ()
    """Customers with one of these earn nothing here."""
    earning: tuple[EarningRule, ...] = ()
    """All that apply add up."""
    redemption: tuple[RedemptionRule, ...] = ()
    """What points pay for."""


# RFM

Score = Annotated[Whole, Field(ge=1, le=5)]


class SegmentRange(Model):
    """One line of a segment map: a name for ranges of scores (both ends included); the first match wins."""

    segment: Name
    """The segment's name."""
    recency: tuple[Score, Score] = (1, 5)
    """Lowest and highest recency score."""
    frequency: tuple[Score, Score] = (1, 5)
    """Lowest and highest frequency score."""
    monetary: tuple[Score, Score] = (1, 5)
    """Lowest and highest monetary score."""


class RfmPeriod(Model):
    """The purchases looked at: `rolling` and `unit`, or `start` and `end`."""

    rolling: Annotated[Whole, Field(ge=1)] | None = None
    """So many units back from the run's date."""
    unit: Unit | None = None
    """Unit of `rolling`."""
    start: Date | None = None
    """First day of a fixed period."""
    end: Date | None = None
    """Last day of a fixed period; empty: the run's date."""


def _text_or_more(value: object) -> str:
    return "text" if isinstance(value, str) else "more"


#: A map's name or file, or the lines of a map.
Segments = Annotated[
    Annotated[str, Tag("text")] | Annotated[tuple[SegmentRange, ...], Tag("more")], Discriminator(_text_or_more)
]
Divisions = Annotated[Whole, Field(ge=2, le=9)]
Multiplier = Annotated[Whole, Field(ge=1, le=1_000)]
Priority = Literal["high", "medium", "low"]
Cut = Annotated[Decimals, Field(decimal_places=4)]


class RfmDivisions(Model):
    """How many scores each measure has."""

    recency: Divisions = 5
    """Recency scores, 2 to 9."""
    frequency: Divisions = 5
    """Frequency scores, 2 to 9."""
    monetary: Divisions = 5
    """Monetary scores, 2 to 9."""


class RfmPriority(Model):
    """Order of calculation: a lower measure is scored within the groups that higher ones made."""

    recency: Priority = "low"
    """Priority of recency."""
    frequency: Priority = "low"
    """Priority of frequency."""
    monetary: Priority = "low"
    """Priority of money."""


class RfmMultiplier(Model):
    """What each score is multiplied by in the composite."""

    recency: Multiplier = 1
    """Multiplier of recency."""
    frequency: Multiplier = 1
    """Multiplier of frequency."""
    monetary: Multiplier = 1
    """Multiplier of money."""


class RfmCuts(Model):
    """Ascending cut values of each measure, one fewer than its divisions."""

    recency: tuple[Cut, ...] = ()
    """Cuts of recency, in its unit."""
    frequency: tuple[Cut, ...] = ()
    """Cuts of frequency."""
    monetary: tuple[Cut, ...] = ()
    """Cuts of money."""


class RfmLifetime(Model):
    """What customers will yet buy, worked out at each month's end from all their purchases so far."""

    model: Literal["bg_nbd", "pareto_nbd"] | None = "bg_nbd"
    """The model of purchases; amounts follow Gamma-Gamma. Empty: none."""
    unit: Literal["week", "day"] = "week"
    """The unit of time of the parameters."""
    holdout_days: Annotated[Whole, Field(ge=7, le=3_650)] = 90
    """The last so many days are foretold from what came before and compared."""
    tolerance: Annotated[Cut, Field(gt=0, le=1)] = Decimal("0.25")
    """Nothing is published when foretold and real purchases of the holdout differ by more than this share."""


class RfmDefinition(Model):
    """One RFM analysis (spec 5-rfm)."""

    id: Id
    """Its id."""
    active: Bool = True
    """Whether it runs."""
    period: RfmPeriod
    """The purchases looked at."""
    channels: Channels
    """`all`, channel ids, or org paths."""
    divisions: RfmDivisions = RfmDivisions()
    """How many scores each measure has."""
    binning: Literal["midrank", "even", "quantile", "fixed"] = "midrank"
    """How values become scores."""
    cuts: RfmCuts | None = None
    """Cut values, for binning: fixed."""
    cut_offset: Cut = Decimal(0)
    """Added to each cut, for binning: quantile."""
    priority: RfmPriority = RfmPriority()
    """Order of calculation."""
    multiplier: RfmMultiplier = RfmMultiplier()
    """What each score is multiplied by in the composite."""
    composite: Literal["digits", "sum"] = "digits"
    """The scores joined (535) or added (13)."""
    recency_unit: Literal["day", "week", "month"] = "day"
    """What recency is counted in."""
    monetary: Literal["total", "average"] = "total"
    """Total, or average of a purchase."""
    amount: Literal["net", "gross"] = "net"
    """gross: with tax and charges."""
    subtract_returns: Bool = True
    """Returns lessen the money."""
    frequency_counts: Literal["transactions", "days"] = "transactions"
    """Purchases, or days with one."""
    schedule: Literal["daily", "monthly"] = "monthly"
    """Each night, or on the last day of each month."""
    segments: Segments = "champions_125"
    """champions_125, r_rfm, a file of your own (such as segments/own.yaml), or its lines."""
    history_months: Annotated[Whole, Field(ge=0, le=1_200)] = 0
    """So many months of orders are kept as they were counted (rfm.history); 0: none, and what was kept is removed."""
    lifetime: RfmLifetime | None = None
    """Customer lifetime value; left out: none."""


# Call center (spec 4-call-center)


class FraudScores(Model):
    """The score of a match with static data that names none."""

    phone: Count = 0
    """A phone number."""
    email: Count = 0
    """An email address."""
    zip: Count = 0
    """A zip code."""
    extended_zip: Count = 0
    """A zip code with its extension."""


class FraudStatic(Model):
    """A value that adds to an order's fraud score."""

    type: Literal["phone", "email", "zip", "extended_zip"]
    """What it is."""
    value: Name
    """The value; never shown in messages."""
    score: Count | None = None
    """Its score; empty: the type's default."""


class FraudRule(Model):
    """A condition that adds to an order's fraud score."""

    id: Id
    """Its id, unique over the whole programme."""
    level: Literal["order", "line"]
    """Once, or once for each line."""
    score: Count
    """Its score."""
    when: Annotated[str, Field(max_length=2_000)]
    """Condition over the columns of orders, and of lines for level: line."""


class Fraud(Model):
    """Fraud check of orders."""

    minimum_score: Count
    """More than this holds the order."""
    default_scores: FraudScores = FraudScores()
    """Scores of matches that name none."""
    hold_code: Id
    """The hold put on it."""
    static: tuple[FraudStatic, ...] = ()
    """Values known to be bad."""
    rules: tuple[FraudRule, ...] = ()
    """Conditions."""


class Hold(Model):
    """A hold code."""

    code: Id
    """Its code."""
    name: Name
    """Its name."""
    role: Name | None = None
    """Who may clear it; empty: a manager."""
    color: Name | None = None
    """Its colour on screen."""
    release_reservations: Bool = False
    """Whether goods are released meanwhile."""
    default: Bool = False
    """The hold meant when none is named."""


class ChargeTier(Model):
    """A charge for from ≤ x < to, fixed or in percent."""

    from_: Amount = Field(alias="from")
    """Lowest value."""
    to: Amount | None = None
    """First value above; empty: no end."""
    amount: Amount | None = None
    """Fixed charge."""
    percent: Percent | None = None
    """Charge in percent."""


class DeliveryCharge(Model):
    """Charges of a delivery mode."""

    mode: Name
    """The delivery mode."""
    level: Literal["header", "line"]
    """On the order, or on each line."""
    tiers: Annotated[tuple[ChargeTier, ...], Field(min_length=1)]
    """By value."""


class Notices(Model):
    """Days after the order date for goods not shipped."""

    first: Count
    """First notice."""
    second: Count
    """Second notice."""
    cancel: Count
    """Cancellation."""


class PriceOverride(Model):
    """How far a role may lower a price."""

    role: Name
    """The role."""
    cost: Literal["item", "line"] = "item"
    """Whose cost is the floor."""
    markup_percent: Percent
    """Above the cost; 0: no floor."""


class MarginAlert(Model):
    """Margins in percent: at least acceptable: ok; at least questionable: warning; else blocked."""

    acceptable: Percent
    """Ok from here."""
    questionable: Percent
    """Warning from here."""


class CheckHold(Model):
    """Checks over an amount wait."""

    over: Amount
    """Checks over this."""
    days: Count
    """So many days from payment."""


class Refund(Model):
    """How overpayments go back."""

    cash: Name = "cash"
    """For cash."""
    check: Name = "check"
    """For checks."""
    default: Name
    """For several or unlinked payments."""
    approve_over: Amount
    """More than this waits for approval."""


class Payments(Model):
    """Judging payments."""

    check_hold: CheckHold | None = None
    """When checks wait."""
    tolerance_percent: Percent
    """Off the total by more: under or over."""
    decline_limit: Count
    """More declines than this: declined."""
    max_order_credit: Amount
    """Highest price-match credit of an order."""
    refund: Refund
    """How overpayments go back."""


class CallCenter(Model):
    """Rules for call-center orders (spec 4-call-center)."""

    order_completion: Bool = True
    """false: no fraud check, no payment enforcement."""
    fraud: Fraud | None = None
    """Fraud check."""
    holds: tuple[Hold, ...] = ()
    """Hold codes."""
    manager_role: Name = "manager"
    """The role that may clear every hold."""
    submit_when_cleared: Bool = False
    """Clearing a hold submits the order."""
    delivery_charges: tuple[DeliveryCharge, ...] = ()
    """Expected charges."""
    notices: Notices | None = None
    """Notices for late goods."""
    price_override: tuple[PriceOverride, ...] = ()
    """How far roles may lower prices."""
    margin_alert: MarginAlert | None = None
    """Margins that alarm."""
    payments: Payments | None = None
    """Judging payments."""
    source_code_required: Bool = False
    """Orders need a source code."""


# Distribution (spec 6-distribution)

Dataset = Literal[
    "channels", "categories", "products", "customers", "contacts", "addresses", "attributes", "affiliations",
    "programs", "tiers", "price_groups", "reward_points", "earning_rules", "redemption_rules", "cards", "card_tiers",
    "card_balances",
]  # fmt: skip

#: What each job of a package holds unless the programme says otherwise, in order.
JOBS: dict[str, tuple[Dataset, ...]] = {
    "1070": ("channels",),
    "1040": ("categories", "products"),
    "1010": ("customers", "contacts", "addresses", "attributes", "affiliations"),
    "1050": (
        *("programs", "tiers", "price_groups", "reward_points", "earning_rules", "redemption_rules"),
        *("cards", "card_tiers", "card_balances"),
    ),
}


class Schedule(Model):
    """What is sent when."""

    id: Id
    """Its id."""
    jobs: Annotated[tuple[Id, ...], Field(min_length=1)]
    """Jobs, or 9999 for all in order."""
    data_groups: Annotated[tuple[Name, ...], Field(min_length=1)] = ("all",)
    """Data groups of channels, or all."""
    active: Bool = True
    """Whether it runs."""


class DatabaseKeys(Model):
    """Keys of one store database."""

    encrypt: Name | None = None
    """age recipient its packages are encrypted to."""
    verify: tuple[Name, ...] = ()
    """Public keys its acknowledgements may be signed with."""


Keys = Annotated[Annotated[Name, Tag("text")] | Annotated[DatabaseKeys, Tag("more")], Discriminator(_text_or_more)]


class Distribution(Model):
    """Packages for stores (spec 6-distribution)."""

    jobs: dict[Id, tuple[Dataset, ...]] = JOBS
    """Datasets of each job."""
    schedules: tuple[Schedule, ...] = (Schedule(id="nightly", jobs=("9999",)),)
    """What is sent when."""
    formats: dict[Name, Literal["csv.gz", "parquet", "xstore_mnt"]] = {"default": "csv.gz"}
    """File format of each database, and the default."""
    try_count: Annotated[Whole, Field(ge=1, le=100)] = 3
    """So many failures, then canceled (or suspended, with enforce_order)."""
    enforce_order: Bool = True
    """A failed package holds back what follows."""
    retention_days: Annotated[Whole, Field(ge=1, le=36_525)] = 30
    """Packages are kept so long."""
    offline_databases: dict[Name, Name] = {}
    """Offline databases and the database whose channels they serve."""
    exclude_from_offline: tuple[Id, ...] = ("1010",)
    """Jobs that offline databases do not get."""
    filter_shared_customer_tables: Bool = True
    """Cards on offline databases lack customer_id."""
    include_balances: Bool = True
    """Whether balances are sent."""
    cards: Literal["involved", "all"] = "involved"
    """Only cards that have to do with the database's channels, or all."""
    involved_months: Annotated[Whole, Field(ge=1, le=1_200)] = 24
    """How far back transactions make a card involved."""
    deliver_by: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] = "05:00"
    """Local time of the opening day; an alert when a package is not available by then."""
    keys: dict[Name, Keys] = {}
    """`sign`: where our signing key is; a database: its keys."""


# The whole


class Programme(Model):
    """The business rules of one retailer: everything under `programme/*.yaml`, merged."""

    effective_from: Date | None = None
    """In force from this date; empty: the business date of the first run that sees it."""
    accounting_currency: Currency
    """The currency of RFM and marketing figures."""
    parameters: Parameters = Parameters()
    """Choices that hold for all programs."""
    reward_points: tuple[RewardPoint, ...] = ()
    """Kinds of points."""
    liability: Liability = Liability()
    """What is supposed of points owed to members."""
    card_numbers: tuple[CardNumbers, ...] = ()
    """Numbers of cards that may pay; empty: all."""
    store_checks: StoreChecks = StoreChecks()
    """How receipts are checked, and what refuses one."""
    date_intervals: tuple[DateInterval, ...] = ()
    """Named intervals for tiers."""
    programs: tuple[Program, ...] = ()
    """Loyalty programs."""
    schemes: tuple[Scheme, ...] = ()
    """Where and how points are earned and redeemed."""
    placeholder_customers: tuple[GivenId, ...] = ()
    """Customer ids, in any case of letters, that tills send where they know no customer: they stand for nobody."""
    rfm: tuple[RfmDefinition, ...] = ()
    """RFM analyses."""
    call_center: CallCenter | None = None
    """Rules for call-center orders."""
    distribution: Distribution = Distribution()
    """Packages for stores."""


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        raise ValueError("must be a time zone such as Europe/Helsinki") from None
    return value


Zone = Annotated[str, AfterValidator(_zone)]
Place = Annotated[str, Field(min_length=1, pattern=r"^[^\s\x00-\x1f]([^\x00-\x1f]*[^\s\x00-\x1f])?$")]
#: How many days; a century is any age.
Days = Annotated[Whole, Field(ge=0, le=36525)]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


#: How much there may be of something at most.
Most = Annotated[Whole, Field(ge=1)]


class DropLimits(Model):
    """What one drop may hold."""

    rows: Most = 50_000_000
    """Rows of all its files."""
    megabytes: Most = 8_192
    """Size of its files as they lie there, in millions of bytes."""
    unpacked_megabytes: Most = 32_768
    """Size of its files when they are unpacked, in millions of bytes."""


class NightLimits(Model):
    """What a night takes of one feed."""

    rows: Most = 1_000_000_000
    """Rows of all drops."""
    megabytes: Most = 131_072
    """Size of all files as they lie there, in millions of bytes."""
    unpacked_megabytes: Most = 524_288
    """Size of all files when they are unpacked, in millions of bytes."""


class Settings(Model):
    """Where and when things are (`programme/settings.yaml`); not part of the rules, so no versions are kept."""

    landing: Place = "landing"
    """Where drops arrive; a folder of the home, or a URL."""
    lake: Place = "lake"
    """Where the tables are."""
    outbox: Place = "outbox"
    """Where packages for stores are put."""
    outbox_group: str = ""
    """The system's group whose members may read packages in a local outbox; empty: the process's own group."""
    inbox: Place = "inbox"
    """Where stores put their acknowledgements."""
    time_zone: Zone = "UTC"
    """The zone whose midnight ends a business day and starts its night."""
    trading_days: dict[Name, tuple[Weekday, ...]] = {}
    """Days on which a source (store, call center) must deliver; a missing one is reported."""
    days_late: dict[str, Days] = {"pos": 366, "call_center": 3660}
    """How many days before its drop a receipt or an order may be dated: an older one is set aside, for its clock was
    reset. A feed that is left out may bring facts of any age."""
    drop_limits: DropLimits = DropLimits()
    """What one drop may hold; one that holds more is set aside."""
    night_limits: NightLimits = NightLimits()
    """What a night takes of one feed; drops beyond it wait for the next night. No limit may be below that of a drop."""
    analysts_see_personal_data: Bool = False
    """Whether the analysts' page shows names and contacts; else they are masked."""
    analysts_url: str = ""
    """Where the analysts' page is served, for the link in Airflow; empty: http://localhost:2718."""


def canonical(programme: Programme) -> str:
    """A programme as one line of JSON: sorted keys, decimals as text, without what is at its default.

    So a key that a later release adds does not change the text of programmes that do not use it.
    """
    content = programme.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def from_canonical(text: str) -> Programme:
    """The programme that :func:`canonical` wrote."""
    return Programme.model_validate(json.loads(text))


#: Constraints that pydantic writes under its own names where a value is read by one of our functions.
_SCHEMA_NAMES = {"gt": "exclusiveMinimum", "ge": "minimum", "lt": "exclusiveMaximum", "le": "maximum"}


def json_schema(model: type[Model] = Programme) -> dict[str, Any]:
    """The JSON Schema an editor completes and checks YAML with.

    Nothing is required at the top, because each file holds a part of the whole.
    """
    schema = model.model_json_schema(by_alias=True)
    schema.pop("required", None)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_tidy(schema)}


def _tidy(schema: Any, properties: bool = False) -> Any:
    """Standard names for constraints; generated titles, which only repeat the key, left out."""
    if isinstance(schema, list):
        return [_tidy(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if properties:
        return {key: _tidy(value) for key, value in schema.items()}
    return {
        _SCHEMA_NAMES.get(key, key): _tidy(value, key in ("properties", "$defs"))
        for key, value in schema.items()
        if key not in ("title", "decimal_places")
    }
