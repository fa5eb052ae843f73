"""A transaction that comes in several drops: the earliest counts, and no copy that differs vanishes without a word."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from kanta import night, quarantine
from kanta.engine import Engine
from kanta.errors import BadArguments
from kanta.home import Home
from kanta.lake import Lake
from tests.feed import Row, sale, write_drop

FIRST, SECOND, THIRD = (date(2026, 1, day) for day in (5, 6, 7))
Content = dict[str, list[Row]]

#: One column of each kind that differs, in the copy of the second day.
CHANGES: dict[str, dict[str, str]] = {
    "transactions": {
        "register_id": "R2", "transaction_no": "2", "started_at": "{day}T09:00:00+00:00", "discount_amount": "1.00",
        "offline": "true", "operator_id": "O", "customer_id": "K", "loyalty_card_id": "C",
    },
    "lines": {
        "unit_price": "11.00", "discount_amount": "1.00", "coupon_code": "C", "gift_card_id": "G", "quantity": "2",
        "variant_id": "V", "original_transaction_id": "T0",
    },
    "tenders": {"type": "card", "gift_card_id": "G", "loyalty_card_id": "C", "points": "1.00"},
}  # fmt: skip


def copy(identifier: str, **net: str) -> Content:
    """The receipt of the first day, whichever drop it comes in; ``net``: what all of it came to."""
    found: Content = {
        name: [{key: value.replace("{day}", FIRST.isoformat()) for key, value in row.items()} for row in items]
        for name, items in sale(identifier, store_id="S1").items()
    }
    if net:
        for name, columns in {"transactions": ("net_amount", "total_amount"), "lines": ("net_amount",)}.items():
            found[name] = [{**row, **dict.fromkeys(columns, net["net"])} for row in found[name]]
    return found


def worked(home: Home, day: date) -> tuple[dict[str, tuple[str, str]], list[tuple[Any, ...]]]:
    """Takes in what came and works sales out: copies set aside (drop: document, status), and what counts."""
    for stage in ("ingest_pos", "sales"):
        night.run_stage(home, stage, day)
    lake = Lake(home)
    with Engine(lake.root / "work") as engine:
        reader = night.Night(home, lake, engine, "test", lake.head(), day)
        reader.attach("ops.quarantine", "sales.transactions")
        refused = engine.rows("select drop_id, record_key, status from ops.quarantine where rule = 'copy_differs'")
        counted = engine.rows("select transaction_id, net_amount::varchar, drop_id from sales.transactions order by 1")
    return {drop: (document, status) for drop, document, status in refused}, counted


def test_a_copy_that_differs_in_any_column_is_set_aside_and_one_that_agrees_is_not(home: Home) -> None:
    first: Content = {name: [] for name in CHANGES}
    again: dict[str, Content] = {"agrees": copy("agrees")}
    for dataset, columns in CHANGES.items():
        for column, value in columns.items():
            changed = copy(f"{dataset}.{column}")
            changed[dataset] = [{**changed[dataset][0], column: value.replace("{day}", FIRST.isoformat())}]
            again[f"{dataset}.{column}"] = changed
    for identifier in again:
        for dataset, items in copy(identifier).items():
            first[dataset] += items
    write_drop(home, "pos", FIRST, "S1", first)
    for identifier, content in again.items():
        write_drop(home, "pos", SECOND, f"again {identifier}", content)
    aside, counted = worked(home, SECOND)
    assert {document for document, _ in aside.values()} == set(again) - {"agrees"}
    assert {drop for _, _, drop in counted} == {"pos/2026-01-05/S1"}
    assert len(counted) == len(again) == 20


def test_what_counted_is_set_aside_when_an_earlier_copy_comes_late_and_no_more_when_that_is_withdrawn(
    home: Home,
) -> None:
    write_drop(home, "pos", SECOND, "S1", copy("T1", net="12.00"))
    assert worked(home, SECOND) == ({}, [("T1", "12.00", "pos/2026-01-06/S1")])
    write_drop(home, "pos", FIRST, "S1", copy("T1"))
    aside, counted = worked(home, THIRD)
    assert aside == {"pos/2026-01-06/S1": ("T1", "open")}
    assert counted == [("T1", "10.00", "pos/2026-01-05/S1")]
    write_drop(home, "pos", FIRST, "S1", sale("T2"), revision=2)
    aside, counted = worked(home, THIRD)
    assert aside == {"pos/2026-01-06/S1": ("T1", "superseded")}
    assert counted == [("T1", "12.00", "pos/2026-01-06/S1"), ("T2", "10.00", "pos/2026-01-05/S1")]


def test_a_copy_that_somebody_dismissed_stays_so_when_its_transaction_comes_again(home: Home) -> None:
    write_drop(home, "pos", FIRST, "S1", copy("T1"))
    write_drop(home, "pos", SECOND, "S1", copy("T1", net="12.00"))
    worked(home, SECOND)
    Lake(home).publish(SECOND)
    (row,) = quarantine.listed(home)
    assert quarantine.dismiss(home, [row["quarantine_id"]], "a test of the till")[0]["rule"] == "copy_differs"
    write_drop(home, "pos", SECOND, "S3", copy("T1"))
    aside, _ = worked(home, THIRD)
    assert aside == {"pos/2026-01-06/S1": ("T1", "dismissed")}


def test_the_rows_of_a_record_are_dismissed_together_and_others_stay_open(home: Home) -> None:
    bad = {name: [*copy("T1")[name], *copy("T2")[name]] for name in copy("T1")}
    bad["transactions"] = [{**row, "currency": "usd"} for row in bad["transactions"]]
    write_drop(home, "pos", FIRST, "S1", bad)
    worked(home, FIRST)
    Lake(home).publish(FIRST)
    refused = quarantine.listed(home)
    assert {(row["record_key"], row["rule"] == "companion") for row in refused} == {
        (transaction, companion) for transaction in ("T1", "T2") for companion in (True, False)
    }
    cause = next(row for row in refused if row["record_key"] == "T1" and row["rule"] != "companion")
    closed = quarantine.dismiss(home, [cause["quarantine_id"][:12]], "a test of the till")
    assert {row["record_key"] for row in closed} == {"T1"}
    assert {row["record_key"] for row in quarantine.listed(home)} == {"T2"}
    with pytest.raises(BadArguments, match="nothing called"):
        quarantine.dismiss(home, [cause["quarantine_id"]], "once more")
    assert quarantine.dismiss(home, [], "none came on that day", day=SECOND) == []
    assert len(quarantine.dismiss(home, [], "all of that rule", rule=cause["rule"])) == len(refused) - len(closed)
    assert quarantine.listed(home) == []
    message = quarantine.release(home, cause["quarantine_id"], {"currency": "USD"})
    assert "the next run takes them" in message, "what was dismissed by mistake can still be released"
    _, counted = worked(home, SECOND)
    assert [transaction for transaction, _, _ in counted] == ["T1"]


@pytest.mark.parametrize(("again", "status"), [("10.00", "superseded"), ("13.00", "open")])
def test_rows_of_an_accepted_drop_stay_open_while_a_refused_revision_of_it_stands_there(
    home: Home, again: str, status: str
) -> None:
    bad = sale("T1", currency="usd")
    write_drop(home, "pos", FIRST, "S1", bad)
    worked(home, FIRST)
    totals = {"transactions": 1, "net_amount": again}
    write_drop(home, "pos", FIRST, "S1", sale("T1"), revision=2, totals=totals)
    worked(home, FIRST)
    lake = Lake(home)
    with Engine(lake.root / "work") as engine:
        night.Night(home, lake, engine, "test", lake.head(), FIRST).attach("ops.quarantine")
        found = dict(engine.rows("select rule, status from ops.quarantine"))
    assert found.pop("control_totals", "open") == "open"
    assert set(found.values()) == {status}, found


@pytest.mark.parametrize(
    ("dataset", "one", "other"),
    [
        ("transactions", {"customer_id": "X|"}, {"customer_id": "X", "loyalty_card_id": "|"}),
        ("lines", {"coupon_code": "X|"}, {"coupon_code": "X", "gift_card_id": "|"}),
        ("tenders", {"points": "0.00"}, {}),
    ],
)
def test_a_value_that_moves_to_the_column_beside_it_differs(
    home: Home, dataset: str, one: dict[str, str], other: dict[str, str]
) -> None:
    for day, change in ((FIRST, one), (SECOND, other)):
        content = copy("T1")
        content[dataset] = [{**content[dataset][0], **change}]
        write_drop(home, "pos", day, f"S{day.day}", content)
    aside, _ = worked(home, SECOND)
    assert aside == {"pos/2026-01-06/S6": ("T1", "open")}
