"""Fraud checks: what matches, once, and when it holds (spec 4-call-center, ``fraud_checks``)."""

from __future__ import annotations

from tests.call_center.conftest import Center, customer

BAD_EMAIL = {"area": "billing", "email": " BAD@Example.com "}
PHONES = [{"type": "phone", "value": "(555) 01-02", "score": None}]


def test_the_score_must_exceed_the_minimum(center: Center) -> None:
    """Email 30 + phone 20 = 50 does not hold; + zip 1 = 51 does."""
    center.land("2020-01-01", "hq", fraud_static=[*PHONES, {"type": "zip", "value": "00099"}])
    phone = {"area": "delivery", "phone": "+555 0102"}
    center.order("2020-01-02", "O50", addresses=[BAD_EMAIL, phone])
    center.land("2020-01-03", orders=[{"order_id": "O51"}], order_addresses=[
        {"order_id": "O51", **BAD_EMAIL, "zip": "00099-1234"}, {"order_id": "O51", **phone},
    ])  # fmt: skip
    center.night("2020-01-03")
    assert center.rows("call_center.fraud_checks", "order_id", "score", "held") == [
        ("O50", 50, False), ("O51", 51, True),
    ]  # fmt: skip
    assert center.rows("call_center.order_status", "order_id", "reasons", "do_not_process") == [
        ("O50", "under", False), ("O51", "under|fraud_hold", True),
    ]  # fmt: skip


def test_each_unique_match_counts_once_and_a_missing_score_is_its_types(center: Center) -> None:
    center.land("2020-01-01", "hq", fraud_static=PHONES)
    same = {"phone": "5550102"}
    places = [{"area": "billing", **same}, {"area": "delivery", **same}, {"area": "delivery", "line_no": 1, **same}]
    center.order("2020-01-02", addresses=places)
    center.night("2020-01-02")
    matches = center.rows("call_center.fraud_matches", "area", "line_no", "type", "rule", "score")
    assert matches == [("billing", None, "phone", "static", 20)]


def test_an_extended_zip_is_the_whole_and_a_zip_what_stands_before_the_hyphen(center: Center) -> None:
    static = [{"type": "extended_zip", "value": "00099-0001"}, {"type": "zip", "value": "00099"}]
    center.land("2020-01-01", "hq", fraud_static=static)
    center.order("2020-01-02", addresses=[{"zip": "00099 - 0001"}])
    center.night("2020-01-02")
    assert center.rows("call_center.fraud_matches", "type", "score") == [("extended_zip", 5), ("zip", 1)]


def test_rules_count_once_for_an_order_and_once_for_each_line(center: Center) -> None:
    center.customers = [customer("NEW", created_at="2019-12-20T00:00:00Z"), customer("OLD")]
    lines = [
        {"line_no": 1, "quantity": "21"}, {"line_no": 2, "quantity": "2", "unit_price": "2500.01"},
        {"line_no": 3, "quantity": "2", "unit_price": "2500"}, {"line_no": 4, "kind": "return", "quantity": "30"},
    ]  # fmt: skip
    center.order("2020-01-01", "O1", customer_id="NEW", total_amount="1000.00", lines=lines)
    center.land("2020-01-02", orders=[{"order_id": "O2", "customer_id": "OLD", "total_amount": "1000.00"}])
    center.night("2020-01-02")
    assert center.rows("call_center.fraud_matches", "order_id", "line_no", "rule", "score") == [
        ("O1", 1, "many_units", 15), ("O1", 2, "many_units", 15), ("O1", None, "big_new", 40),
    ]  # fmt: skip


def rule(when: str, level: str = "order") -> dict[str, object]:
    return {"minimum_score": 0, "hold_code": "FRAUD", "rules": [{"id": "r", "level": level, "score": 1, "when": when}]}


def test_nobody_and_pending_customers_are_of_age_0_and_never_bought(make) -> None:  # type: ignore[no-untyped-def]
    center = make(fraud=rule("customer_age_days = 0 and customer_orders = 0"))
    center.customers = [customer("PEND", status="pending"), customer("OLD")]
    for number, who in enumerate([None, "PEND", "OLD", "UNKNOWN"]):
        center.land(f"2020-01-0{number + 1}", orders=[{"order_id": f"O{number}", "customer_id": who}])
    center.night("2020-01-05")
    assert center.rows("call_center.fraud_checks", "score") == [(1,), (1,), (0,), (1,)]


