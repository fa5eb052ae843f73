"""The call center, all of it made: about two hundred orders of real products by real households, and its records.

Each night's drop holds the orders that are new or changed that day, whole, as they then are: submitted, shipped and
invoiced, held and cleared, cancelled, returned. They suit the example settings of spec 4-call-center.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from itertools import count

import duckdb

from scripts.sample.drops import Row
from scripts.sample.members import FIRST_NAMES, LAST_NAMES, Member, address, phone
from scripts.sample.shop import CALL_CENTER, CENT, DAYS, FIRST, LAST, REWARD_POINT, Shop, draw, local

ORDERS = 190
ZERO = Decimal("0.00")
TAX = Decimal("0.06")
SOURCES = {"FALL-A": "CAT-FALL", "FALL-B": "CAT-FALL", "HOLIDAY-A": "CAT-HOLIDAY", "HOLIDAY-B": "CAT-HOLIDAY"}
OPERATORS = {"op-01": "agent", "op-02": "agent", "op-03": "lead", "op-04": "fraud_desk", "op-05": "manager"}


@dataclass(frozen=True)
class Item:
    """A product of the call center's catalogs at its usual shelf price."""

    product_id: str
    price: Decimal

    @property
    def cost(self) -> Decimal:
        return (self.price * Decimal("0.7")).quantize(CENT, ROUND_HALF_UP)


@dataclass
class Order:
    """One order as it stands on a day; ``deliver`` puts that version into the day's drop."""

    header: Row
    lines: list[Row] = field(default_factory=list)
    payments: list[Row] = field(default_factory=list)
    addresses: list[Row] = field(default_factory=list)
    events: list[Row] = field(default_factory=list)

    @property
    def id(self) -> str:
        return str(self.header["order_id"])

    def deliver(self, shop: Shop, day: date, status: str) -> None:
        self.header["status"] = status
        if day > LAST:
            return
        drop = shop.drop("call_center", day, CALL_CENTER)
        version = copy.deepcopy(self)
        parts = {
            "orders": [version.header],
            "order_lines": version.lines,
            "order_payments": version.payments,
            "order_addresses": version.addresses,
            "hold_events": version.events,
        }
        for dataset, rows in parts.items():
            kept = [row for row in drop.rows.get(dataset, []) if row["order_id"] != self.id]
            drop.rows[dataset] = kept + [{"order_id": self.id} | row for row in rows]

    def ship(self, shop: Shop, day: date) -> None:
        """Shipped and invoiced: what was authorized is paid."""
        self.header["invoiced_date"] = day
        for line in self.lines:
            line["shipped_date"] = day
        for payment in self.payments:
            if payment["status"] == "authorized":
                payment |= {"status": "paid", "paid_at": local(day, 16)}
        self.deliver(shop, day, "invoiced")

    def event(
        self, event: str, day: date, hour: int, user: str, code: str | None = "FRAUD", comment: str | None = None
    ) -> None:
        self.events.append(
            {"hold_code": code, "event": event, "at": local(day, hour), "user": user, "comment": comment}
        )


def catalog(con: duckdb.DuckDBPyConnection) -> list[Item]:
    """Forty products, one of each category: those sold most that have a steady price."""
    rows = con.execute(
        """
        select product_id, quantile_disc(unit_price, 0.5)::decimal(18, 2)
        from lines join products using (product_id)
        where quantity = 1 and unit_price > 1.5 and eligible_points and category_id like '%.%'
            and category_id not like 'FUEL%' and category_id not like 'COUPON%' and category_id not like 'SPIRITS%'
        group by product_id, category_id
        qualify row_number() over (partition by category_id order by count(*) desc, product_id::bigint) = 1
        order by count(*) desc, product_id::bigint
        limit 40
        """
    ).fetchall()
    return [Item(product_id, price) for product_id, price in rows]


