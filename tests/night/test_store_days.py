"""The store's day: what is missing, refused, odd or late is known of it, whenever and in whatever order it came."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest

from kanta import night, quarantine
from kanta.home import Home
from kanta.lake import Lake
from tests.cases import write_programme
from tests.feed import joined, rows, write_drop
from tests.landing.test_poslog import deliver, document, item, tender
from tests.night.test_local_times import channels
from tests.night.test_receipt_checks import Drop, asked, described, programme, receipt

MON, TUE, WED, THU, FRI = (date(2026, 1, day) for day in range(5, 10))
STAGES = ("ingest_hq", "ingest_pos", "ingest_call_center", "customers", "sales", "loyalty")


def work(home: Home, *days: date) -> None:
    for day in days:
        for stage in STAGES:
            night.run_stage(home, stage, day)


def of_stores(home: Home, *columns: str) -> list[tuple[Any, ...]]:
    """Store, day of January, and these columns of all days of stores."""
    listed = ", ".join(("store_id", "day(business_date)", *columns))
    return asked(home, f"select {listed} from ops.store_days order by store_id, business_date", "ops.store_days")


def numbered(*numbers: int, register: str = "R1", store: str = "S1", **header: str) -> Drop:
    """Sound receipts of a register with these numbers."""
    parts = [
        receipt(n, transaction_id=f"{store}-{register}-{n}-{header.get('business_date', '')}", store_id=store,
                register_id=register, **header)
        for n in numbers
    ]  # fmt: skip
    return {name: list(items) for name, items in joined(*parts).items()}  # type: ignore[misc]


@pytest.fixture
def shop(home: Home) -> Home:
    write_programme(programme(), home.programme)
    described(home)
    return home


# ── numbers ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_numbers_between_the_first_and_the_last_are_missing_unless_some_document_has_them(shop: Home) -> None:
    write_drop(shop, "pos", MON, "S1", joined(numbered(1, 52), numbered(7, 9, 10, register="R2")))
    other = [
        receipt(2, transaction_id="training", status="training"),
        receipt(3, transaction_id="voided", status="voided"),
        receipt(4, transaction_id="suspended", status="suspended"),
        receipt(5, transaction_id="control", type="control", net_amount="0.00", total_amount="0.00"),
        receipt(6, transaction_id="refused", total_amount="99.00"),
    ]
    write_drop(shop, "pos", MON, "S2", joined(numbered(1, 8, store="S2"), *other))
    work(shop, MON)
    assert of_stores(shop, "registers", "receipts", "missing", "missing_numbers", "quarantined", "verdict") == [
        ("S1", 5, 2, 5, 51, "R1:2-51|R2:8", 0, "incomplete"), ("S2", 5, 1, 2, 1, "R1:7", 1, "incomplete"),
    ]  # fmt: skip


def test_numbers_go_on_from_the_day_before_that_the_register_worked_unless_it_began_anew(shop: Home) -> None:
    write_drop(shop, "pos", MON, "S1", joined(numbered(1, 2), numbered(500, register="R2")))
    write_drop(shop, "pos", WED, "S1", joined(numbered(5, 6), numbered(2, 3, register="R2")))
    work(shop, WED)
    assert of_stores(shop, "missing", "missing_numbers", "verdict") == [
        ("S1", 5, 0, None, "complete"), ("S1", 6, 0, None, "closed"), ("S1", 7, 2, "R1:3-4", "incomplete"),
    ]  # fmt: skip


def test_a_late_receipt_fills_its_day_and_the_next_one_of_its_register(shop: Home) -> None:
    write_drop(shop, "pos", MON, "S1", numbered(1))
    write_drop(shop, "pos", TUE, "S1", numbered(4))
    work(shop, MON, TUE)
    assert of_stores(shop, "missing_numbers", "late") == [("S1", 5, None, 0), ("S1", 6, "R1:2-3", 0)]
    write_drop(shop, "pos", WED, "S1", numbered(2, 3, business_date=MON.isoformat()))
    work(shop, WED)
    assert of_stores(shop, "missing_numbers", "late") == [("S1", 5, None, 2), ("S1", 6, None, 0), ("S1", 7, None, 0)]
    write_drop(shop, "pos", WED, "S1", numbered(2, business_date=MON.isoformat()), revision=2)
    work(shop, THU)
    assert of_stores(shop, "missing_numbers", "late")[:2] == [("S1", 5, None, 1), ("S1", 6, "R1:3", 0)]


# ── amounts and verdicts ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_day_says_what_its_receipts_come_to(shop: Home) -> None:
    first = receipt(1, ended_at="{day}T08:00:00Z")
    last = receipt(2, tenders=[{"amount": "9.00"}], ended_at="{day}T19:00:00Z", offline="true")
    unpaid = receipt(3)
    unpaid.pop("tenders")
    write_drop(shop, "pos", MON, "S1", joined(first, last, unpaid))
    work(shop, MON)
    columns = "receipts", "total_amount", "tenders_amount", "difference", "offline", "reports", "verdict"
    assert [tuple(map(str, row[2:])) for row in of_stores(shop, *columns)] == [
        ("3", "30.00", "19.00", "11.00", "1", "1", "differs")
    ]
    assert [str(at) for at in of_stores(shop, "strftime(first_at, '%H:%M')", "strftime(last_at, '%H:%M')")[0][2:]] == [
        "08:00", "19:00",
    ]  # fmt: skip


def test_a_refused_receipt_earns_nothing_and_makes_its_day_incomplete_until_it_is_corrected(home: Home) -> None:
    write_programme(programme(refuse=["tenders"]), home.programme)
    described(home)
    write_drop(home, "hq", MON, "cards", {"loyalty_cards": rows("loyalty_cards", {"enrolled_from": "2026-01-01"})})
    drop = receipt(1, tenders=[{"amount": "3.00"}], loyalty_card_id="C1")
    write_drop(home, "pos", MON, "S1", drop)
    work(home, MON)
    columns = "receipts", "total_amount", "points_earned", "quarantined", "verdict"
    assert [tuple(map(str, row[2:])) for row in of_stores(home, *columns)] == [("0", "0.00", "0.00", "1", "incomplete")]
    write_drop(home, "pos", MON, "S1", receipt(1, loyalty_card_id="C1"), revision=2)
    work(home, TUE)
    assert [tuple(map(str, row[2:])) for row in of_stores(home, *columns)] == [
        ("1", "10.00", "10.00", "0", "complete"), ("0", "0.00", "0.00", "0", "closed"),
    ]  # fmt: skip


def test_a_receipt_voided_later_leaves_its_day(shop: Home) -> None:
    write_drop(shop, "pos", MON, "S1", numbered(1, 2))
    work(shop, MON)
    write_drop(shop, "pos", TUE, "S1", numbered(2, status="voided", business_date=""))
    voided = receipt(2, transaction_id="S1-R1-2-", status="voided", business_date=MON.isoformat())
    write_drop(shop, "pos", TUE, "S1", voided)
    work(shop, TUE)
    assert of_stores(shop, "receipts", "post_voided", "missing", "verdict") == [
        ("S1", 5, 1, 1, 0, "complete"), ("S1", 6, 0, 0, 0, "closed"),
    ]  # fmt: skip


def test_what_is_dismissed_leaves_its_day_whole_and_its_number_was_seen(shop: Home) -> None:
    refused = receipt(2, total_amount="99.00")
    write_drop(shop, "pos", MON, "S1", joined(numbered(1, 3), refused))
    work(shop, MON)
    assert of_stores(shop, "missing", "quarantined", "verdict") == [("S1", 5, 0, 1, "incomplete")]
    Lake(shop).publish(MON)
    (identifier,) = asked(shop, "select quarantine_id from ops.quarantine", "ops.quarantine")[0]
    quarantine.dismiss(shop, [identifier], "a test of the till")
    work(shop, TUE)
    assert of_stores(shop, "missing", "quarantined", "verdict")[0] == ("S1", 5, 0, 0, "complete")


def test_a_trading_day_without_drop_is_absent_and_another_is_closed(shop: Home) -> None:
    (shop.programme / "settings.yaml").write_text("trading_days: {S1: [mon, tue, wed, thu], S9: [tue], CC1: [tue]}\n")
    order = {"orders": rows("orders", {}), "order_lines": rows("order_lines", {})}
    write_drop(shop, "call_center", MON, "CC1", order)
    write_drop(shop, "pos", MON, "S1", numbered(1))
    write_drop(shop, "pos", MON, "S2", numbered(1, store="S2"))
    write_drop(shop, "pos", WED, "S1", {})  # open, and nobody came
    write_drop(shop, "pos", THU, "S1", numbered(2), totals={"transactions": 9})
    shop = Home(shop.root)
    work(shop, THU)
    assert of_stores(shop, "verdict") == [
        ("S1", 5, "complete"), ("S1", 6, "absent"), ("S1", 7, "closed"), ("S1", 8, "incomplete"),
        ("S2", 5, "complete"), *(("S2", day, "closed") for day in (6, 7, 8)), ("S9", 6, "absent"),
    ]  # fmt: skip


def test_what_becomes_known_is_odd_no_longer(shop: Home) -> None:
    drop = joined(receipt(1, [{"product_id": "Q"}]), receipt(2, customer_id="K1"))
    write_drop(shop, "pos", MON, "S1", drop)
    work(shop, MON)
    assert of_stores(shop, "reports", "verdict") == [("S1", 5, 2, "differs")]
    write_drop(shop, "hq", TUE, "hq", {"products": rows("products", {"product_id": "Q"})})
    write_drop(shop, "pos", TUE, "S1", {"customers": rows("customers", {})})
    work(shop, TUE)
    assert of_stores(shop, "reports", "verdict")[0] == ("S1", 5, 0, "complete")


def test_a_new_limit_judges_the_days_from_its_date_on_again(shop: Home) -> None:
    for day in (MON, TUE):
        write_drop(shop, "pos", day, "S1", receipt(day.day, transaction_id=f"T{day}", tenders=[{"amount": "9.50"}]))
    work(shop, TUE)
    assert of_stores(shop, "reports") == [("S1", 5, 1), ("S1", 6, 1)]
    write_programme(programme(tender_limit="1") | {"effective_from": TUE.isoformat()}, shop.programme)
    work(shop, WED)
    assert of_stores(shop, "reports")[:2] == [("S1", 5, 1), ("S1", 6, 0)]


def test_a_receipt_after_midnight_without_business_date_is_of_the_local_day(shop: Home) -> None:
    channels(shop, TUE, S1="Europe/Helsinki")
    at, day = "2026-01-10T00:30:00", date(2026, 1, 10)
    open_one = receipt(2, business_date="", started_at="2026-01-08T22:30:00Z", ended_at=at, status="suspended")
    write_drop(shop, "pos", day, "S1", joined(receipt(1, business_date="", started_at=at, ended_at=at), open_one))
    work(shop, day)
    found = of_stores(shop, "receipts", "registers", "strftime(first_at, '%Y-%m-%dT%H:%MZ')")
    assert found == [("S1", 9, 0, 1, None), ("S1", 10, 1, 1, "2026-01-09T22:30Z")]


# ── points ───────────────────────────────────────────────────────────────────────────────────────────────────────

_ACCOUNT = "<LoyaltyAccount><LoyaltyID>C1</LoyaltyID>{}</LoyaltyAccount>"


@pytest.mark.parametrize(
    ("limit", "said", "report"),
    [
        ("0", "10", []),
        ("0", "12", [("points", "10.00 awarded on C1", "12.00 awarded on C1")]),
        ("2", "12", []),
        ("1.99", "12", [("points", "10.00 awarded on C1", "12.00 awarded on C1")]),
    ],
)
def test_points_a_till_states_are_compared_with_ours(limit: str, said: str, report: list[Any], home: Home) -> None:
    club = programme(points_limit=limit)
    club["schemes"][0]["earning"][0]["currency"] = "EUR"
    club["schemes"][0]["earning"].append({**club["schemes"][0]["earning"][0], "id": "st", "reward_point": "status"})
    write_programme(club, home.programme)
    described(home)
    write_drop(home, "hq", MON, "cards", {"loyalty_cards": rows("loyalty_cards", {"enrolled_from": "2026-01-01"})})
    points = _ACCOUNT.format(f"<Points Type='PointsEarned'>{said}</Points>")
    deliver(home, "S1", document(item(1, "10.00"), tender(2, "10.00"), points))
    work(home, MON)
    found = asked(home, "select rule, expected, found from ops.receipt_checks", "ops.receipt_checks")
    assert found == report
    assert asked(
        home, "select loyalty_card_id, kind, points::integer from ops.declared_points", "ops.declared_points"
    ) == [("C1", "awarded", int(said))]
    ((_, _, declared, earned, verdict),) = of_stores(home, "points_declared", "points_earned", "verdict")
    assert (float(declared), float(earned), verdict) == (float(said), 10, "differs" if report else "complete")


def test_points_corrected_on_a_later_night_settle_the_day(home: Home) -> None:
    club = programme()
    club["schemes"][0]["earning"][0]["currency"] = "EUR"
    write_programme(club, home.programme)
    described(home)
    points = _ACCOUNT.format("<Points Type='PointsEarned'>10</Points>")
    deliver(home, "S1", document(item(1, "10.00"), tender(2, "10.00"), points))
    work(home, MON)
    assert of_stores(home, "reports", "verdict") == [("S1", 5, 1, "differs")], "nobody knows the card yet"
    write_drop(home, "hq", TUE, "cards", {"loyalty_cards": rows("loyalty_cards", {"enrolled_from": "2026-01-01"})})
    work(home, TUE)
    assert of_stores(home, "reports", "verdict")[0] == ("S1", 5, 0, "complete")


# ── however it comes ─────────────────────────────────────────────────────────────────────────────────────────────


def _history(home: Home) -> list[Callable[[], Any]]:
    """Drops of a week: late receipts, a void, a revision, a refused receipt, a store that opens late."""
    (home.programme / "settings.yaml").write_text("trading_days: {S1: [mon, tue, wed, thu, fri]}\n")
    voided = receipt(3, transaction_id="S1-R1-3-", status="voided", business_date=MON.isoformat())
    refused = receipt(8, tenders=[{"amount": "1.00"}])
    return [
        lambda: write_drop(home, "pos", MON, "S1", numbered(1, 3)),
        lambda: write_drop(home, "pos", WED, "S1", joined(numbered(6), refused, voided)),
        lambda: write_drop(home, "pos", WED, "S2", numbered(1, 2, store="S2")),
        lambda: write_drop(home, "pos", THU, "S2", numbered(1, store="S2", business_date=MON.isoformat())),
        lambda: write_drop(home, "pos", FRI, "S1", numbered(4, 5, business_date=TUE.isoformat())),
    ]


@pytest.fixture
def weeks(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Home]:
    def make() -> Home:
        home = Home(tmp_path_factory.mktemp("week"))
        write_programme(programme(refuse=["tenders"]), home.programme)
        described(home)
        return home

    return make


@pytest.mark.slow
def test_one_night_night_by_night_and_any_order_give_the_same_days(weeks: Callable[[], Home]) -> None:
    columns = (
        "registers", "receipts", "first_at", "last_at", "missing", "missing_numbers", "total_amount", "tenders_amount",
        "late", "post_voided", "quarantined", "reports", "verdict",
    )  # fmt: skip
    whole = weeks()
    for drop in _history(whole):
        drop()
    work(Home(whole.root), FRI)
    expected = of_stores(whole, *columns)
    assert [(row[0], row[1], row[-1]) for row in expected] == [
        ("S1", 5, "incomplete"), ("S1", 6, "complete"), ("S1", 7, "incomplete"), ("S1", 8, "absent"),
        ("S1", 9, "closed"),
        ("S2", 5, "complete"), ("S2", 6, "closed"), ("S2", 7, "complete"), ("S2", 8, "closed"), ("S2", 9, "closed"),
    ]  # fmt: skip
    work(Home(whole.root), FRI)
    assert of_stores(whole, *columns) == expected, "the same night again changes nothing"
    nightly = weeks()
    drops = _history(nightly)
    for day, arrived in ((MON, drops[:1]), (TUE, []), (WED, drops[1:3]), (THU, drops[3:4]), (FRI, drops[4:])):
        for drop in arrived:
            drop()
        work(Home(nightly.root), day)
    assert of_stores(nightly, *columns) == expected
    backwards = weeks()
    for n, drop in enumerate(reversed(_history(backwards))):
        drop()
        work(Home(backwards.root), FRI + timedelta(n))
    assert [row for row in of_stores(backwards, *columns) if row[1] <= FRI.day] == expected


def test_a_home_from_before_begins_to_fill_with_the_days_that_its_drops_touch(shop: Home) -> None:
    write_drop(shop, "pos", MON, "S1", numbered(1))
    write_drop(shop, "pos", TUE, "S1", numbered(2))
    forgotten = night.STAGES["loyalty"]
    try:
        from kanta import loyalty

        night.STAGES["loyalty"] = loyalty.work_out  # as it was
        work(shop, TUE)
    finally:
        night.STAGES["loyalty"] = forgotten
    assert of_stores(shop) == []
    write_drop(shop, "pos", WED, "S1", numbered(4))
    work(shop, WED, THU)
    assert of_stores(shop, "missing_numbers", "verdict") == [("S1", 7, "R1:3", "incomplete"), ("S1", 8, None, "closed")]