def test_orders_invoiced_before_count_as_they_were_known_on_the_day(make) -> None:  # type: ignore[no-untyped-def]
    center = make(fraud=rule("customer_orders = 1"))
    center.customers = [customer("C")]
    done = {"order_id": "O0", "customer_id": "C", "invoiced_date": "2020-01-01"}
    center.land("2020-01-01", orders=[{**done, "status": "invoiced"}])
    center.land("2020-01-02", orders=[{"order_id": "O1", "customer_id": "C"}])
    center.land("2020-01-03", orders=[{**done, "status": "cancelled"}])
    center.land("2020-01-04", orders=[{"order_id": "O2", "customer_id": "C"}])
    center.night("2020-01-04")
    assert center.rows("call_center.fraud_checks", "order_id", "score") == [("O1", 1), ("O2", 0)]


def test_a_rule_that_names_a_coupon_means_it_however_it_is_spelled(make) -> None:  # type: ignore[no-untyped-def]
    """As head office writes it; a code nobody gave out is known by its folded form."""
    condition = "coupon_code = 'THANKS10' or coupon_code = 'none of ours'"
    center = make(fraud=rule(condition, "line"))
    center.land("2020-01-01", "hq", coupons=[{"coupon_code": "THANKS10"}])
    codes = ["THANKS10", " thanks10\u00a0", "ＴＨＡＮＫＳ１０", "THANKS1", "None of OURS ", None]
    center.order("2020-01-01", lines=[{"line_no": n, "coupon_code": code} for n, code in enumerate(codes, start=1)])
    center.night("2020-01-01")
    found = center.rows("call_center.fraud_matches", "line_no", "rule")
    assert found == [(1, "r"), (2, "r"), (3, "r"), (5, "r")]


def test_unknown_is_not_true_whatever_is_around_it(make) -> None:  # type: ignore[no-untyped-def]
    """Empty, divided by zero and too large to work out."""
    conditions = {
        "total_amount / (net_amount - net_amount) > 1": 0,
        "not (total_amount % (net_amount - net_amount) > 1)": 0,
        "catalog_id = 'A' or catalog_id <> 'A'": 0,
        "total_amount / 0 > 1 or total_amount > 1": 1,
        "total_amount * total_amount * total_amount * 999999999999999999 * 999999999999999999 > 0": 0,
        "total_amount / 3 * 3 = 10 or 10 / 4 = 2.5": 1,
        "not (delivery_country in ('SE')) and billing_zip = '00100'": 0,
        "ordered_at >= '2020-01-01' and business_date = '2020-01-01'": 1,
        "business_date = '2020-W01-3' and ordered_at > '20200101'": 1,
        "-total_amount < -9.99 and status in ('submitted', 'open')": 1,
    }
    rules = [{"id": f"r{number}", "level": "order", "score": 1, "when": when} for number, when in enumerate(conditions)]
    center = make(fraud={"minimum_score": 0, "hold_code": "FRAUD", "rules": rules})
    center.order("2020-01-01", addresses=[{}])
    center.night("2020-01-01")
    held = {row[0] for row in center.rows("call_center.fraud_matches", "rule")}
    assert {when: int(f"r{number}" in held) for number, when in enumerate(conditions)} == conditions


def test_a_check_is_of_its_drops_date_whenever_what_it_knows_comes(make) -> None:  # type: ignore[no-untyped-def]
    """A list that comes late, dated before the order, makes the check be worked out again; a range ends the same."""
    results = []
    for split in (False, True):
        center = make()
        center.order("2020-01-03", addresses=[{"email": "late@example.com"}])
        if split:
            center.night("2020-01-03")
            center.night("2020-01-04")
        first = {"type": "email", "value": "late@example.com", "score": 60}
        center.land("2020-01-02", "hq", fraud_static=[first])
        center.land("2020-01-05", "hq", fraud_static=[{**first, "active": "false"}])
        center.night("2020-01-05")
        results.append(center.rows("call_center.fraud_checks", "*"))
        assert center.one("call_center.order_holds", "hold_code", "held_by") == ("FRAUD", "fraud_check")
    assert results[0] == results[1]
    assert results[0][0][2:] == (60, True)


def test_without_order_completion_nothing_is_checked(make) -> None:  # type: ignore[no-untyped-def]
    center = make(order_completion=False)
    center.order("2020-01-02", addresses=[BAD_EMAIL], payments=[{"amount": "1.00"}])
    center.night("2020-01-02")
    assert center.rows("call_center.fraud_checks", "*") == []
    assert center.one("call_center.order_status", "payment_status", "may_process") == ("under", True)