def orders(shop: Shop, people: dict[int, Member], items: list[Item], savers: set[str]) -> None:
    """Six weeks of the call center. ``savers``: cards that surely hold 100 usable points after three weeks."""
    _reference(shop, people, items)
    numbers = count(1)
    callers = [member for member in people.values() if not member.signed_up_at_store and member.enrolled_from <= FIRST]
    shipped: list[tuple[Order, date]] = []
    for number in range(ORDERS):
        day = DAYS[draw(len(DAYS), "day", number)]
        day -= timedelta(day.weekday() == 6)  # closed on Sundays
        caller = None if draw(12, "new", number) == 0 else callers[draw(len(callers), "caller", number)]
        order = _order(shop, f"O{next(numbers):06}", day, caller, items)
        card = order.header["loyalty_card_id"]
        if card in savers and day > FIRST + timedelta(21) and order.header["total_amount"] > 5:
            savers.remove(card)
            order.payments = _with_points(order)
        sent = _life(shop, order, day, draw(20, "life", number))
        if sent:
            shipped.append((order, sent))
    for order, sent in shipped[:12:2]:
        _brought_back(shop, f"O{next(numbers):06}", order, sent + timedelta(4), exchange=order is shipped[4][0])
    _continuity(shop, callers[7], items, numbers)
    for age, code in ((9, "CREDIT"), (4, "CREDIT"), (2, None)):
        _waiting(shop, _order(shop, f"O{next(numbers):06}", LAST - timedelta(age), callers[age], items), code)
    for number, (order, sent) in enumerate(shipped[20:23], 1):
        line = order.lines[0]
        match = {
            "match_id": f"PM{number:04}",
            "order_id": order.id,
            "line_no": line["line_no"],
            "reason_code": "competitor",
        }
        new_price = (line["unit_price"] * Decimal("0.9")).quantize(CENT)
        shop.hq(min(sent + timedelta(3), LAST)).add(
            "price_matches", match | {"new_price": new_price, "date": min(sent + timedelta(3), LAST)}
        )


def _order(shop: Shop, order_id: str, day: date, caller: Member | None, items: list[Item]) -> Order:
    """A new order of one to five lines; a caller nobody knows becomes a customer of the call center."""
    mode = ("ground", "ground", "ground", "air")[draw(4, "mode", order_id)]
    source = list(SOURCES)[draw(len(SOURCES), "source", order_id)] if draw(25, "no source", order_id) else None
    order = Order(
        {
            "order_id": order_id,
            "call_center_id": CALL_CENTER,
            "customer_id": caller.customer_id if caller else _new_customer(shop, order_id, day),
            "loyalty_card_id": caller.card_id if caller and draw(8, "card", order_id) else None,
            "ordered_at": local(day, 8 + draw(11, "hour", order_id), draw(60, "minute", order_id)),
            "business_date": day,
            "currency": "USD",
            "source_code": source,
            "catalog_id": SOURCES[source] if source else None,
            "delivery_mode": mode,
            "expedite_code": "RUSH" if mode == "air" else None,
            "operator_id": list(OPERATORS)[draw(3, "operator", order_id)],
            "warehouse": None if draw(5, "warehouse", order_id) else "WH-EAST",
        }
    )
    start = draw(len(items), "item", order_id)
    for line_no in range(1, 2 + draw(5, "lines", order_id)):
        order.lines.append(_line(order, line_no, items[(start + 7 * line_no) % len(items)]))
    _total(order)
    delivery = {"area": "delivery", "name": "As ordered", "phone": phone(540 + draw(60, "phone", order_id))}
    where = address(caller.household if caller else order_id)
    order.addresses = [{"area": "billing", "name": delivery["name"]} | where, delivery | where]
    order.payments = _payments(order, day)
    if caller and draw(3, "terms", order_id):
        _terms(shop, order, day)
    return order


def _terms(shop: Shop, order: Order, day: date) -> None:
    """Most of those who pay in installments or on account have been allowed to."""
    wanted = {
        "installments": "due_on" in order.payments[0],
        "allow_on_account": order.payments[0]["type"] == "on_account",
    }
    allowed = {name: True for name, asked in wanted.items() if asked}
    if allowed:
        operation = {"operation_id": f"{CALL_CENTER}-{order.id}-T", "operation": "update", "mode": "sync"}
        who = {"operated_at": local(day, 7), "channel_id": CALL_CENTER, "customer_id": order.header["customer_id"]}
        shop.drop("call_center", day, CALL_CENTER).add("customers", operation | who | allowed)


def _line(order: Order, line_no: int, item: Item) -> Row:
    key = (order.id, line_no)
    quantity = 1 + draw(8, "quantity", *key) + (18 if draw(40, "many", *key) == 0 else 0)
    overridden = draw(15, "override", *key) == 0
    share = Decimal(("0.7", "0.75", "0.9")[draw(3, "to", *key)]) if overridden else 1
    price = (item.price * share).quantize(CENT)
    coupon = ("THANKS10", " thanks10", "Thanks10")[draw(3, "written", *key)] if draw(12, "coupon", *key) == 0 else None
    discount = (price * quantity * Decimal("0.1")).quantize(CENT, ROUND_HALF_UP) if coupon else ZERO
    net = price * quantity - discount
    return {
        "line_no": line_no,
        "kind": "sale",
        "product_id": item.product_id,
        "quantity": Decimal(quantity).quantize(Decimal("0.001")),
        "unit_price": price.quantize(Decimal("0.0001")),
        "discount_amount": discount,
        "net_amount": net,
        "tax_amount": (net * TAX).quantize(CENT, ROUND_HALF_UP),
        "delivery_mode": "air" if draw(20, "line mode", *key) == 0 else None,
        "catalog_id": order.header["catalog_id"],
        "coupon_code": coupon,
        "price_overridden": overridden,
        "cost_price": item.cost,
    }


