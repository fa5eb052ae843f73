"""A dataset means the same in every format: csv, ndjson and parquet, packed or not, quoted or not, in any order."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kanta.home import Home
from kanta.landing import Intake, spool
from tests.feed import joined, sale, write_control, write_drop
from tests.landing.conftest import DAY, Takes, landed

COLUMNS = ("product_id", "variant_id", "name", "category_id", "brand", "eligible_points", "cost_price")
Rows = list[dict[str, str]]

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\x1d\x1e\x1f"), min_size=1, max_size=8)
#: Characters that quoting, line ends and encodings trip over.
NASTY = st.text("\",\n\r;|=+-@ \t'äÖ€😀\u2028\x85\\a", min_size=1, max_size=8)
PRODUCT = st.fixed_dictionaries(
    {
        "product_id": st.text("ABC123-", min_size=1, max_size=4),
        "name": TEXT | NASTY,
        "category_id": TEXT,
        "variant_id": st.just("") | NASTY,
        "brand": st.just("") | TEXT | NASTY,
        "eligible_points": st.sampled_from(["", "true", "false", "True", "maybe"]),
        "cost_price": st.just("")
        | st.decimals(-(10**6), 10**6, places=4).map(lambda number: f"{number:f}")
        | st.sampled_from(["0", "12.50000", "1.00005", "abc", ".5"]),
    }
)


def as_csv(rows: Rows, columns: list[str], **style: Any) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, **style)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def as_ndjson(rows: Rows, *, numbers: bool = False) -> bytes:
    def line(row: dict[str, str]) -> str:
        texts = json.dumps(row, ensure_ascii=False)
        number = row["cost_price"]
        if numbers and number and number not in ("abc", ".5"):  # as a JSON number, digit for digit
            texts = texts.replace(f'"cost_price": "{number}"', f'"cost_price": {number}')
        return texts.replace('"eligible_points": "true"', '"eligible_points": true')

    return "".join(line(row) + "\n" for row in rows).encode()


def as_parquet(rows: Rows, columns: list[str], *, typed: bool = False) -> bytes:
    table = {name: pa.array([row[name] for row in rows], pa.string()) for name in columns}
    if typed and all(row["cost_price"] not in ("abc",) for row in rows):
        prices = [Decimal(row["cost_price"]) if row["cost_price"] else None for row in rows]
        table["cost_price"] = pa.array(prices, pa.decimal128(20, 8))
        table["name"] = table["name"].dictionary_encode()
        table["brand"] = table["brand"].cast(pa.large_string())
        table["category_id"] = table["category_id"].cast(pa.string_view())
    sink = io.BytesIO()
    pq.write_table(pa.table(table), sink)
    return sink.getvalue()


def variants(rows: Rows, columns: list[str]) -> dict[str, bytes]:
    returns = any("\r" in value for row in rows for value in row.values())  # csv quotes what its own line end holds
    return {
        "products.csv": as_csv(rows, columns, lineterminator="\r\n" if returns else "\n"),
        "products.csv.gz": gzip.compress(as_csv(rows, columns[::-1], lineterminator="\r\n")),
        "products.csv.zst": zstandard.compress(as_csv(rows, columns, quoting=csv.QUOTE_ALL, lineterminator="\n")),
        "products.ndjson": as_ndjson(rows),
        "products.ndjson.zst": zstandard.compress(as_ndjson(rows, numbers=True)),
        "products.ndjson.gz": gzip.compress(b"\xef\xbb\xbf" + as_ndjson(rows, numbers=True).replace(b"\n", b"\r\n\n")),
        "products.parquet": as_parquet(rows, columns),
        "products.parquet ": as_parquet(rows, columns[::-1], typed=True),
    }


def deliver(home: Home, files: dict[str, bytes], count: int) -> list[str]:
    """One drop for each file; returns their sources."""
    sources: list[str] = []
    for name, data in files.items():
        sources.append(f"hq{len(sources)}")
        folder = write_drop(home, "hq", DAY, sources[-1], {})
        (folder / name.strip()).write_bytes(data)
        listed = {"name": name.strip(), "rows": count, "sha256": hashlib.sha256(data).hexdigest()}
        write_control(folder, {"revision": 1, "files": [listed]})
    return sources


def outcome(intake: Intake, source: str) -> Any:
    """What a source's drop came to: its accepted rows, and the record keys and rules of the refused ones."""
    own = sorted(
        tuple(str(row[name]) for name in COLUMNS) for row in landed(intake, "products") if row["source"] == source
    )
    refused = sorted(
        (row["record_key"], row["rule"]) for row in intake.quarantine.to_pylist() if row["source"] == source
    )
    (drop,) = (row for row in intake.drops.to_pylist() if row["source"] == source)
    return own, refused, (drop["status"], drop["rows"], drop["repeated"], drop["refused"])


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=st.lists(PRODUCT, min_size=1, max_size=6), columns=st.permutations(COLUMNS))
def test_every_format_lands_the_same_rows_and_refuses_the_same(rows: Rows, columns: list[str]) -> None:
    files = variants(rows, columns)
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        sources = deliver(home, files, len(rows))
        intake = Takes(home)("hq")
        found = {name: outcome(intake, source) for name, source in zip(files, sources, strict=True)}
    assert len(found) == 8
    for name, result in found.items():
        assert result == found["products.csv"], name
    assert sum(found["products.csv"][2][1:]) == len(rows)


