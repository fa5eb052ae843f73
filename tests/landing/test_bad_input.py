"""Every way a drop can be wrong: it is set aside with its reason, the rest goes on, no row is lost.

All wrong drops lie in one landing zone and are taken in one night, each from a source of its own, named as its case.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import stat
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from kanta.home import Home
from kanta.landing import Intake, spool
from tests.feed import joined, rows, sale, write_control, write_drop
from tests.landing.conftest import DAY, Takes, landed, refusals

Wrong = Callable[[Home, str], Path]
DROPS: dict[str, tuple[str, Wrong]] = {}  # case: the rule that refuses the drop, and how it is made
ROWS: dict[str, tuple[list[str], Wrong]] = {}  # case: the rules that refuse rows, and how it is made


def refused_drop(rule: str) -> Callable[[Wrong], Wrong]:
    def add(make: Wrong) -> Wrong:
        DROPS[make.__name__] = (rule, make)
        return make

    return add


def sound(home: Home, source: str, **more: Any) -> Path:
    return write_drop(home, "pos", DAY, source, sale(f"T-{source}"), **more)


def control_of(folder: Path) -> dict[str, Any]:
    control: dict[str, Any] = json.loads((folder / "control.json").read_text(encoding="utf-8"))
    return control


def listed(folder: Path, name: str, data: bytes, count: int) -> Path:
    """Puts a file into a drop in place of lines.csv, listed as it is."""
    (folder / "lines.csv").unlink()
    (folder / name).write_bytes(data)
    control = control_of(folder)
    control["files"][1] = {"name": name, "rows": count, "sha256": hashlib.sha256(data).hexdigest()}
    write_control(folder, control)
    return folder


def with_lines(data: bytes, name: str = "lines.csv", count: int = 1) -> Wrong:
    return lambda home, source: listed(sound(home, source), name, data, count)


LINES = (
    b"transaction_id,line_no,kind,product_id,quantity,unit_price,discount_amount,net_amount,tax_amount,voided\n"
    b"T,1,sale,P,1,10.00,0.00,10.00,0.00,false\n"
)


@refused_drop("missing_file")
def a_listed_file_is_missing(home: Home, source: str) -> Path:
    folder = sound(home, source)
    (folder / "lines.csv").unlink()
    return folder


@refused_drop("sha256")
def a_file_is_cut_short(home: Home, source: str) -> Path:
    folder = sound(home, source)
    data = (folder / "lines.csv").read_bytes()
    (folder / "lines.csv").write_bytes(data[:-7])
    return folder


@refused_drop("sha256")
def a_file_is_not_the_one_the_hash_is_of(home: Home, source: str) -> Path:
    folder = sound(home, source)
    data = (folder / "lines.csv").read_bytes()
    (folder / "lines.csv").write_bytes(data.replace(b"sale", b"SALE"))
    return folder


@refused_drop("symlink")
def the_drop_is_a_symlink(home: Home, source: str) -> Path:
    elsewhere = sound(Home(home.root / "elsewhere"), source)
    target = home.landing / "pos" / DAY.isoformat() / source
    target.symlink_to(elsewhere)
    return target


@refused_drop("symlink")
def a_listed_file_is_a_symlink(home: Home, source: str) -> Path:
    folder = sound(home, source)
    (folder / "lines.csv").rename(home.root / "lines-elsewhere.csv")
    (folder / "lines.csv").symlink_to(home.root / "lines-elsewhere.csv")
    return folder


@refused_drop("symlink")
def another_file_is_a_symlink(home: Home, source: str) -> Path:
    folder = sound(home, source)
    (folder / "notes.txt").symlink_to("/etc/hostname")
    return folder


@refused_drop("symlink")
def the_control_file_is_a_symlink(home: Home, source: str) -> Path:
    folder = sound(home, source)
    (folder / "control.json").rename(home.root / "control-elsewhere.json")
    (folder / "control.json").symlink_to(home.root / "control-elsewhere.json")
    return folder


@refused_drop("not_a_file")
def a_listed_file_is_a_pipe(home: Home, source: str) -> Path:
    folder = sound(home, source)
    (folder / "lines.csv").unlink()
    os.mkfifo(folder / "lines.csv")
    return folder


@refused_drop("not_a_file")
def a_listed_file_is_a_socket(home: Home, source: str) -> Path:
    folder = sound(home, source)
    (folder / "lines.csv").unlink()
    os.mknod(folder / "lines.csv", stat.S_IFSOCK | 0o600)
    return folder


@refused_drop("not_a_file")
def the_control_file_is_a_folder(home: Home, source: str) -> Path:
    folder = sound(home, source)
    (folder / "control.json").unlink()
    (folder / "control.json").mkdir()
    return folder


@refused_drop("unlisted_file")
def a_data_file_is_not_listed(home: Home, source: str) -> Path:
    folder = sound(home, source)
    (folder / "customers.csv").write_text("operation_id\n", encoding="utf-8")
    return folder


@refused_drop("control_totals")
def the_number_of_transactions_is_not_the_stated_one(home: Home, source: str) -> Path:
    return sound(home, source, totals={"transactions": 2})


@refused_drop("control_totals")
def the_sum_is_not_the_stated_one(home: Home, source: str) -> Path:
    return sound(home, source, totals={"transactions": 1, "net_amount": "10.01"})


@refused_drop("control_totals")
def orders_are_stated_on_a_feed_without_orders(home: Home, source: str) -> Path:
    return sound(home, source, totals={"orders": 1})


@refused_drop("control_totals")
def totals_are_stated_without_files(home: Home, source: str) -> Path:
    return write_drop(home, "pos", DAY, source, {}, totals={"transactions": 1})


def stating(**changes: Any) -> Wrong:
    """A sound drop whose control file is changed."""

    def make(home: Home, source: str) -> Path:
        folder = sound(home, source)
        write_control(folder, control_of(folder) | changes)
        return folder

    return make


def with_control(data: bytes) -> Wrong:
    def make(home: Home, source: str) -> Path:
        folder = sound(home, source)
        (folder / "control.json").write_bytes(data)
        return folder

    return make


def naming(name: str) -> Wrong:
    """A drop that lists a file under a hostile name."""

    def make(home: Home, source: str) -> Path:
        folder = sound(home, source)
        control = control_of(folder)
        control["files"].append({"name": name, "rows": 0, "sha256": "0" * 64})
        write_control(folder, control)
        return folder

    return make


def poslog(text: str, count: int = 1) -> Wrong:
    return lambda home, source: poslog_drop(home, source, text.encode(), count)


def poslog_drop(home: Home, source: str, data: bytes, count: int) -> Path:
    folder = write_drop(home, "pos", DAY, source, {})
    (folder / "poslog.xml").write_bytes(data)
    files = [{"name": "poslog.xml", "rows": count, "sha256": hashlib.sha256(data).hexdigest()}]
    write_control(folder, {"revision": 1, "files": files})
    return folder


def parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def line_table(**changes: pa.Array) -> bytes:
    columns = {key: pa.array([value]) for key, value in rows("lines", {})[0].items()}
    return parquet(pa.table(columns | changes))


#: Rows packed so well that they are no data file; the bound is lowered to a megabyte for them.
BOMB = LINES + b"T,1,sale,P,1,10.00,0.00,10.00,0.00,false\n" * 50_000

DROPS |= {
    "the rows are not as many as stated": ("rows", with_lines(LINES, count=2)),
    "a file is Latin-1": ("encoding", with_lines(LINES.replace(b"P", "Påse".encode("latin-1")))),
    "a file is UTF-16": ("encoding", with_lines(LINES.decode().encode("utf-16"))),
    "a file is empty": ("header", with_lines(b"", count=0)),
    "a required column is missing": ("header", with_lines(LINES.replace(b",voided", b"").replace(b",false", b""))),
    "a column stands twice": ("header", with_lines(LINES.replace(b"tax_amount", b"net_amount"))),
    "a quote is never closed": ("csv", with_lines(LINES.replace(b"P", b'"P'))),
    "text follows a closing quote": ("csv", with_lines(LINES.replace(b"P", b'"P"x'))),
    "a zip bomb in gzip": ("zip_bomb", with_lines(gzip.compress(BOMB, 9), "lines.csv.gz", 50_001)),
    "a zip bomb in zstandard": ("zip_bomb", with_lines(zstandard.compress(BOMB, 9), "lines.csv.zst", 50_001)),
    "a packed file is cut short": ("unpacking", with_lines(gzip.compress(LINES)[:-9], "lines.csv.gz")),
    "a packed file is not packed": ("unpacking", with_lines(LINES, "lines.csv.zst")),
    "a Parquet file is none": ("parquet", with_lines(b"PAR1" + LINES + b"PAR1", "lines.parquet")),
    "money is floating point": ("money_as_float", with_lines(line_table(net_amount=pa.array([10.0])), "lines.parquet")),
    "a Parquet column is a list": ("header", with_lines(line_table(product_id=pa.array([["P"]])), "lines.parquet")),
    "a Parquet bomb": (
        "zip_bomb",
        with_lines(line_table(product_id=pa.array(["x" * 3_000_000])), "lines.parquet"),
    ),
    "the control file is not JSON": ("control", with_control(b"{")),
    "the control file is not UTF-8": ("control", with_control(b'{"feed": "\xff"}')),
    "the control file is a list": ("control", with_control(b"[]")),
    "the control file is nested without end": ("control", with_control(b"[" * 100_000)),
    "the control file is larger than a megabyte": ("control", with_control(b" " * (1 << 20) + b"{}")),
    "the control file names another feed": ("control", stating(feed="hq")),
    "the control file names another date": ("control", stating(business_date="2026-01-04")),
    "the control file names another source": ("control", stating(source="S999")),
    "revision 0": ("control", stating(revision=0)),
    "a revision in quotes": ("control", stating(revision="1")),
    "a revision with a fraction": ("control", stating(revision=1.5)),
    "a revision true": ("control", stating(revision=True)),
    "no list of files": ("control", stating(files=None)),
    "a hash that is none": ("control", stating(files=[{"name": "lines.csv", "rows": 1, "sha256": "x"}])),
    "rows below zero": ("control", stating(files=[{"name": "lines.csv", "rows": -1, "sha256": "0" * 64}])),
    "totals that are no numbers": ("control", stating(totals={"net_amount": "NaN"})),
    "a name that leaves the drop": ("bad_name", naming("../lines.csv")),
    "an absolute name": ("bad_name", naming("/etc/passwd")),
    "a name with a line break": ("bad_name", naming("lines.csv\n")),
    "a name without format": ("bad_name", naming("lines")),
    "a dataset in two files": ("control", naming("lines.ndjson")),
    "poslog.xml beside what it stands for": ("control", naming("poslog.xml")),
    "an XML bomb": (
        "xml_dtd",
        poslog(
            '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><POSLog><Transaction>&b;</Transaction></POSLog>'
        ),
    ),
    "an external entity": (
        "xml_dtd",
        poslog('<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><POSLog><Transaction>&a;</Transaction></POSLog>'),
    ),
    "a DTD elsewhere": ("xml_dtd", poslog('<!DOCTYPE POSLog SYSTEM "http://example.com/x.dtd"><POSLog/>')),
    "XML that is not well-formed": ("xml", poslog("<POSLog><Transaction></POSLog>")),
    "XML cut short": ("xml", poslog("<POSLog><Transaction>")),
    "XML that is no POSLog": ("poslog", poslog("<html/>")),
    "XML in an encoding nobody knows": ("encoding", poslog('<?xml version="1.0" encoding="x-odd"?><POSLog/>')),
    "a document with fewer transactions than stated": ("rows", poslog("<POSLog/>")),
}


def with_rows(*rules: str, **changes: dict[str, str]) -> None:
    """A case named by its rule: a sound transaction and one whose header, line or tender is changed."""

    def make(home: Home, source: str) -> Path:
        bad = sale(f"BAD-{source}")
        for dataset, change in changes.items():
            bad[dataset][0] |= change
        return write_drop(home, "pos", DAY, source, joined(sale(f"T-{source}"), bad))

    ROWS[f"{len(ROWS)} {' '.join(rules)}"] = (list(rules), make)


with_rows("required:currency", transactions={"currency": ""})
with_rows("type:quantity", lines={"quantity": "one"})
with_rows("type:line_no", lines={"line_no": "1.5"})
with_rows("digits:net_amount", lines={"net_amount": "10.005"})
with_rows("digits:unit_price", lines={"unit_price": "0.12345"})
with_rows("type:net_amount", lines={"net_amount": "1.0005e1"})
with_rows("type:net_amount", lines={"net_amount": "1e-40"})
with_rows("type:line_no", lines={"line_no": "1.5e0"})
with_rows("type:net_amount", lines={"net_amount": "10,00"})
with_rows("type:net_amount", lines={"net_amount": "NaN"})
with_rows("type:amount", tenders={"amount": "1 0.00"})
with_rows("required:product_id", lines={"product_id": "   "})
with_rows("type:business_date", transactions={"business_date": "2026-01-05T09:30:00"})
with_rows("type:business_date", transactions={"business_date": "05.01.2026"})
with_rows("type:business_date", transactions={"business_date": "2026-02-30"})
with_rows("type:ended_at", transactions={"ended_at": "2026-01-05T25:00:00Z"})
with_rows("type:ended_at", transactions={"ended_at": "2026-01-05T10:00:00+99:00"})
with_rows("type:offline", transactions={"offline": "yes"})
with_rows("range:net_amount", lines={"net_amount": "4000123412341234"}, transactions={"net_amount": "10.00"})
with_rows("range:line_no", lines={"line_no": "2147483647"})  # a row's number has 32 bits behind landing
with_rows("range:original_line_no", lines={"original_line_no": "-5000000000"})
with_rows("range:tender_no", tenders={"tender_no": "999999999999999999"})
with_rows("range:business_date", transactions={"business_date": "0001-01-01"})
with_rows("range:started_at", transactions={"started_at": "0001-01-01T00:00:00Z"})
with_rows("before_drop:business_date", transactions={"business_date": "2000-01-01"})
with_rows("before_drop:business_date", transactions={"business_date": "2025-01-03"})
with_rows("before_drop:started_at", transactions={"business_date": "", "started_at": "2000-01-01T10:00:00Z"})
with_rows("after_drop:business_date", transactions={"business_date": "2027-01-05"})
with_rows("after_drop:ended_at", transactions={"ended_at": "2027-01-05T10:00:00Z"})
with_rows("allowed:type", transactions={"type": "gift"})
with_rows("pattern:currency", transactions={"currency": "usd"})
with_rows("control_character", lines={"product_id": "P\x00"})
with_rows("length", lines={"product_id": "x" * (10 << 20)})
with_rows("length", lines={"product_id": '"' + "x" * (10 << 20)})
with_rows("orphan", "net_is_its_lines", lines={"transaction_id": "NOBODY"})
with_rows("net_is_its_lines", transactions={"net_amount": "10.02", "total_amount": "10.02"})
with_rows("net_is_its_lines", lines={"voided": "true"})
with_rows("total", transactions={"total_amount": "10.02"})


def with_text(*rules: str, after: bytes, fmt: str = "csv", count: int = 1) -> None:
    """A case of a file that holds something no writer would write behind the sound rows."""

    def make(home: Home, source: str) -> Path:
        content = joined(sale(f"T-{source}"), {"transactions": sale(f"BAD-{source}")["transactions"]})
        folder = write_drop(home, "pos", DAY, source, content, fmt=fmt)
        data = (folder / f"lines.{fmt}").read_bytes() + after.replace(b"{bad}", f"BAD-{source}".encode())
        (folder / f"lines.{fmt}").write_bytes(data)
        control = control_of(folder)
        control["files"][1] |= {"rows": 1 + count, "sha256": hashlib.sha256(data).hexdigest()}
        write_control(folder, control)
        return folder

    ROWS[f"{len(ROWS)} {' '.join(rules)} in text"] = (list(rules), make)


with_text("columns", after=b"{bad},1,sale\n")
with_text("columns", after=b"{bad},1,sale,P,1,10.00,0.00,10.00,0.00,false,more\n")
with_text("columns", after=b'{bad},1,sale,"P"\n')
with_text("json", after=b'{"transaction_id": "{bad}", \n', fmt="ndjson")
with_text("json", after=b'{"line_no": NaN, "transaction_id" : "{bad}"}\n', fmt="ndjson")
with_text("json", "net_is_its_lines", after=b'{"transaction_id": "\\q{bad}"}\n', fmt="ndjson")
with_text("length", after=b'{"product_id": "%b", "transaction_id": "{bad}"}\n' % (b"x" * (2 << 20)), fmt="ndjson")
with_text("json", "net_is_its_lines", after=b"[1]\n", fmt="ndjson")
with_text("json", "net_is_its_lines", after=b'{"quantity": NaN}\n', fmt="ndjson")
with_text("json", "net_is_its_lines", after=b'{"line_no": 1, "line_no": 2}\n', fmt="ndjson")
with_text("json", "net_is_its_lines", after=b"[" * 100_000 + b"\n", fmt="ndjson")
with_text(
    *["json"] * 3,
    "net_is_its_lines",
    after=b"".join(b'{"a": %b}\n' % (b"[" * n + b"]" * n) for n in (980, 990, 5000)),
    fmt="ndjson",
    count=3,
)
with_text("nested", after=b'{"transaction_id": "{bad}", "product_id": {"id": "P"}}\n', fmt="ndjson")
with_text("control_character", after=b'{"transaction_id": "{bad}", "product_id": "\\ud800"}\n', fmt="ndjson")


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, Intake]:
    """All wrong drops and a sound one, taken in one night."""
    home = Home(tmp_path_factory.mktemp("bad") / "home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spool, "RATIO_FROM", 1 << 20)
        return home, _all_taken(home)


def _all_taken(home: Home) -> Intake:
    for n, (_, make) in enumerate(DROPS.values()):
        make(home, f"D{n}")
    for n, (_, row_make) in enumerate(ROWS.values()):
        row_make(home, f"R{n}")
    sound(home, "SOUND")
    return Takes(home)()


@pytest.mark.parametrize("case", DROPS)
def test_a_wrong_drop_is_set_aside_whole_with_its_reason(case: str, night: tuple[Home, Intake]) -> None:
    source = f"D{list(DROPS).index(case)}"
    found = [row for row in night[1].quarantine.to_pylist() if row["source"] == source]
    assert [(row["level"], row["rule"], row["status"]) for row in found] == [("drop", DROPS[case][0], "open")], found
    assert found[0]["reason"]
    (drop,) = (row for row in night[1].drops.to_pylist() if row["source"] == source)
    assert (drop["status"], drop["rows"]) == ("quarantined", 0)
    assert not [row for dataset in night[1].rows for row in landed(night[1], dataset) if row["source"] == source]


@pytest.mark.parametrize("case", ROWS)
def test_a_wrong_row_takes_its_transaction_with_it_and_nothing_else(case: str, night: tuple[Home, Intake]) -> None:
    source = f"R{list(ROWS).index(case)}"
    found = [row for row in night[1].quarantine.to_pylist() if row["source"] == source]
    assert sorted(row["rule"] for row in found if row["rule"] != "companion") == sorted(ROWS[case][0]), found
    assert {row["level"] for row in found} == {"transaction"}
    (drop,) = (row for row in night[1].drops.to_pylist() if row["source"] == source)
    stated = sum(file["rows"] for file in json.loads(drop["files"]))
    assert (drop["status"], drop["rows"], drop["refused"]) == ("accepted", 3, stated - 3), found
    for dataset in ("transactions", "lines", "tenders"):
        ids = [row["transaction_id"] for row in landed(night[1], dataset) if row["source"] == source]
        assert ids == [f"T-{source}"]


@pytest.mark.parametrize(
    "broken", [b'{"transaction_id": "BAD", "points": }', b'{"transaction_id": "BAD", "type": "%b"}']
)
@pytest.mark.parametrize("fmt", ["ndjson", "ndjson.zst"])
def test_a_tender_that_cannot_be_read_takes_its_transaction_with_it(
    home: Home, takes: Takes, broken: bytes, fmt: str
) -> None:
    folder = write_drop(home, "pos", DAY, "S1", joined(sale("T1"), sale("BAD")), fmt=fmt)
    path, control = folder / f"tenders.{fmt}", control_of(folder)
    data = zstandard.decompress(path.read_bytes()) if fmt.endswith("zst") else path.read_bytes()
    data = data.splitlines()[0] + b"\n" + broken.replace(b"%b", b"x" * (1 << 20)) + b"\n"
    data = zstandard.compress(data) if fmt.endswith("zst") else data
    path.write_bytes(data)
    control["files"][2]["sha256"] = hashlib.sha256(data).hexdigest()
    write_control(folder, control)
    intake = takes()
    found = {name: [row["transaction_id"] for row in landed(intake, name)] for name in intake.rows}
    assert found == {"transactions": ["T1"], "lines": ["T1"], "tenders": ["T1"]}, refusals(intake)


def test_the_sound_drop_comes_through_all_of_it(night: tuple[Home, Intake]) -> None:
    assert [row["transaction_id"] for row in landed(night[1], "lines") if row["source"] == "SOUND"] == ["T-SOUND"]


def test_every_refusal_has_a_key_of_its_own_and_no_value_in_its_reason(night: tuple[Home, Intake]) -> None:
    found = night[1].quarantine.to_pylist()
    assert len({row["quarantine_id"] for row in found}) == len(found) > 80
    assert not [row["reason"] for row in found if "BAD-" in row["reason"] or "HYPERLINK" in row["reason"]]
    assert max(len(row["raw"].encode()) for row in found) <= 16 << 10


def test_the_same_rows_are_refused_under_the_same_keys_again(home: Home, takes: Takes) -> None:
    for n, (_, make) in enumerate(list(ROWS.values())[:3]):
        make(home, f"R{n}")
    sound(home, "SOUND", totals={"transactions": 9})
    keys = [takes(known={}).quarantine.column("quarantine_id").to_pylist() for _ in range(2)]
    assert keys[0] == keys[1] != []


def test_folders_that_are_no_dates_and_hostile_sources_are_set_aside(home: Home, takes: Takes) -> None:
    sound(home, "S001")
    for name in ("2026-13-45", "=2026", "0001-01-01"):
        (home.landing / "pos" / name).mkdir()
    for name in ("S\n002", "-rf", "S;drop", "\x1b[31m"):
        (home.landing / "pos" / DAY.isoformat() / name).mkdir()
        (home.landing / "pos" / DAY.isoformat() / name / "control.json").touch()
    (home.landing / "pos" / "2026-01-04").symlink_to(home.landing / "pos" / DAY.isoformat())
    intake = takes()
    found = {row["drop_id"]: row["rule"] for row in intake.quarantine.to_pylist()}
    assert found == {
        "pos/0001-01-01": "bad_path", "pos/2026-13-45": "bad_path", "pos/=2026": "bad_path",
        "pos/2026-01-04": "symlink", "pos/2026-01-05/S\\n002": "bad_path", "pos/2026-01-05/-rf": "bad_path",
        "pos/2026-01-05/S;drop": "bad_path", "pos/2026-01-05/\\x1b[31m": "bad_path",
    }  # fmt: skip
    assert [row["source"] for row in landed(intake, "lines")] == ["S001"]
    assert takes().drops.num_rows == 0, "what is refused is not looked at again until it changes"


def test_a_file_without_line_breaks_is_refused_before_it_fills_memory(
    home: Home, takes: Takes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "MAX_UNBROKEN", 1 << 20)
    monkeypatch.setattr(spool, "BLOCK", 1 << 18)
    data = LINES + b"x" * (2 << 20)
    listed(sound(home, "S001"), "lines.csv", data, 1)
    assert refusals(takes()) == [("S001", "lines.csv", None, "", "drop", "oversized")]


def test_bom_blank_lines_late_rows_and_part_files_are_fine(home: Home, takes: Takes) -> None:
    folder = sound(home, "S001")
    data = b"\xef\xbb\xbf\n" + LINES.replace(b"T,", b"T-S001,").replace(b"\n", b"\r\n\r\n  \r\n")
    listed(folder, "lines.csv", data, 1)
    (folder / "lines.csv.part").write_bytes(b"\xff")
    write_drop(home, "pos", DAY, "S002", sale("LATE", business_date="2025-11-30"))
    intake = takes()
    assert refusals(intake) == []
    assert intake.warnings.num_rows == 0
    assert [(row["transaction_id"], row["line"]) for row in landed(intake, "lines")] == [("T-S001", 5), ("LATE", 2)]


def test_a_drop_without_control_file_and_a_later_one_are_left_alone(home: Home, takes: Takes) -> None:
    (sound(home, "S001") / "control.json").unlink()
    write_drop(home, "pos", date(2026, 1, 6), "S001", sale("T6"))
    intake = takes()
    assert (intake.drops.num_rows, intake.quarantine.num_rows, intake.rows) == (0, 0, {})


def test_identical_rows_of_a_drop_count_once(home: Home, takes: Takes) -> None:
    again = joined(sale("T1"), {"lines": sale("T1")["lines"], "transactions": sale("T1")["transactions"]})
    again["lines"][1] = dict(again["lines"][1]) | {"quantity": "1.000"}  # the same number, written otherwise
    write_drop(home, "pos", DAY, "S001", again, totals={"transactions": 1, "net_amount": "10.00"})
    intake = takes()
    assert (intake.in_rows, intake.accepted_rows, intake.repeated_rows, intake.refused_rows) == (5, 3, 2, 0)
    assert refusals(intake) == []


def test_a_key_with_two_contents_in_a_drop_refuses_its_transaction(home: Home, takes: Takes) -> None:
    other = {"lines": [sale("T1")["lines"][0] | {"product_id": "Q"}]}
    write_drop(home, "pos", DAY, "S001", joined(sale("T1"), other, sale("T2")))
    intake = takes()
    assert [(row[1], row[2], row[3], row[5]) for row in refusals(intake)] == [
        ("lines.csv", 2, "T1", "duplicate_key"),
        ("lines.csv", 3, "T1", "duplicate_key"),
    ]
    assert [row["transaction_id"] for row in landed(intake, "transactions")] == ["T2"]


def test_a_wrong_row_of_a_keyed_record_refuses_all_rows_of_its_key(home: Home, takes: Takes) -> None:
    cards = rows(
        "loyalty_cards",
        {"card_id": "C1", "program_id": "club"},
        {"card_id": "C1", "program_id": "vip", "card_type": "golden"},
        {"card_id": "C2"},
    )
    write_drop(home, "hq", DAY, "hq", {"loyalty_cards": cards})
    intake = takes("hq")
    assert [(row["record_key"], row["level"], row["rule"]) for row in intake.quarantine.to_pylist()] == [
        ("C1", "record", "companion"),
        ("C1", "record", "allowed:card_type"),
    ]
    assert [row["card_id"] for row in landed(intake, "loyalty_cards")] == ["C2"]


def test_a_wrong_contact_refuses_the_operation_on_the_customer(home: Home, takes: Takes) -> None:
    content = {
        "customers": rows("customers", {}, {"operation_id": "op2", "customer_id": "K2"}),
        "customer_contacts": rows("customer_contacts", {"kind": "fax"}, {"operation_id": "op2"}),
    }
    write_drop(home, "call_center", DAY, "CC1", content)
    intake = takes("call_center")
    assert [(row["dataset"], row["record_key"], row["rule"]) for row in intake.quarantine.to_pylist()] == [
        ("customers", "op1", "companion"),
        ("customer_contacts", "op1", "allowed:kind"),
    ]
    assert [row["operation_id"] for row in landed(intake, "customer_contacts")] == ["op2"]


def test_a_personal_value_in_a_key_is_shown_as_a_digest_only(home: Home, takes: Takes) -> None:
    known = {"type": "email", "value": "bad@example.com", "active": "perhaps"}
    write_drop(home, "hq", DAY, "hq", {"fraud_static": [known]})
    (row,) = takes("hq").quarantine.to_pylist()
    assert row["record_key"] == "email|" + hashlib.sha256(b"bad@example.com").hexdigest()[:12]
    assert row["rule"] == "type:active"


def test_a_parquet_file_of_other_rows_than_stated_is_refused_by_its_footer(
    home: Home, takes: Takes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_page(*_: object) -> int:
        raise AssertionError("a page was read")

    monkeypatch.setattr(spool, "_spool_batches", no_page)
    folder = write_drop(home, "pos", DAY, "S1", {"lines": sale("T1")["lines"] * 50}, "parquet")
    control = control_of(folder)
    control["files"][0]["rows"] = 1
    write_control(folder, control)
    assert [row["reason"] for row in takes().quarantine.to_pylist()] == [
        "the file holds 50 rows, the control file says 1"
    ]


@pytest.mark.parametrize("fmt", ["csv.gz", "ndjson.gz"])
def test_a_file_of_more_rows_than_stated_is_read_no_further(
    home: Home, takes: Takes, fmt: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "BLOCK", 4096)
    folder = write_drop(home, "pos", DAY, "S1", {"lines": sale("T1")["lines"] * 5000}, fmt)
    control = control_of(folder)
    control["files"][0]["rows"] = 1
    write_control(folder, control)
    assert [row["reason"] for row in takes().quarantine.to_pylist()] == [
        "the file holds more than 1 rows, the control file says 1"
    ]


def test_a_quoted_file_of_more_rows_than_stated_is_read_no_further(
    home: Home, takes: Takes, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    plain = spool.write_row
    monkeypatch.setattr(spool, "write_row", lambda *row: (written.append(1), plain(*row))[1])
    lines = LINES + b'T,2,sale,"P",1,10.00,0.00,10.00,0.00,false\n' * 500
    listed(sound(home, "S1"), "lines.csv", lines, 3)
    assert [row["reason"] for row in takes().quarantine.to_pylist()] == [
        "the file holds more than 3 rows, the control file says 3"
    ]
    assert len(written) == 4
