"""The ledger against an oracle: a second, plain and slow reading of spec 2-loyalty, over thousands of histories.

The oracle knows nothing of the engine: it reads a programme and one account's documents and walks day by day. A seed
draws a programme and a history for each of some hundreds of accounts (up to three cards, which bring each other's goods
back, transfer points, and may have one customer); one night of the engine works them all. Left out, as they have
tests of their own: affiliations, replaced cards, cards given to a customer later, overrides, orders, other activities,
returns before their originals, programme versions, payment_by_quantity, sale lines below zero, enrolled_to, exceptions.
"""

from __future__ import annotations

import random
from calendar import monthrange
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import count
from math import floor
from typing import Any

import pytest

from kanta.home import Home
from tests.cases import bases, drops_of, laid_over, write_programme
from tests.feed import rows, write_drop
from tests.loyalty.test_cases import table, work_night

FIRST = date(2026, 1, 1)
PATHS = {"S1": "/EU/FI/Helsinki", "S2": "/EU/SE/Stockholm"}
CATEGORIES = {"P": ["ALL"], "LATTE": ["COFFEE", "DRINKS", "ALL"], "GIFT": ["ALL"]}  # BOOK earns nothing, NEW is unknown
ZERO = Fraction(0)


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
    card: str
    point: str
    amount: Decimal
    points: Decimal


@dataclass
class Document:
    id: str
    day: date
    time: str  # empty: an adjustment, or a transfer to ``other``
    card: str
    store: str = ""
    type: str = "sale"
    lines: list[Line] = field(default_factory=list)
    tender: Tender | None = None
    point: str = ""
    points: Decimal | None = Decimal(0)
    other: str = ""


@dataclass
class Card:
    id: str
    type: str
    enrolled_from: date
    customer: str = ""


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
            at = moved(at, months, "month") - timedelta(days=1)
    return moved(at, spec.get("offset", 0), spec.get("unit", "day"))


def half_up(value: Fraction, unit: Fraction) -> Fraction:
    return floor(value / unit + Fraction(1, 2)) * unit


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


def soonest(lots: Iterable[tuple[str, Lot]]) -> list[tuple[str, Lot]]:
    """Those with something left, soonest expiry first, never-expiring last, then oldest."""
    left = [(card, lot) for card, lot in lots if lot.remaining]
    return sorted(left, key=lambda one: (one[1].expires_on is None, one[1].expires_on or date.max, one[1].age))