@pytest.mark.slow
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(names=st.lists(TEXT | NASTY, min_size=1, max_size=6), size=st.integers(20, 200))
def test_a_file_read_in_pieces_lands_what_it_lands_whole(names: list[str], size: int) -> None:
    rows = [
        {"product_id": f"P{n}", "name": name, "category_id": "ALL", "variant_id": "", "brand": "", "cost_price": ""}
        for n, name in enumerate(names)
    ]
    files = {"products.csv": as_csv(rows, list(rows[0])), "products.ndjson": as_ndjson(rows)}
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        home = Home(Path(folder))
        sources = deliver(home, files, len(rows))
        whole = Takes(home)("hq")
        patch.setattr(spool, "BLOCK", size)
        pieces = Takes(home, seq=1)("hq")
        for source in sources:
            assert outcome(pieces, source) == outcome(whole, source)
        lines = [[row["line"] for row in landed(intake, "products")] for intake in (whole, pieces)]
        assert lines[0] == lines[1]


def test_text_comes_through_letter_for_letter(home: Home, takes: Takes) -> None:
    name = 'He said "no", twice;\r\nthen\nleft\r 😀 \t.'
    rows = [{"product_id": "P", "name": name, "category_id": "ALL"}]
    for source, fmt in enumerate(("csv", "ndjson", "parquet")):
        write_drop(home, "hq", DAY, f"hq{source}", {"products": rows}, fmt)
    assert [row["name"] for row in landed(takes("hq"), "products")] == [name] * 3


def test_unknown_columns_are_ignored_with_a_warning_and_absent_optional_ones_are_empty(
    home: Home, takes: Takes
) -> None:
    for n, fmt in enumerate(("csv", "ndjson", "parquet")):
        write_drop(home, "pos", DAY, f"S{n}", sale(f"T{n}", mood="good"), fmt)
    intake = takes()
    assert [(row["source"], row["file"], row["rule"], row["reason"]) for row in intake.warnings.to_pylist()] == [
        ("S0", "transactions.csv", "unknown_column", "column 'mood' is ignored"),
        ("S1", "transactions.ndjson", "unknown_column", "column 'mood' is ignored"),
        ("S2", "transactions.parquet", "unknown_column", "column 'mood' is ignored"),
    ]
    assert [(row["customer_id"], row["operator_id"]) for row in landed(intake, "transactions")] == [(None, None)] * 3


def test_an_empty_value_takes_the_contracts_default(home: Home, takes: Takes) -> None:
    product = {"name": "Coffee", "category_id": "ALL"}
    rows = [
        product | {"product_id": "A"},
        product | {"product_id": "B", "eligible_points": ""},
        product | {"product_id": "C", "eligible_points": "false"},
    ]
    write_drop(home, "hq", DAY, "hq", {"products": rows[:1]})
    write_drop(home, "hq", DAY, "hq2", {"products": rows[1:]})
    found = {row["product_id"]: row["eligible_points"] for row in landed(takes("hq"), "products")}
    assert found == {"A": True, "B": True, "C": False}


