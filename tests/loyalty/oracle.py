"""A second, plain and slow reading of spec 2-loyalty: what the ledger is compared with.

It knows nothing of the engine: it reads programmes, one account's cards and documents and what was decided of them, and
walks day by day.
"""

from __future__ import annotations

from calendar import monthrange
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import count
from math import floor
from typing import Any

FIRST = date(2026, 1, 1)
PATHS = {"S1": "/EU/FI/Helsinki", "S2": "/EU/SE/Stockholm", "CC1": "/EU/FI"}
CATEGORIES = {"P": ["ALL"], "LATTE": ["COFFEE", "DRINKS", "ALL"], "GIFT": ["ALL"]}  # BOOK earns nothing, NEW is unknown
ZERO = Fraction(0)
DAY = timedelta(days=1)

Rates = dict[tuple[str, str, date], Decimal]


# --- what happened ---


@dataclass
class Line:
    no: int
    kind: str
    product: str
    quantity: Decimal
    net: Decimal
    tax: Decimal
    voided: bool = False
    original: tuple[str, int] | None = None


@dataclass
class Tender:
    """``point`` empty: that of the rule it agrees with; ``currency`` empty: the document's."""

    card: str
    point: str
    amount: Decimal
    points: Decimal
    currency: str = ""


@dataclass
class Document:
    """A receipt, an order, an activity (``point``: its type), an adjustment, or a transfer to ``other``."""

    id: str
    day: date
    at: str  # when, as text that sorts; empty: adjustments and transfers
    card: str
    store: str = ""
    type: str = "sale"
    lines: list[Line] = field(default_factory=list)
    tender: Tender | None = None
    point: str = ""
    points: Decimal | None = Decimal(0)
    other: str = ""
    customer: str = ""
    currency: str = "USD"
    second: Tender | None = None  # another loyalty tender
    counts: bool = True  # an order cancelled in the end does not
    #: Each day on whose drop it comes, and as what: an order's status, an adjustment's points.
    comes: list[tuple[date, str]] = field(default_factory=list)

    @property
    def place(self) -> tuple[date, str, str]:
        return self.day, self.at, self.id


@dataclass
class Row:
    """A card's record, of its drop's day."""

    day: date
    type: str
    enrolled_from: date
    customer: str = ""
    enrolled_to: date | None = None
    replaces: str = ""


@dataclass
class Card:
    id: str
    rows: list[Row]

    def on(self, day: date) -> Row:
        return next((row for row in reversed(self.rows) if row.day <= day), self.rows[0])


@dataclass
class Override:
    card: str
    tier: str
    first: date
    last: date | None


@dataclass
class Belongs:
    """A customer has an affiliation, as said on ``day``."""

    day: date
    customer: str
    affiliation: str
    first: date
    last: date | None


@dataclass
class Account:
    """Cards that touch each other, and all that befell them."""

    cards: list[Card]
    documents: list[Document]
    overrides: list[Override] = field(default_factory=list)
    belongs: list[Belongs] = field(default_factory=list)
    program: str = "club"
    #: Customers who never become real, and those barred from enrollment from the first day on, until when.
    pending: list[str] = field(default_factory=list)
    barred: dict[str, date | None] = field(default_factory=dict)
    #: What people decided: effects let through (document, card, reason), and days to evaluate tiers again (empty: all).
    released: set[tuple[str, str, str]] = field(default_factory=set)
    reevaluated: list[tuple[date, str]] = field(default_factory=list)


# --- the oracle ---


def moved(day: date, value: int, unit: str) -> date:
    if unit in ("day", "week"):
        return day + timedelta(days=value * (7 if unit == "week" else 1))
    month = day.year * 12 + day.month - 1 + value * {"month": 1, "quarter": 3, "year": 12}[unit]
    year, month = month // 12, month % 12 + 1
    return date(year, month, min(day.day, monthrange(year, month)[1]))