class Oracle:
    """One account's points and tiers, from the first day to ``through``."""

    def __init__(self, programme: dict[str, Any], rates: dict[date, Decimal], cards: list[Card], through: date) -> None:
        self.parameters = programme["parameters"]
        self.points = {point["id"]: point for point in programme["reward_points"]}
        self.intervals = {interval["id"]: interval for interval in programme["date_intervals"]}
        self.tiers = programme["programs"][0]["tiers"]
        self.pooled = programme["programs"][0]["pool_related_cards"] and bool(cards[0].customer)
        self.schemes = programme["schemes"]
        self.rates, self.through = rates, through
        self.cards = {card.id: card for card in cards}
        self.held: dict[tuple[str, str], Holding] = defaultdict(Holding)
        self.stays: dict[str, list[tuple[str, date, date | None]]] = defaultdict(list)
        self.earned: dict[tuple[str, int], dict[tuple[str, str], Fraction]] = defaultdict(lambda: defaultdict(Fraction))
        self.taken: dict[tuple[str, int], dict[tuple[str, str], Fraction]] = defaultdict(lambda: defaultdict(Fraction))
        self.sold: dict[tuple[str, int], Fraction] = {}
        self.returned: dict[tuple[str, int], Fraction] = defaultdict(Fraction)
        self.pieces: dict[str, list[tuple[str, str, Lot | None, list[Fraction]]]] = defaultdict(list)
        self.ages = count()

    def run(self, documents: Iterable[Document]) -> None:
        for card in self.cards.values():
            for tier in self.tiers:
                if any(rule["minimum"] == 0 for rule in tier["rules"]):
                    self.stays[card.id].append((tier["id"], card.enrolled_from, None))
        by_day: dict[date, list[Document]] = defaultdict(list)
        for document in sorted(documents, key=lambda d: (d.day, d.time, d.id)):
            by_day[document.day].append(document)
        day = FIRST
        while day <= self.through:
            for holding in self.held.values():
                for lot in holding.lots:
                    if lot.expires_on and lot.expires_on < day and lot.remaining:
                        holding.sums["expired"] += lot.remaining
                        lot.remaining = ZERO
            self.risen: set[tuple[str, str]] = set()
            for document in by_day.get(day, []):
                if document.time:
                    self.transaction(document)
                elif document.other:
                    self.transfer(document)
                else:
                    self.adjust(document)
            for cards, point in {(tuple(self.pool(card)), point) for card, point in self.risen}:
                self.evaluate(cards, point, day)
            day += timedelta(days=1)

    # credits and debits

    def credit(self, card: str, point: str, amount: Fraction, day: date, vests: bool) -> None:
        holding, kind = self.held[card, point], self.points[point]
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
        self, card: str, point: str, amount: Fraction, day: date, *, unvested: bool = False, among: Iterable[str] = ()
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
            if self.parameters["negative_balance"] == "carry":
                self.held[card, point].deficit += amount
            else:
                self.held[card, point].sums["written_off"] += amount
        return pieces

    def transfer(self, document: Document) -> None:
        card, point, day = document.card, document.point, document.day
        source, target = self.held[card, point], self.held[document.other, point]
        usable = sum((lot.remaining for lot in source.lots if lot.usable_from <= day), ZERO)
        amount = usable if document.points is None else min(usable, Fraction(document.points))
        source.sums["used"] += amount
        target.sums["issued"] += amount
        for _, lot, piece in self.debit(card, point, amount, day):
            assert lot is not None
            if self.parameters["transfer_expiry"] == "restart":
                self.credit(document.other, point, piece, day, vests=True)
                continue
            covered = min(target.deficit, piece)
            target.deficit -= covered
            if piece > covered:
                target.lots.append(Lot(lot.usable_from, lot.expires_on, piece - covered, next(self.ages)))

    def take_back(self, card: str, point: str, amount: Fraction, day: date) -> None:
        if amount:
            self.held[card, point].sums["issued"] -= amount
            self.held[card, point].issued_on[day] -= amount
            self.debit(card, point, amount, day, unvested=self.parameters["return_consumes"] == "unvested_first")

    def adjust(self, document: Document) -> None:
        amount = Fraction(document.points or 0)
        if amount > 0:
            self.issue(document.card, document.point, amount, document.day, vests=False)
        elif amount < 0:
            self.held[document.card, document.point].sums["used"] -= amount
            self.debit(document.card, document.point, -amount, document.day)

    # tiers

    def tier(self, card: str, day: date) -> str:
        now = {tier for tier, start, end in self.stays[card] if start <= day and (end is None or day <= end)}
        return max((tier for tier in self.tiers if tier["id"] in now), key=lambda t: t["level"], default={"id": ""})[
            "id"
        ]

    def pool(self, card: str) -> list[str]:
        return sorted(self.cards) if self.pooled else [card]

    def evaluate(self, cards: tuple[str, ...], point: str, day: date) -> None:
        for tier in self.tiers:
            for rule in tier["rules"]:
                window = self.intervals[rule["window"]]
                start, end = bound(window["start"], day), bound(window["end"], day)
                dated = [one for card in cards for one in self.held[card, point].issued_on.items()]
                issued = sum(amount for on, amount in dated if start <= on <= end)
                last = bound(self.intervals[tier["validity"]]["end"], day)
                if rule["reward_point"] == point and rule["minimum"] and issued >= rule["minimum"]:
                    for card in cards:
                        first = max(day + timedelta(days=1), self.cards[card].enrolled_from)
                        if first <= last:
                            self.stays[card].append((tier["id"], first, last))

    # transactions

    def enrolled(self, card: str, day: date) -> bool:
        return card in self.cards and self.cards[card].enrolled_from <= day

    def in_force(self, document: Document, kind: str) -> Iterable[dict[str, Any]]:
        """The rules of the schemes valid there and then that apply to the card's tier."""
        if not self.enrolled(document.card, document.day):
            return
        tier, path = self.tier(document.card, document.day), PATHS[document.store]
        for scheme in self.schemes:
            if not any(c in ("all", document.store) or (path + "/").startswith(c + "/") for c in scheme["channels"]):
                continue
            for rule in scheme[kind]:
                first, last = rule.get("valid_from") or "0", rule.get("valid_to") or "9"
                if first <= document.day.isoformat() <= last and rule.get("tier") in (None, tier):
                    yield rule

    def transaction(self, document: Document) -> None:
        day, tender = document.day, document.tender
        lines = [line for line in sorted(document.lines, key=lambda line: line.no) if not line.voided]
        sales, returns = ([line for line in lines if line.kind == kind] for kind in ("sale", "return"))
        for line in sales:
            self.sold[document.id, line.no] = Fraction(line.quantity)
        if tender and tender.points > 0 and self.redeemable(document, tender):
            among = self.cards if self.cards[tender.card].type == "as_contact_tender" else [tender.card]
            for card, lot, piece in self.debit(tender.card, tender.point, Fraction(tender.points), day, among=among):
                self.held[card, tender.point].sums["used"] += piece
                if lot or self.parameters["negative_balance"] == "carry":
                    self.pieces[document.id].append((card, tender.point, lot, [piece]))
        linked = [line for line in returns if line.original and self.parameters["post_per_sales_line"]]
        anew = self.worked_out(document, [line for line in returns if line not in linked], Fraction(1), anew=True)
        for line in returns:
            if line in linked:
                self.return_line(line, day)
            for no, _, point, amount in anew:
                if no == line.no:
                    self.take_back(document.card, point, amount, day)
        if tender and tender.points < 0:
            self.refund(returns, tender, day)
        share = Fraction(1)
        if tender and tender.amount > 0:
            total = sum((Fraction(line.net + line.tax) for line in sales), ZERO)
            share = max(ZERO, (total - Fraction(tender.amount)) / total) if total else ZERO
            if self.parameters["loyalty_tender"] == "no_earn":
                return
        for no, _, point, amount in self.worked_out(document, sales, share, anew=False):
            holding, maximum = self.held[document.card, point], self.points[point]["maximum"]
            if maximum:
                room = maximum - sum((lot.remaining for lot in holding.lots), ZERO) + holding.deficit
                amount = min(amount, max(room, ZERO))
            if amount:
                self.issue(document.card, point, amount, day, vests=True)
                self.earned[document.id, no][document.card, point] += amount

    def worked_out(
        self, document: Document, lines: list[Line], share: Fraction, anew: bool
    ) -> list[tuple[int, str, str, Fraction]]:
        """(line_no, rule, reward point, points) of each line and rule, in the order of events."""
        found = []
        for rule in self.in_force(document, "earning"):
            matching = [line for line in lines if self.matches(rule, line)]
            taxed = self.parameters["earn_basis"]["tax"] == "included"
            amounts = [abs(Fraction(line.net + (line.tax if taxed else 0))) for line in matching]
            if rule["activity"] == "purchase_amount":
                weights, factor = amounts, share
                if rule["currency"] != "USD":
                    known = [day for day in self.rates if day <= document.day]
                    if not known:
                        continue
                    factor *= Fraction(self.rates[max(known)])
                activity = sum(weights, ZERO) * factor
            elif rule["activity"] == "purchase_quantity":
                weights = [abs(Fraction(line.quantity)) for line in matching]
                activity = sum(weights, ZERO) * share
            elif anew:
                continue
            else:
                weights = [Fraction(line.net) for line in matching]
                activity = Fraction(sum(weights, ZERO) > 0)
            per, kind = Fraction(rule["per"]), self.points[rule["reward_point"]]
            if not matching or activity < per:
                continue
            times = Fraction(floor(activity / per)) if rule.get("scaling") == "whole_units" else activity / per
            points, unit = times * Fraction(str(rule["points"])), Fraction(1)
            if kind["type"] == "amount":
                unit = Fraction(1, 100)
                points = half_up(points, unit)
            elif self.parameters["quantity_rounding"] == "truncate":
                points = Fraction(floor(points))
            else:
                points = half_up(points, unit)
            for line, part in zip(matching, spread(points, weights, unit), strict=True):
                if part:
                    found.append((line.no, rule["id"], kind["id"], part))
        return sorted(found)

    def matches(self, rule: dict[str, Any], line: Line) -> bool:
        if line.product == "BOOK":
            return False
        if "category" in rule:
            return rule["category"] in CATEGORIES.get(line.product, [])
        return rule.get("product") in (None, line.product)

    def return_line(self, line: Line, day: date) -> None:
        key = line.original
        assert key is not None
        sold = self.sold.get(key, ZERO)
        if not sold:
            return
        self.returned[key] = min(sold, self.returned[key] - Fraction(line.quantity))
        for (card, point), earned in self.earned[key].items():
            unit = Fraction(1, 100) if self.points[point]["type"] == "amount" else Fraction(1)
            due = earned if self.returned[key] == sold else half_up(earned * self.returned[key] / sold, unit)
            self.take_back(card, point, due - self.taken[key][card, point], day)
            self.taken[key][card, point] = due

    def redeemable(self, document: Document, tender: Tender) -> bool:
        if self.cards[tender.card].type == "no_tender" or not self.points[tender.point]["redeemable"]:
            return False
        unit = Decimal("0.01") if self.points[tender.point]["type"] == "amount" else 1
        return any(
            rule["reward_point"] == tender.point
            and abs(tender.amount / Decimal(rule["per"]) * rule["points"] - tender.points) <= unit
            for rule in self.in_force(document, "redemption")
        )

    def refund(self, returns: list[Line], tender: Tender, day: date) -> None:
        left = -Fraction(tender.points)
        for name in dict.fromkeys(line.original[0] for line in returns if line.original):
            for card, point, lot, piece in reversed(self.pieces[name]):
                back = min(left, piece[0])
                if not back or point != tender.point:
                    continue
                left -= back
                piece[0] -= back
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
                key = (card, point, "lots", str(lot.expires_on))
                found[key] = found.get(key, ZERO) + lot.remaining
        found = {key: Decimal(v.numerator) / v.denominator for key, v in found.items() if v}
        for card, stays in self.stays.items():
            for tier in {tier for tier, _, _ in stays}:
                merged: list[list[Any]] = []
                for start, end in sorted((s, e or date.max) for name, s, e in stays if name == tier):
                    if merged and (merged[-1][1] == date.max or start <= merged[-1][1] + timedelta(days=1)):
                        merged[-1][1] = max(merged[-1][1], end)
                    else:
                        merged.append([start, end])
                for start, end in merged:
                    found[card, "tier", tier, str(start)] = "open" if end == date.max else str(end)
        return found


