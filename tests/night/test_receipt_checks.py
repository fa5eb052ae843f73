"""What is odd about a receipt is told, each rule by itself; what the programme refuses waits until it is right."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from kanta import night, quarantine
from kanta.engine import Engine
from kanta.home import Home
from kanta.lake import Lake
from tests.cases import bases, write_programme
from tests.feed import Row, joined, rows, write_drop

FIRST, SECOND, THIRD = (date(2026, 1, day) for day in (5, 6, 7))

Drop = dict[str, list[dict[str, str]]]


def receipt(number: int, lines: list[Row] | None = None, tenders: list[Row] | None = None, **header: str) -> Drop:
    """A sound receipt T<number> of 10.00; ``lines`` and ``tenders``: what differs in each, none: there are none."""
    identifier = {"transaction_id": header.pop("transaction_id", f"T{number}")}
    return {
        "transactions": rows("transactions", identifier | {"transaction_no": str(number)} | header),
        "lines": rows(
            "lines", *({"line_no": str(n)} | dict(line) | identifier for n, line in enumerate(lines or [{}], 1))
        ),
        "tenders": rows("tenders", *({"tender_no": "1"} | dict(tender) | identifier for tender in tenders or [{}])),
    }


def programme(**checks: Any) -> dict[str, Any]:
    return bases()["club"]["programme"] | ({"store_checks": checks} if checks else {})


def described(home: Home) -> None:
    """What head office says of products, stores and rates."""
    channel = bases()["rows"]["channels"] | {"name": "Store", "channel_id": "S1", "default_customer_id": "WALKIN"}
    rate = {"from_currency": "EUR", "to_currency": "USD", "date": FIRST.isoformat(), "rate": "1.10"}
    write_drop(
        home, "hq", FIRST, "hq", {"products": rows("products", {}), "channels": [channel], "exchange_rates": [rate]}
    )


def work(home: Home, *days: date) -> None:
    """What a night does up to sales."""
    for day in days:
        for stage in ("ingest_hq", "ingest_pos", "ingest_call_center", "customers", "sales"):
            night.run_stage(home, stage, day)


def asked(home: Home, sql: str, *tables: str) -> list[tuple[Any, ...]]:
    lake = Lake(home)
    state = lake.head()
    with Engine(lake.root / "work") as engine:
        reader = night.Night(home, lake, engine, "test", state, max(state.through.values()))
        reader.attach(*tables)
        return engine.rows(sql)


def told(home: Home) -> list[tuple[Any, ...]]:
    return asked(
        home,
        "select transaction_id, line_no, rule, expected, found, effect from ops.receipt_checks order by all",
        "ops.receipt_checks",
    )


def counted(home: Home) -> list[str]:
    found = asked(home, "select transaction_id from sales.transactions order by 1", "sales.transactions")
    return [identifier for (identifier,) in found]


def waiting(home: Home) -> list[tuple[str, str]]:
    return asked(
        home, "select record_key, rule from ops.quarantine where status = 'open' order by all", "ops.quarantine"
    )


# ── what is told ─────────────────────────────────────────────────────────────────────────────────────────────────

#: Each receipt breaks one rule and no other: rule, receipt, and the row that tells it (line, expected, found).
ODD: dict[str, tuple[Drop, tuple[int, str, str, str]]] = {
    "tenders": (receipt(1, tenders=[{"amount": "3.00"}]), (0, "tenders", "10.00", "3.00")),
    "tenders in another currency": (
        receipt(2, tenders=[{"amount": "9.00", "currency": "EUR"}]),
        (0, "tenders", "10.00", "9.90"),
    ),
    "tax": (
        receipt(3, [{"tax_amount": "1.00"}], [{"amount": "12.00"}], tax_amount="2.00", total_amount="12.00"),
        (0, "tax", "1.00", "2.00"),
    ),
    "discount": (receipt(4, [{"discount_amount": "1.00"}]), (0, "discount", "1.00", "0.00")),
    "empty": (
        receipt(5, [{"voided": "true"}], [{"amount": "0.00"}], net_amount="0.00", total_amount="0.00"),
        (0, "empty", "a line", "none"),
    ),
    "sign": (
        receipt(6, [{"net_amount": "11.00"}, {"net_amount": "-1.00", "unit_price": "1.00"}]),
        (2, "sign", "the sign of 1.000", "-1.00"),
    ),
    "negative_price": (receipt(7, [{"unit_price": "-10.00"}]), (1, "negative_price", "0 or more", "-10.0000")),
    "rounding of a receipt": (
        receipt(8, [{"net_amount": "10.00"}], [{"amount": "10.50", "currency": "JPY"}], currency="JPY",
                charges_amount="0.50", total_amount="10.50"),
        (0, "rounding", "multiples of 1", "0.50"),
    ),
    "rounding of a line": (
        receipt(9, [{"net_amount": "4.50"}, {"net_amount": "5.50"}], [{"currency": "JPY"}], currency="JPY"),
        (1, "rounding", "multiples of 1", "4.50"),
    ),
    "unknown product": (receipt(10, [{"product_id": "Q"}]), (1, "unknown", "a product", "Q")),
    "unknown customer": (receipt(11, customer_id="K9"), (0, "unknown", "a customer", "K9")),
    "double": (receipt(12, transaction_id="U12"), (0, "double", "T12", "U12")),
}  # fmt: skip

#: Right in every way, though a careless rule would tell them.
SOUND: dict[str, Drop] = {
    "the first of two": receipt(12),
    "off by a cent": receipt(20, tenders=[{"amount": "9.99"}]),
    "two tenders, one in another currency": receipt(
        21, tenders=[{"amount": "4.50"}, {"tender_no": "2", "amount": "5.00", "currency": "EUR"}]
    ),
    "no rate": receipt(22, tenders=[{"amount": "1.00", "currency": "GBP"}]),
    "no line counts in its sums": receipt(23, [{}, {"voided": "true", "tax_amount": "9.00", "product_id": "Q"}]),
    "a gift card is no product": receipt(24, [{"kind": "gift_card", "product_id": "ANY", "gift_card_id": "G"}]),
    "the default customer": receipt(25, customer_id="WALKIN"),
    "a known customer": receipt(26, customer_id="K1"),
    "the same number and total in another store": receipt(27, transaction_id="V27", store_id="S2"),
    "and here": receipt(27),
    "fine currency": receipt(
        28, [{"net_amount": "10.25"}], [{"amount": "10.25", "currency": "KWD"}], currency="KWD",
        net_amount="10.25", total_amount="10.25",
    ),
    "whole yen": receipt(29, tenders=[{"currency": "JPY"}], currency="JPY"),
    "a return": receipt(
        30, [{"kind": "return", "quantity": "-1", "net_amount": "-10.00"}], [{"amount": "-10.00"}], type="return",
        net_amount="-10.00", total_amount="-10.00",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    home = Home(tmp_path_factory.mktemp("odd"))
    write_programme(programme(), home.programme)
    described(home)
    customers: Drop = {"customers": rows("customers", {})}
    parts = [*(drop for drop, _ in ODD.values()), *SOUND.values()]
    write_drop(home, "pos", FIRST, "S1", joined(customers, *parts))
    untendered = receipt(40)
    write_drop(home, "pos", FIRST, "S2", {name: items for name, items in untendered.items() if name != "tenders"})
    work(home, FIRST)
    return home


@pytest.mark.parametrize("case", ODD)
def test_each_rule_tells_what_breaks_it_and_nothing_else(case: str, odd: Home) -> None:
    drop, (line, rule, expected, found) = ODD[case]
    identifier = drop["transactions"][0]["transaction_id"]
    rows_told = [row[1:] for row in told(odd) if row[0] == identifier]
    others = [row for row in rows_told if row[:2] != (2, "rounding")]  # its second line is as odd
    assert others == [(line, rule, expected, found, "reported")]


def test_what_is_right_is_not_told_and_all_of_it_counts(odd: Home) -> None:
    odd_ones = {drop["transactions"][0]["transaction_id"] for drop, _ in ODD.values()}
    assert [row for row in told(odd) if row[0] not in odd_ones] == []
    assert len(counted(odd)) == len(ODD) + len(SOUND) + 1
    assert waiting(odd) == []


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def strict(home: Home) -> Home:
    """A home whose programme refuses whatever it can."""
    everything = ["tenders", "double", "sign", "negative_price", "discount", "tax", "empty", "rounding", "unknown"]
    write_programme(programme(refuse=everything), home.programme)
    described(home)
    return home


def test_a_programme_refuses_what_it_names_and_tells_the_rest(home: Home) -> None:
    write_programme(programme(refuse=["tenders", "tax"], tender_limit="0.50"), home.programme)
    described(home)
    off = receipt(20, tenders=[{"amount": "9.51"}])
    write_drop(home, "pos", FIRST, "S1", joined(*(drop for drop, _ in ODD.values()), off))
    work(home, FIRST)
    assert waiting(home) == [("T1", "tenders"), ("T3", "tax")]
    assert [row for row in told(home) if row[5] == "quarantined"] == [
        ("T1", 0, "tenders", "10.00", "3.00", "quarantined"), ("T3", 0, "tax", "1.00", "2.00", "quarantined"),
    ]  # fmt: skip
    assert {row[0] for row in told(home) if row[5] == "reported"} == {f"T{n}" for n in (4, 5, 6, 7, 8, 9, 10, 11)}
    assert counted(home) == [*sorted(f"T{n}" for n in (2, 4, 5, 6, 7, 8, 9, 10, 11, 20)), "U12"]


@pytest.mark.parametrize("case", ODD)
def test_every_rule_can_refuse(case: str, strict: Home) -> None:
    drop, (_, rule, expected, found) = ODD[case]
    identifier = drop["transactions"][0]["transaction_id"]
    write_drop(strict, "pos", FIRST, "S1", joined(receipt(12), receipt(13), drop))
    work(strict, FIRST)
    assert waiting(strict) == [(identifier, rule)]
    assert counted(strict) == ["T12", "T13"]
    assert told(strict) == [(identifier, 0, rule, expected, found, "quarantined")]


def test_a_refused_receipt_counts_when_it_is_released_corrected(strict: Home) -> None:
    write_drop(strict, "pos", FIRST, "S1", joined(receipt(1, tenders=[{"amount": "3.00"}]), receipt(2)))
    work(strict, FIRST)
    assert counted(strict) == ["T2"]
    (identifier,) = asked(strict, "select quarantine_id from ops.quarantine where status = 'open'", "ops.quarantine")[0]
    Lake(strict).publish(FIRST)
    quarantine.release(strict, identifier, {"net_amount": "10.00"})  # corrects nothing
    work(strict, SECOND)
    (again,) = asked(strict, "select quarantine_id from ops.quarantine where status = 'open'", "ops.quarantine")[0]
    assert (again != identifier, waiting(strict), counted(strict)) == (True, [("T1", "tenders")], ["T2"])
    Lake(strict).publish(SECOND)
    quarantine.release(strict, again, {"tenders.1.amount": "10.00"})
    work(strict, THIRD)
    assert (waiting(strict), counted(strict)) == ([], ["T1", "T2"])


def test_a_later_good_copy_counts_and_the_refused_one_waits_no_longer(strict: Home) -> None:
    write_drop(strict, "pos", FIRST, "S1", receipt(1, tenders=[{"amount": "3.00"}]))
    work(strict, FIRST)
    write_drop(strict, "pos", SECOND, "S1", receipt(1, business_date=FIRST.isoformat()))
    work(strict, SECOND)
    assert (waiting(strict), counted(strict), told(strict)) == ([], ["T1"], [])


def test_a_revision_puts_a_refused_receipt_right(strict: Home) -> None:
    write_drop(strict, "pos", FIRST, "S1", receipt(1, tenders=[{"amount": "3.00"}]))
    work(strict, FIRST)
    write_drop(strict, "pos", FIRST, "S1", receipt(1), revision=2)
    work(strict, SECOND)
    assert (waiting(strict), counted(strict)) == ([], ["T1"])


def test_a_refused_receipt_that_was_voided_needs_no_correction(strict: Home) -> None:
    write_drop(strict, "pos", FIRST, "S1", receipt(1, tenders=[{"amount": "3.00"}]))
    work(strict, FIRST)
    write_drop(strict, "pos", SECOND, "S1", receipt(1, status="voided", business_date=FIRST.isoformat()))
    work(strict, SECOND)
    assert (waiting(strict), counted(strict)) == ([], [])


def test_what_was_unknown_counts_when_it_is_known(strict: Home) -> None:
    drop = joined(receipt(1, [{"product_id": "Q"}]), receipt(2, customer_id="K1"))
    write_drop(strict, "pos", FIRST, "S1", drop)
    work(strict, FIRST)
    assert (waiting(strict), counted(strict)) == ([("T1", "unknown"), ("T2", "unknown")], [])
    write_drop(strict, "hq", SECOND, "hq", {"products": rows("products", {"product_id": "Q"})})
    write_drop(strict, "pos", SECOND, "S1", {"customers": rows("customers", {})})
    work(strict, SECOND)
    assert (waiting(strict), counted(strict)) == ([], ["T1", "T2"])


@pytest.mark.parametrize("earlier_first", [True, False])
def test_of_two_prints_the_earlier_counts_whichever_came_first(earlier_first: bool, strict: Home) -> None:
    early = receipt(1, transaction_id="X", ended_at="2026-01-05T09:00:00Z")
    late = receipt(1, transaction_id="A", business_date=FIRST.isoformat(), ended_at="2026-01-05T09:01:00Z")
    early["transactions"][0] |= {"business_date": FIRST.isoformat()}
    for day, drop in zip((FIRST, SECOND), (early, late) if earlier_first else (late, early), strict=True):
        write_drop(strict, "pos", day, "S1", drop)
        work(strict, day)
    assert (waiting(strict), counted(strict)) == ([("A", "double")], ["X"])
    source = FIRST if earlier_first else SECOND
    write_drop(strict, "pos", source, "S1", receipt(9), revision=2)  # withdrawn: the other is no double any more
    work(strict, THIRD)
    assert (waiting(strict), counted(strict)) == ([], ["A", "T9"])


def test_a_receipt_refused_for_something_else_makes_none_a_double(strict: Home) -> None:
    bad = receipt(1, tenders=[{"amount": "3.00"}])
    good = receipt(1, transaction_id="U1", ended_at="2026-01-05T11:00:00Z")
    write_drop(strict, "pos", FIRST, "S1", joined(bad, good))
    work(strict, FIRST)
    assert (waiting(strict), counted(strict)) == ([("T1", "tenders")], ["U1"])


def test_receipts_are_refused_by_the_programme_of_their_date(home: Home) -> None:
    write_programme(programme(), home.programme / "history" / "2017-01-01")
    write_programme(programme(refuse=["tenders"]) | {"effective_from": SECOND.isoformat()}, home.programme)
    described(home)
    off = [{"amount": "3.00"}]
    before, after = receipt(1, tenders=off), receipt(2, tenders=off, business_date=SECOND.isoformat())
    before["transactions"][0] |= {"business_date": FIRST.isoformat()}
    write_drop(home, "pos", SECOND, "S1", joined(before, after))
    work(home, SECOND)
    assert (waiting(home), counted(home)) == ([("T2", "tenders")], ["T1"])


# ── what a night asks to be looked at ────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
@pytest.mark.usefixtures("without_iceberg")
def test_a_night_asks_for_a_look_at_its_own_matters_alone(home: Home, no_judge: Any) -> None:
    write_programme(programme(refuse=["tenders"]), home.programme)
    described(home)
    write_drop(home, "pos", FIRST, "S1", joined(receipt(1, tenders=[{"amount": "3.00"}]), receipt(2)))
    member = {"loyalty_card_id": "C1"}
    write_drop(home, "pos", SECOND, "S1", joined(receipt(3, **member), receipt(3, transaction_id="U3", **member)))
    write_drop(home, "pos", THIRD, "S1", joined(receipt(4), receipt(4, transaction_id="U4")))
    refused, doubled, calm = (night.run(home, day, day, judge=no_judge) for day in (FIRST, SECOND, THIRD))
    assert (refused["set_aside"], refused["doubles"], night.needs_a_look(refused)) == (1, [], True)
    assert (doubled["set_aside"], doubled["open_quarantine"]) == (0, 1)
    assert (doubled["doubles"], night.needs_a_look(doubled)) == (["U3 is T3 under another id"], True)
    # An older row is still open, and nobody's receipt came twice: neither is of this night and of a member's points.
    assert (calm["set_aside"], calm["open_quarantine"], calm["doubles"]) == (0, 1, [])
    assert not night.needs_a_look(calm)
    both = night.run(home, FIRST, THIRD, judge=no_judge)
    assert (both["set_aside"], len(both["doubles"]), night.needs_a_look(both)) == (1, 1, True)
