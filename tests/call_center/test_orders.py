"""Where orders stand: payment, reasons, notices, installments (spec 4-call-center)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.call_center.conftest import Center, customer

pytestmark = pytest.mark.slow  # whole nights

STATUS = "call_center.order_status"


def orders(center: Center, day: str, **parts: dict[str, Any]) -> None:
    """One drop of orders by id: header columns, and ``lines``, ``payments``, ``addresses`` as lists."""
    content: dict[str, list[dict[str, Any]]] = {"orders": [], "order_lines": []}
    for order_id, order in parts.items():
        header = {k: v for k, v in order.items() if not isinstance(v, list)}
        content["orders"].append({"order_id": order_id, **header})
        for name, rows in {"lines": [{}], "payments": [{}], **order}.items():
            if isinstance(rows, list):
                for number, row in enumerate(rows, start=1):
                    numbered = {"line_no": number} if name == "lines" else {"payment_no": number}
                    own = {} if name == "addresses" else numbered
                    content.setdefault(f"order_{name}", []).append({"order_id": order_id, **own, **row})
    center.land(day, **content)


def hundred(*payments: dict[str, Any]) -> dict[str, Any]:
    return {"total_amount": "100.00", "payments": list(payments)}


def test_paid_is_judged_against_the_tolerance(center: Center) -> None:
    """Of 100 at 20 %: 121 is over, 120 fine, 79.99 under."""
    orders(
        center, "2020-01-01",
        A=hundred({"amount": "121.00"}), B=hundred({"amount": "120.00"}), C=hundred({"amount": "79.99"}),
        D=hundred({"amount": "80.00"}), E=hundred({"amount": "100.00", "status": "authorized"}),
        F=hundred({"amount": "100.00", "status": "not_authorized"}),
        G=hundred({"amount": "50.00"}, {"amount": "50.00", "status": "not_submitted", "due_on": "2020-01-02"}),
        H=hundred({"amount": "60.00"}, {"amount": "60.00", "currency": "EUR"}),
        I={"total_amount": "-5.00", "payments": []},
    )  # fmt: skip
    center.night("2020-01-01")
    assert center.rows(STATUS, "order_id", "payment_status", "cast(paid as text)", "cast(due as text)") == [
        ("A", "over", "121.00", "-21.00"), ("B", "paid", "120.00", "-20.00"), ("C", "under", "79.99", "20.01"),
        ("D", "paid", "80.00", "20.00"), ("E", "authorized", "100.00", "0.00"), ("F", "under", "0.00", "100.00"),
        ("G", "authorized", "100.00", "0.00"), ("H", "under", "60.00", "40.00"), ("I", "none", "0.00", "-5.00"),
    ]  # fmt: skip
    assert center.one(STATUS, "reasons", where="order_id = 'H'") == "under|currency"
    center.night("2020-01-02")
    assert center.one(STATUS, "payment_status", "cast(paid as text)", where="order_id = 'G'") == ("under", "50.00")


def test_a_large_check_waits_its_days_from_payment(center: Center) -> None:
    check = {"type": "check", "amount": "500.01", "paid_at": "2020-01-01T12:00:00Z"}
    small = {**check, "amount": "500.00"}
    orders(
        center, "2020-01-01",
        A={"total_amount": "500.01", "payments": [check]}, B={"total_amount": "500.00", "payments": [small]},
    )  # fmt: skip
    for day, reasons in (("2020-01-01", "check_hold"), ("2020-01-07", "check_hold"), ("2020-01-08", None)):
        center.night(day)
        assert center.rows(STATUS, "reasons", "may_process") == [(reasons, reasons is None), (None, True)]


def test_every_reason_of_customer_payment_delivery_and_source_code(make: Any) -> None:
    center = make(source_code_required=True)
    center.customers = [
        customer("PEND", status="pending"), customer("HELD", on_hold="true"),
        customer("GOOD", allow_on_account="true", installments="true"), customer("C1", async_id="guid"),
    ]  # fmt: skip
    center.account_map = [{"async_id": "guid", "account": "HELD", "given_on": "2020-01-02", "given_by": "hq", "seq": 1}]
    center.land(
        "2020-01-01", "hq",
        source_codes=[{"source_code": "S", "valid_from": "2020-01-01", "valid_to": "2020-01-31"}],
        delivery_modes=[
            {"mode": "air", "channels": "WEB|POS"}, {"mode": "sea", "excluded_categories": "FOOD"},
            {"mode": "land", "excluded_countries": "SE|NO", "expedite_code": "SLOW"},
        ],
        categories=[
            {"category_id": "ALL"}, {"category_id": "FOOD", "parent_id": "ALL"},
            {"category_id": "MEAT", "parent_id": "FOOD"},
        ],
        products=[{"installments": "true"}, {"product_id": "M", "category_id": "MEAT"}],
        channels=[{"channel_id": "CC", "time_zone": "Europe/Helsinki", "warehouse": "W"}],
    )  # fmt: skip
    fine = {"source_code": "S", "customer_id": "GOOD"}
    account = {"type": "on_account", "status": "authorized"}
    later = {"type": "card", "status": "authorized", "due_on": "2020-02-02"}
    orders(
        center, "2020-01-05",
        A=fine, B={**fine, "status": "open"}, C={**fine, "customer_id": "PEND"}, D={**fine, "customer_id": "guid"},
        E={**fine, "payments": [{"decline_count": 4}]}, F={**fine, "payments": [{"decline_count": 3}]},
        G={**fine, "payments": [account]}, H={**fine, "customer_id": None, "payments": [account]},
        I={**fine, "payments": [later]}, J={**fine, "payments": [later], "lines": [{"product_id": "M"}]},
        K={**fine, "delivery_mode": "air"}, L={**fine, "delivery_mode": "land", "lines": [{"delivery_mode": "sea"}]},
        M={**fine, "delivery_mode": "sea", "lines": [{"product_id": "M"}]},
        N={**fine, "delivery_mode": "land", "addresses": [{"area": "delivery", "country": "SE"}]},
        O={**fine, "delivery_mode": "land", "addresses": [
            {"area": "delivery", "country": "SE"}, {"area": "delivery", "country": "FI", "line_no": 1},
        ]},
        P={**fine, "source_code": None}, Q={**fine, "source_code": "UNKNOWN"},
        R={**fine, "source_code": None, "exchange_of_order_id": "A"},
        S={**fine, "business_date": "2020-02-01"}, T={**fine, "status": "cancelled"},
        U={**fine, "payments": [{"type": "check", "status": "authorized", "due_on": "2020-02-02"}]},
    )  # fmt: skip
    center.night("2020-01-05")
    reasons = dict(center.rows(STATUS, "order_id", "reasons"))
    assert reasons == {
        "A": None, "B": "not_submitted", "C": "customer_pending", "D": "customer_on_hold", "E": "declined", "F": None,
        "G": None, "H": "on_account", "I": None, "J": "installment", "K": "delivery_mode", "L": None,
        "M": "delivery_mode", "N": "delivery_mode", "O": None, "P": "source_code", "Q": "source_code", "R": None,
        "S": "source_code", "T": "not_submitted", "U": "installment",
    }  # fmt: skip
    assert center.one(STATUS, "expedite_code", "warehouse", where="order_id = 'O'") == ("SLOW", "W")
    assert center.rows("call_center.installments", "order_id", "review") == [("I", False)]
    assert center.rows("call_center.installments", "order_id", "review", day="2020-02-03") == [("I", True)]


def test_notices_go_out_on_their_days_once_and_are_the_same_for_nights_and_a_range(make: Any) -> None:
    """Ordered on 1 January: 11, 21 and 31 January; exempt customers and products get none, nor does what is shipped."""
    found = []
    for nights in (["05"], ["10", "11", "15", "21", "31", "05"]):
        center = make()
        center.customers = [customer("EXEMPT", notice_exempt="true")]
        center.land("2020-01-01", "hq", products=[{"product_id": "X", "notice_exempt": "true"}])
        orders(
            center, "2020-01-01",
            A={}, B={"customer_id": "EXEMPT"}, C={"lines": [{"product_id": "X"}]},
            D={"lines": [{"shipped_date": "2020-01-01"}]}, E={"status": "open"}, F={"lines": [{}, {"product_id": "X"}]},
        )  # fmt: skip
        orders(center, "2020-01-12", F={"status": "invoiced", "invoiced_date": "2020-01-12"})
        orders(center, "2020-01-22", LATE={"business_date": "2020-01-01"})
        for day in nights:
            center.night(f"2020-0{'2' if day == '05' else '1'}-{day}")
        notices = center.rows("call_center.notices", "*")
        center.night("2020-02-06")
        assert center.rows("call_center.notices", "*") == notices
        delayed = center.rows(STATUS, "order_id", where="reasons = 'delayed'")
        found.append(([(row[0], row[1], str(row[2]), str(row[3])) for row in notices], delayed))
    assert found[0][0] == [
        ("A", "cancel", "2020-01-31", "2020-01-31"), ("A", "first", "2020-01-11", "2020-01-11"),
        ("A", "second", "2020-01-21", "2020-01-21"), ("F", "first", "2020-01-11", "2020-01-11"),
        ("LATE", "cancel", "2020-01-31", "2020-01-31"), ("LATE", "second", "2020-01-21", "2020-01-22"),
    ]  # fmt: skip
    assert found[0][1] == [("A",), ("LATE",)]
    assert {row for row in found[1][0] if row[0] != "LATE"} == {row for row in found[0][0] if row[0] != "LATE"}
    assert found[1][1] == found[0][1]


def test_a_second_night_writes_nothing_and_any_order_of_drops_ends_the_same(make: Any) -> None:
    found = []
    for reverse in (False, True):
        center = make()
        days = ["2020-01-01", "2020-01-02", "2020-01-03"]
        for number, day in reversed(list(enumerate(days))) if reverse else enumerate(days):
            status = {"status": "invoiced", "invoiced_date": day} if number == 2 else {}
            orders(center, day, A={"payments": [{"amount": f"{number + 1}.00"}], **status}, **{f"B{number}": {}})
            if reverse:
                center.night("2020-01-03")
        center.night("2020-01-03")
        tables = ["fraud_checks", "fraud_matches", "hold_events", "order_status"]
        found.append([center.rows(f"call_center.{table}", "*") for table in tables])
        before = center.state.tables
        center.night("2020-01-03")
        center.night("2020-01-03")
        assert center.state.tables == before
    assert found[0] == found[1]
    assert len(found[0][3]) == 4


def test_a_programme_without_call_center_judges_no_order(make: Any) -> None:
    center = make()
    center.rules = {}
    orders(center, "2020-01-01", A={})
    center.night("2020-01-01")
    assert center.state.tables == {}