# --- programmes and histories ---


def drawn_programme(rng: random.Random) -> dict[str, Any]:
    """A programme with options drawn within what a programme may say."""
    some, carry = rng.choice, rng.random() < 0.7
    consumes = some(["unvested_first", "available_only"]) if carry else "unvested_first"

    def point(identity: str, maximum: int) -> dict[str, Any]:
        vesting = some([{"value": 0, "unit": "day"}, {"value": 10, "unit": "day"}, {"value": 1, "unit": "month"}])
        lasting = [{"value": 0, "unit": "day"}, {"value": 45, "unit": "day"}, {"value": 3, "unit": "month"}]
        return {"id": identity, "vesting": vesting, "expiration": some(lasting), "maximum": maximum}

    def rule(identity: str, point: str, points: Any, per: str = "1.00", **more: Any) -> dict[str, Any]:
        activity = more.pop("activity", "purchase_amount")
        money = {"currency": more.pop("currency", "USD")} if activity == "purchase_amount" else {}
        whole = {"scaling": "whole_units"} if rng.random() < 0.3 else {}
        return {"id": identity, "activity": activity, "per": per, "reward_point": point, "points": points} | (
            money | whole | more
        )

    def amount(identity: str, point: str, **more: Any) -> dict[str, Any]:
        return rule(identity, point, some([1, 2, 3, "0.7"]), some(["1.00", "2.50", "3.00", "10.00"]), **more)

    span = {"valid_from": "2026-02-10", "valid_to": "2026-05-20"}
    earning = [
        amount("base", "points"),
        rule("status", "status", 1),
        rule("cashback", "cash", some(["0.05", "0.33", "1.1"]), some(["1.00", "7.00"]), currency=some(["USD", "EUR"])),
        amount("double", "points", tier="gold"),
        *rng.sample(
            [
                amount("silver", "cash", tier="silver"),
                rule("visit", some(["points", "status"]), some([5, 10]), "1", activity="transaction_count"),
                rule("visit_basic", "points", 3, "1", activity="transaction_count", tier="basic", product="P"),
                rule("cups", "points", 2, some(["1", "2", "0.5"]), activity="purchase_quantity", category="COFFEE"),
                rule("pieces", "cash", "0.15", some(["1", "3"]), activity="purchase_quantity"),
                amount("drinks", "status", category="DRINKS", **span),
                amount("gifts", "points", product="GIFT", currency="EUR"),
            ],
            5,
        ),
    ]
    pay = [
        {"id": "pay", "type": "payment_by_amount", "reward_point": "points", "points": 10},
        {"id": "pay_cash", "type": "payment_by_amount", "reward_point": "cash", "points": 1},
    ]
    pay = [one | {"per": "1.00", "currency": "USD"} for one in pay]
    if rng.random() < 0.4:
        pay[0]["tier"] = some(["gold", "silver"])
    today, unit = {"from": "evaluation_date"}, some(["month", "quarter"])
    starts = [
        today | {"offset": -30, "unit": "day"},
        today | {"offset": -2, "unit": "month"},
        today | {"offset": -5, "unit": "week"},
        {"from": "period_start", "period": unit},
        {"from": "fixed", "date": "2026-02-20"},
    ]
    ends = [today, today, today | {"offset": -1, "unit": "day"}]
    lasts = [
        today | {"offset": 20, "unit": "day"},
        today | {"offset": 1, "unit": "month"},
        {"from": "period_end", "period": "month"},
        {"from": "period_end", "period": "month", "offset": 1, "unit": "quarter"},
        {"from": "period_end", "period": "year"},
    ]
    windows = [{"id": f"w{n}", "start": some(starts), "end": some(ends)} for n in range(3)]
    lengths = [{"id": f"v{n}", "start": today, "end": some(lasts)} for n in range(2)]

    def reach(minimum: int, n: int, point: str = "status") -> dict[str, Any]:
        return {"reward_point": point, "minimum": minimum, "window": f"w{n}"}

    other = some(["points", "status"])
    tiers = [
        {"id": "silver", "level": 2, "validity": "v0", "rules": [reach(80, 0)]},
        {
            "id": "gold",
            "level": 3,
            "validity": "v1",
            "rules": [reach(250, 1), reach(400, 2, other)],
        },
    ]
    if rng.random() < 0.7:
        tiers.insert(0, {"id": "basic", "level": 1, "validity": "v0", "rules": [reach(0, 0)]})
    own: dict[str, Any] = {
        "parameters": {
            "earn_basis": {"tax": some(["excluded", "included"]), "charges": "excluded", "gift_cards": "excluded"},
            "loyalty_tender": some(["no_earn", "earn_on_rest"]),
            "quantity_rounding": some(["truncate", "nearest"]),
            "post_per_sales_line": rng.random() < 0.6,
            "return_consumes": consumes,
            "negative_balance": "carry" if carry else "write_off",
            "transfer_expiry": some(["keep", "restart"]),
        },
        "reward_points": [point("points", some([0, 0, 300])), point("cash", some([0, 25])), point("status", 0)],
        "date_intervals": [*windows, *lengths],
        "programs": [{"id": "club", "tiers": tiers, "pool_related_cards": rng.random() < 0.5}],
        "schemes": [{"id": "everywhere", "earning": earning, "redemption": pay}],
    }
    if len(tiers) == 2:
        earning[:] = [one for one in earning if one.get("tier") != "basic"]
    second: dict[str, Any] = {
        "id": "sweden",
        "program": "club",
        "valid_from": "2017-01-01",
        "valid_to": None,
        "redemption": [],
    }
    second |= {"channels": [some(["S2", "/EU/SE"])], "excluded_affiliations": [], "earning": [amount("se", "points")]}
    own["schemes"].append(second)
    return laid_over(bases()["club"]["programme"], own)


