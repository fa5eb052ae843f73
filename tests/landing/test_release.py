"""A refused record put right and released comes through with the next take, whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from kanta.errors import BadArguments, KantaError
from kanta.home import Home
from kanta.landing import Intake, release
from tests.feed import joined, rows, sale, write_drop
from tests.landing.conftest import DAY, Takes, landed, refusals
from tests.landing.test_poslog import deliver, document
from tests.landing.test_poslog import item as line

Item = Mapping[str, Any]


def open_items(intake: Intake, rule: str) -> list[Item]:
    return [row for row in intake.quarantine.to_pylist() if row["rule"] == rule]


@pytest.mark.parametrize("fmt", ["csv", "ndjson.gz", "parquet"])
def test_a_corrected_row_brings_its_whole_transaction(home: Home, takes: Takes, fmt: str) -> None:
    bad = sale("T2")
    bad["lines"][0]["quantity"] = "one"
    bad["lines"][0]["product_id"] = 'P "2",\n.'
    write_drop(home, "pos", DAY, "S1", joined(sale("T1"), bad), fmt)
    (item,) = open_items(takes(), "type:quantity")
    path = release(home, [item], {item["quarantine_id"]: {"quantity": "1"}})
    assert path == home.landing / "pos" / "2026-01-05" / f"S1.released-{item['quarantine_id']}"
    intake = takes()
    assert refusals(intake) == []
    assert {name: [row["transaction_id"] for row in landed(intake, name)] for name in intake.rows} == {
        "transactions": ["T2"], "lines": ["T2"], "tenders": ["T2"],
    }  # fmt: skip
    (line,) = landed(intake, "lines")
    assert (line["product_id"], line["drop_id"]) == ('P "2",\n.', f"pos/2026-01-05/S1.released-{item['quarantine_id']}")


def test_a_release_that_does_not_help_is_refused_again_and_can_be_released_again(home: Home, takes: Takes) -> None:
    write_drop(home, "pos", DAY, "S1", sale("T1", currency="usd"))
    (item,) = open_items(takes(), "pattern:currency")
    path = release(home, [item], {item["quarantine_id"]: {"currency": "eur"}})
    assert [(row[0], row[5]) for row in refusals(takes())] == [(path.name, "pattern:currency")]
    assert release(home, [item], {item["quarantine_id"]: {"currency": "EUR"}}) == path
    assert json.loads((path / "control.json").read_text())["revision"] == 2
    assert [row["currency"] for row in landed(takes(), "transactions")] == ["EUR"]


def test_a_line_without_its_header_is_released_into_the_transaction_it_belongs_to(home: Home, takes: Takes) -> None:
    bad = sale("T1")
    bad["lines"][0]["transaction_id"] = "T-1"
    write_drop(home, "pos", DAY, "S1", joined(bad, sale("T2")))
    intake = takes()
    (item,) = open_items(intake, "orphan")
    release(home, [item], {item["quarantine_id"]: {"transaction_id": "T1"}})
    intake = takes()
    assert refusals(intake) == []
    assert [row["transaction_id"] for row in landed(intake, "lines")] == ["T1"]
    assert [row["transaction_id"] for row in landed(intake, "transactions")] == ["T1"]


def test_several_rows_of_a_record_are_corrected_at_once(home: Home, takes: Takes) -> None:
    bad = sale("T1", currency="")
    bad["tenders"][0]["amount"] = "ten"
    write_drop(home, "pos", DAY, "S1", bad)
    items = [row for row in takes().quarantine.to_pylist() if row["rule"] != "companion"]
    changes = {"required:currency": {"currency": "USD"}, "type:amount": {"amount": "10.00"}}
    release(home, items, {item["quarantine_id"]: changes[item["rule"]] for item in items})
    intake = takes()
    assert (refusals(intake), intake.accepted_rows) == ([], 3)


def test_a_card_is_released_with_all_its_programs(home: Home, takes: Takes) -> None:
    cards = rows(
        "loyalty_cards", {}, {"program_id": "vip", "card_type": "golden"}, {"card_id": "C2", "program_id": "vip"}
    )
    write_drop(home, "hq", DAY, "hq", {"loyalty_cards": cards})
    (item,) = open_items(takes("hq"), "allowed:card_type")
    release(home, [item], {item["quarantine_id"]: {"card_type": "no_tender"}})
    assert [(row["card_id"], row["program_id"]) for row in landed(takes("hq"), "loyalty_cards")] == [
        ("C1", "club"),
        ("C1", "vip"),
    ]


def test_a_transaction_of_a_poslog_document_can_be_released(home: Home, takes: Takes) -> None:
    deliver(home, "S1", document(line(1, "10.00"), totals={"TransactionGrandAmount": "11.00"}))
    (refused,) = open_items(takes(), "total")
    release(home, [refused], {refused["quarantine_id"]: {"total_amount": "10.00"}})
    intake = takes()
    assert refusals(intake) == []
    assert [row["line_no"] for row in landed(intake, "lines")] == [1]


def test_nothing_is_written_through_a_link_that_lies_where_the_release_goes(home: Home, takes: Takes) -> None:
    write_drop(home, "pos", DAY, "S1", sale("T1", currency=""))
    (item,) = open_items(takes(), "required:currency")
    (home.root / "elsewhere").mkdir()
    path = home.landing / "pos" / "2026-01-05" / f"S1.released-{item['quarantine_id']}"
    path.symlink_to(home.root / "elsewhere")
    assert release(home, [item], {item["quarantine_id"]: {"currency": "USD"}}) == path
    assert not list((home.root / "elsewhere").iterdir())
    assert refusals(takes()) == []


def test_what_cannot_be_released_says_what_to_do_instead(home: Home, takes: Takes) -> None:
    write_drop(home, "pos", DAY, "S1", sale("T1", currency=""))
    write_drop(home, "pos", DAY, "S2", sale("T2"), totals={"transactions": 2})
    intake = takes()
    (item,), (drop,) = open_items(intake, "required:currency"), open_items(intake, "control_totals")
    with pytest.raises(KantaError, match=r"refused drop(.|\n)*Deliver"):
        release(home, [drop], {})
    with pytest.raises(BadArguments, match="no column colour"):
        release(home, [item], {item["quarantine_id"]: {"colour": "red"}})
    with pytest.raises(BadArguments, match="No refused row"):
        release(home, [item], {"0": {"currency": "USD"}})
    write_drop(home, "pos", DAY, "S1", sale("T1"), revision=2)
    with pytest.raises(KantaError, match=r"revision 2 has replaced it(.|\n)*higher revision"):
        release(home, [item], {item["quarantine_id"]: {"currency": "USD"}})
    write_drop(home, "pos", DAY, "S1", sale("T8"))
    with pytest.raises(KantaError, match="cannot be read again"):
        release(home, [item], {item["quarantine_id"]: {"currency": "USD"}})
    assert not list(home.landing.glob("*/*/*.released-*"))