def _total(order: Order) -> None:
    """Header amounts are the sums of the lines; delivery as the example charges say, wrong on one order in thirty."""
    for name in ("net_amount", "tax_amount", "discount_amount"):
        order.header[name] = sum((line[name] for line in order.lines), ZERO)
    net = order.header["net_amount"]
    charges = Decimal("5.95") if net < 50 else Decimal("7.95") if net < 100 else ZERO
    if order.header["delivery_mode"] != "ground" or net < 0:
        charges = ZERO
    for line in order.lines:
        mode = line["delivery_mode"] or order.header["delivery_mode"]
        if mode == "air" and line["net_amount"] > 0:
            share = (line["net_amount"] * Decimal("0.05")).quantize(CENT, ROUND_HALF_UP)
            charges += Decimal("9.95") if line["net_amount"] < 100 else share
    order.header["charges_amount"] = charges + (Decimal("2.00") if draw(30, "charged", order.id) == 0 else 0)
    order.header["total_amount"] = net + order.header["tax_amount"] + order.header["charges_amount"]


def _payments(order: Order, day: date) -> list[Row]:
    """Mostly one card payment; also checks, accounts, installments, and amounts that miss the total."""
    total = order.header["total_amount"]
    kind = draw(20, "payment", order.id)
    paid_at = local(day, 20)
    if kind == 0:
        return [{"payment_no": 1, "type": "check", "amount": total, "status": "paid", "paid_at": paid_at}]
    if kind == 1:
        return [{"payment_no": 1, "type": "on_account", "amount": total, "status": "authorized"}]
    if kind == 2:
        half = (total / 2).quantize(CENT, ROUND_HALF_UP)
        shares = [half, total - half]
        return [
            {
                "payment_no": no,
                "type": "card",
                "amount": share,
                "status": "authorized",
                "due_on": day + timedelta(30 * no),
            }
            for no, share in enumerate(shares, 1)
        ]
    if kind == 3:
        short = {"amount": (total * Decimal("0.7")).quantize(CENT), "status": "authorized"}
        return [{"payment_no": 1, "type": "card"} | short]
    if kind == 4:
        return [{"payment_no": 1, "type": "card", "amount": total, "status": "not_authorized", "decline_count": 4}]
    return [{"payment_no": 1, "type": "card", "amount": total, "status": "authorized"}]


def _with_points(order: Order) -> list[Row]:
    loyalty = {
        "type": "loyalty",
        "amount": Decimal("1.00"),
        "reward_point_id": REWARD_POINT,
        "points": Decimal("100.00"),
    }
    loyalty["loyalty_card_id"] = order.header["loyalty_card_id"]
    rest = {"type": "card", "amount": order.header["total_amount"] - 1}
    return [{"payment_no": no, "status": "authorized"} | payment for no, payment in enumerate((loyalty, rest), 1)]


def _life(shop: Shop, order: Order, day: date, life: int) -> date | None:
    """What becomes of an order; the date it was invoiced, if it was within the six weeks.

    One in twenty each: held by hand, suspected, cancelled, cancelled though invoiced, never shipped, left open.
    """
    ready = day
    if life == 0:
        order.header |= {"manual_hold_code": "CREDIT", "hold_comment": "asked for a credit check"}
        order.deliver(shop, day, "open")
        ready = day + timedelta(2)
        order.event("check_out", ready, 9, "op-03", "CREDIT")
        order.event("clear_and_submit", ready, 10, "op-03", "CREDIT")
        if draw(2, "again", order.id):
            order.event("clear", ready, 11, "op-03", "CREDIT")  # too late: it is clear already
    if life == 1:
        order.addresses[1] |= {"email": "fraud.watch@example.com", "zip": "00099-0001"}
        order.event("hold", day, 19, "op-02", comment="address on the list")
        order.deliver(shop, day, "submitted")
        ready = day + timedelta(1)
        order.event("check_out", ready, 9, "op-04")
        order.event("clear_and_modify" if draw(2, "modify", order.id) else "clear", ready, 11, "op-04")
    if life == 5:
        order.deliver(shop, day, "open")
        return None
    order.deliver(shop, ready, "submitted")
    if life == 4:
        return None
    sent = ready + timedelta(1 + draw(4, "shipping", order.id))
    if life == 2:
        order.deliver(shop, sent, "cancelled")
        return None
    order.ship(shop, sent)
    if life == 3:
        order.deliver(shop, sent + timedelta(2), "cancelled")
        return None
    return sent if sent <= LAST else None