def money(value: float | Decimal) -> Decimal:
    return Decimal(value).quantize(Decimal("0.01"))


@dataclass
class World:
    """A programme and the histories of many accounts under it."""

    programme: dict[str, Any]
    days: list[date]
    through: date
    rates: dict[date, Decimal]
    accounts: list[tuple[list[Card], list[Document]]]


def world(seed: int, accounts: int = 300) -> World:
    rng = random.Random(seed)  # noqa: S311
    programme = drawn_programme(rng)
    days = sorted(rng.sample([FIRST + timedelta(days=n) for n in range(1, rng.choice([70, 130, 200]))], 60))
    rates = {day: Decimal(rng.choice(["0.9", "0.85", "1.1234", "0.3333"])) for day in [days[2], days[20], days[40]]}
    through = days[-1] + timedelta(days=rng.choice([0, 5, 20]))
    numbers = rng.sample(range(10**6), accounts * 40)
    histories = [history(rng, n, days, numbers[n * 40 : n * 40 + 40]) for n in range(accounts)]
    return World(programme, days, through, rates, histories)


def history(rng: random.Random, n: int, days: list[date], numbers: list[int]) -> tuple[list[Card], list[Document]]:
    cards = []
    customer = f"K{n:04d}" if rng.random() < 0.4 else ""
    types = ["as_card_tender"] * 10 + ["no_tender"] + ["as_contact_tender"] * (5 if customer else 0)
    for k in range(rng.choice([1, 2, 2, 3] if customer else [1, 1, 2])):
        enrolled = FIRST if rng.random() < 0.8 else days[rng.randrange(15)]
        cards.append(Card(f"C{n:04d}{'abc'[k]}", rng.choice(types), enrolled, customer))
    documents: list[Document] = []
    times = sorted((rng.choice(days), rng.choice(["09", "12", "12", "17"])) for _ in range(rng.randint(3, 18)))
    for (day, hour), number in zip(times, numbers, strict=False):
        card = rng.choice(cards)
        kind = rng.choices(["sale", "return", "exchange", "adjust", "transfer"], [55, 20, 10, 10, 5])[0]
        if kind == "adjust" and card.enrolled_from <= day:
            point = rng.choice(["points", "points", "cash", "status"])
            change = Decimal(rng.choice([15, 40, 100, 120, -10, -35, -90]))
            change += Decimal("0.25") if point == "cash" else 0
            documents.append(Document(f"A{number:06d}", day, "", card.id, point=point, points=change))
            continue
        if kind == "transfer":
            others = [one for one in cards if one.id != card.id and max(one.enrolled_from, card.enrolled_from) <= day]
            if others:
                point, points = rng.choice(["points", "points", "cash"]), rng.choice([None, Decimal(20), Decimal(90)])
                other = rng.choice(others).id
                documents.append(Document(f"X{number:06d}", day, "", card.id, point=point, points=points, other=other))
            continue
        earlier = [d for d in documents if d.time and (d.day, d.time) < (day, hour)]
        bought = [(d, line) for d in earlier for line in d.lines if line.kind == "sale" and not line.voided]
        document = Document(f"T{number:06d}", day, hour, card.id, rng.choice(["S1", "S1", "S2"]))
        if rng.random() < 0.05:
            document.card = ""
        if kind in ("sale", "adjust", "exchange"):
            for _ in range(rng.choice([1, 1, 2, 3, 5])):
                product = rng.choice(["P", "P", "LATTE", "GIFT", "BOOK", "NEW"])
                quantity = Decimal(rng.choice(["1", "1", "2", "3", "7", "0.500", "1.250", "0"]))
                net = money(rng.choice([0, 5, 10, 20, rng.uniform(0, 30), rng.uniform(0, 150)]))
                sold = "gift_card" if rng.random() < 0.04 else "sale"
                document.lines.append(
                    Line(0, sold, product, quantity, net, money(net * Decimal("0.21")), rng.random() < 0.04)
                )
        if kind in ("return", "exchange"):
            document.type = kind if kind == "exchange" else "return"
            for _ in range(rng.choice([1, 1, 2])):
                document.lines.append(returned(rng, bought))
        rng.shuffle(document.lines)
        for no, line in enumerate(document.lines, 1):
            line.no = no
        document.tender = tendered(rng, document, card.id, earlier)
        documents.append(document)
    return cards, documents


