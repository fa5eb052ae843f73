"""What real systems write and mean well: taken for what it says, in every format, or refused with the very cause."""

from __future__ import annotations

import hashlib
import io
import json
from datetime import datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from kanta.foreign import BLANKS
from kanta.home import Home
from tests.feed import DEFAULTS, joined, rows, sale, write_control, write_drop
from tests.landing.conftest import DAY, Takes, landed, refusals

FORMATS = ("csv", "ndjson", "ndjson.gz", "parquet")


def one_sale(transaction_id: str, line: dict[str, str], **header: str) -> dict[str, list[dict[str, str]]]:
    """A transaction of one line whose header and line have the changes."""
    content = sale(transaction_id, **header)
    content["lines"] = rows("lines", {"transaction_id": transaction_id} | line)
    return content


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize(
    ("written", "meant"),
    [("1E+2", "100"), ("1e2", "100"), ("1.0E+002", "100"), ("10000E-2", "100"), ("-2.5e0", "-2.5"), ("0e0", "0")],
)
def test_a_number_with_an_exponent_is_taken_exactly(
    home: Home, takes: Takes, fmt: str, written: str, meant: str
) -> None:
    write_drop(
        home, "pos", DAY, "S1", one_sale("T1", {"net_amount": written}, net_amount=meant, total_amount=meant), fmt
    )
    intake = takes()
    assert refusals(intake) == []
    assert [row["net_amount"] for row in landed(intake, "lines")] == [Decimal(meant)]


def test_an_exponent_of_a_json_number_is_taken_too_for_whole_numbers(home: Home, takes: Takes) -> None:
    folder = write_drop(home, "pos", DAY, "S1", sale("T1"), "ndjson")
    data = (folder / "lines.ndjson").read_bytes()
    data = data.replace(b'"line_no": "1"', b'"line_no": 2E+0').replace(
        b'"unit_price": "10.00"', b'"unit_price": 1.25E-2'
    )
    (folder / "lines.ndjson").write_bytes(data)
    control = json.loads((folder / "control.json").read_bytes())
    control["files"][1]["sha256"] = hashlib.sha256(data).hexdigest()
    write_control(folder, control)
    intake = takes()
    assert refusals(intake) == []
    assert [(row["line_no"], row["unit_price"]) for row in landed(intake, "lines")] == [(2, Decimal("0.0125"))]


@pytest.mark.parametrize("fmt", FORMATS)
def test_a_whole_number_may_be_written_with_a_point(home: Home, takes: Takes, fmt: str) -> None:
    line = {"line_no": "3.0", "original_transaction_id": "T0", "original_line_no": "1.000"}
    write_drop(home, "pos", DAY, "S1", one_sale("T1", line, transaction_no="7."), fmt)
    intake = takes()
    assert refusals(intake) == []
    assert [(row["line_no"], row["original_line_no"]) for row in landed(intake, "lines")] == [(3, 1)]
    assert [row["transaction_no"] for row in landed(intake, "transactions")] == [7]


@pytest.mark.parametrize("fmt", FORMATS)
def test_blanks_are_empty_and_no_part_of_a_value(home: Home, takes: Takes, fmt: str) -> None:
    header = {
        "customer_id": "          ",
        "loyalty_card_id": "C1\u00a0\t",
        "store_id": "S1  ",
        "net_amount": "   10.00",
    }
    line = {"product_id": "  P 1   ", "original_transaction_id": "T0        ", "kind": "sale ", "voided": " false"}
    content = one_sale("T1   ", line, business_date=f"{DAY} ", **header)
    write_drop(home, "pos", DAY, "S1", joined(content, sale("T2")), fmt)
    intake = takes()
    assert refusals(intake) == []
    (padded, plain) = sorted(landed(intake, "transactions"), key=lambda row: row["transaction_id"])
    assert (padded["transaction_id"], padded["customer_id"], padded["loyalty_card_id"], padded["store_id"]) == (
        "T1", None, "C1", "S1",
    )  # fmt: skip
    assert (plain["transaction_id"], plain["net_amount"]) == ("T2", Decimal("10.00"))
    (line_row, _) = sorted(landed(intake, "lines"), key=lambda row: row["transaction_id"])
    assert (line_row["transaction_id"], line_row["product_id"], line_row["original_transaction_id"]) == (
        "T1",
        "P 1",
        "T0",
    )


