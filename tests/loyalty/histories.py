"""Programmes and histories drawn at random, of a seed or by hypothesis, and how they come to a home.

A world is a programme's versions and some accounts: up to four cards each, which bring each other's goods back, replace
one another, transfer points and may have one customer, with affiliations for a time. Whatever draws is asked as
``random.Random`` is; the first of each choice is the plainest, so that what fails can be shrunk.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from kanta.home import Home
from tests.cases import bases, drops_of, laid_over
from tests.feed import rows, write_drop
from tests.loyalty.oracle import FIRST, Account, Belongs, Card, Document, Line, Override, Rates, Row, Tender

Key = tuple[str, date, str]
Drop = dict[str, list[dict[str, str]]]


@dataclass
class World:
    """A programme's versions and the histories of many accounts under it."""

    programmes: list[dict[str, Any]]
    days: list[date]
    through: date
    rates: Rates
    rates_come: dict[tuple[str, str, date], date]
    accounts: list[Account]
    drops: dict[Key, Drop] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.drops = self.drops or landed(self)


class Programme:
    """Draws a programme with options within what a programme may say: one for each program in ``pooled``."""

    def __init__(self, rng: random.Random, effective_from: date, pooled: dict[str, bool]) -> None:
        self.rng, self.carry = rng, rng.random() < 0.7
        own = {
            "effective_from": str(effective_from),
            "parameters": self.parameters(),
            "reward_points": [
                self.point("points", rng.choice([0, 0, 300])),
                self.point("cash", rng.choice([0, 25])),
                self.point("status", 0),
            ],
            "date_intervals": self.intervals(),
            "programs": [
                {"id": one, "tiers": self.tiers(), "pool_related_cards": pool} for one, pool in pooled.items()
            ],
            "schemes": [],
        }
        own["schemes"] = [scheme for program in own["programs"] for scheme in self.schemes(program)]
        base = bases()["club"]["programme"]
        self.drawn: dict[str, Any] = laid_over(base | {"schemes": [], "programs": []}, own)

    def parameters(self) -> dict[str, Any]:
        some = self.rng.choice
        return {
            "earn_basis": {"tax": some(["excluded", "included"]), "charges": "excluded", "gift_cards": "excluded"},
            "loyalty_tender": some(["no_earn", "earn_on_rest"]),
            "quantity_rounding": some(["truncate", "nearest"]),
            "post_per_sales_line": self.rng.random() < 0.6,
            "return_consumes": some(["unvested_first", "available_only"]) if self.carry else "unvested_first",
            "negative_balance": "carry" if self.carry else "write_off",
            "transfer_expiry": some(["keep", "restart"]),
        }

    def point(self, identity: str, maximum: int) -> dict[str, Any]:
        vesting = [{"value": 0, "unit": "day"}, {"value": 10, "unit": "day"}, {"value": 1, "unit": "month"}]
        lasting = [{"value": 0, "unit": "day"}, {"value": 45, "unit": "day"}, {"value": 3, "unit": "month"}]
        some = self.rng.choice
        return {"id": identity, "vesting": some(vesting), "expiration": some(lasting), "maximum": maximum}

    def intervals(self) -> list[dict[str, Any]]:
        """What tiers look back on (w0 … w2) and how long they last (v0, v1)."""
        some, today = self.rng.choice, {"from": "evaluation_date"}
        starts = [
            today | {"offset": -30, "unit": "day"},
            today | {"offset": -2, "unit": "month"},
            today | {"offset": -5, "unit": "week"},
            {"from": "period_start", "period": some(["month", "quarter"])},
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
        return windows + [{"id": f"v{n}", "start": today, "end": some(lasts)} for n in range(2)]

    def tiers(self) -> list[dict[str, Any]]:
        def reach(minimum: int, n: int, point: str = "status") -> dict[str, Any]:
            return {"reward_point": point, "minimum": minimum, "window": f"w{n}"}

        other = self.rng.choice(["points", "status"])
        gold = [reach(250, 1), reach(400, 2, other)]
        found = [
            {"id": "silver", "level": 2, "validity": "v0", "rules": [reach(80, 0)]},
            {"id": "gold", "level": 3, "validity": "v1", "rules": gold},
        ]
        basic = {"id": "basic", "level": 1, "validity": "v0", "rules": [reach(0, 0)]}
        return [basic, *found] if self.rng.random() < 0.7 else found

    def schemes(self, program: dict[str, Any]) -> list[dict[str, Any]]:
        """One for all channels, and one for some."""
        some, name = self.rng.choice, program["id"]
        earning = self.earning()
        if len(program["tiers"]) == 2:
            earning = [one for one in earning if one.get("tier") != "basic"]
        redemption = [
            {"id": "pay", "type": "payment_by_amount", "reward_point": "points", "points": 10},
            {"id": "pay_cash", "type": "payment_by_amount", "reward_point": "cash", "points": 1},
        ]
        if self.rng.random() < 0.4:
            redemption[0]["tier"] = some(["gold", "silver"])
        by_unit = {"type": "payment_by_quantity", "reward_point": "points", "points": 9}
        units = [by_unit | {"id": "cup", "category": "COFFEE"}, by_unit | {"id": "any", "points": 14}]
        units = [one | {"per": some(["1", "2", "0.5"])} for one in self.rng.sample(units, some([0, 1, 2]))]
        if self.rng.random() < 0.3:
            redemption.append(redemption[1] | {"id": "pay_veteran", "points": 2, "affiliation": "veteran"})
        found = [
            {
                "id": "everywhere",
                "channels": ["all"],
                "earning": earning,
                "excluded_affiliations": some([[], ["staff"]]),
            },
            {"id": "somewhere", "channels": [some(["S2", "/EU/SE", "/EU/FI", "CC1"])], "excluded_affiliations": []},
        ]
        found[0]["redemption"] = [*(one | {"per": "1.00", "currency": "USD"} for one in redemption), *units]
        found[1] |= {"earning": [self.amount("there", "points")], "redemption": []}
        for scheme in found:
            scheme |= {"id": f"{name}-{scheme['id']}", "program": name, "valid_from": "2017-01-01", "valid_to": None}
            for rule in [*scheme["earning"], *scheme["redemption"]]:
                rule["id"] = f"{name}-{rule['id']}"
        return found

    def earning(self) -> list[dict[str, Any]]:
        some, rule, amount = self.rng.choice, self.rule, self.amount
        span = {"valid_from": "2026-02-10", "valid_to": "2026-05-20"}
        others = [
            amount("silver", "cash", tier="silver"),
            rule("visit", some(["points", "status"]), some([5, 10]), "1", activity="transaction_count"),
            rule("visit_basic", "points", 3, "1", activity="transaction_count", tier="basic", product="P"),
            rule("cups", "points", 2, some(["1", "2", "0.5"]), activity="purchase_quantity", category="COFFEE"),
            rule("pieces", "cash", "0.15", some(["1", "3"]), activity="purchase_quantity"),
            amount("drinks", "status", category="DRINKS", **span),
            amount("gifts", "points", product="GIFT", currency="EUR"),
            amount("vets", "points", affiliation="veteran"),
            rule("vets_gold", "cash", "0.4", "3.00", affiliation="veteran", tier="gold"),
            rule("review", "points", 12, "1", activity="other_activity", activity_type="review"),
            rule("checkin", "status", 40, "1", activity="other_activity", activity_type="checkin", ignore_vesting=True),
        ]
        currency = some(["USD", "EUR"])
        return [
            amount("base", "points"),
            rule("status", "status", 1),
            rule("cashback", "cash", some(["0.05", "0.33", "1.1"]), some(["1.00", "7.00"]), currency=currency),
            amount("double", "points", tier="gold"),
            *self.rng.sample(others, some([4, 6, 8])),
        ]

    def rule(self, identity: str, point: str, points: Any, per: str = "1.00", **more: Any) -> dict[str, Any]:
        activity = more.pop("activity", "purchase_amount")
        found = {"id": identity, "activity": activity, "per": per, "reward_point": point, "points": points}
        if activity == "purchase_amount":
            found["currency"] = more.pop("currency", "USD")
        if self.rng.random() < 0.3:
            found["scaling"] = "whole_units"
        return found | more

    def amount(self, identity: str, point: str, **more: Any) -> dict[str, Any]:
        some = self.rng.choice
        return self.rule(identity, point, some([1, 2, 3, "0.7"]), some(["1.00", "2.50", "3.00", "10.00"]), **more)


def guid(name: str) -> str:
    """The GUID of an account's customer."""
    return f"0a1b2c3d-0000-4000-8000-{name[1:]:0>12}"


def money(value: float | Decimal) -> Decimal:
    return Decimal(value).quantize(Decimal("0.01"))


def world(rng: random.Random, accounts: int = 200, dates: int = 45, programs: int = 3, most: int = 18) -> World:
    """Draws a programme's versions and the accounts of its programs, of at most ``most`` documents."""
    pooled = {f"club{n or ''}": rng.random() < 0.5 for n in range(programs)}
    span = rng.choice([dates + 10, dates * 2 + 10, dates * 3 + 20])
    days = sorted(rng.sample([FIRST + timedelta(days=n) for n in range(1, span)], dates))
    programmes = [Programme(rng, date(2017, 1, 1), pooled).drawn]
    for _ in range(rng.choice([0, 1, 1, 2])):
        later = date.fromisoformat(programmes[-1]["effective_from"])
        begins = [day for day in days[1:-1] if day > later]
        if begins:
            programmes.append(Programme(rng, rng.choice(begins), pooled).drawn)
    rates, come = {}, {}
    for given, wanted, values in [("USD", "EUR", ["0.9", "0.85", "1.1234"]), ("EUR", "USD", ["1.1", "1.3333", "0.9"])]:
        for n in sorted(rng.sample(range(dates), min(3, dates - 1))):
            key = given, wanted, days[n] - timedelta(days=rng.choice([0, 0, 3]))
            if key not in rates:
                rates[key], come[key] = Decimal(rng.choice(values)), days[n]
    through = days[-1] + timedelta(days=rng.choice([0, 5, 20]))
    names = list(pooled)
    drawn = [Drawing(rng, n, names[n % programs], days, most).account() for n in range(accounts)]
    return World(programmes, days, through, rates, come, drawn)


class Drawing:
    """Draws one account."""

    def __init__(self, rng: random.Random, n: int, program: str, days: list[date], most: int) -> None:
        self.rng, self.name, self.program, self.days, self.most = rng, f"N{n:04d}", program, days, most
        self.customer = rng.choice([f"K{self.name}"] * 7 + [guid(self.name)]) if rng.random() < 0.45 else ""
        self.documents: list[Document] = []
        self.cards = self.drawn_cards()

    def often(self, share: float) -> bool:
        return self.rng.random() < share

    def account(self) -> Account:
        rng = self.rng
        is_async = self.customer == guid(self.name)
        customers = [f"L{self.name}" if is_async else self.customer or f"L{self.name}", f"M{self.name}"]
        belongs = [self.belonging(customer, FIRST) for customer in customers if self.often(0.4)]
        belongs += [self.belonging(one.customer, rng.choice(self.days)) for one in belongs if self.often(0.4)]
        overrides = []
        for card in self.cards:
            if self.often(0.1):
                first = rng.choice(self.days)
                last = rng.choice([first + timedelta(days=9), None, first, first + timedelta(days=40)])
                if first >= card.rows[0].enrolled_from and all(first < day for day in self.replaced(card)):
                    overrides.append(Override(card.id, rng.choice(["silver", "gold"]), first, last))
        times = sorted(
            (rng.choice(self.days), rng.choice(["12", "12", "09", "17"])) for _ in range(rng.randint(2, self.most))
        )
        for day, hour in times:
            self.document(day, hour)
        self.out_of_order()
        for document in self.documents:
            self.delivered(document)
        pending = [self.customer] if is_async and self.often(0.5) else []
        barred: dict[str, date | None] = {}
        if self.customer and not is_async and self.often(0.1):
            barred[self.customer] = rng.choice([None, rng.choice(self.days)])
            belongs = [one for one in belongs if one.customer != self.customer or one.day == FIRST]
        return Account(self.cards, self.documents, overrides, belongs, self.program, pending, barred)

    def belonging(self, customer: str, day: date) -> Belongs:
        first = self.rng.choice([day, day, min(day + timedelta(days=20), self.days[-1])])
        last = self.rng.choice([None, first + timedelta(days=15), first + timedelta(days=60)])
        return Belongs(day, customer, self.rng.choice(["veteran", "veteran", "staff"]), first, last)

    def drawn_cards(self) -> list[Card]:
        rng, customer, cards = self.rng, self.customer, []
        types = ["as_card_tender"] * 10 + ["no_tender"] + ["as_contact_tender"] * (5 if customer else 0)
        for k in range(rng.choice([1, 2, 2, 3] if customer else [1, 1, 2])):
            row = Row(FIRST, rng.choice(types), FIRST if self.often(0.8) else rng.choice(self.days[:15]), customer)
            card = Card(f"C{self.name}{'abc'[k]}", [row])
            if self.often(0.05):
                row.enrolled_to = rng.choice(self.days)
                row.enrolled_to = max(row.enrolled_to, row.enrolled_from)
            if customer and self.often(0.2):  # given to the customer later
                since = rng.choice(self.days)
                card.rows.append(Row(since, row.type, row.enrolled_from, customer, row.enrolled_to))
                row.customer, row.type = "", "as_card_tender"
            elif self.often(0.03):
                card.rows.append(Row(rng.choice(self.days), "blocked", row.enrolled_from, customer, row.enrolled_to))
            cards.append(card)
        for k in range(rng.choice([0, 0, 0, 0, 1, 1, 2])):
            old = rng.choice([cards[-1], cards[0]])
            since = rng.choice(self.days)
            if old.rows[-1].type == "blocked" or old.id in [row.replaces for card in cards for row in card.rows]:
                continue
            if any(since <= max(row.day, row.enrolled_from) for row in old.rows):
                continue
            comes = rng.choice([since, since, *[day for day in self.days if day >= since][:5]])
            new = Row(comes, old.rows[-1].type, since, customer, None, old.id)
            cards.append(Card(f"C{self.name}{'yz'[k]}", [new]))
        return cards

    def replaced(self, card: Card) -> list[date]:
        return [row.enrolled_from for one in self.cards for row in one.rows if row.replaces == card.id]

    def document(self, day: date, hour: str) -> None:
        rng = self.rng
        number = f"{rng.randrange(10)}{self.name}{len(self.documents):02d}"  # in any order
        kinds = ["sale", "return", "exchange", "order", "adjust", "transfer", "activity"]
        kind = rng.choices(kinds, [45, 20, 8, 8, 9, 6, 4])[0]
        card = rng.choice(self.cards)
        if kind == "adjust":
            if card.rows[-1].enrolled_from <= day:
                point = rng.choice(["points", "points", "cash", "status"])
                point = "ghost" if self.often(0.03) else point
                change = Decimal(rng.choice([15, 40, 100, 120, -10, -35, -90]))
                change += Decimal("0.25") if point == "cash" else 0
                whose = f"Z{self.name}" if self.often(0.03) else card.id
                self.documents.append(Document(f"A{number}", day, "", whose, point=point, points=change))
        elif kind == "transfer":
            if any(one.rows[-1].enrolled_from > day for one in self.cards):
                return
            point, points = rng.choice(["points", "points", "cash"]), rng.choice([None, Decimal(20), Decimal(90)])
            other = f"Z{self.name}" if self.often(0.05) else rng.choice(self.cards).id
            one = Document(f"X{number}", day, "", card.id, point=point, points=points, other=other)
            self.documents.append(one)
        elif kind == "activity":
            at, what = f"{day}T{hour}:00:00+00:00", rng.choice(["review", "checkin"])
            self.documents.append(Document(f"V{number}", day, at, card.id, "S1", "activity", point=what))
        else:
            self.receipt(kind, day, hour, card, number)

    def receipt(self, kind: str, day: date, hour: str, card: Card, number: str) -> None:
        rng = self.rng
        earlier = [d for d in self.documents if d.lines]
        bought = [(d, line) for d in earlier for line in d.lines if not line.voided]
        skew = rng.choice([-1, 1]) if self.often(0.04) else 0  # a clock that runs ahead, or backwards
        at = f"{day + timedelta(days=skew)}T{hour}:00:00+00:00"
        one = Document(f"T{number}", day, at, card.id, rng.choice(["S1", "S1", "S2"]))
        if kind == "order":
            one.id, one.store = f"O{number}", "CC1"
            one.at = f"{day - timedelta(days=rng.choice([0, 0, 1, 6]))}T{hour}:00:00+00:00"
            one.counts = not self.often(0.15)
        if self.often(0.05):
            one.card = rng.choice(["", "", f"Z{self.name}"])
        if self.often(0.2):
            one.customer = rng.choice([self.customer or f"L{self.name}", f"M{self.name}"])
        one.currency = "EUR" if self.often(0.12) else "USD"
        if kind != "return":
            for _ in range(rng.choice([1, 1, 2, 3, 5])):
                product = rng.choice(["P", "P", "LATTE", "GIFT", "BOOK", "NEW"])
                quantity = Decimal(rng.choice(["1", "1", "2", "3", "7", "0.500", "1.250", "0"]))
                net = money(rng.choice([0, 5, 10, 20, rng.randint(0, 3000) / 100, rng.randint(0, 15000) / 100]))
                sold = "gift_card" if self.often(0.04) else "sale"
                line = Line(0, sold, product, quantity, net, money(net * Decimal("0.21")))
                if self.often(0.02):
                    line.net, line.tax = -line.net, -line.tax
                if sold == "gift_card":
                    line.net, line.tax = abs(line.net), abs(line.tax)  # below zero it is set aside
                line.voided = kind != "order" and self.often(0.04)
                one.lines.append(line)
        if kind in ("return", "exchange") or (kind == "order" and self.often(0.2)):
            one.type = kind if kind == "return" else "exchange"
            one.lines += [self.returned(bought) for _ in range(rng.choice([1, 1, 2]))]
        rng.shuffle(one.lines)
        for no, line in enumerate(one.lines, 1):
            line.no = no
        payer = rng.choice(self.cards).id if self.often(0.1) else card.id
        payer = f"Z{self.name}" if self.often(0.01) else payer
        one.tender = self.otherwise(one, self.tendered(one, payer, earlier))
        if one.tender and one.tender.points > 0 and self.often(0.08):
            second = rng.choice([one.tender.card, rng.choice(self.cards).id])
            one.second = Tender(second, "points", Decimal("0.10"), Decimal(1))
        self.documents.append(one)

    def returned(self, bought: list[tuple[Document, Line]]) -> Line:
        rng = self.rng
        if not bought or self.often(0.2):
            net, product = money(rng.randint(100, 4000) / 100), rng.choice(["P", "LATTE", "GIFT"])
            return Line(0, "return", product, Decimal(-rng.choice([1, 2])), -net, -money(net * Decimal("0.21")))
        document, line = rng.choice(bought[-6:])  # what was returned itself among it: a return of a return
        whole = abs(line.quantity)
        quantity = rng.choice([whole, whole, Decimal(1), Decimal("0.250")]) or Decimal(1)
        share = min(Decimal(1), quantity / whole) if whole else Decimal(1)
        net, tax = -money(abs(line.net) * share), -money(abs(line.tax) * share)
        return Line(0, "return", line.product, -quantity, net, tax, original=(document.id, line.no))

    def otherwise(self, document: Document, tender: Tender | None) -> Tender | None:
        """The tender as some stores send it: without its reward point, without points, in another currency."""
        if tender and self.often(0.25):
            tender = replace(tender, point="")
            if tender.points > 0 and self.often(0.1):
                tender = replace(tender, points=Decimal(0))
        if tender and tender.points > 0 and self.often(0.15):
            other = "USD" if document.currency == "EUR" else "EUR"
            worth = tender.amount / self.rng.choice([Decimal(1), Decimal("1.1"), Decimal("1.25")])
            tender = replace(tender, currency=other, amount=money(worth) or tender.amount)
        return tender

    def tendered(self, document: Document, card: str, earlier: list[Document]) -> Tender | None:
        """What is paid by points, or given back."""
        rng = self.rng
        lines = [line for line in document.lines if not line.voided]
        names = [line.original[0] for line in lines if line.original]
        paid = [d.tender for d in earlier if d.id in names and d.tender and d.tender.points > 0]
        if document.type != "sale":
            if not paid or self.often(0.2):
                return None
            one = rng.choice(paid)
            share = rng.choice([Decimal(1), Decimal(1), Decimal("0.5"), Decimal("1.5")])
            points = (one.points * share).quantize(Decimal("0.01") if one.point == "cash" else Decimal(1))
            return Tender(one.card, one.point, -money(one.amount * share), -points) if points else None
        total = sum((line.net + line.tax for line in lines), Decimal(0))
        if not document.card or total < 1 or not self.often(0.25):
            return None
        amount = money(min(total, Decimal(rng.choice([1, 2, 5, 20])) + rng.choice([Decimal(0), Decimal("0.37")])))
        point = rng.choice(["points", "points", "cash", "status", "ghost"] if self.often(0.2) else ["points", "cash"])
        off = rng.choice([0, 0, 0, 0, 0, 1, -1, 2])
        if point == "cash":
            return Tender(card, point, amount, amount + off * Decimal("0.01"))
        if self.often(0.3):  # for so many units
            return Tender(
                card, point, amount, rng.choice([9, 9, 14]) * rng.choice([Decimal(1), Decimal(2), Decimal("0.5")]) + off
            )
        return Tender(card, point, amount, (amount * 10).quantize(Decimal(1)) + off)

    def out_of_order(self) -> None:
        """Some returns are of goods that are sold later, of the same receipt, or of what nobody knows."""
        rng, receipts = self.rng, [one for one in self.documents if one.lines]
        sold = [(one, line) for one in receipts for line in one.lines if line.kind == "sale"]
        for one in receipts:
            for line in one.lines:
                if line.original and self.often(0.15):
                    later = [(d, x) for d, x in sold if d.place >= one.place]
                    if later and self.often(0.7):
                        document, other = rng.choice(later)
                        line.original = document.id, other.no
                    else:
                        line.original = f"T9{one.id}", 1

    def delivered(self, one: Document) -> None:
        rng = self.rng
        late = [day for day in self.days if day > one.day]
        came = rng.choice(late[:8]) if late and self.often(0.06) else one.day
        if one.store == "CC1":
            placed = one.at[:10]
            before = [day for day in self.days if placed <= str(day) < str(came)]
            one.comes = [(rng.choice(before), "submitted")] if before and self.often(0.5) else []
            one.comes.append((came, "invoiced"))
            after = [day for day in self.days if day > came]
            if not one.counts:
                one.comes[-1:] = (
                    [(came, "invoiced"), (rng.choice(after), "cancelled")] if after else [(came, "cancelled")]
                )
        elif not one.at and not one.other:
            again = [day for day in self.days if day > came]
            if again and self.often(0.1):  # the record comes again, with other points
                one.comes = [(came, str(one.points)), (rng.choice(again[:8]), str((one.points or 0) + 7))]
                one.points = (one.points or Decimal(0)) + 7
            else:
                one.comes = [(came, str(one.points))]
        else:
            one.comes = [(came, "")]


# --- as drops ---


def landed(it: World) -> dict[Key, Drop]:
    """Every drop of a world."""
    drops: dict[Key, Drop] = defaultdict(lambda: defaultdict(list))
    given: dict[str, Drop] = defaultdict(lambda: defaultdict(list))
    of_first = given[f"hq/{FIRST}/hq"]
    for account in it.accounts:
        for customer in sorted({b.customer for b in account.belongs} | customers(account)):
            operation = {"operation_id": f"op-{customer}", "customer_id": customer}
            if customer.startswith("0a1b2c3d"):
                if customer not in account.pending:
                    day = it.days[int(customer[-2:]) % len(it.days)]
                    operation |= {"customer_id": "", "async_id": customer, "mode": "async"}
                    operation["operated_at"] = f"{day}T08:00:00+00:00"
                    drops["pos", day, "S1"]["customers"].extend(rows("customers", operation))
                continue
            of_first["customers"].append(operation)
            if customer in account.barred:
                operation["block_loyalty_enrollment"] = "true"
                if until := account.barred[customer]:
                    row = {"operation_id": f"{operation['operation_id']}-{until}", "customer_id": customer}
                    row |= {"operation": "update", "operated_at": f"{until}T08:00:00+00:00"}
                    given[f"hq/{until}/hq"]["customers"].append(row | {"block_loyalty_enrollment": "false"})
        for one in account.belongs:
            hq, operation = given[f"hq/{one.day}/hq"], f"op-{one.customer}"
            if one.day > FIRST:
                operation += f"-{one.day}"
                row = {"operation_id": operation, "customer_id": one.customer, "operation": "update"}
                hq["customers"].append(row | {"operated_at": f"{one.day}T08:00:00+00:00"})
            row = {"operation_id": operation, "affiliation_id": one.affiliation, "valid_from": str(one.first)}
            hq["customer_affiliations"].append(row | {"valid_to": str(one.last or "")})
        for card in account.cards:
            for record in card.rows:
                row = {"card_id": card.id, "card_type": record.type, "customer_id": record.customer}
                row["program_id"] = account.program
                row |= {"enrolled_from": str(record.enrolled_from), "enrolled_to": str(record.enrolled_to or "")}
                given[f"hq/{record.day}/hq"]["loyalty_cards"].append(row | {"replaces_card_id": record.replaces})
        for override in account.overrides:
            row = {"card_id": override.card, "tier_id": override.tier, "valid_from": str(override.first)}
            row |= {"valid_to": str(override.last or ""), "program_id": account.program}
            given[f"hq/{override.first}/hq"]["card_tier_overrides"].append(row)
        for document in account.documents:
            for day, what in document.comes:
                if document.store == "CC1":
                    for name, items in ordered(document, day, what).items():
                        given[f"call_center/{day}/CC1"][name].extend(items)
                elif document.lines:
                    for name, items in receipt(document).items():
                        drops["pos", day, document.store][name].extend(items)
                else:
                    name, row = recorded(document, what, account.program)
                    given[f"hq/{day}/hq"][name].append(row)
    for (one, other, day), rate in it.rates.items():
        row = {"from_currency": one, "to_currency": other, "date": str(day), "rate": str(rate)}
        given[f"hq/{it.rates_come[one, other, day]}/hq"]["exchange_rates"].append(row)
    for name, content in drops_of({"base": "club", "landing": given}).items():
        feed, when, source = name.split("/")
        drops[feed, date.fromisoformat(when), source] = content
    return dict(sorted(drops.items()))


def customers(account: Account) -> set[str]:
    named = {row.customer for card in account.cards for row in card.rows}
    return (named | {document.customer for document in account.documents}) - {""}


def totals(document: Document) -> tuple[Decimal, Decimal, dict[str, str]]:
    kept = [line for line in document.lines if not line.voided]
    net, tax = (sum((getattr(line, of) for line in kept), Decimal("0.00")) for of in ("net", "tax"))
    return net, tax, {"net_amount": str(net), "tax_amount": str(tax), "total_amount": str(net + tax)}


def items_of(document: Document, transaction: str, line_no: str) -> list[dict[str, str]]:
    items = []
    for line in document.lines:
        item = {"line_no": str(line.no), "kind": line.kind, "product_id": line.product, "quantity": str(line.quantity)}
        item |= {"net_amount": str(line.net), "tax_amount": str(line.tax), "unit_price": str(abs(line.net))}
        if line.original:
            item |= {transaction: line.original[0], line_no: str(line.original[1])}
        items.append(item | {"voided": str(line.voided).lower()})
    return items


def paid(document: Document) -> list[dict[str, str]]:
    net, tax, _ = totals(document)
    paying = [tender for tender in (document.tender, document.second) if tender]
    tenders = [{"type": "cash", "amount": str(net + tax - sum(tender.amount for tender in paying))}]
    for tender in paying:
        loyal = {"type": "loyalty", "amount": str(tender.amount), "points": str(tender.points)}
        loyal |= {"loyalty_card_id": tender.card, "reward_point_id": tender.point}
        tenders.append(loyal | {"currency": tender.currency})
    return [one | {"currency": one.get("currency") or document.currency} for one in tenders]


def receipt(document: Document) -> Drop:
    own = {"transaction_id": document.id}
    head = {"type": document.type, "loyalty_card_id": document.card, "business_date": str(document.day)}
    head |= {"customer_id": document.customer, "currency": document.currency}
    head |= totals(document)[2] | {"started_at": document.at, "ended_at": document.at}
    items = items_of(document, "original_transaction_id", "original_line_no")
    tenders = [own | one | {"tender_no": str(n)} for n, one in enumerate(paid(document), 1)]
    return {
        "transactions": rows("transactions", own | head),
        "lines": rows("lines", *(own | one for one in items)),
        "tenders": rows("tenders", *tenders),
    }


def ordered(document: Document, day: date, status: str) -> Drop:
    own = {"order_id": document.id}
    head = {"loyalty_card_id": document.card, "customer_id": document.customer, "currency": document.currency}
    head |= {"business_date": document.at[:10], "ordered_at": document.at, "status": status}
    head |= totals(document)[2] | {"invoiced_date": str(document.day) if status != "submitted" else ""}
    items = items_of(document, "original_order_id", "original_line_no")
    for item in items:
        del item["voided"]
    payments = [own | one | {"payment_no": str(n)} for n, one in enumerate(paid(document), 1)]
    return {"orders": [own | head], "order_lines": [own | one for one in items], "order_payments": payments}


def recorded(document: Document, points: str, program: str) -> tuple[str, dict[str, str]]:
    if document.type == "activity":
        row = {"activity_id": document.id, "card_id": document.card, "activity_type": document.point}
        return "other_activities", row | {"channel_id": document.store, "occurred_at": document.at}
    own = {"reward_point_id": document.point, "date": str(document.day)}
    if document.other:
        moving = own | {"transfer_id": document.id, "from_card_id": document.card, "to_card_id": document.other}
        return "loyalty_transfers", moving | {"points": "" if document.points is None else str(document.points)}
    own |= {"program_id": program, "adjustment_id": document.id, "card_id": document.card}
    return "loyalty_adjustments", own | {"points": points}


def deliver(it: World, home: Home, days: Collection[date], spoils: random.Random | None = None) -> dict[Key, Drop]:
    """Writes the drops of these days. With ``spoils`` some come wrong; these are returned, to come again."""
    wrong = {}
    for (feed, day, source), content in it.drops.items():
        if day in days:
            now = content
            if spoils and feed != "call_center" and spoils.random() < 0.3:
                now, wrong[feed, day, source] = spoiled(content, spoils), content
            write_drop(home, feed, day, source, now)
    return wrong


def spoiled(content: Drop, rng: random.Random) -> Drop:
    """As a first revision: documents missing, of no card, or there twice under another number."""
    keys = {
        "transactions": "transaction_id",
        "loyalty_adjustments": "adjustment_id",
        "loyalty_transfers": "transfer_id",
    }
    listed = [row[key] for name, key in keys.items() for row in content.get(name, [])]
    missing = {one for one in listed if rng.random() < 0.2}
    nobodys = {one for one in listed if rng.random() < 0.1}
    double = {one for one in listed if rng.random() < 0.1}
    found: Drop = defaultdict(list)
    for name, items in content.items():
        key = keys.get(name, "transaction_id")
        for row in items:
            now = row | {"loyalty_card_id": ""} if name == "transactions" and row[key] in nobodys else row
            found[name] += [now] if row.get(key) not in missing else []
            found[name] += [row | {key: f"Z{row[key]}"}] if row.get(key) in double else []
    return dict(found)
