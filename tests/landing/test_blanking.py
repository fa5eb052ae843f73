"""Erasure in landing: what is planted in any format and encoding is gone, and all else stays as it was."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.sax.saxutils import escape, quoteattr

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from kanta.foreign import BLANKS
from kanta.home import Home
from kanta.landing.blanking import Looked, blank_drops
from kanta.landing.names import Names
from kanta.landing.poslog import persons
from tests.feed import write_drop
from tests.landing.conftest import DAY, Takes, landed

THEIRS = Names(frozenset({"ERA"}), frozenset({"op-era"}), frozenset(), frozenset({"C-77"}))
#: Ends a line of text for Python, and none of a file of ours.
SEPARATORS = "\u2028\u2029\x85\x0b\x0c\x1c"
SECRET = st.text(st.sampled_from(SEPARATORS + "äß日𝄞\"',;<>&]\\\n\r\t x"), min_size=0, max_size=8).map(
    lambda text: f"Sec{text}ret"
)
PAD = st.sampled_from(["", " ", "   ", "\t"])
COLUMNS = ("customer_id", "operation_id", "last_name", "email", "operated_at", "shoe_size")
GONE = ("last_name", "email", "shoe_size")  # two that are personal, and one that no contract knows


def planted(secrets: list[str], pad: str) -> list[dict[str, str]]:
    """Rows of them and of another, by turns."""
    rows = []
    for n, secret in enumerate(secrets):
        own = {"customer_id": f"ERA{pad}", "operation_id": f"a{n}"}
        rows.append(own | dict.fromkeys(GONE, secret) | {"operated_at": f"kept\r{n}"})
        other = {"customer_id": "OTHER", "operation_id": f"b{n}", "operated_at": "ERA"}
        rows.append(other | dict.fromkeys(GONE, f"{secret} of another"))
    return rows


def expected(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return [row | dict.fromkeys(GONE, "") if row["customer_id"].startswith("ERA") else row for row in rows]


def as_csv(rows: list[dict[str, str]], end: str) -> bytes:
    text = io.StringIO(newline="")
    quoting = csv.QUOTE_ALL if end == "\n" else csv.QUOTE_MINIMAL  # which would leave a single return unquoted
    writer = csv.DictWriter(text, COLUMNS, lineterminator=end, quoting=quoting)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def of_csv(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode(), newline=""), strict=True))


def of_json(data: bytes) -> list[dict[str, str]]:
    found = [json.loads(line) for line in data.decode().split("\n") if line]
    return [{key: value or "" for key, value in row.items()} for row in found]


def of_parquet(data: bytes) -> list[dict[str, str]]:
    return [{k: v or "" for k, v in row.items()} for row in pq.read_table(pa.BufferReader(data)).to_pylist()]


def as_parquet(rows: list[dict[str, str]]) -> bytes:
    table, out = pa.Table.from_pylist(rows), pa.BufferOutputStream()
    table = table.set_column(2, "last_name", table.column("last_name").dictionary_encode())
    pq.write_table(table, out)
    return bytes(out.getvalue().to_pybytes())


def blanked(name: str, data: bytes) -> bytes:
    """One file of a drop after an erasure, and after a second one the same."""
    with TemporaryDirectory() as root:
        home = Home(Path(root))
        write_drop(home, "pos", DAY, "S1", {name: data})
        folder = home.landing / "pos" / str(DAY) / "S1"
        first = blank_drops(home, THEIRS)
        after = (folder / name).read_bytes()
        assert first.refused == []
        assert bool(first.drops) == (after != data)
        (listed,) = json.loads((folder / "control.json").read_bytes())["files"]
        assert listed["sha256"] == hashlib.sha256(after).hexdigest()
        assert blank_drops(home, THEIRS) == Looked(), "erased again, something changed"
        assert (folder / name).read_bytes() == after
        return after


def forms(rows: list[dict[str, str]]) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """The rows after an erasure, by each format they were written in."""
    for end in ("\n", "\r\n"):
        yield f"csv {end!r}", of_csv(blanked("customers.csv", as_csv(rows, end)))
    for ascii_only in (False, True):
        data = "".join(json.dumps(row, ensure_ascii=ascii_only) + "\n" for row in rows).encode()
        yield f"ndjson {ascii_only}", of_json(blanked("customers.ndjson", data))
    yield "parquet", of_parquet(blanked("customers.parquet", as_parquet(rows)))
    yield "gz", of_csv(gzip.decompress(blanked("customers.csv.gz", gzip.compress(as_csv(rows, "\n")))))
    packed = zstandard.ZstdCompressor().compress(as_csv(rows, "\n"))
    plain = zstandard.ZstdDecompressor().stream_reader(blanked("customers.csv.zst", packed)).read()
    yield "zst", of_csv(plain)


@given(st.lists(SECRET, min_size=1, max_size=3), PAD)
@settings(max_examples=25, deadline=None)
def test_what_is_planted_in_a_table_is_gone_and_all_else_stays(secrets: list[str], pad: str) -> None:
    rows = planted(secrets, pad)
    for form, found in forms(rows):
        assert (form, found) == (form, expected(rows))


@pytest.mark.parametrize("separator", SEPARATORS)
def test_a_line_ends_where_landing_ends_it(separator: str) -> None:
    """One record of plain text, no quotes: half of it stayed, because it was cut at the separator."""
    text = f"customer_id,operation_id,last_name,email\nERA,a,An{separator}na,secret@x\nOTHER,b,Be{separator}n,b@x\n"
    left = blanked("customers.csv", text.encode()).decode()
    assert left == f"customer_id,operation_id,last_name,email\nERA,a,,\nOTHER,b,Be{separator}n,b@x\n"
    line = json.dumps({"customer_id": "ERA", "last_name": f"An{separator}na"}, ensure_ascii=False)
    assert blanked("customers.ndjson", f"{line}\n".encode()) == b'{"customer_id": "ERA", "last_name": null}\n'


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be", "latin-1", "utf-8-sig"])
def test_what_landing_refuses_for_its_encoding_is_blanked_too(codec: str) -> None:
    text = "customer_id,operation_id,last_name\r\nERA,a,Sécret\r\nOTHER,b,Bén\r\n"
    left = blanked("customers.csv", text.encode(codec))
    assert left == text.replace("Sécret", "").encode(codec)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("customers.csv", 'customer_id,last_name\nOTHER,"Be"n\nERA,"Secret\nERA,Secret\n'),
        ("customers.csv", "customer_id,last_name\nERA,Secret,more\n"),
        ("customers.ndjson", '{"customer_id": "ERA", "customer_id": "ERA", "last_name": "Secret"}\n'),
        ("customers.ndjson", '{"customer_id": "\\u0045RA", "last_name": "Secret"\n'),
        ("guests.csv", "customer_id,nickname\nERA,Secret\n"),
        ("customers.csv.gz", "customer_id,last_name\nERA,Secret\n"),
        ("poslog.xml", "<POSLog><Transaction><CustomerID>ER&#65;</CustomerID><Name>Secret</POSLog>"),
        ("poslog.xml", "<!DOCTYPE a><POSLog><Customer><ID>ERA</ID><Name>Secret</Name></Customer></POSLog>"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_read_as_far_as_it_can_be(name: str, text: str) -> None:
    assert b"Secret" not in blanked(name, text.encode())


def test_a_number_that_names_them_is_their_name() -> None:
    names = Names(frozenset({"123"}), frozenset(), frozenset(), frozenset())
    with TemporaryDirectory() as root:
        home = Home(Path(root))
        table = pa.table({"customer_id": pa.array([123, 1230]), "last_name": ["Secret", "Kept"]})
        out = pa.BufferOutputStream()
        pq.write_table(table, out)
        write_drop(home, "pos", DAY, "S1", {"customers.parquet": out.getvalue().to_pybytes()})
        write_drop(home, "pos", DAY, "S2", {"customers.ndjson": b'{"customer_id": 123, "last_name": "Secret"}\n'})
        assert len(blank_drops(home, names).drops) == 2
        folder = home.landing / "pos" / str(DAY)
        assert pq.read_table(folder / "S1/customers.parquet").to_pydict() == {
            "customer_id": [123, 1230], "last_name": [None, "Kept"],
        }  # fmt: skip
        assert (folder / "S2/customers.ndjson").read_bytes() == b'{"customer_id": 123, "last_name": null}\n'


# ── POSLog ───────────────────────────────────────────────────────────────────────────────────────────────────────

WRITTEN = st.sampled_from(
    ["{0}", "  {0}\n", "<![CDATA[{0}]]>", "&#69;R&#x41;", "E<!-- no -->R<?no no?>A", "E<![CDATA[R]]>A"]
)
RECEIPT = """<?xml version="1.0" encoding="{codec}"?><a:POSLog xmlns:a="urn:pos"><a:Transaction CancelFlag="false">
<a:BusinessUnit><a:UnitID Name="Shop">S1</a:UnitID><a:Address><a:City>Town</a:City></a:Address></a:BusinessUnit>
<a:OperatorID OperatorName="Olga">7</a:OperatorID><a:RetailTransaction><a:LineItem><a:Sale ItemType="Stock">
<a:ItemID>P1</a:ItemID><a:Name>Milk</a:Name><a:Description>Milk 1 l</a:Description>
<a:ExtendedAmount Currency="EUR">1.00</a:ExtendedAmount>
</a:Sale></a:LineItem>
<a:Customer Type="Person" FirstName={attribute}><a:CustomerID>{id}</a:CustomerID><!-- {comment} -->
<a:Anything>{text}</a:Anything>{text}
<a:Contact><a:ElectronicMail TypeCode="Home">{text}</a:ElectronicMail></a:Contact></a:Customer>
<a:BirthDate>{text}</a:BirthDate><a:EMail>{text}</a:EMail><a:Delivery><a:Name>{text}</a:Name></a:Delivery>
<a:Elsewhere>to {text}</a:Elsewhere><a:ReceiptImage><a:Line>{text}</a:Line></a:ReceiptImage>
<a:Comment>{text}</a:Comment><a:Total TotalType="TransactionGrandAmount">1.00</a:Total></a:RetailTransaction>
</a:Transaction>
<a:Transaction><a:CustomerID>OTHER</a:CustomerID><a:Name>Ben ERA</a:Name><a:Quantity>1</a:Quantity>
</a:Transaction></a:POSLog>"""
XML_SECRET = st.text(st.sampled_from("\u2028\x85äß\"'<>&] x"), max_size=6).map(lambda text: f"Secret{text}word")


@given(WRITTEN, XML_SECRET, st.sampled_from(["utf-8", "utf-16", "utf-16-le", "utf-16-be", "iso-8859-1"]))
@settings(max_examples=60, deadline=None)
def test_what_is_planted_in_a_receipt_is_gone_and_the_receipt_stays(written: str, secret: str, codec: str) -> None:
    def document(text: str, attribute: str, comment: str, elsewhere: str) -> bytes:
        made = RECEIPT.replace("to {text}", elsewhere).format(
            codec=codec.removesuffix("-le").removesuffix("-be"),
            id=written.format("ERA"), text=text, attribute=attribute, comment=comment,
        )  # fmt: skip
        mark = "\ufeff" if codec in ("utf-16-le", "utf-16-be") else ""
        return (mark + made).encode(codec, "xmlcharrefreplace")

    before = document(escape(secret), quoteattr(secret), "Secretword", f"to {escape(secret)}")
    after = persons.blanked(before, THEIRS)
    text = after.decode(codec)
    assert "Secret" not in text
    kept = ("Shop", "Town", "Olga", "P1", "Milk", "Milk 1 l", '"EUR">1.00', ">1.00<", "OTHER", "Ben ERA", "Stock")
    assert [word for word in kept if word not in text] == []
    assert persons.blanked(after, THEIRS) == after, "erased again, something changed"
    assert persons.blanked(before, Names(*[frozenset({"NOBODY"})] * 4)) == before


def test_a_card_names_the_person_of_a_receipt_and_a_quantity_does_not() -> None:
    text = (
        "<POSLog><Transaction><LoyaltyAccount><LoyaltyAccountID>{0}</LoyaltyAccountID></LoyaltyAccount>"
        "<Quantity>{0}</Quantity><Name>{1}</Name></Transaction></POSLog>"
    )
    assert persons.blanked(text.format("C-77", "Secret").encode(), THEIRS) == text.format("C-77", "").encode()
    other = text.replace("LoyaltyAccountID>{0}", "LoyaltyAccountID>C-7").format("C-77", "Kept").encode()
    assert persons.blanked(other, THEIRS) == other


# ── as landing reads it ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_control_file_gets_the_new_hashes_in_whatever_encoding_landing_reads(tmp_path: Path, encoding: str) -> None:
    home = Home(tmp_path)
    folder = write_drop(home, "pos", DAY, "S1", {"customers.csv": b"customer_id,last_name\nERA,Secret\n"})
    control = folder / "control.json"
    control.write_bytes((control.read_text() + "\r\n\x1a").encode(encoding))
    (drop,) = blank_drops(home, THEIRS).drops
    made, (listed,) = control.read_bytes(), json.loads(control.read_bytes())["files"]
    assert listed["sha256"] == hashlib.sha256((folder / "customers.csv").read_bytes()).hexdigest()
    assert drop.control_sha256 == hashlib.sha256(made).hexdigest()
    assert json.loads(drop.files) == [listed]


@pytest.mark.parametrize("control", [b"\xff\xfe\x00", b"{", b"[" * 100_000, b'{"files": 1}', b"[]"])
def test_a_control_file_that_nobody_can_read_stays_as_it_is(tmp_path: Path, control: bytes) -> None:
    home = Home(tmp_path)
    folder = write_drop(home, "pos", DAY, "S1", {"customers.csv": b"customer_id,last_name\nERA,Secret\n"})
    (folder / "control.json").write_bytes(control)
    assert [drop.files for drop in blank_drops(home, THEIRS).drops] == ["[]"]
    assert (folder / "customers.csv").read_bytes() == b"customer_id,last_name\nERA,\n"
    assert (folder / "control.json").read_bytes() == control


@pytest.mark.parametrize("fmt", ["csv", "ndjson", "parquet"])
@pytest.mark.parametrize("around", [*BLANKS, *"\x1c\u200b"])
def test_a_row_is_theirs_when_landing_takes_it_for_theirs(home: Home, takes: Takes, fmt: str, around: str) -> None:
    row = {"operation_id": "o", "operation": "create", "mode": "sync", "operated_at": f"{DAY}T08:00:00Z"}
    row |= {"customer_id": f"{around}ERA{around}", "customer_type": "person", "last_name": "Secret"}
    folder = write_drop(home, "pos", DAY, "S1", {"customers": [row]}, fmt)
    (taken,) = landed(takes(), "customers")
    blank_drops(home, THEIRS)
    kept = b"Secret" in (folder / f"customers.{fmt}").read_bytes()
    assert kept == (taken["customer_id"] != "ERA")


def test_a_receipt_nested_without_end_goes_whole_where_it_names_the_person() -> None:
    deep = (
        b"<POSLog><Transaction>"
        + b"<a>" * 5000
        + b"<CustomerID>ERA</CustomerID>"
        + b"</a>" * 5000
        + b"</Transaction></POSLog>"
    )
    assert b"ERA" not in persons.blanked(deep, THEIRS)
    other = deep.replace(b"ERA", b"OTHER")
    assert persons.blanked(other, THEIRS) == other


# ── links ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("link", ["pos", "pos/{day}", "pos/{day}/S1", "pos/{day}/S1/customers.csv"])
def test_a_link_in_landing_is_told_and_stops_only_its_drop(tmp_path: Path, link: str) -> None:
    home, text = Home(tmp_path / "home"), b"customer_id,last_name\nERA,Secret\n"
    write_drop(home, "hq", DAY, "HQ", {"customers.csv": text})
    place = home.landing / link.format(day=DAY)
    write_drop(home, "pos", DAY, "S1", {"customers.csv": text})
    place.rename(tmp_path / "outside")
    place.symlink_to(tmp_path / "outside")
    looked = blank_drops(home, THEIRS)
    assert [drop.drop_id for drop in looked.drops] == [f"hq/{DAY}/HQ"]
    assert [told.partition(":")[0] for told in looked.refused] == [f"landing/{link.format(day=DAY)}"]
    assert "is a link" in looked.refused[0]
    assert any(
        path.is_file() and b"Secret" in path.read_bytes()
        for path in [*(tmp_path / "outside").rglob("*"), tmp_path / "outside"]
    )


@pytest.mark.parametrize(
    "name", [".customers.csv.part", ".control.json.part", "control.json.part", "customers.csv.part"]
)
def test_a_planted_temporary_name_overwrites_nothing(tmp_path: Path, name: str) -> None:
    home, victim = Home(tmp_path / "home"), tmp_path / "victim"
    victim.write_text("ORIGINAL")
    write_drop(home, "pos", DAY, "S1", {"customers.csv": b"customer_id,last_name\nERA,Secret\n"})
    folder = home.landing / "pos" / str(DAY) / "S1"
    (folder / name).symlink_to(victim)
    looked = blank_drops(home, THEIRS)
    assert victim.read_text() == "ORIGINAL"
    assert [told for told in looked.refused if name in told] == looked.refused
    assert len(looked.refused) == 1
    assert (folder / "customers.csv").read_bytes() == b"customer_id,last_name\nERA,\n"
    assert {path.name for path in folder.iterdir()} == {"customers.csv", "control.json", name}


def test_what_lies_beside_the_data_is_blanked_too(tmp_path: Path) -> None:
    home, text = Home(tmp_path / "home"), b"customer_id,last_name\nERA,Secret\n"
    write_drop(home, "pos", DAY, "S1", {"products.csv": b"product_id\nP\n"})
    folder = home.landing / "pos" / str(DAY) / "S1"
    incomplete = home.landing / "pos" / str(DAY) / "S2"
    incomplete.mkdir()
    for file in (folder / ".customers.csv.part", folder / "CUSTOMERS.CSV", incomplete / "customers.csv"):
        file.write_bytes(text)
    (folder / "notes.txt").write_text("write to secret@x.example")
    blank_drops(home, THEIRS, values=["secret@x.example"])
    left = {path.name: path.read_bytes() for path in home.landing.rglob("*") if path.is_file()}
    assert [name for name, data in left.items() if b"ecret" in data] == []
