"""POSLog documents, real and made: what a right reader gets from each."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import tracemalloc
from collections import Counter
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from kanta.home import Home
from kanta.landing import Intake, poslog
from kanta.landing.drops import DataFile
from kanta.landing.limits import Allowance
from kanta.landing.poslog import Broken, Receipt
from kanta.landing.poslog.readings import spread
from kanta.landing.spool import RawFile
from kanta.programme.model import DropLimits, NightLimits
from tests.feed import write_control, write_drop
from tests.landing.conftest import DAY, Takes, landed, refusals

REAL = Path(__file__).parents[3] / "shared" / "data" / "poslog"
NAMESPACE = "http://www.nrf-arts.org/IXRetail/namespace/"


def expected() -> list[dict[str, Any]]:
    """What right readers get from the real documents; fails where those are missing."""
    found: list[dict[str, Any]] = json.loads((REAL / "expected.json").read_text(encoding="utf-8"))["documents"]
    assert len(found) >= 11
    return found


def deliver(home: Home, source: str, data: bytes, count: int = 1, *, name: str = "poslog.xml", day: date = DAY) -> Path:
    """A drop that is one document."""
    folder = write_drop(home, "pos", day, source, {})
    (folder / name).write_bytes(data)
    listed = {"name": name, "rows": count, "sha256": hashlib.sha256(data).hexdigest()}
    write_control(folder, {"revision": 1, "files": [listed]})
    return folder


def item(
    number: int,
    amount: str,
    kind: str = "Sale",
    *,
    quantity: str = "1",
    product: str = "P",
    inside: str = "",
    beside: str = "",
    flags: str = "",
) -> str:
    """A line of goods."""
    return (
        f"<LineItem {flags}><SequenceNumber>{number}</SequenceNumber><{kind}><ItemID>{product}</ItemID>"
        f"<ExtendedAmount>{amount}</ExtendedAmount><Quantity>{quantity}</Quantity>{inside}</{kind}>{beside}</LineItem>"
    )


def tender(
    number: int, amount: str, kind: str = "Cash", code: str = "Sale", *, inside: str = "", flags: str = ""
) -> str:
    return (
        f"<LineItem {flags}><Tender TenderType='{kind}' TypeCode='{code}'><Amount>{amount}</Amount>{inside}</Tender>"
        f"<SequenceNumber>{number}</SequenceNumber></LineItem>"
    )


def transaction(
    *content: str,
    number: str = "1",
    totals: Mapping[str, str] | None = None,
    head: str = "<BusinessDayDate>2026-01-05</BusinessDayDate>",
    attributes: str = "",
    retail: str = "",
) -> str:
    said = "".join(f"<Total TotalType='{kind}'>{amount}</Total>" for kind, amount in (totals or {}).items())
    return (
        f"<Transaction {attributes}><BusinessUnit><UnitID>S1</UnitID></BusinessUnit><WorkstationID>R1</WorkstationID>"
        f"<SequenceNumber>{number}</SequenceNumber><CurrencyCode>EUR</CurrencyCode>{head}"
        "<BeginDateTime>2026-01-05T09:00:00Z</BeginDateTime><EndDateTime>2026-01-05T09:05:00Z</EndDateTime>"
        f"<RetailTransaction {retail}>{''.join(content)}{said}</RetailTransaction></Transaction>"
    )


def whole(*transactions: str, namespace: str = NAMESPACE) -> bytes:
    return f'<POSLog xmlns="{namespace}" xmlns:v="urn:vendor">{"".join(transactions)}</POSLog>'.encode()


def document(*content: str, **said: Any) -> bytes:
    """A document of one transaction."""
    return whole(transaction(*content, **said))


def raw(data: bytes, folder: Path) -> RawFile:
    (folder / "poslog.xml").write_bytes(data)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        allowance = Allowance(DropLimits(), NightLimits())
        return RawFile(descriptor, DataFile("poslog.xml", 1, "", None, "xml", ""), allowance)
    finally:
        os.close(descriptor)


@pytest.fixture
def read(tmp_path: Path) -> Any:
    """Reads a document: rows by dataset, empty columns left out. A transaction that cannot be read fails the test."""

    def rows(data: bytes) -> dict[str, list[dict[str, str]]]:
        found: list[Receipt | Broken] = []
        with raw(data, tmp_path) as file:
            poslog.read(file, found.append)
        result: dict[str, list[dict[str, str]]] = {
            name: [] for name in ("transactions", "lines", "tenders", "declared_points")
        }
        for receipt in found:
            assert isinstance(receipt, Receipt), receipt
            for dataset, _, row in receipt.rows:
                result[dataset].append({key: value for key, value in row.items() if value})
        return result

    return rows


def nets(found: dict[str, list[dict[str, str]]]) -> tuple[str, list[str]]:
    """Net of the transaction and of its counted lines."""
    return found["transactions"][0]["net_amount"], [r["net_amount"] for r in found["lines"] if r["voided"] == "false"]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Intake:
    """All real documents, each in a drop of its own whose source is its name."""
    home = Home(tmp_path_factory.mktemp("poslog") / "home")
    for said in expected():
        day = date.fromisoformat(said["drop"].split("/")[1])
        data = (REAL / said["document"]).read_bytes()
        deliver(home, said["document"], data, said["transactions"]["elements"], day=day)
    return Takes(home)(through=date(2025, 1, 1))


@pytest.mark.parametrize("said", expected(), ids=lambda said: said["document"])
def test_a_real_document_gives_what_a_right_reader_gets(said: dict[str, Any], real: Intake) -> None:
    def own(dataset: str) -> list[dict[str, Any]]:
        return [row for row in landed(real, dataset) if row["source"] == said["document"]]

    headers, tenders = own("transactions"), own("tenders")
    counted = [row for row in headers if row["status"] == "completed" and row["type"] != "control"]
    lines = [row for row in own("lines") if not row["voided"]]
    assert not [row for row in real.quarantine.to_pylist() if row["source"] == said["document"]]
    assert Counter(f"{row['type']}/{row['status']}" for row in headers) == said["transactions"]["by_type_and_status"]
    assert (len(counted), len(lines)) == (said["transactions"]["counted"], said["counted_lines"])
    cent = Decimal("0.01") if said["document"] == "sale_with_posStorno.xml" else 0  # the document's own rounding
    assert abs(sum(row["net_amount"] for row in counted) - Decimal(said["net_amount"])) <= cent
    assert sum(row["net_amount"] for row in lines) == sum(row["net_amount"] for row in counted)
    assert sum(row["tax_amount"] for row in counted) == Decimal(said["tax_amount"])
    assert sum(row["total_amount"] for row in counted) == Decimal(said["total_amount"])
    assert sum(row["amount"] for row in tenders) == Decimal(said["tenders_amount"])
    assert Counter(
        "change" if row["amount"] < 0 < said["counted_lines"] and len(tenders) > 1 else "Cash" for row in tenders
    ) == {kind: tendered["count"] for kind, tendered in said["tenders_by_document_type"].items()}
    assert sorted({row["loyalty_card_id"] for row in headers if row["loyalty_card_id"]}) == said["loyalty_cards"]
    assert own("declared_points") == []
    assert len([row for row in own("lines") if row["voided"]]) == said["voided_lines"]["flagged"]
    for row, one in zip(headers, said["per_transaction"], strict=True):
        day = said["drop"].split("/")[1]
        assert row["transaction_id"] == f"{row['store_id']}-{one['register']}-{day}-{one['sequence']}"
        assert (row["customer_id"], str(row["business_date"])) == (one["customer"], day)
    for row, one in zip([row for row in lines if row["kind"] == "return"], said["returns"], strict=True):
        assert (row["line_no"], row["product_id"], row["quantity"]) == (
            one["line"],
            one["item"],
            Decimal(one["quantity"]),
        )
        link = one["original"]
        place = "-".join(link[key] for key in ("store", "register", "business_date", "sequence")) if link else None
        assert (row["original_transaction_id"], row["original_line_no"]) == (place, link and link["line"])


def test_no_name_or_address_of_a_real_document_is_landed(real: Intake) -> None:
    values = {str(value) for dataset in real.rows for row in landed(real, dataset) for value in row.values()}
    assert "22000129" in values
    assert not [value for value in values if "Mustermann" in value or "Heidestrasse" in value]


@pytest.mark.parametrize("namespace", ["", NAMESPACE, "http://www.nrf-arts.org/IXRetail/namespace", "urn:someone-else"])
def test_elements_are_known_by_name_in_any_namespace(namespace: str, read: Any) -> None:
    content = transaction(item(1, "10.00"), tender(2, "10.00"))
    assert read(whole(content, namespace=namespace)) == read(whole(content))
    prefixed = content.replace("</", "</p:").replace("<", "<p:").replace("<p:/p:", "</p:")
    data = f'<p:POSLog xmlns:p="{namespace or "urn:p"}">{prefixed}</p:POSLog>'.encode()
    assert read(data) == read(whole(content))


def test_a_vendors_element_of_the_same_name_yields_to_the_standards(read: Any) -> None:
    found = read(
        document(
            item(1, "10.00", inside="<v:Quantity>9</v:Quantity><v:ItemID>X</v:ItemID>").replace(
                "<ItemID>", "<v:ItemID>Y</v:ItemID><ItemID>"
            )
        )
    )
    assert [(row["quantity"], row["product_id"]) for row in found["lines"]] == [("1.000", "P")]


def test_version_2_names_store_and_cancelled_transactions_its_own_way(read: Any) -> None:
    old = transaction(item(1, "10.00"), attributes="CancelFlag='true'").replace(
        "<BusinessUnit><UnitID>S1</UnitID></BusinessUnit>", "<RetailStoreID>9</RetailStoreID>"
    )
    found = read(whole(old))
    (row,) = found["transactions"]
    assert (row["transaction_id"], row["status"], row["net_amount"]) == ("9-R1-2026-01-05-1", "voided", "0.00")
    assert (found["lines"], found["tenders"]) == ([], [])


@pytest.mark.parametrize(
    ("said", "status", "kind"),
    [
        ({}, "completed", "sale"),
        ({"retail": "TransactionStatus='Finished'"}, "completed", "sale"),
        ({"retail": "TransactionStatus='Suspended'"}, "suspended", "sale"),
        ({"retail": "TransactionStatus='SuspendedRetrieved'"}, "suspended", "sale"),
        ({"retail": "TransactionStatus='PostVoided'"}, "voided", "sale"),
        ({"retail": "TransactionStatus='v:Canceled'"}, "voided", "sale"),
        ({"attributes": "TrainingModeFlag='true'"}, "training", "sale"),
        ({"attributes": "TrainingModeFlag='1'"}, "training", "sale"),
        ({"retail": "TypeCode='Summary'"}, "completed", "control"),
    ],
)
def test_only_finished_real_sales_bring_lines_and_money(
    said: dict[str, str], status: str, kind: str, read: Any
) -> None:
    found = read(document(item(1, "10.00"), tender(2, "10.00"), **said))
    (row,) = found["transactions"]
    assert (row["status"], row["type"]) == (status, kind)
    counts = (status, kind) == ("completed", "sale")
    assert (len(found["lines"]), row["net_amount"]) == ((1, "10.00") if counts else (0, "0.00"))


VOIDED_LINK = (
    "<TransactionLink ReasonCode='{reason}'><WorkstationID>R1</WorkstationID>"
    "<BusinessDayDate>2026-01-04</BusinessDayDate><SequenceNumber>{number}</SequenceNumber></TransactionLink>"
)


@pytest.mark.parametrize(
    ("said", "voids"),
    [
        ({"retail": "TransactionStatus='PostVoided'"}, True),
        ({}, True),
        ({"retail": "TransactionStatus='Suspended'"}, False),
        ({"retail": "TransactionStatus='Voided'"}, False),
        ({"attributes": "TrainingModeFlag='true'"}, False),
        ({"retail": "TransactionStatus='Finished' VoidFlag='true'"}, False),
    ],
)
def test_a_finished_or_post_voided_receipt_with_a_voided_link_voids_and_sells_nothing(
    said: dict[str, str], voids: bool, read: Any
) -> None:
    found = read(
        document(item(1, "10.00"), tender(2, "10.00"), VOIDED_LINK.format(reason="v:Voided", number=7), **said)
    )
    (row,) = found["transactions"]
    assert row.get("voids_transaction_id") == ("S1-R1-2026-01-04-7" if voids else None)
    assert (found["lines"], row["net_amount"]) == ([], "0.00")


def test_a_control_transaction_voids_and_a_link_for_another_reason_does_not(read: Any) -> None:
    control = transaction().replace("RetailTransaction", "ControlTransaction")
    found = read(whole(control.replace("</Control", VOIDED_LINK.format(reason="Voided", number=7) + "</Control")))
    assert found["transactions"][0]["voids_transaction_id"] == "S1-R1-2026-01-04-7"
    found = read(document(item(1, "10.00"), VOIDED_LINK.format(reason="Return", number=7)))
    assert "voids_transaction_id" not in found["transactions"][0]
    assert len(found["lines"]) == 1


def test_a_receipt_that_voids_one_it_does_not_name_is_set_aside(home: Home, takes: Takes) -> None:
    nameless = "<TransactionLink ReasonCode='Voided'><SequenceNumber>7</SequenceNumber></TransactionLink>"
    deliver(home, "S1", document(item(1, "10.00"), tender(2, "10.00"), nameless))
    intake = takes()
    assert [row[-1] for row in refusals(intake)] == ["poslog"]
    assert landed(intake, "transactions") == []


def test_a_control_transaction_lands_as_one_and_needs_no_currency(home: Home, takes: Takes) -> None:
    control = (
        "<Transaction><RetailStoreID>9</RetailStoreID><WorkstationID>34</WorkstationID><SequenceNumber>160</SequenceNumber>"
        "<BusinessDayDate>2026-01-05</BusinessDayDate><EndDateTime>2026-01-05T02:01:31</EndDateTime>"
        "<ControlTransaction><ReasonCode>Valid SignOn</ReasonCode></ControlTransaction></Transaction>"
    )
    tender_control = control.replace("ControlTransaction", "TenderControlTransaction").replace("160", "161")
    deliver(home, "S1", whole(control, tender_control, transaction(item(1, "1.00"))), 3)
    intake = takes()
    assert refusals(intake) == []
    assert [(row["type"], row["currency"]) for row in landed(intake, "transactions")] == [
        ("control", "XXX"), ("control", "XXX"), ("sale", "EUR"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("head", "day"),
    [
        ("<BusinessDayDate>2026-01-04</BusinessDayDate>", "2026-01-04"),
        ("<BusinessDayDate><Date>2026-01-04</Date></BusinessDayDate>", "2026-01-04"),
        ("<BusinessDayDate>2026-01-04Z</BusinessDayDate>", "2026-01-04"),
        ("", "2026-01-05"),
    ],
)
def test_the_business_date_is_as_said_else_the_local_day_of_the_beginning(head: str, day: str, read: Any) -> None:
    data = document(item(1, "10.00"), head=head).replace(b"2026-01-05T09:00:00Z", b"2026-01-05T23:30:00-05:00")
    assert read(data)["transactions"][0]["business_date"] == day


@pytest.mark.parametrize("zone", ["Z", "+00:00", "-00:00"])
def test_a_time_in_utc_tells_no_business_date_but_the_id_keeps_it_as_written(zone: str, read: Any) -> None:
    data = document(item(1, "10.00"), head="").replace(b"09:00:00Z", b"22:30:00" + zone.encode())
    (header,) = read(data)["transactions"]
    assert (header["transaction_id"], header.get("business_date", "")) == ("S1-R1-2026-01-05-1", "")


def test_a_flagged_line_does_not_count_and_a_flagged_copy_turned_round_voids_its_original(read: Any) -> None:
    found = read(
        document(
            item(1, "3.00", product="A"),
            item(2, "3.00", product="A"),
            item(3, "5.00", product="B", flags="VoidFlag='true'"),
            item(4, "-3.00", product="A", quantity="-1", flags="VoidFlag='true'"),
            item(5, "7.00", product="C"),
            totals={"TransactionGrandAmount": "10.00"},
        )
    )
    assert [(row["line_no"], row["voided"]) for row in found["lines"]] == [
        ("1", "false"), ("2", "true"), ("3", "true"), ("4", "true"), ("5", "false"),
    ]  # fmt: skip
    assert nets(found) == ("10.00", ["3.00", "7.00"])


def test_a_line_is_voided_by_its_number_whole_or_in_part(read: Any) -> None:
    voids = "<LineItem><Voids>{}<ItemLink>{}</ItemLink></Voids><SequenceNumber>9</SequenceNumber></LineItem>"
    link = "<ItemLink>2</ItemLink>"
    found = read(
        document(
            item(1, "3.00"), voids.format("", 1), item(2, "4.00"),
            item(3, "-4.00", beside=link, flags="VoidFlag='true'"),
            item(4, "9.00", quantity="3"), voids.format("<Quantity>1</Quantity>", 4),
        )
    )  # fmt: skip
    assert nets(found) == ("6.00", ["6.00"])
    assert [row["quantity"] for row in found["lines"] if row["voided"] == "false"] == ["2.000"]


@pytest.mark.parametrize(
    ("kind", "amount", "quantity"),
    [
        ("Return", "10.00", "1"),
        ("Return", "-10.00", "-1"),
        ("Return", "10.00", "-1"),
        ("Sale", "10.00", "-1"),
        ("Sale", "-10.00", "-1"),
    ],
)
def test_the_sign_comes_from_sale_or_return_not_from_the_number(
    kind: str, amount: str, quantity: str, read: Any
) -> None:
    totals = {"TransactionGrandAmount": "10.00"}  # amounts below zero are no numbers of the schema
    found = read(document(item(1, amount, kind, quantity=quantity), tender(2, "10.00", code="Refund"), totals=totals))
    (header,), (line,), (paid,) = found["transactions"], found["lines"], found["tenders"]
    assert (header["type"], header["net_amount"], header["total_amount"]) == ("return", "-10.00", "-10.00")
    assert (line["kind"], line["quantity"], line["net_amount"]) == ("return", "-1.000", "-10.00")
    assert paid["amount"] == "-10.00"


def test_goods_sold_and_taken_back_make_an_exchange(read: Any) -> None:
    found = read(document(item(1, "10.00", "Return"), item(2, "25.00"), totals={"TransactionGrandAmount": "15.00"}))
    assert (found["transactions"][0]["type"], nets(found)) == ("exchange", ("15.00", ["-10.00", "25.00"]))


def test_a_tax_only_in_the_header_is_spread_by_largest_remainder(read: Any) -> None:
    lines = [item(n, "3.33") for n in (1, 2, 3)]
    added = read(document(*lines, totals={"TransactionTaxAmount": "1.00", "TransactionGrandAmount": "10.99"}))
    assert nets(added) == ("9.99", ["3.33", "3.33", "3.33"])
    assert [row["tax_amount"] for row in added["lines"]] == ["0.34", "0.33", "0.33"]
    included = read(document(*lines, totals={"TransactionTaxAmount": "1.00", "TransactionGrandAmount": "9.99"}))
    assert nets(included) == ("8.99", ["2.99", "3.00", "3.00"])
    assert [row["tax_amount"] for row in included["lines"]] == ["0.34", "0.33", "0.33"]
    assert included["transactions"][0]["total_amount"] == "9.99"


def test_a_lines_own_tax_is_its_tax_and_comes_off_a_price_that_includes_it(read: Any) -> None:
    def taxed(number: int, amount: str, tax: str, flag: str = "") -> str:
        return item(number, amount, inside=f"<Tax {flag}><Amount>{tax}</Amount></Tax>")

    added = read(
        document(taxed(1, "10.00", "2.40"), taxed(2, "5.00", "0.50"), totals={"TransactionNetAmount": "15.00"})
    )
    assert nets(added) == ("15.00", ["10.00", "5.00"])
    assert added["transactions"][0]["total_amount"] == "17.90"
    for said in ({"TransactionNetAmount": "12.10"}, {"TransactionGrandAmount": "15.00"}):
        included = read(document(taxed(1, "10.00", "2.40"), taxed(2, "5.00", "0.50"), totals=said))
        assert nets(included) == ("12.10", ["7.60", "4.50"])
    flag = "TaxIncludedInPriceFlag='true'"
    assert nets(read(document(taxed(1, "10.00", "2.40", flag)))) == ("7.60", ["7.60"])


def test_a_tax_on_a_line_of_its_own_is_the_receipts(read: Any) -> None:
    tax = "<LineItem><Tax><TaxableAmount>10.00</TaxableAmount><Amount>0.94</Amount></Tax></LineItem>"
    found = read(document(tax, item(2, "10.00"), totals={"TransactionGrandAmount": "10.94"}))
    assert nets(found) == ("10.00", ["10.00"])
    assert (found["transactions"][0]["tax_amount"], found["lines"][0]["tax_amount"]) == ("0.94", "0.94")


REWARD = (
    "<LineItem {flags}><LoyaltyReward v:{form}='true'{more}><PromotionID>{promotion}</PromotionID><EventID>1</EventID>"
    "<v:RewardCategory>{category}</v:RewardCategory><v:ExtendedRewardAmount>{amount}</v:ExtendedRewardAmount>"
    "<v:OperatorSequenceReference>{line}</v:OperatorSequenceReference></LoyaltyReward></LineItem>"
)


def reward(
    amount: str,
    form: str,
    *,
    line: int = 0,
    promotion: int = 1,
    category: str = "Monetary",
    more: str = "",
    flags: str = "",
) -> str:
    return REWARD.format(
        amount=amount, form=form, line=line, promotion=promotion, category=category, more=more, flags=flags
    )


def test_a_discount_in_detail_and_in_sum_counts_once_and_on_its_line(read: Any) -> None:
    def sold(number: int, amount: str) -> str:
        return item(number, amount, inside=f"<v:OperatorSequence>{number}</v:OperatorSequence>")

    found = read(
        document(
            sold(1, "1.26"), sold(2, "4.00"),
            reward("-0.19", "detailedData", line=1), reward("-0.19", "summarizedActivity"),
            reward("-0.50", "detailedData", line=2, promotion=2, more=" v:summarizedActivity='true'"),
            reward("1", "detailedData", promotion=3, category="CustomOffer"),
            reward("-0.40", "detailedData", line=2, promotion=4, flags="VoidFlag='true'"),
            totals={"TransactionGrandAmount": "4.57", "TransactionTaxAmount": "0.00"},
        )
    )  # fmt: skip
    assert nets(found) == ("4.57", ["1.07", "3.50"])
    assert [row["discount_amount"] for row in found["lines"]] == ["0.19", "0.50"]


def test_a_discount_given_in_sum_only_is_spread_and_one_the_amounts_already_have_is_not_taken_twice(read: Any) -> None:
    lines = [item(1, "3.00"), item(2, "1.00")]
    summed = reward("-0.10", "summarizedActivity")
    assert nets(read(document(*lines, summed, totals={"TransactionGrandAmount": "3.90"}))) == ("3.90", ["2.92", "0.98"])
    assert nets(read(document(*lines, summed, totals={"TransactionGrandAmount": "4.00"}))) == ("4.00", ["3.00", "1.00"])
    whole_receipt = "<LineItem><Discount><Amount>0.40</Amount></Discount></LineItem>"
    assert nets(read(document(*lines, whole_receipt, totals={"TransactionGrandAmount": "3.60"}))) == (
        "3.60",
        ["2.70", "0.90"],
    )


ACCOUNT = "<LoyaltyAccount><LoyaltyProgram><Points Type='{}'>{}</Points></LoyaltyProgram></LoyaltyAccount>"


def points(found: dict[str, list[dict[str, str]]]) -> list[tuple[str, str, str | None]]:
    return [(row["kind"], row["points"], row.get("line_no")) for row in found["declared_points"]]


def test_points_in_the_document_are_kept_once_in_detail_and_never_as_balances(read: Any) -> None:
    lines = [
        item(1, "10.00", inside=ACCOUNT.format("PointsEarned", "10")),
        item(2, "5.00", inside=ACCOUNT.format("Credited", "5")),
    ]
    assert points(read(document(*lines))) == [("awarded", "10.00", "1"), ("awarded", "5.00", "2")]
    in_sum = ACCOUNT.format("PointsEarned", "15")
    assert points(read(document(*lines, in_sum))) == [("awarded", "10.00", "1"), ("awarded", "5.00", "2")]
    assert points(read(document(*lines, ACCOUNT.format("PointsEarned", "20")))) == [("awarded", "20.00", None)]
    assert points(read(document(item(1, "10.00"), in_sum))) == [("awarded", "15.00", None)]
    for kind in ("Balance", "TotalRedeemed", "v:LoyaltyEligible"):
        assert points(read(document(item(1, "10.00", inside=ACCOUNT.format(kind, "99"))))) == []
    assert points(read(document(item(1, "1.00", "Return", inside=ACCOUNT.format("Reversal", "7"))))) == [
        ("awarded", "-7.00", "1")
    ]
    awarded = (
        "<LineItem><SequenceNumber>3</SequenceNumber><LoyaltyReward><LoyaltyID>K1</LoyaltyID>"
        "<LoyaltyProgramID>club</LoyaltyProgramID><PointsAwarded>15</PointsAwarded></LoyaltyReward></LineItem>"
    )
    found = read(document(*lines, awarded, in_sum))
    assert points(found) == [("awarded", "10.00", "1"), ("awarded", "5.00", "2")]
    (row,) = read(document(item(1, "10.00"), awarded))["declared_points"]
    assert (row["loyalty_card_id"], row["program_id"], row["element"]) == ("K1", "club", "LoyaltyReward/PointsAwarded")


def test_redeemed_points_and_a_vendors_points_are_kept_too(read: Any) -> None:
    taken = (
        "<LineItem><SequenceNumber>2</SequenceNumber><LoyaltyRedemption {}><PointsRedeemed>50</PointsRedeemed>"
        "</LoyaltyRedemption></LineItem>"
    )
    assert points(read(document(item(1, "1.00"), taken.format("")))) == [("redeemed", "50.00", "2")]
    back = taken.format("TypeCode='RedemptionRefund'")
    assert points(read(document(item(1, "1.00"), back))) == [("redeemed", "-50.00", "2")]
    vendors = reward("12", "detailedData", category="Points") + reward("12", "summarizedActivity", category="Points")
    assert points(read(document(item(1, "1.00"), vendors))) == [("awarded", "12.00", None)]


@pytest.mark.parametrize(
    "inside",
    [
        "<LoyaltyAccount><LoyaltyCard><PrimaryAccountNumber>K1</PrimaryAccountNumber></LoyaltyCard></LoyaltyAccount>",
        "<LoyaltyAccount><LoyaltyAccountID>K1</LoyaltyAccountID></LoyaltyAccount>",
        "<LineItem><v:LoyaltyMembership><v:LoyaltyID>K1</v:LoyaltyID></v:LoyaltyMembership></LineItem>",
        "<LineItem><LoyaltyAccount><LoyaltyID>K1</LoyaltyID></LoyaltyAccount></LineItem>",
    ],
)
def test_the_card_is_found_where_vendors_put_it(inside: str, read: Any) -> None:
    assert read(document(item(1, "1.00"), inside))["transactions"][0]["loyalty_card_id"] == "K1"


LINK = (
    "<TransactionLink{reason}><TransactionID>4711</TransactionID>{store}<WorkstationID>R7</WorkstationID>"
    "<BusinessDayDate>{day}</BusinessDayDate><SequenceNumber>3</SequenceNumber>"
    "<LineItemSequenceNumber>4</LineItemSequenceNumber></TransactionLink>"
)


LINKED = ("S2-R7-2026-01-02-3", "4")


@pytest.mark.parametrize(
    ("reason", "store", "day", "original"),
    [
        ("", "<BusinessUnit>S2</BusinessUnit>", "<Date>2026-01-02</Date>", LINKED),
        (" ReasonCode='Return'", "<RetailStoreID>S2</RetailStoreID>", "2026-01-02", LINKED),
        ("", "", "2026-01-02", ("S1-R7-2026-01-02-3", "4")),
        (" ReasonCode='Resume'", "", "2026-01-02", (None, None)),
        ("", "", "", (None, None)),
    ],
)
def test_a_return_is_linked_by_store_register_date_and_number_never_by_its_id_alone(
    reason: str, store: str, day: str, original: tuple[str, str], read: Any
) -> None:
    link = LINK.format(reason=reason, store=store, day=day)
    (line,) = read(document(item(1, "10.00", "Return", inside=link)))["lines"]
    assert (line.get("original_transaction_id"), line.get("original_line_no")) == original


def test_a_link_said_once_for_the_receipt_holds_for_its_returns(read: Any) -> None:
    link = LINK.format(reason=" ReasonCode='Return'", store="", day="2026-01-02").replace(
        "<LineItemSequenceNumber>4</LineItemSequenceNumber>", ""
    )
    found = read(document(item(1, "10.00", "Return"), item(2, "3.00"), link))
    assert [row.get("original_transaction_id") for row in found["lines"]] == ["S1-R7-2026-01-02-3", None]


def test_tenders_are_signed_change_is_one_and_cash_rounding_none(read: Any) -> None:
    rounding = "<LineItem><Tender><Rounding RoundingDirection='Down'>0.02</Rounding></Tender></LineItem>"
    found = read(
        document(
            item(1, "7.02"),
            tender(2, "5.00", "CreditDebit"),
            tender(3, "3.00", inside="<TenderChange><Amount>1.00</Amount></TenderChange>"),
            tender(4, "9.00", "CreditDebit"),
            tender(5, "-9.00", "CreditDebit", flags="VoidFlag='true'"),
            tender(6, "0.00", "v:Odd"),
            rounding,
            totals={"TransactionGrandAmount": "7.00"},
        )
    )
    assert [(row["tender_no"], row["type"], row["amount"]) for row in found["tenders"]] == [
        ("1", "card", "5.00"), ("2", "cash", "3.00"), ("3", "cash", "-1.00"), ("4", "other", "0.00"),
    ]  # fmt: skip
    assert found["transactions"][0]["total_amount"] == "7.02", "rounding is no revenue"


BROKEN = {
    "ExtendedAmount is not a number": transaction(item(1, "ten"), number="2"),
    "SequenceNumber is not a whole number": transaction(item(1, "1").replace("ber>1", "ber>one"), number="2"),
    "a line has no amount": transaction(item(1, ""), number="2"),
    "the transaction has no register": transaction(number="2").replace("<WorkstationID>R1</WorkstationID>", ""),
    "its TransactionStatus is not known": transaction(number="2", retail="TransactionStatus='Odd'"),
    "the transaction is larger than any receipt": transaction("<LineItem/>" * 200_001, number="2"),
}


@pytest.mark.parametrize("reason", BROKEN)
def test_a_transaction_that_cannot_be_read_is_refused_alone(reason: str, home: Home, takes: Takes) -> None:
    data = whole(transaction(item(1, "1.00"), number="1"), BROKEN[reason], transaction(item(1, "3.00"), number="3"))
    deliver(home, "S1", data, 3)
    intake = takes()
    (row,) = intake.quarantine.to_pylist()
    assert (row["level"], row["rule"], row["reason"], row["dataset"]) == (
        "transaction",
        "poslog",
        reason,
        "transactions",
    )
    assert [row["net_amount"] for row in landed(intake, "transactions")] == [Decimal("1.00"), Decimal("3.00")]
    assert (intake.in_rows, intake.accepted_rows, intake.refused_rows) == (5, 4, 1)


def test_a_transaction_whose_lines_are_not_its_totals_is_refused_with_all_its_rows(home: Home, takes: Takes) -> None:
    wrong = transaction(item(1, "10.00"), tender(2, "12.00"), number="1", totals={"TransactionGrandAmount": "12.00"})
    wrong_net = transaction(item(1, "10.00"), number="2", totals={"TransactionNetAmount": "12.00"})
    deliver(home, "S1", whole(wrong, wrong_net, transaction(item(1, "3.00"), number="3")), 3)
    intake = takes()
    assert [row[3:] for row in refusals(intake)] == [
        ("S1-R1-2026-01-05-1", "transaction", "total"),
        ("S1-R1-2026-01-05-2", "transaction", "net_is_its_lines"),
    ]
    assert intake.refused_rows == 5
    ids = intake.quarantine.column("quarantine_id").to_pylist()
    assert len(ids) == len(set(ids)) == 2, "one row says all of a receipt, and both stand in one line"


@pytest.mark.parametrize(("name", "pack"), [("poslog.xml.gz", gzip.compress), ("poslog.xml.zst", zstandard.compress)])
def test_a_document_may_be_packed(name: str, pack: Any, home: Home, takes: Takes) -> None:
    deliver(home, "S1", pack(document(item(1, "10.00"))), name=name)
    assert [row["file"] for row in landed(takes(), "lines")] == [name]


def test_a_document_of_any_length_passes_in_the_memory_of_one_transaction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kanta.landing.spool.BLOCK", 1 << 16)
    one = transaction(
        item(1, "10.00"), tender(2, "10.00"), "<ReceiptImage>" + "<ReceiptLine>x</ReceiptLine>" * 50 + "</ReceiptImage>"
    )
    peaks = []
    for length in (20, 600):
        with raw(whole(one * length), tmp_path) as file:
            tracemalloc.start()
            assert poslog.read(file, lambda found: None) == length
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[1] < peaks[0] + (1 << 20), peaks


@given(total=st.integers(-(10**6), 10**6), weights=st.lists(st.integers(-(10**6), 10**6), min_size=1, max_size=20))
def test_spreading_gives_every_cent_away_and_no_share_misses_its_part_by_one(total: int, weights: list[int]) -> None:
    shares = spread(total, weights)
    assert sum(shares) == total
    sizes = [abs(weight) for weight in weights] if any(weights) else [1] * len(weights)
    for share, size in zip(shares, sizes, strict=True):
        assert abs(share - Decimal(total) * size / sum(sizes)) < 1