def returned(rng: random.Random, bought: list[tuple[Document, Line]]) -> Line:
    if not bought or rng.random() < 0.2:
        net, product = money(rng.uniform(1, 40)), rng.choice(["P", "LATTE", "GIFT"])
        return Line(0, "return", product, Decimal(-rng.choice([1, 2])), -net, -money(net * Decimal("0.21")))
    document, line = rng.choice(bought[-6:])
    quantity = rng.choice([line.quantity, line.quantity, Decimal(1), Decimal("0.250")]) or Decimal(1)
    share = min(Decimal(1), quantity / line.quantity) if line.quantity else Decimal(1)
    net, tax = -money(line.net * share), -money(line.tax * share)
    return Line(0, "return", line.product, -quantity, net, tax, original=(document.id, line.no))


def tendered(rng: random.Random, document: Document, card: str, earlier: list[Document]) -> Tender | None:
    """What is paid by points, or given back."""
    lines = [line for line in document.lines if not line.voided]
    names = [line.original[0] for line in lines if line.original]
    paid = [d.tender for d in earlier if d.id in names and d.tender and d.tender.points > 0]
    if document.type != "sale":
        if not paid or rng.random() < 0.2:
            return None
        one = rng.choice(paid)
        share = rng.choice([Decimal(1), Decimal(1), Decimal("0.5"), Decimal("1.5")])
        points = (one.points * share).quantize(Decimal("0.01") if one.point == "cash" else Decimal(1))
        return Tender(one.card, one.point, -money(one.amount * share), -points) if points else None
    total = sum((line.net + line.tax for line in lines), Decimal(0))
    if not document.card or total < 1 or rng.random() > 0.25:
        return None
    amount = money(min(total, Decimal(rng.choice([1, 2, 5, 20])) + rng.choice([Decimal(0), Decimal("0.37")])))
    point = rng.choice(["points", "points", "cash", "status"] if rng.random() < 0.2 else ["points", "cash"])
    off = rng.choice([0, 0, 0, 0, 0, 1, -1, 2])
    if point == "cash":
        return Tender(card, point, amount, amount + off * Decimal("0.01"))
    return Tender(card, point, amount, (amount * 10).quantize(Decimal(1)) + off)


