"""What the call center's and marketing's views say of orders and sales (spec 4-call-center)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.call_center.conftest import Center, customer
from tests.call_center.test_orders import orders

DAY = "2020-01-31"
INVOICED = {"status": "invoiced", "invoiced_date": "2020-01-10"}


def line(net: str, **other: Any) -> dict[str, Any]:
    return {"lines": [{"net_amount": net, **other}]}


def test_charges_by_header_and_line(center: Center) -> None:
    """49.99 → 5.95, 50.00 → 7.95, 100.00 → 0; air at 120 → 6.00; what applies adds up."""
    ground, air = {"delivery_mode": "ground"}, {"delivery_mode": "air"}
    orders(
        center, "2020-01-01",
        A={**ground, **line("49.99"), "charges_amount": "5.95"}, B={**ground, **line("50.00")},
        C={**ground, **line("100.00")}, D={**air, **line("120.00")},
        E={**ground, "lines": [{"net_amount": "30.00"}, {"net_amount": "20.10", **air}]},
        F={**ground, "lines": [{"net_amount": "-10.00", "kind": "return"}]},
        G={**air, "lines": [{"net_amount": "100.10"}, {"net_amount": "100.10"}]},
    )  # fmt: skip
    found = center.rows("call_center.charges", "order_id", "header_expected", "lines_expected", "difference", day=DAY)
    assert found == [
        ("A", Decimal("5.95"), 0, 0),
        ("B", Decimal("7.95"), 0, Decimal("-7.95")),
        ("C", 0, 0, 0),
        ("D", 0, Decimal("6.00"), Decimal("-6.00")),
        ("E", Decimal("7.95"), Decimal("9.95"), Decimal("-17.90")),
        ("F", 0, 0, 0),
        ("G", 0, Decimal("10.02"), Decimal("-10.02")),
    ]  # fmt: skip


def test_overridden_prices_against_the_floor_of_the_mildest_role(make: Any) -> None:
    """Cost 100 at 5 %: 104.99 is flagged, 105.00 is fine; 0 % is no floor; no role may change nothing."""
    center = make()
    roles = [("ann", "agent"), ("lee", "agent"), ("lee", "lead"), ("joe", "driver")]
    center.land(
        "2020-01-01", "hq", products=[{"cost_price": "100"}, {"product_id": "N"}],
        operator_roles=[{"operator_id": who, "role": role} for who, role in roles],
    )  # fmt: skip
    cases = {
        "A": ("ann", "104.99", "P", "flagged"), "B": ("ann", "105.00", "P", "ok"), "C": ("lee", "1.00", "P", "ok"),
        "D": ("joe", "500.00", "P", "flagged"), "E": (None, "500.00", "P", "flagged"), "F": ("ann", "1", "N", None),
    }  # fmt: skip
    for order_id, (who, price, product, _) in cases.items():
        lines = [{"price_overridden": "true", "unit_price": price, "product_id": product}, {"unit_price": "1"}]
        orders(center, f"2020-01-0{ord(order_id) - 62}", **{order_id: {"operator_id": who, "lines": lines}})
    found = center.rows("call_center.price_checks", "order_id", "override", where="line_no = 1", day=DAY)
    assert found == [(order_id, case[3]) for order_id, case in cases.items()]
    assert center.rows("call_center.price_checks", "override", where="line_no = 2", day=DAY) == [(None,)] * 6
    floor = center.rows("call_center.price_checks", "floor", where="order_id in ('A', 'C') and line_no = 1", day=DAY)
    assert floor == [(Decimal("105.0000"),), (None,)]


def test_margins_in_bands_and_costs_at_the_newest_rate(center: Center) -> None:
    """40 % is ok, 30 % a warning, 19 % blocked; a cost of 100 USD is 80 EUR at 0.8."""
    rates = [
        {"from_currency": "USD", "to_currency": "EUR", "date": day, "rate": rate}
        for day, rate in (("2019-01-01", "0.5"), ("2020-01-01", "0.8"))
    ]
    center.land("2020-01-01", "hq", products=[{"cost_price": "100"}, {"product_id": "N"}])
    center.stored["reference.exchange_rates"] = [
        {**rate, "valid_from": "0001-01-01", "valid_to": "9999-12-31"} for rate in rates
    ]
    orders(
        center, "2020-01-01",
        A=line("140.00"), B=line("130.00"), C=line("119.00"), D=line("120.00"), E=line("112.00") | {"currency": "EUR"},
        F=line("140.00", product_id="N"), G=line("280.00", quantity="2"), H=line("140.00", quantity="0"),
        I=line("139.99"),
    )  # fmt: skip
    found = center.rows("call_center.price_checks", "order_id", "margin", "margin_percent", day=DAY)
    assert found == [
        ("A", "ok", Decimal("40.00")), ("B", "warning", Decimal("30.00")), ("C", "blocked", Decimal("19.00")),
        ("D", "warning", Decimal("20.00")), ("E", "ok", Decimal("40.00")), ("F", None, None),
        ("G", "ok", Decimal("40.00")),
        ("H", None, None), ("I", "warning", Decimal("39.99")),
    ]  # fmt: skip


def test_price_matches_stay_within_the_limit_of_their_order(center: Center) -> None:
    """2 × (30 − 20) → 20; all of an order at most 50, the earliest first."""
    two = {"quantity": "2", "unit_price": "30"}
    one, both = {"lines": [two]}, {"lines": [two, two]}
    orders(center, "2020-01-10", A={**INVOICED, **one}, B={**INVOICED, **both}, C=one)
    matches = [
        ("m1", "A", 1, "20", "2020-01-12"), ("m2", "B", 1, "0", "2020-01-14"), ("m3", "B", 2, "10", "2020-01-13"),
        ("m4", "B", 2, "10", "2020-01-15"), ("m5", "C", 1, "10", "2020-01-12"), ("m6", "A", 9, "10", "2020-01-12"),
        ("m7", "A", 1, "31", "2020-01-11"),
    ]  # fmt: skip
    names = ("match_id", "order_id", "line_no", "new_price", "date")
    center.land("2020-01-15", "hq", price_matches=[dict(zip(names, match, strict=True)) for match in matches])
    assert center.rows("call_center.price_matches", "match_id", "credit", "reason", day=DAY) == [
        ("m1", Decimal("20.00"), "granted"), ("m2", Decimal("10.00"), "limited"), ("m3", Decimal("40.00"), "granted"),
        ("m4", Decimal("0.00"), "limited"), ("m5", 0, "not_invoiced"), ("m6", 0, "unknown_line"),
        ("m7", 0, "not_lower"),
    ]  # fmt: skip


def test_refunds_go_back_as_the_money_came(make: Any) -> None:
    payments = {"check_hold": None, "tolerance_percent": 20, "decline_limit": 3, "max_order_credit": 50}
    refund = {"cash": "voucher", "check": "bank", "default": "letter", "approve_over": 100}
    center = make(payments={**{k: v for k, v in payments.items() if v is not None}, "refund": refund})

    def cancelled(*ways: str, amount: str = "100.00") -> dict[str, Any]:
        return {"status": "cancelled", "payments": [{"type": way, "amount": amount} for way in ways]}

    def back(original: str | None, total: str, *payments: dict[str, Any]) -> dict[str, Any]:
        lines = [{"kind": "return", "original_order_id": original, "original_line_no": "1"}]
        return {**INVOICED, "total_amount": total, "lines": lines, "payments": list(payments)}

    orders(
        center, "2020-01-10",
        A=cancelled("cash"), B=cancelled("check", amount="100.01"), C=cancelled("card"), D=cancelled("card", "cash"),
        E={"status": "cancelled", "payments": [{"status": "authorized"}]}, F={"payments": [{"type": "loyalty"}]},
        G=back("F", "-7.00"), H=back(None, "-7.00"), I=back("NONE", "-7.00"),
        J=back("F", "-7.00", {"amount": "-7.00"}), K=back("F", "-7.00", {"amount": "-3.00", "type": "loyalty"}),
        L=cancelled("gift_card"), M=cancelled("on_account"),
    )  # fmt: skip
    assert center.rows("call_center.refunds", "order_id", "method", "amount", "approval", day=DAY) == [
        ("A", "voucher", 100, "auto"), ("B", "bank", Decimal("100.01"), "queue"), ("C", "card", 100, "auto"),
        ("D", "letter", 200, "queue"), ("G", "loyalty", 7, "auto"), ("H", "letter", 7, "auto"),
        ("I", "letter", 7, "auto"), ("K", "loyalty", 4, "auto"), ("L", "gift_card", 100, "auto"),
        ("M", "letter", 100, "auto"),
    ]  # fmt: skip


def test_coupon_limits_are_per_code_however_it_is_written(center: Center) -> None:
    coupons = [
        {"coupon_code": "ONE-A", "usage_limit": 1}, {"coupon_code": "ONE-B", "usage_limit": 1},
        {"coupon_code": "mine", "usage_limit": 1, "limit_per": "customer"},
        {"coupon_code": "OLD", "valid_to": "2020-01-01"}, {"coupon_code": "OFF", "status": "inactive"},
        {"coupon_code": "THANKS10", "usage_limit": 1},
    ]  # fmt: skip
    center.land("2020-01-01", "hq", coupons=coupons)

    def used(*codes: str, **header: Any) -> dict[str, Any]:
        return {**header, "lines": [{"coupon_code": code} for code in codes]}

    orders(
        center, "2020-01-10",
        A=used("ONE-A", "ONE-B", "ONE-A"), B=used("Mine", customer_id="K1"), C=used("MINE", customer_id="K2"),
        D=used("mine", customer_id="K2"), E=used("old"), F=used("off"), G=used("nobody's"),
        H=used(" thanks10\u00a0"), I=used("ＴＨＡＮＫＳ１０"),
        J=used("OFF", status="open"), K=used("OFF", status="cancelled"),
    )  # fmt: skip
    columns = ("coupon_code", "scope_id", "used", "usage_limit", "flags")
    assert center.rows("call_center.coupon_usage", *columns, day=DAY) == [
        ("OFF", "all", 1, None, "inactive"), ("OLD", "all", 1, None, "expired"), ("ONE-A", "all", 1, 1, None),
        ("ONE-B", "all", 1, 1, None), ("THANKS10", "all", 2, 1, "over_use"), ("mine", "K1", 1, 1, None),
        ("mine", "K2", 2, 1, "over_use"), ("nobody's", "all", 1, None, "unknown"),
    ]  # fmt: skip


def continuity(center: Center, joined: str, events: list[dict[str, Any]], **program: Any) -> None:
    schedule = {"schedule_id": "S"}
    base = {"starts_on": "2020-01-01", "start": "first", "bill_up_front": "false", "consolidate_missed": "false"}
    center.land(
        "2020-01-01", "hq",
        continuity_programs=[{**schedule, **base, "days_before_delivery": 2, **program}],
        continuity_events=[
            {**schedule, "event_no": number, "product_id": f"P{number}", "action": "none", **event}
            for number, event in enumerate(events, start=1)
        ],
        continuity_orders=[{**schedule, "parent_order_id": "O", "customer_id": "K", "started_on": joined}],
    )  # fmt: skip


COLUMNS = ("child_no", "event_no", "cast(due_on as text)", "status", "batch")
DAYS = [{"days_from_start": 0}, {"days_from_start": 30}, {"days_from_start": 60}]


@pytest.mark.parametrize(
    ("start", "joined", "first"),
    [
        ("current", "2020-03-06", 3), ("current", "2020-01-30", 1), ("current", "2020-01-31", 2),
        ("first", "2020-03-06", 1),
    ],
)  # fmt: skip
def test_a_continuity_order_joins_at_the_first_or_current_event(
    center: Center, start: str, joined: str, first: int
) -> None:
    """Days 0, 30, 60, joined on day 65: the current event is the third, due the day it was joined."""
    continuity(center, joined, DAYS, start=start)
    found = center.rows("call_center.continuity_orders", "event_no", "cast(due_on as text)", day="2020-01-01")
    assert found[0] == (first, joined)
    assert [row[0] for row in found] == list(range(first, 4))


def test_children_are_planned_due_missed_made_and_skipped(center: Center) -> None:
    events = [
        {"days_from_start": 0, "repeat": 5, "repeat_days": 5}, {"days_from_start": 20, "action": "skip"},
        {"days_from_start": 30, "action": "end"}, {"days_from_start": 40},
    ]  # fmt: skip
    continuity(center, "2020-01-03", events, repeat_threshold=2, consolidate_missed="true")
    orders(center, "2020-01-03", C1={**INVOICED, "parent_order_id": "O", "child_no": 1})
    assert center.rows("call_center.continuity_orders", *COLUMNS, day="2020-01-31") == [
        (1, 1, "2020-01-03", "invoiced", 1), (2, 1, "2020-01-08", "missed", 2), (3, 1, "2020-01-13", "missed", 2),
        (4, 3, "2020-02-02", "due", 4),
    ]  # fmt: skip
    assert center.rows("call_center.continuity_orders", "parent_status", day=DAY) == [("open",)] * 4
    orders(center, "2020-01-20", **{f"C{n}": {**INVOICED, "parent_order_id": "O", "child_no": n} for n in (2, 3, 4)})
    assert center.rows("call_center.continuity_orders", "parent_status", day=DAY) == [("closed",)] * 4


def test_nothing_comes_past_the_most_children(center: Center) -> None:
    continuity(center, "2020-01-01", DAYS, max_child_orders=2)
    assert center.rows("call_center.continuity_orders", "event_no", day="2020-01-01") == [(1,), (2,)]


def test_gift_cards_go_below_nothing_in_sight(center: Center) -> None:
    """50 − 30 − 30 → −10, flagged; another currency does not count; a card that a line of its first day sold opens with
    nothing, and one that a later line tops up keeps its opening."""
    card = {"currency": "USD", "company": "X", "opened_on": "2020-01-01", "amount": "50.00"}
    cards = [{"gift_card_id": name, **card} for name in ("G", "SOLD", "TOP", "VOID")]
    cards[1]["opened_on"] = "2020-01-10"
    cards[3]["voided_on"] = "2020-01-05"
    center.land("2020-01-01", "hq", gift_cards=cards)

    def pays(card_id: str, amount: str, **header: Any) -> dict[str, Any]:
        return {**INVOICED, **header, "payments": [{"type": "gift_card", "gift_card_id": card_id, "amount": amount}]}

    sale = {"kind": "gift_card", "gift_card_id": "SOLD", "net_amount": "50.00"}
    orders(
        center, "2020-01-10",
        A=pays("G", "30.00"), B=pays("G", "30.00"), C=pays("G", "9.00", currency="EUR"), D=pays("VOID", "1.00"),
        E=pays("NONE", "1.00"), F={**INVOICED, "lines": [sale], "net_amount": "50.00"},
        H={**INVOICED, "lines": [sale | {"gift_card_id": "TOP", "net_amount": "20.00"}], "net_amount": "20.00"},
    )  # fmt: skip
    center.night("2020-01-10", "sales")
    columns = ("gift_card_id", "kind", "document_id", "amount", "balance", "flags")
    assert center.rows("call_center.gift_cards", *columns, day=DAY) == [
        ("G", "opening", None, 50, 50, None), ("G", "tender", "A", -30, 20, None),
        ("G", "tender", "B", -30, -10, "negative"), ("G", "tender", "C", -9, -10, "negative|currency"),
        ("NONE", "tender", "E", -1, -1, "negative|unknown"),
        ("SOLD", "opening", None, 0, 0, None), ("SOLD", "line", "F", 50, 50, None),
        ("TOP", "opening", None, 50, 50, None), ("TOP", "line", "H", 20, 70, None),
        ("VOID", "opening", None, 50, 50, None), ("VOID", "tender", "D", -1, 49, "voided"),
    ]  # fmt: skip


def test_what_catalogs_and_codes_brought(center: Center) -> None:
    """1000 × 25 % and sales of 900: 250 and 650. Contribution = revenue − returns − cost."""
    center.stored["reference.exchange_rates"] = [{
        "from_currency": "EUR", "to_currency": "USD", "date": "2020-01-01", "rate": "2",
        "valid_from": "0001-01-01", "valid_to": "9999-12-31",
    }]  # fmt: skip
    code = {"catalog_id": "CAT", "valid_to": "2020-01-20", "distribution_quantity": 100, "projected_orders": 5}
    costs = {"projected_sales": "1000.00", "mailing_cost": "60.00", "printing_cost": "30.00", "other_cost": "10.00"}
    center.land(
        "2020-01-01", "hq",
        source_codes=[{"source_code": "S", **code, **costs}],
        catalog_pages=[
            {"catalog_id": "CAT", "page": 1, "page_cost": "1000"}, {"catalog_id": "CAT", "page": 2, "page_cost": "100"},
        ],
        catalog_items=[
            {"catalog_id": "CAT", "page": 1, "product_id": "P", "percent_of_page": "25"},
            {"catalog_id": "CAT", "page": 1, "product_id": "Q", "percent_of_page": "10"},
            {"catalog_id": "CAT", "page": 2, "product_id": "Q", "percent_of_page": "101"},
        ],
        catalog_mailings=[
            {"source_code": "S", "customer_id": who, "mailed_on": "2020-01-02"} for who in ("K1", "guid")
        ],
    )  # fmt: skip
    center.customers = [customer("K2", async_id="guid")]
    center.account_map = [{"async_id": "guid", "account": "K2", "given_on": "2020-01-02", "given_by": "hq", "seq": 1}]
    with_code = {"source_code": "S", "catalog_id": "CAT"}
    sold = {"lines": [{"net_amount": "900.00"}], "net_amount": "900.00", "customer_id": "K1"}
    euros = {"lines": [{"product_id": "Q", "net_amount": "50.01"}], "net_amount": "50.01", "currency": "EUR"}
    back = {"lines": [{"kind": "return", "net_amount": "-100.00", "original_order_id": "A", "original_line_no": 1}]}
    orders(
        center, "2020-01-10",
        A={**INVOICED, **with_code, **sold}, B={**INVOICED, **with_code, **euros},
        C={**with_code, "status": "submitted"},
        D={**with_code, "status": "cancelled"}, R={**INVOICED, **back, "net_amount": "-100.00"},
        E={**INVOICED, "customer_id": "K2"}, F={**INVOICED, "customer_id": "K2", "invoiced_date": "2020-01-01"},
        G={**INVOICED, "customer_id": "K3"},
    )  # fmt: skip
    orders(center, "2020-01-21", H={**INVOICED, "customer_id": "K1", "invoiced_date": "2020-01-21"})
    center.night("2020-01-21", "sales")
    columns = ("orders", "revenue", "returns", "cost", "contribution", "response_rate")
    assert center.rows("marketing.source_codes", *columns, day=DAY) == [
        (3, Decimal("1000.02"), Decimal("100.00"), Decimal("100.00"), Decimal("800.02"), Decimal("0.030000"))
    ]
    deviations = ("deviations ->> '$.orders'", "deviations ->> '$.revenue'", "deviations ->> '$.contribution'")
    assert center.rows("marketing.source_codes", *deviations, day=DAY) == [("-2", "0.02", "-99.98")]
    columns = ("page", "product_id", "space_cost", "sales", "contribution", "flags")
    assert center.rows("marketing.catalog_areas", *columns, day=DAY) == [
        (1, "P", 250, 900, 650, None), (1, "Q", 100, Decimal("49.76"), Decimal("-50.24"), None),
        (2, "Q", 101, Decimal("50.26"), Decimal("-50.74"), "page_over_100"),
    ]  # fmt: skip
    columns = ("channel_id", "direct_orders", "direct_sales", "indirect_orders", "indirect_sales")
    assert center.rows("marketing.channel_sales", *columns, day=DAY) == [("CC", 2, Decimal("1000.02"), 1, 10)]


def test_a_cancelled_invoice_counts_no_more(center: Center) -> None:
    center.land("2020-01-01", "hq", source_codes=[{"source_code": "S", "catalog_id": "CAT"}])
    order = {"source_code": "S", "lines": [{"net_amount": "10.00"}]}
    orders(center, "2020-01-10", A={**INVOICED, **order})
    center.night("2020-01-10", "sales")
    assert center.rows("marketing.source_codes", "orders", "revenue") == [(1, 10)]
    orders(center, "2020-01-12", A={**INVOICED, **order, "status": "cancelled"})
    center.night("2020-01-12", "sales")
    assert center.rows("marketing.source_codes", "orders", "revenue") == [(0, 0)]


def test_only_valid_contacts_with_consent_that_nobody_forbids_are_on_the_list(center: Center) -> None:
    center.customers = [
        customer("A", language="fi"), customer("B"), customer("HELD", on_hold="true"), customer("E", status="erased"),
    ]  # fmt: skip
    consented = dict.fromkeys(("is_valid", "consent", "is_primary"), "true")
    consented |= {"kind": "email", "consent_at": "2020-01-01T00:00:00Z"}
    contacts = [
        ("A", "a@x.fi", {}), ("A", "shared@x.fi", {}), ("B", "shared@x.fi", {"consent": "false"}),
        ("B", "bad", {"is_valid": "false"}), ("B", "b@x.fi", {"consent": "false", "consent_at": None}),
        ("HELD", "h@x.fi", {}), ("E", "e@x.fi", {}), ("B", "once@x.fi", {"valid_to": "2020-01-05"}),
    ]  # fmt: skip
    center.stored["customers.contacts"] = [
        {"account": who, "contact_no": number, "valid_from": "0001-01-01", "value": value, "normalized": value,
         **consented, **other}
        for number, (who, value, other) in enumerate(contacts)
    ]  # fmt: skip
    center.stored["loyalty.card_tiers"] = [
        {"card_id": "C", "program_id": "club", "tier_id": tier, "level": level, "valid_from": "2020-01-01"}
        for tier, level in (("basic", 1), ("gold", 3))
    ]  # fmt: skip
    center.stored["reference.loyalty_cards"] = [
        {"card_id": "C", "customer_id": "A", "valid_from": "0001-01-01", "valid_to": "9999-12-31"}
    ]
    center.stored["rfm.scores"] = [
        {"definition": "d", "as_of": day, "customer_id": "A", "segment": name}
        for day, name in (("2020-01-01", "New"), ("2020-01-30", "Champions"))
    ]
    orders(center, "2020-01-10", O={**INVOICED, "customer_id": "A"})
    center.night("2020-01-10", "sales")
    columns = ("customer_id", "value", "language", "segment", "tier", "cast(last_order_on as text)")
    assert center.rows("marketing.contact_list", *columns, day=DAY) == [
        ("A", "a@x.fi", "fi", "Champions", "gold", "2020-01-10")
    ]
