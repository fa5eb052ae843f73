"""Erasure is true: every byte of a home, archives and Parquet decoded, is searched for what was erased."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from pyiceberg.avro.file import AvroFile
from pyiceberg.io.pyarrow import PyArrowFileIO

from kanta import night, reading, verify
from kanta.contracts import contract_of
from kanta.customers import erasure
from kanta.engine import Engine
from kanta.errors import BadArguments, KantaError
from kanta.home import Home
from kanta.lake import Lake
from kanta.landing import blanking
from kanta.landing.names import Names
from kanta.landing.router import raw_json
from tests.conftest import NoJudge
from tests.feed import DEFAULTS, Row, joined, sale, write_drop
from tests.night import history
from tests.night.history import DAYS

GUID = "0a1b2c3d-0000-4000-8000-000000000001"
#: Everything personal of the customer, none of it anyone else's.
SECRETS = (
    "Xanthippe", "Zwetajewa", "xanthi@zwet.com", "Xanthi.2@Zwet.com", "+358401239876", "0401239876", "Quellgasse 77",
    "Oberquell", "Zx-00199", "likes-zebras", "cried of zebras", "leave at Zwetas", "paid for Zweta",
    "xrefused@zwet.com", "xlater@zwet.com", "Zwetissima", "xposlog@zwet.com", "1961-02-03",
)  # fmt: skip


#: A receipt of theirs, in UTF-16, the id padded; a name, a mail and a birth date that stand nowhere else.
POSLOG = """<?xml version="1.0" encoding="UTF-16"?><POSLog><Transaction><RetailStoreID>S6</RetailStoreID>
<WorkstationID>1</WorkstationID><SequenceNumber>1</SequenceNumber><BusinessDayDate>{day}</BusinessDayDate>
<BeginDateTime>{day}T10:00:00Z</BeginDateTime><CurrencyCode>USD</CurrencyCode><RetailTransaction>
<LineItem><SequenceNumber>1</SequenceNumber><Sale ItemType="Stock"><ItemID>P</ItemID>
<ExtendedAmount>1.00</ExtendedAmount><Quantity>1</Quantity></Sale></LineItem>
<Total TotalType="TransactionGrandAmount">1.00</Total><Customer><CustomerID> &#75;1 </CustomerID>
<Name>Zwetissima</Name><BirthDate>1961-02-03</BirthDate></Customer><EMail>xposlog@zwet.com</EMail>
</RetailTransaction></Transaction></POSLog>"""


def _person(day: date, identifier: str, **identity: str) -> dict[str, list[Row]]:
    operation = {
        "operation_id": identifier, "operation": "create", "mode": "sync", "operated_at": f"{day}T08:00:00Z",
        "customer_type": "person", "first_name": "Xanthippe", "last_name": "Zwetajewa", "email": "xanthi@zwet.com",
        "phone": "+358401239876", **identity,
    }  # fmt: skip
    return {
        "customers": [operation],
        "customer_contacts": [
            {"operation_id": identifier, "kind": "email", "value": "Xanthi.2@Zwet.com", "marketing_consent": "true"}
        ],
        "customer_addresses": [
            {"operation_id": identifier, "address_id": "1", "street": "Quellgasse 77", "city": "Oberquell",
             "zip": "Zx-00199", "country": "FI"}
        ],
        "customer_attributes": [{"operation_id": identifier, "attribute": "hobby", "value": "likes-zebras"}],
    }  # fmt: skip


def _order(status: str, **named: str) -> dict[str, list[Row]]:
    header = {
        "customer_id": "K1", "status": status, "hold_comment": "cried of zebras", "call_center_id": "CC1",
        "ordered_at": f"{DAYS[1]}T09:00:00+00:00", "business_date": str(DAYS[1]),
    }  # fmt: skip
    return {
        "orders": [DEFAULTS["orders"] | header | named],
        "order_lines": [DEFAULTS["order_lines"]],
        "order_addresses": [{"order_id": "O1", "area": "delivery", "name": "leave at Zwetas", "street": "Quellgasse 77",
                             "city": "Oberquell", "zip": "Zx-00199", "country": "FI"}],
    }  # fmt: skip


@pytest.fixture
def erased_home(home: Home) -> Home:
    """Five nights with the customer K1 in every corner of them."""
    history.write(home)
    day, no_judge = DAYS[0], NoJudge()
    definitions = [{"attribute": "hobby", "type": "text"}]
    refused = {"operation_id": "bad", "operation": "update", "mode": "sync", "operated_at": "yesterday",
               "customer_id": "K1", "email": "xrefused@zwet.com"}  # fmt: skip
    adjustment = {"adjustment_id": "A1", "card_id": "A", "program_id": "club", "reward_point_id": "points",
                  "points": "1.00", "date": str(day), "comment": "paid for Zweta"}  # fmt: skip
    write_drop(
        home, "hq", day, "hq2", {"customer_attribute_definitions": definitions, "loyalty_adjustments": [adjustment]}
    )
    write_drop(home, "pos", day, "S3", _person(day, "op-1", customer_id="K1", async_id=GUID), fmt="csv.gz")
    write_drop(home, "pos", DAYS[1], "S3", {"customers": [refused]})
    write_drop(home, "pos", DAYS[1], "S4", _person(DAYS[1], "op-2", customer_id="K1"), fmt="ndjson.zst")
    write_drop(home, "pos", DAYS[2], "S4", _person(DAYS[2], "op-3", async_id=GUID, mode="async"), fmt="parquet")
    write_drop(home, "call_center", DAYS[2], "CC1", _order("invoiced"))
    waiting = _order("submitted", order_id="O2", customer_id="K3", hold_comment="waits")["orders"]
    line = DEFAULTS["order_lines"] | {"order_id": "O2"}
    write_drop(home, "call_center", DAYS[2], "CC2", {"orders": waiting, "order_lines": [line]})
    write_drop(home, "pos", DAYS[2], "S5", {"customers": [
        {"operation_id": "op-k2", "operation": "create", "mode": "sync", "operated_at": f"{DAYS[2]}T08:00:00Z",
         "customer_id": "K2", "customer_type": "person", "last_name": "Other", "email": "other@shop.com"},
        {"operation_id": "op-k3", "operation": "create", "mode": "sync", "operated_at": f"{DAYS[2]}T08:00:00Z",
         "customer_id": "K3", "customer_type": "person", "last_name": "Waiting"},
    ]})  # fmt: skip
    receipt = POSLOG.format(day=DAYS[2]).encode("utf-16")
    cut = _person(DAYS[2], "op-4", customer_id="K1", first_name="Xan\u2028Zwetissima")
    write_drop(home, "pos", DAYS[2], "S6", {"poslog.xml": receipt})
    write_drop(home, "pos", DAYS[2], "S7", cut)
    for last in (DAYS[2], DAYS[-1]):
        night.run(home, last, last, judge=no_judge)
    night.run_stage(home, "analysts", DAYS[-1])
    return home


def texts(root: Path) -> Iterator[tuple[Path, str]]:
    """Every file below a folder, as text: archives and Parquet decoded, the bytes as they are, too."""
    for file in sorted(path for path in root.rglob("*") if path.is_file()):
        data = file.read_bytes()
        yield file, data.decode("utf-8", "replace")
        if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            yield file, data.decode("utf-16")
        if file.suffix == ".gz":
            yield file, gzip.decompress(data).decode("utf-8", "replace")
        elif file.suffix == ".zst":
            yield file, zstandard.ZstdDecompressor().stream_reader(data).read().decode("utf-8", "replace")
        elif file.suffix == ".parquet":
            yield file, json.dumps(pq.read_table(pa.BufferReader(data)).to_pylist(), default=str, ensure_ascii=False)
            statistics = pq.read_metadata(pa.BufferReader(data)).to_dict()
            yield file, json.dumps(statistics, default=str, ensure_ascii=False)
        elif file.suffix == ".duckdb":
            with duckdb.connect(str(file), read_only=True) as con:
                for (name,) in con.execute(
                    "select format('{}.{}', schema_name, table_name) from duckdb_tables()"
                ).fetchall():
                    yield file, repr(con.execute(f"select * from {name}").fetchall())
        elif file.suffix == ".avro":
            with AvroFile(PyArrowFileIO().new_input(str(file))) as records:
                yield file, "".join(repr(record) for record in records)


def found(root: Path) -> list[str]:
    return sorted(
        {f"{secret} in {file.relative_to(root)}" for file, text in texts(root) for secret in SECRETS if secret in text}
    )


@pytest.mark.slow
def test_nothing_of_an_erased_customer_is_left_in_any_file_and_all_else_holds(
    erased_home: Home, no_judge: NoJudge
) -> None:
    home = erased_home
    assert {line.split(" in ")[0] for line in found(home.root)} >= set(SECRETS) - {"xlater@zwet.com", "0401239876"}
    before = history.contents(home), history.sums(home)
    (home.reports / "old.html").parent.mkdir(parents=True, exist_ok=True)
    (home.reports / "old.html").write_text("mail to xanthi@zwet.com")
    with pytest.raises(BadArguments, match="no customer K9"):
        erasure.erase(home, "K9")
    with pytest.raises(KantaError, match="1 orders that are open or submitted"):
        erasure.erase(home, "K3")
    assert history.contents(home) == before[0]
    done = erasure.erase(home, GUID)
    assert set(done["ids"]) == {"K1", GUID}
    assert found(home.root) == []
    assert [(r.about, r.examples) for r in verify.verify(home, everything=True) if r.breaches] == []
    assert (history.contents(home), history.sums(home)) == before
    with reading.open_lake(home, ["customers.customers", "customers.contacts"])[0] as engine:
        assert engine.rows("select account, status, last_name, email from customers.customers order by all") == [
            ("K1", "erased", None, None), ("K2", "synced", "Other", "other@shop.com"),
            ("K3", "synced", "Waiting", None),
        ]  # fmt: skip
        assert engine.rows("select account from customers.contacts") == [("K2",)]
    with reading.open_lake(home, ["customers.customers"], DAYS[2])[0] as engine:
        assert engine.rows("select distinct account, last_name from customers.customers order by all") == [
            ("K1", None), ("K2", "Other"), ("K3", "Waiting"),
        ]  # fmt: skip
    tables = Lake(home).head().of_the_night()
    for stage in ("ingest_hq", "ingest_pos", "ingest_call_center", "customers", "sales"):
        night.run_stage(home, stage, DAYS[-1])
    assert Lake(home).head().of_the_night() == tables, "a drop was taken again"
    later = _person(DAYS[-1], "op-9", customer_id="K1", email="xlater@zwet.com")
    write_drop(home, "pos", DAYS[-1], "S9", joined(later, sale("T99", customer_id="K1", loyalty_card_id="A")))
    night.run(home, DAYS[-1], DAYS[-1], judge=no_judge)
    assert found(home.root) == []
    with reading.open_lake(home, ["customers.operations", "sales.transactions"])[0] as engine:
        assert engine.rows("select status, reason from customers.operations where operation_id = 'op-9'") == [
            ("failed", "erased")
        ]
        assert engine.value("select count(*) from sales.transactions where transaction_id = 'T99'") == 1
    assert [(r.about, r.examples) for r in verify.verify(home) if r.breaches] == []
    snapshots = Lake(home).published().tables
    erasure.erase(home, "K1")
    assert Lake(home).published().tables == snapshots, "erased again, something changed"


@pytest.mark.parametrize(
    ("form", "before", "after"),
    [
        (
            "csv",
            '\ufeffcustomer_id,operation_id,last_name,language\r\nK1,a,"Zwe\r\nta",fi\r\n"K2",b,"Oth""er",fi\r\n\r\nK1,c\r\n',
            '\ufeffcustomer_id,operation_id,last_name,language\r\nK1,a,,fi\r\n"K2",b,"Oth""er",fi\r\n\r\nK1,\r\n',
        ),
        (
            "ndjson",
            '{"customer_id": "K1", "last_name": "Zweta", "operated_at": 1.50, "x": "Zwe"}\n'
            '{"customer_id":"K2","last_name":"K1"}\n'
            '{"K1" broken\n',
            '{"customer_id": "K1", "last_name": null, "operated_at": 1.50, "x": null}\n'
            '{"customer_id":"K2","last_name":"K1"}\n{}\n',
        ),
    ],
)
def test_only_the_persons_own_columns_of_a_file_are_emptied(form: str, before: str, after: str, home: Home) -> None:
    write_drop(home, "pos", DAYS[0], "S1", {f"customers.{form}": before.encode()})
    names = Names(frozenset({"K1"}), frozenset(), frozenset(), frozenset())
    folder = home.landing / "pos" / str(DAYS[0]) / "S1"
    assert [drop.drop_id for drop in blanking.blank_drops(home, names).drops] == [f"pos/{DAYS[0]}/S1"]
    data = (folder / f"customers.{form}").read_bytes()
    assert data.decode() == after
    (listed,) = json.loads((folder / "control.json").read_text())["files"]
    assert listed["sha256"] == hashlib.sha256(data).hexdigest()
    assert blanking.blank_drops(home, names) == blanking.Looked()


def test_a_refused_row_is_theirs_if_it_names_them_and_not_if_it_holds_the_same_text(tmp_path: Path) -> None:
    raws = {
        "theirs": {"customer_id": "1"}, "by_guid": {"async_id": 'K"ä'}, "other": {"customer_id": "11", "line_no": "1"},
        "by_chance": {"customer_id": "2", "quantity": "1", "last_name": "async_id"},
    }  # fmt: skip
    lake, contract = Lake(Home(tmp_path)), contract_of("ops.quarantine")
    with Engine(tmp_path / "work") as engine:
        given = {"record_key": list(raws), "raw": [raw_json(raw) for raw in raws.values()]}
        engine.register("given.rows", pa.table(given))
        empty = ", ".join(f'null as "{name}"' for name in contract.names if name not in given)
        engine.write(contract, f"select *, {empty} from given.rows", lake.directory("ops.quarantine") / "data")
        names = erasure._names(engine, lake, {"1", 'K"ä'})
    assert names.operations == names.orders == {"theirs", "by_guid"}


@pytest.mark.parametrize("form", ["csv.gz", "csv.zst"])
def test_a_file_that_was_cut_off_is_blanked_as_far_as_it_can_be_read(form: str, home: Home) -> None:
    rows = "".join(f"K{n},{hashlib.sha256(str(n).encode()).hexdigest()}\n" for n in range(20_000))
    plain = f"customer_id,last_name\n{rows}".encode()
    whole = gzip.compress(plain) if form == "csv.gz" else zstandard.ZstdCompressor().compress(plain)
    write_drop(home, "pos", DAYS[0], "S1", {f"customers.{form}": whole[: len(whole) // 2]})
    secret = hashlib.sha256(b"7").hexdigest()
    names = Names(frozenset({"K7"}), frozenset(), frozenset(), frozenset())
    assert [drop.drop_id for drop in blanking.blank_drops(home, names).drops] == [f"pos/{DAYS[0]}/S1"]
    told = "".join(text for file, text in texts(home.landing) if file.suffix in (".gz", ".zst"))
    assert secret not in told
    assert hashlib.sha256(b"8").hexdigest() in told
    assert blanking.blank_drops(home, names) == blanking.Looked()


@pytest.mark.parametrize("form", ["csv.gz", "csv.zst"])
def test_of_a_file_that_expands_without_end_only_the_beginning_is_kept_where_the_person_follows(
    form: str, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blanking, "RATIO_FROM", 1 << 20)
    pack = gzip.compress if form == "csv.gz" else zstandard.ZstdCompressor().compress
    plain = b"customer_id,last_name\nK1,Zweta\n" + b"K2,Abc\n" * 1_500_000
    write_drop(home, "pos", DAYS[0], "S1", {f"customers.{form}": pack(plain + b"K7,Zweta\n")})
    file = home.landing / "pos" / str(DAYS[0]) / "S1" / f"customers.{form}"
    assert len(plain) > max(blanking.MAX_RATIO * file.stat().st_size, 1 << 20)
    before = file.read_bytes()
    nobody, seventh = (Names(frozenset({name}), *[frozenset[str]()] * 3) for name in ("K8", "K7"))
    assert blanking.blank_drops(home, nobody) == blanking.Looked()
    assert file.read_bytes() == before
    assert len(blanking.blank_drops(home, seventh).drops) == 1
    (kept,) = (text for place, text in texts(home.landing) if place == file and text.startswith("customer_id"))
    assert kept.startswith("customer_id,last_name\nK1,Zweta\nK2,Abc\n")
    assert "K7" not in kept
    assert len(kept) < len(plain)


def test_a_poslog_keeps_the_receipt_and_loses_the_person(home: Home) -> None:
    text = (
        "<POSLog><Transaction><RetailTransaction><Customer><CustomerID>{0}</CustomerID><Name>{1}</Name><Address>"
        "<AddressLine>{1}</AddressLine></Address></Customer><Total>1.00</Total></RetailTransaction></Transaction></POSLog>"
    )
    for name in ("K1", "K2"):
        write_drop(home, "pos", DAYS[0], name, {"poslog.xml": text.format(name, "Zweta").encode()})
    names = Names(frozenset({"K1"}), frozenset(), frozenset(), frozenset())
    assert [drop.drop_id for drop in blanking.blank_drops(home, names).drops] == [f"pos/{DAYS[0]}/K1"]
    found = (home.landing / "pos" / str(DAYS[0]) / "K1" / "poslog.xml").read_text()
    assert found == text.format("K1", "")
    (home.landing / "pos" / str(DAYS[0]) / "K1" / "poslog.xml").write_text(
        text.format("K1", "Zweta").partition("ta</A")[0]
    )
    blanking.blank_drops(home, names)
    assert "Zwe" not in (home.landing / "pos" / str(DAYS[0]) / "K1" / "poslog.xml").read_text()