# --- the engine on them ---


def landed(document: Document) -> dict[str, list[dict[str, str]]]:
    lines, tender = document.lines, document.tender
    kept = [line for line in lines if not line.voided]
    net, tax = (sum((getattr(line, of) for line in kept), Decimal("0.00")) for of in ("net", "tax"))
    own, at = {"transaction_id": document.id}, f"{document.day}T{document.time}:00:00+00:00"
    head = {"type": document.type, "loyalty_card_id": document.card, "business_date": str(document.day)}
    sums = {"net_amount": str(net), "tax_amount": str(tax), "total_amount": str(net + tax)}
    tenders = [{"type": "cash", "amount": str(net + tax - (tender.amount if tender else 0)), "tender_no": "1"}]
    if tender:
        loyal = {"type": "loyalty", "amount": str(tender.amount), "tender_no": "2", "points": str(tender.points)}
        tenders.append(loyal | {"loyalty_card_id": tender.card, "reward_point_id": tender.point})
    items = []
    for line in lines:
        item = {"line_no": str(line.no), "kind": line.kind, "product_id": line.product, "quantity": str(line.quantity)}
        item |= {"net_amount": str(line.net), "tax_amount": str(line.tax), "unit_price": str(abs(line.net))}
        item["voided"] = str(line.voided).lower()
        if line.original:
            item |= {"original_transaction_id": line.original[0], "original_line_no": str(line.original[1])}
        items.append(own | item)
    return {
        "transactions": rows("transactions", own | head | sums | {"started_at": at, "ended_at": at}),
        "lines": rows("lines", *items),
        "tenders": rows("tenders", *(own | one for one in tenders)),
    }