def test_blanks_that_tell_keys_apart_no_more_make_them_the_same(home: Home, takes: Takes) -> None:
    write_drop(home, "hq", DAY, "hq", {"products": rows("products", {"product_id": "P"}, {"product_id": "P  "})})
    assert [row["product_id"] for row in landed(takes("hq"), "products")] == ["P"]


def test_every_blank_that_python_takes_off_landing_takes_off(home: Home, takes: Takes) -> None:
    products = [{"product_id": f"P{n}{blank}", "name": f"{blank}N"} for n, blank in enumerate(BLANKS)]
    write_drop(home, "hq", DAY, "hq", {"products": rows("products", *products)}, "ndjson")
    found = [(row["product_id"], row["name"]) for row in landed(takes("hq"), "products")]
    assert found == [(f"P{n}", "N") for n in range(len(BLANKS))]


@pytest.mark.parametrize("fmt", ["csv", "ndjson", "parquet"])
def test_midnight_stands_for_a_date(home: Home, takes: Takes, fmt: str) -> None:
    write_drop(home, "pos", DAY, "S1", sale("T1", business_date=f"{DAY} 00:00:00"), fmt)
    write_drop(home, "pos", DAY, "S2", sale("T2", business_date=f"{DAY}T00:00:00.000+02:00"), fmt)
    intake = takes()
    assert refusals(intake) == []
    assert [row["business_date"] for row in landed(intake, "transactions")] == [DAY, DAY]


def headers(days: pa.Array) -> bytes:
    """A Parquet file of one transaction whose business date has a type of its own."""
    row = {key: value.format(day=DAY, source="S1") for key, value in DEFAULTS["transactions"].items()}
    table = pa.table({name: pa.array([value]) for name, value in row.items()} | {"business_date": days})
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


@pytest.mark.parametrize(
    ("kind", "hour", "rules"),
    [
        (pa.timestamp("ns"), 0, []),
        (pa.timestamp("us"), 0, []),
        (pa.timestamp("ms", "UTC"), 0, []),
        (pa.timestamp("us", "Europe/Helsinki"), 0, []),
        (pa.date64(), 0, []),
        (pa.timestamp("us"), 9, ["type:business_date"]),
    ],
)
def test_a_midnight_of_parquet_stands_for_its_date(
    home: Home, takes: Takes, kind: pa.DataType, hour: int, rules: list[str]
) -> None:
    midnight: Any = datetime(DAY.year, DAY.month, DAY.day, hour)  # noqa: DTZ001
    if getattr(kind, "tz", None):
        days = pc.assume_timezone(pa.array([midnight], pa.timestamp(kind.unit)), kind.tz)
    else:
        days = pa.array([midnight if pa.types.is_timestamp(kind) else DAY], kind)
    content = {name: items for name, items in sale("T1").items() if name != "transactions"}
    folder = write_drop(home, "pos", DAY, "S1", content)
    data = headers(days)
    (folder / "transactions.parquet").write_bytes(data)
    control = json.loads((folder / "control.json").read_bytes())
    listed = {"name": "transactions.parquet", "rows": 1, "sha256": hashlib.sha256(data).hexdigest()}
    write_control(folder, control | {"files": [*control["files"], listed]})
    intake = takes()
    assert [row["rule"] for row in intake.quarantine.to_pylist() if row["rule"] not in ("companion", "orphan")] == rules
    assert [row["business_date"] for row in landed(intake, "transactions")] == ([] if rules else [DAY])


POSLOG = b"""<?xml version="1.0"?><POSLog>
<Transaction><RetailStoreID>S1</RetailStoreID><WorkstationID>R1</WorkstationID><SequenceNumber>1</SequenceNumber>
<BusinessDayDate>2026-01-05</BusinessDayDate><BeginDateTime>2026-01-05T10:00:00Z</BeginDateTime>
<CurrencyCode>KWD</CurrencyCode><RetailTransaction TransactionStatus=" Finished ">
<Customer><CustomerID>   K1  </CustomerID></Customer>
<LineItem><SequenceNumber>1</SequenceNumber><Sale ItemType="Stock "><ItemID> P1 </ItemID>
<ActualSalesUnitPrice>%(price)s</ActualSalesUnitPrice><ExtendedAmount>%(amount)s</ExtendedAmount>
<Quantity>%(quantity)s</Quantity></Sale></LineItem>
<Total TotalType="TransactionGrandAmount">%(total)s</Total>
</RetailTransaction></Transaction></POSLog>"""
FIGURES = {b"price": b"10.0000", b"amount": b"10.00", b"quantity": b"1", b"total": b"10.00"}