def bound(spec: dict[str, Any], day: date) -> date:
    """A start or end of a date interval, seen from the evaluation date."""
    at = day
    if spec["from"] == "fixed":
        at = date.fromisoformat(spec["date"])
    elif spec["from"] != "evaluation_date":
        months = {"month": 1, "quarter": 3, "year": 12}[spec["period"]]
        at = date(day.year, (day.month - 1) // months * months + 1, 1)
        if spec["from"] == "period_end":
            at = moved(at, months, "month") - DAY
    return moved(at, spec.get("offset", 0), spec.get("unit", "day"))


def half_up(value: Fraction, unit: Fraction) -> Fraction:
    return (-1 if value < 0 else 1) * floor(abs(value) / unit + Fraction(1, 2)) * unit


def spread(points: Fraction, weights: list[Fraction], unit: Fraction) -> list[Fraction]:
    """Largest remainder; ties go to the earlier line."""
    total = sum(weights)
    exact = [points * weight / total if total else points / len(weights) for weight in weights]
    shares = [floor(share / unit) * unit for share in exact]
    over = int((points - sum(shares)) / unit)
    for index in sorted(range(len(exact)), key=lambda i: (shares[i] - exact[i], i))[:over]:
        shares[index] += unit
    return shares


@dataclass
class Lot:
    usable_from: date
    expires_on: date | None
    remaining: Fraction
    age: int


Pieces = list[tuple[str, Lot | None, Fraction]]  # of which card, what was not covered last


@dataclass
class Holding:
    """What a card has of one reward point."""

    lots: list[Lot] = field(default_factory=list)
    deficit: Fraction = ZERO
    sums: dict[str, Fraction] = field(default_factory=lambda: defaultdict(Fraction))
    issued_on: dict[date, Fraction] = field(default_factory=lambda: defaultdict(Fraction))


@dataclass
class Stay:
    tier: str
    first: date
    last: date | None

    def over(self, day: date) -> bool:
        return self.last is not None and self.last < day


def soonest(lots: Iterable[tuple[str, Lot]]) -> list[tuple[str, Lot]]:
    """Those with something left, soonest expiry first, never-expiring last, then oldest."""
    left = [(card, lot) for card, lot in lots if lot.remaining]
    return sorted(left, key=lambda one: (one[1].expires_on is None, one[1].expires_on or date.max, one[1].age))


class Version:
    """What a programme's version says of one program."""

    def __init__(self, programme: dict[str, Any], name: str) -> None:
        self.first = date.fromisoformat(programme["effective_from"])
        self.parameters = programme["parameters"]
        self.points = {point["id"]: point for point in programme["reward_points"]}
        self.intervals = {interval["id"]: interval for interval in programme["date_intervals"]}
        program = next(one for one in programme["programs"] if one["id"] == name)
        self.tiers, self.pooled = program["tiers"], program["pool_related_cards"]
        self.schemes = [scheme for scheme in programme["schemes"] if scheme["program"] == name]


class Oracle:
    """One account's points and tiers, from the first day to ``through``."""

    def __init__(self, programmes: list[dict[str, Any]], rates: Rates, account: Account, through: date) -> None:
        self.versions = [
            Version(one, account.program) for one in sorted(programmes, key=lambda p: str(p["effective_from"]))
        ]
        self.types = {point: one["type"] for version in self.versions for point, one in version.points.items()}
        self.rates, self.account, self.through = rates, account, through
        self.cards = {card.id: card for card in account.cards}
        self.documents = sorted((d for d in account.documents if d.counts), key=lambda d: d.place)
        self.named = {document.id: document for document in self.documents}
        self.replaced = {
            row.replaces: (row.enrolled_from, card.id) for card in account.cards for row in card.rows if row.replaces
        }
        self.held: dict[tuple[str, str], Holding] = defaultdict(Holding)
        self.stays: dict[str, list[Stay]] = defaultdict(list)
        self.pool_stays: dict[str, list[Stay]] = defaultdict(list)  # of a customer
        self.risen: set[tuple[str, str]] = set()
        self.earned: dict[tuple[str, int], dict[tuple[str, str], Fraction]] = defaultdict(lambda: defaultdict(Fraction))
        self.taken: dict[tuple[str, int], dict[tuple[str, str], Fraction]] = defaultdict(lambda: defaultdict(Fraction))
        self.returned: dict[tuple[str, int], Fraction] = defaultdict(Fraction)
        self.pieces: dict[str, list[tuple[str, str, Lot | None, list[Fraction]]]] = defaultdict(list)
        self.left: dict[str, Fraction] = {}  # of a document's refund
        self.refunds: dict[str, bool] = {}  # documents that give back, and whether any of what they bring back is known
        #: What acts directly after a document: the place and rank it would have had, the document, its line.
        self.later: dict[str, list[tuple[Any, Document, Line | None]]] = defaultdict(list)
        self.exceptions: set[tuple[str, str, str]] = set()
        self.ages = count()

    def at(self, day: date) -> Version:
        return next((one for one in reversed(self.versions) if one.first <= day), self.versions[0])

    def run(self) -> None:
        self.everyone()
        by_day: dict[date, list[Document]] = defaultdict(list)
        for document in self.documents:
            by_day[document.day].append(document)
        day = FIRST
        while day <= self.through:
            self.expire(day)
            self.risen = set()
            for old in sorted(self.replaced):
                if self.replaced[old][0] == day:
                    self.replace(old, day)
            for card in sorted(self.cards):
                if self.cards[card].on(day).customer != self.cards[card].on(day - DAY).customer:
                    self.join(card, day)
            for document in by_day.get(day, []):
                self.act(document)
            self.risen |= {
                (card, point)
                for on, wanted in self.account.reevaluated
                for card in self.cards
                for point in self.types
                if on == day
                and wanted in ("", card)
                and self.owner(card, day) == card
                and self.cards[card].on(day).enrolled_from <= day
            }
            pools = {(tuple(self.pool(card, day)), point) for card, point in self.risen}
            for cards, point in pools:
                self.evaluate(cards, point, day)
            day += DAY

    def act(self, document: Document) -> None:
        if document.lines:
            self.transaction(document)
        elif document.type == "activity":
            self.activity(document)
        elif document.other:
            self.transfer(document)
        else:
            self.adjust(document)
        for _, late, line in sorted(self.later[document.id], key=lambda one: one[0]):
            if line:
                self.return_line(line, document.day, self.at(late.day))
            else:
                self.refund(late, document.id, document.day)

    # cards

    def owner(self, card: str, day: date) -> str:
        """The card that a replaced one's points are on, on that day."""
        while card in self.replaced and self.replaced[card][0] <= day:
            card = self.replaced[card][1]
        return card

    def refusal(self, card: str, document: Document, pays: bool = False) -> str:
        """The first reason for which the card, or the card that pays, is refused."""
        if card not in self.cards:
            return "unknown_card"
        day, row = document.day, self.cards[card].on(document.day)
        until = self.account.barred.get(row.customer, FIRST) or date.max
        reasons = {
            "blocked_card": row.type == "blocked" or self.owner(card, day) != card,
            "no_tender_card": pays and row.type == "no_tender",
            "customer_pending": row.customer in self.account.pending,
            "enrollment_blocked": row.enrolled_from < until and day < until,
        }
        return next((one for one, so in reasons.items() if so and not self.lets(document, card, one)), "")

    def lets(self, document: Document, card: str, reason: str) -> bool:
        return (document.id, card, reason) in self.account.released

    def enrolled(self, card: str, document: Document) -> bool:
        """May earn and redeem by that document, if its type lets it."""
        if self.refusal(card, document):
            return False
        row = self.cards[card].on(document.day)
        return row.enrolled_from <= document.day <= (row.enrolled_to or document.day)

    def customers_cards(self, card: str, day: date) -> list[str]:
        customer = self.cards[card].on(day).customer
        own = [one for one in self.cards if self.cards[one].on(day).customer == customer] if customer else []
        return sorted(one for one in own if self.owner(one, day) == one) or [card]

    def expire(self, day: date) -> None:
        for holding in self.held.values():
            for lot in holding.lots:
                if lot.expires_on and lot.expires_on < day and lot.remaining:
                    holding.sums["expired"] += lot.remaining
                    lot.remaining = ZERO

    def replace(self, old: str, day: date) -> None:
        new = self.owner(old, day)
        for point in self.types:
            source, target = self.held[old, point], self.held[new, point]
            net = sum((lot.remaining for lot in source.lots), ZERO) - source.deficit
            source.sums["used"] += net
            target.sums["issued"] += net
            for _, lot in soonest((new, lot) for lot in source.lots):
                covered = min(target.deficit, lot.remaining)
                target.deficit -= covered
                lot.remaining -= covered
            target.lots += source.lots
            target.deficit += source.deficit
            for on, amount in source.issued_on.items():
                target.issued_on[on] += amount
            source.lots, source.deficit, source.issued_on = [], ZERO, defaultdict(Fraction)
            self.risen.add((new, point))
        goes_on = [stay for stay in self.stays[old] if not stay.over(day)]
        own = [stay for stay in goes_on if not any(stay is one for one in self.everyones)]  # the new card has those
        self.stays[new] += [Stay(stay.tier, max(stay.first, day), stay.last) for stay in own]
        self.stays[old] = [s if s.over(day) else Stay(s.tier, s.first, day - DAY) for s in self.stays[old]]

    def join(self, card: str, day: date) -> None:
        """An anonymous card is given to a customer."""
        if self.owner(card, day) != card:
            return
        customer = self.cards[card].on(day).customer
        if self.at(day).pooled:
            pools = [stay for stay in self.pool_stays[customer] if not stay.over(day)]
            self.stays[card] += [Stay(stay.tier, max(stay.first, day), stay.last) for stay in pools]
            for point in self.types:
                if sum(self.held[card, point].issued_on.values()) > 0:
                    self.risen.add((card, point))

    # credits and debits

    def credit(self, card: str, point: str, amount: Fraction, day: date, vests: bool) -> None:
        holding, kind = self.held[card, point], self.at(day).points[point]
        covered = min(holding.deficit, amount)
        holding.deficit -= covered
        if amount == covered:
            return
        vesting, expiration = kind["vesting"], kind["expiration"]
        usable = moved(day, vesting["value"], vesting["unit"]) if vests and vesting["value"] else day
        expires = moved(day, expiration["value"], expiration["unit"]) if expiration["value"] else None
        holding.lots.append(Lot(usable, expires, amount - covered, next(self.ages)))

    def issue(self, card: str, point: str, amount: Fraction, day: date, vests: bool) -> None:
        self.held[card, point].sums["issued"] += amount
        self.held[card, point].issued_on[day] += amount
        self.risen.add((card, point))
        self.credit(card, point, amount, day, vests)

    def debit(
        self,
        card: str,
        point: str,
        amount: Fraction,
        day: date,
        version: Version,
        unvested: bool = False,
        among: Iterable[str] = (),
    ) -> Pieces:
        """Takes from the card's lots, or those of the cards ``among``; what is not covered is the card's to owe."""
        lots = soonest((one, lot) for one in among or [card] for lot in self.held[one, point].lots)
        order = [lot for lot in lots if lot[1].usable_from <= day]
        if unvested:
            order = [lot for lot in lots if lot[1].usable_from > day] + order
        pieces: Pieces = []
        for owner, lot in order:
            piece = min(lot.remaining, amount)
            if piece:
                lot.remaining -= piece
                amount -= piece
                pieces.append((owner, lot, piece))
        if amount:
            pieces.append((card, None, amount))
            if version.parameters["negative_balance"] == "carry":
                self.held[card, point].deficit += amount
            else:
                self.held[card, point].sums["written_off"] += amount
        return pieces

    def transfer(self, document: Document) -> None:
        point, day = document.point, document.day
        card, other = self.owner(document.card, day), self.owner(document.other, day)
        if card not in self.cards:
            return self.note(document, document.card, "unknown_card")
        if other not in self.cards:
            return self.note(document, document.other, "unknown_card")
        if self.cards[other].on(day).type == "blocked" and not self.lets(document, document.other, "blocked_card"):
            return self.note(document, document.other, "blocked_card")
        if point not in self.types:
            return self.note(document, document.card, "unknown_reward_point")
        if card == other:
            return None
        row = self.cards[card].on(day)
        usable = sum((lot.remaining for lot in self.held[card, point].lots if lot.usable_from <= day), ZERO)
        if day > (row.enrolled_to or day):
            usable = ZERO
        if document.points is not None and usable < document.points:
            self.note(document, document.card, "insufficient_points")
        source, target = self.held[card, point], self.held[other, point]
        amount = usable if document.points is None else min(usable, Fraction(document.points))
        source.sums["used"] += amount
        target.sums["issued"] += amount
        for _, lot, piece in self.debit(card, point, amount, day, self.at(day)):
            assert lot is not None
            if self.at(day).parameters["transfer_expiry"] == "restart":
                self.credit(other, point, piece, day, vests=True)
                continue
            covered = min(target.deficit, piece)
            target.deficit -= covered
            if piece > covered:
                target.lots.append(Lot(lot.usable_from, lot.expires_on, piece - covered, next(self.ages)))
        return None

    def note(self, document: Document, card: str, reason: str) -> None:
        self.exceptions.add((document.id, card, reason))

    def take_back(self, card: str, point: str, amount: Fraction, day: date, version: Version) -> None:
        if amount:
            self.held[card, point].sums["issued"] -= amount
            self.held[card, point].issued_on[day] -= amount
            if amount < 0:  # a line below zero comes back
                return self.credit(card, point, -amount, day, vests=True)
            unvested = version.parameters["return_consumes"] == "unvested_first"
            self.debit(card, point, amount, day, version, unvested=unvested)
        return None

    def adjust(self, document: Document) -> None:
        amount, card = Fraction(document.points or 0), self.owner(document.card, document.day)
        if card not in self.cards:
            self.note(document, document.card, "unknown_card")
        elif document.point not in self.types:
            self.note(document, document.card, "unknown_reward_point")
        elif amount > 0:
            self.issue(card, document.point, amount, document.day, vests=False)
        elif amount < 0:
            self.held[card, document.point].sums["used"] -= amount
            self.debit(card, document.point, -amount, document.day, self.at(document.day))

    # tiers

    def everyone(self) -> None:
        """Stays in tiers that ask for nothing, for as long as a version in force says so; and those given by hand."""
        self.everyones: list[Stay] = []
        for version, after in zip(self.versions, [*self.versions[1:], None], strict=True):
            last = after.first - DAY if after else None
            for tier in version.tiers:
                if any(rule["minimum"] == 0 for rule in tier["rules"]):
                    for card in self.cards.values():
                        since = card.rows[-1].enrolled_from
                        stay = Stay(
                            tier["id"], since if version is self.versions[0] else max(since, version.first), last
                        )
                        if last is None or stay.first <= last:
                            self.stays[card.id].append(stay)
                            self.everyones.append(stay)
        for one in self.account.overrides:
            self.stays[one.card].append(Stay(one.tier, one.first, one.last))

    def tier(self, card: str, day: date) -> str:
        now = {stay.tier for stay in self.stays[card] if stay.first <= day and not stay.over(day)}
        held = [tier for tier in self.at(day).tiers if tier["id"] in now]
        return str(max(held, key=lambda tier: tier["level"])["id"]) if held else ""

    def pool(self, card: str, day: date) -> list[str]:
        return self.customers_cards(card, day) if self.at(day).pooled else [card]

    def evaluate(self, cards: tuple[str, ...], point: str, day: date) -> None:
        version = self.at(day)
        customer = self.cards[cards[0]].on(day).customer
        for tier in version.tiers:
            for rule in tier["rules"]:
                window = version.intervals[rule["window"]]
                start, end = bound(window["start"], day), bound(window["end"], day)
                dated = [one for card in cards for one in self.held[card, point].issued_on.items()]
                issued = sum(amount for on, amount in dated if start <= on <= end)
                last = bound(version.intervals[tier["validity"]]["end"], day)
                if rule["reward_point"] == point and rule["minimum"] and issued >= rule["minimum"] and last > day:
                    if customer:
                        self.pool_stays[customer].append(Stay(tier["id"], day + DAY, last))
                    for card in cards:
                        first = max(day + DAY, self.cards[card].on(day).enrolled_from)
                        if first <= last:
                            self.stays[card].append(Stay(tier["id"], first, last))

    # rules

    def has(self, customer: str, affiliation: str, day: date) -> bool:
        said = [b for b in self.account.belongs if (b.customer, b.affiliation) == (customer, affiliation)]
        newest = max((b for b in said if b.day <= day), key=lambda b: b.day, default=None)
        return newest is not None and newest.first <= day <= (newest.last or day)

    def in_force(self, card: str, document: Document, kind: str) -> Iterable[dict[str, Any]]:
        """The rules of the schemes valid there and then that apply to the card's tier and its customer."""
        day = document.day
        if not self.enrolled(card, document):
            return
        tier, path = self.tier(card, day), PATHS[document.store]
        customer = document.customer or self.cards[card].on(day).customer
        for scheme in self.at(day).schemes:
            if not any(c in ("all", document.store) or (path + "/").startswith(c + "/") for c in scheme["channels"]):
                continue
            if kind == "earning" and any(self.has(customer, one, day) for one in scheme["excluded_affiliations"]):
                continue
            for rule in scheme[kind]:
                first, last = rule.get("valid_from") or "0", rule.get("valid_to") or "9"
                fits = rule.get("tier") in (None, tier)
                fits = fits and ("affiliation" not in rule or self.has(customer, rule["affiliation"], day))
                if fits and first <= day.isoformat() <= last:
                    yield rule

    def rounded(self, points: Fraction, point: str, day: date) -> Fraction:
        if self.types[point] == "amount":
            return half_up(points, Fraction(1, 100))
        if self.at(day).parameters["quantity_rounding"] == "truncate":
            return Fraction(floor(points))
        return half_up(points, Fraction(1))

    def times(self, rule: dict[str, Any], activity: Fraction) -> Fraction:
        per = Fraction(rule["per"])
        if activity < per:
            return ZERO
        found = Fraction(floor(activity / per)) if rule.get("scaling") == "whole_units" else activity / per
        return found * Fraction(str(rule["points"]))

    def rate(self, given: str, wanted: str, day: date) -> Fraction | None:
        if given == wanted:
            return Fraction(1)
        known = [key for key in self.rates if key[:2] == (given, wanted) and key[2] <= day]
        return Fraction(self.rates[max(known)]) if known else None

    # transactions

    def transaction(self, document: Document) -> None:
        day, tender, version = document.day, document.tender, self.at(document.day)
        lines = [line for line in sorted(document.lines, key=lambda line: line.no) if not line.voided]
        sales, returns = ([line for line in lines if line.kind == kind] for kind in ("sale", "return"))
        refused = self.refusal(document.card, document) if document.card else ""
        if refused and (sales or any(not line.original for line in returns)):
            self.note(document, document.card, refused)
        self.redeem(document, version)
        named = [line for line in returns if line.original]
        unknown = [line for line in named if line.original and not self.known(line.original)]
        if unknown:
            self.note(document, document.card, "original_unknown")
        linked = [line for line in returns if line.original and version.parameters["post_per_sales_line"]]
        anew = self.worked_out(document, [line for line in returns if line not in linked], Fraction(1), anew=True)
        for line in returns:
            if line in linked and line.original:
                original = self.named.get(line.original[0])
                if original and original.place >= document.place:
                    self.later[original.id].append(((document.place, 2, line.no), document, line))
                else:
                    self.return_line(line, day, version)
            for no, _, point, amount in anew:
                if no == line.no:
                    self.take_back(document.card, point, amount, day, version)
        if tender and tender.points < 0:
            self.left[document.id] = -Fraction(tender.points)
            for name in dict.fromkeys(line.original[0] for line in returns if line.original):
                original = self.named.get(name)
                if original and original.place > document.place:  # a part for each transaction, after it
                    self.later[name].append(((document.place, 3, 0), document, None))
                else:
                    self.refund(document, name, day)
            left = self.left[document.id]
            if left and self.lets(document, tender.card, "refund_unmatched"):
                point = tender.point or self.first_point(day)
                self.left[document.id] = ZERO
                self.held[self.owner(tender.card, day), point].sums["used"] -= left
                self.credit(self.owner(tender.card, day), point, left, day, vests=False)
            self.refunds[document.id] = not unknown or len(unknown) < len(named)
        share = Fraction(1)
        if tender and tender.amount > 0:
            total = sum((Fraction(line.net + line.tax) for line in sales), ZERO)
            worth = [self.worth(one, document) for one in (tender, document.second) if one]
            if version.parameters["loyalty_tender"] == "no_earn" or None in worth:
                return
            share = max(ZERO, (total - sum(one for one in worth if one)) / total) if total > 0 else ZERO
        for no, _, point, amount in self.worked_out(document, sales, share, anew=False):
            self.earn(document, no, point, amount)

    def redeem(self, document: Document, version: Version) -> None:
        """Posts the first tender that nothing speaks against."""
        day, posted = document.day, False
        for tender in (document.tender, document.second):
            if not tender or tender.amount <= 0 or (tender.points <= 0 and tender.point):
                continue
            reason, point = self.unredeemable(document, tender)
            if not reason and posted and not self.lets(document, tender.card, "second_tender"):
                reason = "second_tender"
            if reason:
                self.note(document, tender.card, reason)
                continue
            posted = True
            contact = self.cards[tender.card].on(day).type == "as_contact_tender"
            among = self.customers_cards(tender.card, day) if contact else [tender.card]
            for card, lot, piece in self.debit(tender.card, point, Fraction(tender.points), day, version, among=among):
                self.held[card, point].sums["used"] += piece
                if not lot:
                    self.note(document, tender.card, "overdrawn")
                if lot or version.parameters["negative_balance"] == "carry":
                    self.pieces[document.id].append((card, point, lot, [piece]))

    def known(self, key: tuple[str, int]) -> bool:
        return key[0] in self.named and any(x.no == key[1] and not x.voided for x in self.named[key[0]].lines)

    def earn(self, document: Document, no: int, point: str, amount: Fraction, vests: bool = True) -> None:
        holding, maximum = self.held[document.card, point], self.at(document.day).points[point]["maximum"]
        if maximum:
            room = maximum - sum((lot.remaining for lot in holding.lots), ZERO) + holding.deficit
            amount = min(amount, max(room, ZERO))
        if amount < 0:  # a line below zero
            self.take_back(document.card, point, -amount, document.day, self.at(document.day))
        elif amount:
            self.issue(document.card, point, amount, document.day, vests)
        if amount:
            self.earned[document.id, no][document.card, point] += amount

    def activity(self, document: Document) -> None:
        if refused := self.refusal(document.card, document):
            self.note(document, document.card, refused)
        for rule in sorted(self.in_force(document.card, document, "earning"), key=lambda rule: str(rule["id"])):
            if rule["activity"] == "other_activity" and rule["activity_type"] == document.point:
                point = rule["reward_point"]
                amount = self.rounded(self.times(rule, Fraction(1)), point, document.day)
                self.earn(document, 0, point, amount, vests=not rule.get("ignore_vesting"))

    def worked_out(
        self, document: Document, lines: list[Line], share: Fraction, anew: bool
    ) -> list[tuple[int, str, str, Fraction]]:
        """(line_no, rule, reward point, points) of each line and rule, in the order of events."""
        found = []
        for rule in self.in_force(document.card, document, "earning"):
            matching = [line for line in lines if self.matches(rule, line)]
            taxed = self.at(document.day).parameters["earn_basis"]["tax"] == "included"
            sign = -1 if anew else 1
            amounts = [sign * Fraction(line.net + (line.tax if taxed else 0)) for line in matching]
            if not matching:
                continue
            if rule["activity"] == "purchase_amount":
                weights, rate = amounts, self.rate(document.currency, rule["currency"], document.day)
                if rate is None:
                    self.note(document, document.card, "missing_rate")
                    continue
                activity = sum(weights, ZERO) * share * rate
            elif rule["activity"] == "purchase_quantity":
                weights = [abs(Fraction(line.quantity)) for line in matching]
                activity = sum(weights, ZERO) * share
            elif rule["activity"] == "other_activity" or anew:
                continue
            else:
                weights = [Fraction(line.net) for line in matching]
                activity = Fraction(sum(weights, ZERO) > 0)
            point = rule["reward_point"]
            unit = Fraction(1, 100) if self.types[point] == "amount" else Fraction(1)
            points = self.rounded(self.times(rule, activity), point, document.day)
            for line, part in zip(matching, spread(points, weights, unit), strict=True):
                if part:
                    found.append((line.no, rule["id"], point, part))
        return sorted(found)

    def matches(self, rule: dict[str, Any], line: Line) -> bool:
        if line.product == "BOOK":
            return False
        if "category" in rule:
            return rule["category"] in CATEGORIES.get(line.product, [])
        return rule.get("product") in (None, line.product)

    def sold(self, key: tuple[str, int]) -> Fraction:
        lines = self.named[key[0]].lines if key[0] in self.named else []
        return sum((Fraction(x.quantity) for x in lines if x.no == key[1] and x.kind == "sale" and not x.voided), ZERO)

    def return_line(self, line: Line, day: date, version: Version) -> None:
        """Acts on ``day``, as the version of the return's own date says."""
        key = line.original
        assert key is not None
        sold = self.sold(key)
        if not sold:
            return
        self.returned[key] = min(sold, self.returned[key] - Fraction(line.quantity))
        for (card, point), earned in self.earned[key].items():
            unit = Fraction(1, 100) if self.types[point] == "amount" else Fraction(1)
            due = earned if self.returned[key] == sold else half_up(earned * self.returned[key] / sold, unit)
            self.take_back(self.owner(card, day), point, due - self.taken[key][card, point], day, version)
            self.taken[key][card, point] = due

    def unredeemable(self, document: Document, tender: Tender) -> tuple[str, str]:
        """The first reason to refuse the tender, and the reward point it takes."""
        if refused := self.refusal(tender.card, document, pays=True):
            return refused, ""
        points = self.at(document.day).points
        if tender.point and tender.point not in points:
            return "unknown_reward_point", ""
        if tender.point and not points[tender.point]["redeemable"]:
            return "" if self.lets(document, tender.card, "not_redeemable") else "not_redeemable", tender.point
        agreeing = []
        for rule in self.in_force(tender.card, document, "redemption"):
            point = rule["reward_point"]
            unit = Fraction(1, 100) if self.types[point] == "amount" else Fraction(1)
            due = [abs(one - Fraction(tender.points)) for one in self.due(rule, document, tender)]
            fits = tender.points > 0 and tender.point in ("", point) and points[point]["redeemable"]
            if fits and due and min(due) <= unit:
                agreeing.append((self.ranking(points[point]), min(due), rule["id"], point))
        if agreeing:
            return "", str(min(agreeing)[-1])
        if self.worth(tender, document) is None:
            return "missing_rate", ""
        if self.lets(document, tender.card, "no_rule"):
            return "", tender.point or self.first_point(document.day)
        return "no_rule", ""

    def ranking(self, point: dict[str, Any]) -> int:
        return int(point.get("redeem_ranking") or 1_000_000)

    def first_point(self, day: date) -> str:
        """The reward point that pays before all others."""
        redeemable = [one for one in self.at(day).points.values() if one["redeemable"]]
        return str(min(redeemable, key=lambda one: (self.ranking(one), one["id"]))["id"])

    def worth(self, tender: Tender, document: Document) -> Fraction | None:
        """The tender in the document's currency; None where no rate tells."""
        rate = self.rate(tender.currency or document.currency, document.currency, document.day)
        return None if rate is None else Fraction(tender.amount) * rate

    def due(self, rule: dict[str, Any], document: Document, tender: Tender) -> list[Fraction]:
        """What the rule may ask for: by quantity, for 1 to all of the matching units."""
        each = Fraction(str(rule["points"])) / Fraction(rule["per"])
        if rule["type"] == "payment_by_quantity":
            sold = [line for line in document.lines if line.kind == "sale" and not line.voided and line.quantity > 0]
            units = floor(sum((Fraction(line.quantity) for line in sold if self.matches(rule, line)), ZERO))
            return [each * n for n in range(1, units + 1)]
        rate, worth = self.rate(document.currency, rule["currency"], document.day), self.worth(tender, document)
        return [worth * rate * each] if rate is not None and worth is not None else []

    def refund(self, document: Document, name: str, day: date) -> None:
        """What the document gives back of what the transaction of that name was paid with."""
        assert document.tender is not None
        for paid_by, point, lot, piece in reversed(self.pieces[name]):
            back = min(self.left[document.id], piece[0])
            if not back or document.tender.point not in ("", point):
                continue
            self.left[document.id] -= back
            piece[0] -= back
            card = self.owner(paid_by, day)
            holding = self.held[card, point]
            holding.sums["used"] -= back
            covered = min(holding.deficit, back)
            if lot and (lot.expires_on is None or lot.expires_on >= day):
                holding.deficit -= covered
                lot.remaining += back - covered
            else:
                self.credit(card, point, back, day, vests=False)

    # what is left

    def result(self) -> dict[tuple[str, ...], Any]:
        """Everything compared: a key for each figure, those of nothing left out."""
        found: dict[tuple[str, ...], Any] = {}
        for (card, point), holding in self.held.items():
            for name, amount in holding.sums.items():
                found[card, point, name] = amount
            usable = sum((lot.remaining for lot in holding.lots if lot.usable_from <= self.through), ZERO)
            found[card, point, "available"] = usable - holding.deficit
            found[card, point, "unvested"] = sum((lot.remaining for lot in holding.lots), ZERO) - usable
            found[card, point, "deficit"] = holding.deficit
            for lot in holding.lots:
                key = (card, point, "lots", str(lot.usable_from), str(lot.expires_on))
                found[key] = found.get(key, ZERO) + lot.remaining
        found = {key: Decimal(v.numerator) / v.denominator for key, v in found.items() if v}
        for name, all_known in self.refunds.items():
            tender = self.named[name].tender
            if all_known and self.left[name] and tender:
                self.note(self.named[name], tender.card, "refund_unmatched")
        found |= dict.fromkeys(self.exceptions, "exception")
        for card, stays in self.stays.items():
            for tier in {stay.tier for stay in stays}:
                merged: list[list[date]] = []
                for first, last in sorted((s.first, s.last or date.max) for s in stays if s.tier == tier):
                    if first > last:
                        continue
                    if merged and (merged[-1][1] == date.max or first <= merged[-1][1] + DAY):
                        merged[-1][1] = max(merged[-1][1], last)
                    else:
                        merged.append([first, last])
                for first, last in merged:
                    found[card, "tier", tier, str(first)] = "open" if last == date.max else str(last)
        return found