def _waiting(shop: Shop, order: Order, code: str | None) -> None:
    """Still held when the six weeks end: by hand, or because of where it is to go."""
    order.header |= {"manual_hold_code": code, "hold_comment": "asked for a credit check" if code else None}
    if code is None:
        order.addresses[1] |= {"email": "fraud.watch@example.com", "zip": "00099-0001"}
    order.deliver(shop, order.header["business_date"], "open" if code else "submitted")


def _brought_back(shop: Shop, order_id: str, original: Order, day: date, exchange: bool) -> None:
    """A return of the original's first line, on its own order; an exchange sends the same line again."""
    old = original.lines[0]
    back = old | {
        "kind": "return",
        "quantity": -old["quantity"],
        "discount_amount": -old["discount_amount"],
        "net_amount": -old["net_amount"],
        "tax_amount": -old["tax_amount"],
        "delivery_mode": None,
        "coupon_code": None,
        "original_order_id": original.id,
        "original_line_no": old["line_no"],
    }
    kept = ("call_center_id", "customer_id", "loyalty_card_id", "currency", "source_code", "catalog_id", "operator_id")
    header = {name: original.header[name] for name in kept}
    header |= {"order_id": order_id, "ordered_at": local(day, 10), "business_date": day, "delivery_mode": "ground"}
    order = Order(header | {"exchange_of_order_id": original.id if exchange else None}, [back])
    if exchange:
        order.lines.append(old | {"line_no": len(original.lines) + 1, "shipped_date": None})
    order.addresses = copy.deepcopy(original.addresses)
    _total(order)
    if total := order.header["total_amount"]:
        order.payments = [{"payment_no": 1, "type": "card", "amount": total, "status": "authorized"}]
    order.ship(shop, day)


def _continuity(shop: Shop, caller: Member, items: list[Item], numbers: count[int]) -> None:
    """A parcel every two weeks: one parent order and the children that fall into the six weeks."""
    shop.hq(FIRST).add(
        "continuity_programs",
        {
            "schedule_id": "PANTRY",
            "starts_on": FIRST,
            "start": "first",
            "bill_up_front": False,
            "consolidate_missed": False,
            "days_before_delivery": 2,
            "repeat_threshold": 1,
            "max_child_orders": 4,
        },
    )
    for event_no, item in enumerate(items[:3], 1):
        event = {"schedule_id": "PANTRY", "event_no": event_no, "product_id": item.product_id, "action": "none"}
        shop.hq(FIRST).add("continuity_events", event | {"days_from_start": 14 * (event_no - 1)})
    parent, started = f"O{next(numbers):06}", FIRST + timedelta(1)
    joined = {
        "parent_order_id": parent,
        "schedule_id": "PANTRY",
        "customer_id": caller.customer_id,
        "started_on": started,
    }
    shop.hq(started).add("continuity_orders", joined)
    order = _order(shop, parent, started, caller, items[:1])
    order.deliver(shop, started, "open")
    for child_no, item in enumerate(items[:3], 1):
        day = started + timedelta(14 * (child_no - 1))
        child = _order(shop, f"O{next(numbers):06}", day, caller, [item])
        child.header |= {"parent_order_id": parent, "child_no": child_no}
        child.ship(shop, day)
    _joined_late(shop, caller, items, f"O{next(numbers):06}")


def _joined_late(shop: Shop, caller: Member, items: list[Item], parent: str) -> None:
    """A schedule joined at its second event, and nobody made the parcels: two missed by the end, one is to come."""
    schedule, started = {"schedule_id": "SPICES"}, FIRST + timedelta(16)
    program = {"starts_on": FIRST, "start": "current", "bill_up_front": True, "consolidate_missed": True}
    shop.hq(FIRST).add("continuity_programs", schedule | program | {"days_before_delivery": 3})
    for event_no, item in enumerate(items[3:6], 1):
        event = {"event_no": event_no, "product_id": item.product_id, "days_from_start": 15 * (event_no - 1)}
        repeated = {"action": "end", "repeat": 1, "repeat_days": 15} if event_no == 3 else {"action": "none"}
        shop.hq(FIRST).add("continuity_events", schedule | event | repeated)
    joined = schedule | {"parent_order_id": parent, "customer_id": caller.customer_id, "started_on": started}
    shop.hq(started).add("continuity_orders", joined)
    _order(shop, parent, started, caller, items[3:4]).deliver(shop, started, "open")