def poslog(**figures: bytes) -> bytes:
    return POSLOG % (FIGURES | {name.encode(): figure for name, figure in figures.items()})


def deliver_poslog(home: Home, data: bytes) -> None:
    folder = write_drop(home, "pos", DAY, "S1", {"poslog.xml": data})
    listed = {"name": "poslog.xml", "rows": 1, "sha256": hashlib.sha256(data).hexdigest()}
    write_control(folder, {"revision": 1, "files": [listed]})


def test_blanks_around_what_a_poslog_says_are_no_part_of_it(home: Home, takes: Takes) -> None:
    deliver_poslog(home, poslog(amount=b"10.000000"))
    intake = takes()
    assert refusals(intake) == []
    assert [row["customer_id"] for row in landed(intake, "transactions")] == ["K1"]
    assert [(row["product_id"], row["net_amount"]) for row in landed(intake, "lines")] == [("P1", Decimal("10.00"))]


@pytest.mark.parametrize(
    ("figures", "reason"),
    [
        ({"amount": b"1.234"}, "ExtendedAmount 1.234 has more than 2 digits behind the point"),
        ({"total": b"1.234"}, "TransactionGrandAmount 1.234 has more than 2 digits behind the point"),
        ({"price": b"0.12345"}, "ActualSalesUnitPrice 0.12345 has more than 4 digits behind the point"),
        ({"quantity": b"1.2345"}, "Quantity 1.2345 has more than 3 digits behind the point"),
    ],
)
def test_a_poslog_figure_finer_than_we_keep_is_refused_and_not_rounded(
    home: Home, takes: Takes, figures: dict[str, bytes], reason: str
) -> None:
    deliver_poslog(home, poslog(**figures))
    assert [row["reason"] for row in takes().quarantine.to_pylist()] == [reason]


@pytest.mark.parametrize("fmt", FORMATS)
def test_a_figure_finer_than_its_column_is_refused_with_that_cause(home: Home, takes: Takes, fmt: str) -> None:
    write_drop(home, "pos", DAY, "S1", one_sale("T1", {"net_amount": "1.234"}), fmt)
    write_drop(home, "pos", DAY, "S2", one_sale("T2", {"unit_price": "0.12345"}), fmt)
    found = [row["reason"] for row in takes().quarantine.to_pylist() if row["rule"].startswith("digits")]
    assert found == [
        "net_amount has more than 2 digits behind the point", "unit_price has more than 4 digits behind the point",
    ]  # fmt: skip


@pytest.mark.parametrize("end", [b"\x1a", b"\r\n\x1a", b"\x1a\r\n", b"\x1a\x1a\n"])
@pytest.mark.parametrize("name", ["lines.csv", "lines.ndjson", "poslog.xml"])
def test_the_mark_that_ends_a_text_file_is_no_row(home: Home, takes: Takes, name: str, end: bytes) -> None:
    if name == "poslog.xml":
        deliver_poslog(home, poslog() + end)
    else:
        folder = write_drop(home, "pos", DAY, "S1", sale("T1"), name.partition(".")[2])
        data = (folder / name).read_bytes() + end
        (folder / name).write_bytes(data)
        control = json.loads((folder / "control.json").read_bytes())
        control["files"][1]["sha256"] = hashlib.sha256(data).hexdigest()
        write_control(folder, control)
        with (folder / "control.json").open("ab") as file:
            file.write(end)
    intake = takes()
    assert refusals(intake) == []
    assert len(landed(intake, "lines")) == 1


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "utf-32"])
def test_a_control_file_may_be_in_any_encoding_of_json(home: Home, takes: Takes, encoding: str) -> None:
    folder = write_drop(home, "pos", DAY, "S1", sale("T1"))
    control = folder / "control.json"
    control.write_bytes(control.read_text(encoding="utf-8").encode(encoding))
    intake = takes()
    assert refusals(intake) == []
    assert [row["transaction_id"] for row in landed(intake, "transactions")] == ["T1"]