def test_moments_are_stored_in_utc_whatever_offset_they_came_with(home: Home, takes: Takes) -> None:
    moments = ("2026-01-05T10:00:00+02:00", "2026-01-05T08:00:00Z", "2026-01-05 03:00:00.0-0500", "2026-01-05T08:00Z")
    drops = [sale(f"T{n}", started_at=moment) for n, moment in enumerate(moments)]
    write_drop(home, "pos", DAY, "S1", joined(*drops))
    found = {row["started_at"].isoformat() for row in landed(takes(), "transactions")}
    assert found == {"2026-01-05T08:00:00+00:00"}


def test_a_json_document_lands_alike_as_text_and_nested(home: Home, takes: Takes) -> None:
    document = {"dept": 2, "cost": {"centre": "X,1"}}
    group = {"id": "G", "name": "Retail", "financial_dimensions": json.dumps(document)}
    write_drop(home, "hq", DAY, "hq0", {"customer_groups": [group]})
    nested = json.dumps(group | {"financial_dimensions": document}).encode() + b"\n"
    folder = write_drop(home, "hq", DAY, "hq1", {"customer_groups.ndjson": nested})
    listed = {"name": "customer_groups.ndjson", "rows": 1, "sha256": hashlib.sha256(nested).hexdigest()}
    write_control(folder, {"revision": 1, "files": [listed]})
    found = [row["financial_dimensions"] for row in landed(takes("hq"), "customer_groups")]
    assert [json.loads(text) for text in found] == [document, document]
    assert len(set(found)) == 1


def test_more_kinds_of_header_than_there_are_spools_land_all_the_same(home: Home, takes: Takes) -> None:
    for n in range(spool.MAX_HEADERS + 3):
        write_drop(home, "pos", DAY, f"S{n:02}", sale(f"T{n}", **{f"extra{n}": "x"}))
    intake = takes()
    assert sorted(row["transaction_id"] for row in landed(intake, "transactions")) == sorted(f"T{n}" for n in range(11))
    assert {row["line"] for row in landed(intake, "transactions")} == {2}
    assert intake.warnings.num_rows == 11


@pytest.mark.parametrize("encoding", ["PLAIN", "DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY", "dictionary"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("codec", ["none", "snappy", "gzip", "zstd"])
def test_parquet_lands_alike_however_its_pages_are_written(
    home: Home, takes: Takes, codec: str, version: str, encoding: str
) -> None:
    content = joined(*(sale(f"T{n}") for n in range(300)))
    lines = pa.Table.from_pylist([dict(row) for row in content.pop("lines")])
    empty, sink = lines.slice(0, 0), io.BytesIO()
    how: dict[str, Any] = {
        "compression": codec,
        "data_page_version": version,
        "data_page_size": 256,
        "use_dictionary": True,
    }
    if encoding != "dictionary":
        how |= {"use_dictionary": False, "column_encoding": dict.fromkeys(lines.column_names, encoding)}
    with pq.ParquetWriter(sink, lines.schema, **how) as writer:
        for part in (empty, lines.slice(0, 100), empty, lines.slice(100), empty):
            writer.write_table(part)
    folder = write_drop(home, "pos", DAY, "S1", content)
    (folder / "lines.parquet").write_bytes(sink.getvalue())
    control = json.loads((folder / "control.json").read_bytes())
    listed = {"name": "lines.parquet", "rows": 300, "sha256": hashlib.sha256(sink.getvalue()).hexdigest()}
    write_control(folder, control | {"files": [*control["files"], listed]})
    taken = takes()
    assert taken.quarantine.to_pylist() == []
    assert [row["transaction_id"] for row in landed(taken, "lines")] == [f"T{n}" for n in range(300)]


def test_a_parquet_file_without_rows_lands(home: Home, takes: Takes) -> None:
    write_drop(home, "pos", DAY, "S1", {"lines": []}, "parquet")
    assert [row["status"] for row in takes().drops.to_pylist()] == ["accepted"]