def _new_customer(shop: Shop, order_id: str, day: date) -> str:
    """A made customer without a card, created by the operator who takes the order."""
    customer_id = f"C{3000 + int(order_id[1:]):08}"
    first = FIRST_NAMES[draw(len(FIRST_NAMES), "first", order_id)]
    last = LAST_NAMES[draw(len(LAST_NAMES), "last", order_id)]
    shop.drop("call_center", day, CALL_CENTER).add(
        "customers",
        {
            "operation_id": f"{CALL_CENTER}-{order_id}",
            "operation": "create",
            "mode": "sync",
            "operated_at": local(day, 8),
            "channel_id": CALL_CENTER,
            "customer_id": customer_id,
            "customer_type": "person",
            "first_name": first,
            "last_name": last,
            "phone": phone(540 + draw(60, "phone", order_id)),
        },
    )
    return customer_id


def _reference(shop: Shop, people: dict[int, Member], items: list[Item]) -> None:
    """Catalogs, source codes, coupons, operators, delivery modes, the fraud list: all in head office's first drop."""
    hq = shop.hq(FIRST)
    costs = {item.product_id: item.cost for item in items}
    for product in hq.rows["products"]:
        known = product["product_id"] in costs
        product |= {"cost_price": costs.get(product["product_id"]), "installments": known or None}
        product |= {"notice_exempt": True if product["product_id"] == items[0].product_id else None}
    for catalog_id, name, start in (("CAT-FALL", "Fall pantry", 2), ("CAT-HOLIDAY", "Holiday table", 4)):
        dates = {"valid_from": FIRST + timedelta(7 * (start - 2)), "valid_to": LAST + timedelta(21)}
        hq.add("catalogs", {"catalog_id": catalog_id, "name": name, "status": "published"} | dates)
        for page in range(1, 6):
            hq.add("catalog_pages", {"catalog_id": catalog_id, "page": page, "page_cost": Decimal("400.00")})
        for number, item in enumerate(items[: 20 if catalog_id == "CAT-FALL" else 40]):
            place = {"catalog_id": catalog_id, "page": 1 + number % 5, "product_id": item.product_id}
            hq.add("catalog_items", place | {"percent_of_page": Decimal(20 if catalog_id == "CAT-FALL" else 12)})
    for number, (code, catalog_id) in enumerate(SOURCES.items()):
        until = (
            LAST + timedelta(21) if code != "FALL-A" else FIRST + timedelta(20)
        )  # FALL-A ends early, and is still quoted
        hq.add(
            "source_codes",
            {
                "source_code": code,
                "catalog_id": catalog_id,
                "valid_from": FIRST,
                "valid_to": until,
                "target_market": ("past buyers", "prospects")[number % 2],
                "distribution_quantity": 120 - 20 * number,
                "projected_orders": 40,
                "projected_sales": Decimal("1600.00"),
                "mailing_cost": Decimal("60.00"),
                "printing_cost": Decimal("110.00"),
                "other_cost": Decimal("15.00"),
                "mail_date": FIRST,
            },
        )
    for member in people.values():
        if (
            draw(3, "mailing", member.household) == 0
            and member.enrolled_from <= FIRST
            and not member.signed_up_at_store
        ):
            code = list(SOURCES)[draw(4, "mailed", member.household)]
            hq.add("catalog_mailings", {"source_code": code, "customer_id": member.customer_id, "mailed_on": FIRST})
    hq.add(
        "coupons",
        {
            "coupon_code": "THANKS10",
            "coupon_id": "THANKS",
            "discount_id": "TEN-PERCENT",
            "valid_from": FIRST,
            "valid_to": LAST,
            "status": "active",
            "usage_limit": 20,
            "limit_per": "global",
        },
    )
    hq.add("operator_roles", *({"operator_id": operator, "role": role} for operator, role in OPERATORS.items()))
    hq.add("delivery_modes", {"mode": "ground"}, {"mode": "air", "channels": CALL_CENTER, "expedite_code": "RUSH"})
    hq.add(
        "fraud_static",
        {"type": "email", "value": "fraud.watch@example.com", "score": 30, "active": True},
        {"type": "extended_zip", "value": "00099-0001", "score": 25, "active": True},
        {"type": "phone", "value": phone(659), "score": None, "active": True},
    )