def deliver(it: World, home: Home, days: Collection[date]) -> None:
    """Writes the drops of these days; cards and products come with the first day."""
    drops: dict[tuple[str, date, str], dict[str, list[dict[str, str]]]] = defaultdict(lambda: defaultdict(list))
    if FIRST in days:
        cards = [
            {"card_id": card.id, "card_type": card.type, "enrolled_from": str(card.enrolled_from)}
            | {"customer_id": card.customer}
            for members, _ in it.accounts
            for card in members
        ]
        names = sorted({card["customer_id"] for card in cards} - {""})
        customers = [{"operation_id": f"op-{name}", "customer_id": name} for name in names]
        content = {"loyalty_cards": cards, "customers": customers}
        given = drops_of({"base": "club", "landing": {f"hq/{FIRST}/hq": content}})
        drops["hq", FIRST, "hq"].update(given[f"hq/{FIRST}/hq"])
    for day in it.rates.keys() & set(days):
        rate = {"from_currency": "USD", "to_currency": "EUR", "date": str(day), "rate": str(it.rates[day])}
        drops["hq", day, "hq"]["exchange_rates"].append(rate)
    for document in (document for _, documents in it.accounts for document in documents if document.day in days):
        if document.time:
            for name, items in landed(document).items():
                drops["pos", document.day, document.store][name].extend(items)
        elif document.other:
            moving = {"transfer_id": document.id, "from_card_id": document.card, "to_card_id": document.other}
            moving |= {"reward_point_id": document.point, "date": str(document.day), "comment": ""}
            moving["points"] = "" if document.points is None else str(document.points)
            drops["hq", document.day, "hq"]["loyalty_transfers"].append(moving)
        else:
            adjustment = {"adjustment_id": document.id, "card_id": document.card, "program_id": "club", "comment": ""}
            adjustment |= {"reward_point_id": document.point, "points": str(document.points), "date": str(document.day)}
            drops["hq", document.day, "hq"]["loyalty_adjustments"].append(adjustment)
    for (feed, day, source), content in drops.items():
        write_drop(home, feed, day, source, content)