def test_a_data_file_in_another_encoding_is_refused_with_that_cause(home: Home, takes: Takes) -> None:
    folder = write_drop(home, "pos", DAY, "S1", sale("T1"))
    data = (folder / "lines.csv").read_text(encoding="utf-8").encode("utf-16")
    (folder / "lines.csv").write_bytes(data)
    control = json.loads((folder / "control.json").read_bytes())
    control["files"][1]["sha256"] = hashlib.sha256(data).hexdigest()
    write_control(folder, control)
    assert [row["reason"] for row in takes().quarantine.to_pylist()] == ["the file is not UTF-8 but UTF-16"]


@pytest.mark.parametrize(("fmt", "name"), [("csv", "weather"), ("ndjson.gz", "orders"), ("parquet", "loyalty_cards")])
def test_a_file_of_a_dataset_the_feed_does_not_have_is_set_aside_alone(
    home: Home, takes: Takes, fmt: str, name: str
) -> None:
    folder = write_drop(home, "pos", DAY, "S1", sale("T1"))
    data = b"whatever it is\n"
    (folder / f"{name}.{fmt}").write_bytes(data)
    control = json.loads((folder / "control.json").read_bytes())
    listed = {"name": f"{name}.{fmt}", "rows": 7, "sha256": hashlib.sha256(data).hexdigest()}
    write_control(folder, control | {"files": [listed, *control["files"]]})
    intake = takes()
    assert [(row["level"], row["rule"], row["file"], row["dataset"]) for row in intake.quarantine.to_pylist()] == [
        ("file", "unknown_dataset", f"{name}.{fmt}", name)
    ]
    assert [row["transaction_id"] for row in landed(intake, "transactions")] == ["T1"]
    assert [(row["status"], row["rows"], row["refused"]) for row in intake.drops.to_pylist()] == [("accepted", 3, 7)]
    assert takes().drops.num_rows == 0, "and it is not looked at again"


def test_an_unknown_file_that_is_not_whole_refuses_its_drop_as_any_other(home: Home, takes: Takes) -> None:
    folder = write_drop(home, "pos", DAY, "S1", sale("T1"))
    (folder / "weather.csv").write_bytes(b"cold")
    control = json.loads((folder / "control.json").read_bytes())
    listed = {"name": "weather.csv", "rows": 1, "sha256": "0" * 64}
    write_control(folder, control | {"files": [*control["files"], listed]})
    assert refusals(takes()) == [("S1", "weather.csv", None, "", "drop", "sha256")]


@pytest.mark.parametrize(
    ("days_late", "taken"), [(None, ["NOW", "YEAR"]), ("{pos: 30}", ["NOW"]), ("{}", ["NOW", "OLD", "YEAR"])]
)
def test_a_receipt_is_as_old_as_the_settings_allow(
    home: Home, takes: Takes, days_late: str | None, taken: list[str]
) -> None:
    home.programme.mkdir(parents=True)
    if days_late:
        (home.programme / "settings.yaml").write_text(f"days_late: {days_late}\n")
    dated = {"NOW": "2026-01-05", "YEAR": "2025-01-04", "OLD": "2000-01-01"}
    content = joined(*(sale(name, business_date=day) for name, day in dated.items()))
    write_drop(home, "pos", DAY, "S1", content)
    intake = takes()
    assert sorted(row["transaction_id"] for row in landed(intake, "transactions")) == taken
    assert {row[3] for row in refusals(intake)} == set(dated) - set(taken)


def test_an_order_of_a_dead_clock_is_set_aside_and_one_of_years_ago_is_not(home: Home, takes: Takes) -> None:
    content: dict[str, list[Any]] = {"orders": [], "order_lines": []}
    for name, day, invoiced in (
        ("OLD", "2000-01-01", ""), ("BILLED", "2026-01-05", "1999-12-31"), ("AGO", "2019-01-05", "2019-02-01"),
    ):  # fmt: skip
        order = {"order_id": name, "business_date": day, "invoiced_date": invoiced, "ordered_at": f"{day}T09:00:00Z"}
        content["orders"] += rows("orders", order)
        content["order_lines"] += rows("order_lines", {"order_id": name})
    write_drop(home, "call_center", DAY, "CC1", content)
    intake = takes("call_center")
    assert [row["order_id"] for row in landed(intake, "orders")] == ["AGO"]
    assert sorted((row[3], row[5]) for row in refusals(intake)) == [
        ("BILLED", "before_drop:invoiced_date"), ("OLD", "before_drop:business_date"),
    ]  # fmt: skip