def of_the_engine(home: Home) -> dict[str, dict[tuple[str, ...], Any]]:
    """What the lake says, as ``Oracle.result`` says it, by card."""
    found: dict[str, dict[tuple[str, ...], Any]] = defaultdict(dict)
    for row in table(home, "loyalty.balances"):
        for name in ("issued", "used", "expired", "written_off", "available", "unvested", "deficit"):
            if row[name]:
                found[row["card_id"]][row["card_id"], row["reward_point_id"], name] = Decimal(row[name])
    for row in table(home, "loyalty.lots"):
        if row["remaining"]:
            key = (row["card_id"], row["reward_point_id"], "lots", str(row["expires_on"]))
            found[row["card_id"]][key] = found[row["card_id"]].get(key, Decimal(0)) + row["remaining"]
    for row in table(home, "loyalty.card_tiers"):
        key = (row["card_id"], "tier", row["tier_id"], str(row["valid_from"]))
        found[row["card_id"]][key] = str(row["valid_to"] or "open")
    return found


def differences(it: World, home: Home) -> list[str]:
    """Each account whose points or tiers differ, with its documents and both answers."""
    engine, found = of_the_engine(home), []
    for cards, documents in it.accounts:
        oracle = Oracle(it.programme, it.rates, cards, it.through)
        oracle.run(documents)
        wanted = oracle.result()
        got = {key: value for card in cards for key, value in engine[card.id].items()}
        if got != wanted:
            keys = sorted(key for key in got.keys() | wanted.keys() if got.get(key) != wanted.get(key))
            shown = [f"{key}: oracle {wanted.get(key)}, engine {got.get(key)}" for key in keys]
            told = [str(one) for one in [*cards, *sorted(documents, key=lambda d: (d.day, d.time, d.id))]]
            found.append("\n".join([f"{len(told)}", *told, *shown]))
    return sorted(found, key=lambda text: int(text.split("\n")[0]))


def work(it: World, home: Home, nights: dict[date, set[date]]) -> None:
    write_programme(it.programme, home.programme)
    for night, days in sorted(nights.items()):
        deliver(it, home, days)
        work_night(home, night, {"hq", "pos"})


def slow(*values: Any) -> Any:
    return pytest.param(*values, marks=pytest.mark.slow)


def agree(it: World, home: Home) -> None:
    found = differences(it, home)
    shown = "\n\n".join(found[:3])
    assert not found, f"{len(found)} of {len(it.accounts)} accounts differ\n{it.programme}\n{shown}"


@pytest.mark.parametrize("seed", [1, *map(slow, (2, 5, 9, 15, 49))])  # between them every option
def test_the_engine_agrees_with_the_oracle(seed: int, home: Home) -> None:
    it = world(seed)
    work(it, home, {it.through: {FIRST, *it.days}})
    agree(it, home)


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "late"), [(7, False), (8, True)])
def test_it_agrees_too_when_worked_in_three_nights(seed: int, late: bool, home: Home) -> None:
    """At random splits; ``late``: some days' drops come only with the night after theirs."""
    it, rng = world(seed), random.Random(seed)  # noqa: S311
    splits = [*sorted(rng.sample(it.days[10:-5], 2)), it.through]
    nights: dict[date, set[date]] = {night: set() for night in splits}
    for day in [FIRST, *it.days]:
        coming = [night for night in splits if night >= day]
        nights[coming[1] if late and day > FIRST and len(coming) > 1 and rng.random() < 0.2 else coming[0]].add(day)
    work(it, home, nights)
    agree(it, home)


def test_a_refund_gives_back_no_expired_lot_of_another_card(home: Home) -> None:
    """A pays 20 as contact tender with nothing there; B's 15 have expired. All was written off: none comes back."""
    cards = [Card("A", "as_contact_tender", FIRST, "K"), Card("B", "as_card_tender", FIRST, "K")]
    days = [FIRST + timedelta(days=n) for n in (3, 20, 30)]
    sold = Line(1, "sale", "P", Decimal(1), Decimal("40.00"), Decimal("0.00"))
    back = Line(1, "return", "P", Decimal(-1), Decimal("-40.00"), Decimal("0.00"), original=("T1", 1))
    documents = [
        Document("J1", days[0], "", "B", point="points", points=Decimal(15)),
        Document("T1", days[1], "12", "A", "S1", "sale", [sold], Tender("A", "points", Decimal(20), Decimal(20))),
        Document("R1", days[2], "12", "A", "S1", "return", [back], Tender("A", "points", Decimal(-20), Decimal(-20))),
    ]
    own = {
        "parameters": {"negative_balance": "write_off"},
        "reward_points": [{"id": "points", "expiration": {"value": 10, "unit": "day"}}],
    }
    programme = laid_over(bases()["club"]["programme"], own)
    it = World(programme, days, days[2], {}, [(cards, documents)])
    work(it, home, {it.through: {FIRST, *days}})
    agree(it, home)
