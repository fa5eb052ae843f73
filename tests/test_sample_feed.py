"""data/sample is what it says: the source's receipts, whole drops, known blemishes, nobody's contacts."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import zstandard

from kanta import contracts, landing
from kanta.home import Home
from scripts.sample.drops import UNSAID

REPOSITORY = Path(__file__).parent.parent
SAMPLE = REPOSITORY / "data" / "sample"
TOLD = json.loads((SAMPLE / "blemishes.json").read_text(encoding="utf-8"))
BLEMISHES = {blemish["id"]: blemish for blemish in TOLD["blemishes"]}
REFUSED = [blemish for blemish in TOLD["blemishes"] if blemish["expected"] == "quarantine"]
DROPS = {path.parent: json.loads(path.read_text(encoding="utf-8")) for path in sorted(SAMPLE.glob("**/control.json"))}
CUT_OFF = SAMPLE / "landing" / BLEMISHES["wrong_hash"]["drop"] / "lines.csv"


def sample_feed(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "scripts/sample_feed.py", *arguments], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def text(path: Path) -> str:
    """A text file of a drop, unpacked."""
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    elif path.suffix == ".zst":
        data = zstandard.decompress(data)
    return data.decode("utf-8-sig")


@cache
def rows(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """A file's columns and its rows as text, read apart from the builder's own reader."""
    if path.suffix == ".parquet":
        table = pq.ParquetFile(path).read()
        return table.column_names, [{k: str(v) for k, v in row.items()} for row in table.to_pylist()]
    if path.suffix == ".ndjson":
        found = [json.loads(line, parse_float=str, parse_int=str) for line in text(path).splitlines()]
        return (list(found[0]) if found else []), [{k: str(v) for k, v in row.items()} for row in found]
    reader = csv.DictReader(io.StringIO(text(path), newline=""), strict=True)
    return list(reader.fieldnames or []), list(reader)


def files(dataset: str) -> list[Path]:
    found = [path for path in sorted(SAMPLE.glob(f"**/{dataset}.*")) if path != CUT_OFF]
    assert found, dataset
    return found


def test_real_receipts_are_the_sources_row_by_row() -> None:
    told = sample_feed("check")
    for number in ("transactions 2,871", "lines 30,513", "households 536", "store_days 418", "net_amount 97,397.68"):
        assert number in told


@pytest.mark.slow
def test_a_fresh_build_holds_what_is_tracked(tmp_path: Path) -> None:
    def content(root: Path) -> dict[str, Any]:
        # The hash of a packed file depends on the packer's version; what is in it does not.
        found: dict[str, Any] = {}
        for path in sorted(root.rglob("*")):
            name = str(path.relative_to(root))
            if path.name == "control.json":
                control = json.loads(path.read_text(encoding="utf-8"))
                found[name] = control | {"files": [(file["name"], file["rows"]) for file in control["files"]]}
            elif path.suffix == ".parquet":
                found[name] = rows(path)
            elif path.is_file() and path.relative_to(root) != CUT_OFF.relative_to(SAMPLE):
                found[name] = text(path)
        return found

    sample_feed("build", "--sample", str(tmp_path))
    fresh = content(tmp_path)
    tracked = {name: held for name, held in content(SAMPLE).items() if name not in ("README.md", ".gitattributes")}
    assert sorted(fresh) == sorted(tracked)
    assert [name for name in fresh if fresh[name] != tracked[name]] == []


def test_the_sample_is_at_most_six_megabytes_and_shows_every_format() -> None:
    found = [path for path in SAMPLE.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in found) <= 6_000_000
    formats = {path.name.partition(".")[2] for path in found if path.parent in DROPS}
    assert formats == {"json", "csv", "csv.gz", "csv.zst", "ndjson", "parquet"}


def test_every_drop_is_what_its_control_file_says_but_the_one_cut_off() -> None:
    wrong = []
    for folder, control in DROPS.items():
        if folder.parts[-3:] != (control["feed"], control["business_date"], control["source"]):
            wrong.append((folder, "path"))
        listed = {file["name"]: file for file in control["files"]}
        if {path.name for path in folder.iterdir()} != {*listed, "control.json"}:
            wrong.append((folder, "names"))
        for name, file in listed.items():
            path = folder / name
            if hashlib.sha256(path.read_bytes()).hexdigest() != file["sha256"]:
                wrong.append((path, "sha256"))
            elif len(rows(path)[1]) != file["rows"]:
                wrong.append((path, "rows"))
    assert len(DROPS) == 500
    assert wrong == [(CUT_OFF, "sha256")]


def test_totals_are_the_sums_of_the_files() -> None:
    wrong, stated = [], 0
    for folder, control in DROPS.items():
        for dataset in {"transactions", "orders"} & set(control.get("totals", {})):
            (path,) = folder.glob(f"{dataset}.*")
            net = sum(Decimal(row["net_amount"]) for row in rows(path)[1])
            stated += 1
            if control["totals"] != {dataset: len(rows(path)[1]), "net_amount": f"{net:.2f}"}:
                wrong.append((folder, control["totals"], net))
    assert wrong == []
    assert stated > 400


def test_every_file_has_exactly_the_columns_of_its_contract_that_the_sample_says() -> None:
    wrong, known = [], contracts.landing()
    for folder, control in DROPS.items():
        for path in folder.iterdir():
            dataset = path.name.split(".")[0]
            if dataset == "control" or path == CUT_OFF:
                continue
            contract = known.get(f"{control['feed']}.{dataset}") or known[f"any.{dataset}"]
            if rows(path)[0] != [name for name in contract.names if name not in UNSAID]:
                wrong.append((path, rows(path)[0]))
    assert wrong == []


def test_blemishes_stand_where_the_list_says() -> None:
    wrong = []
    for blemish in BLEMISHES.values():
        folders = [
            folder
            for folder, control in DROPS.items()
            if blemish["drop"] == "/".join(folder.parts[-3:]) and blemish["revision"] == control["revision"]
        ]
        if len(folders) != 1:
            wrong.append((blemish, folders))
        elif blemish["record_key"] and blemish["line"]:
            line = text(folders[0] / blemish["file"]).split("\n")[blemish["line"] - 1]
            if blemish["record_key"] not in line:
                wrong.append((blemish, line))
    assert wrong == []


def test_landing_refuses_the_rows_that_the_list_names_and_no_others(tmp_path: Path) -> None:
    listed = [
        blemish for blemish in REFUSED if blemish["id"] != "differing_copy"
    ]  # the night tells copies in two drops
    for drop in {blemish["drop"] for blemish in TOLD["blemishes"]}:
        if (SAMPLE / "landing" / drop).exists():
            shutil.copytree(SAMPLE / "landing" / drop, tmp_path / "landing" / drop)
    refused = set()
    for feed in ("pos", "call_center", "hq"):
        intake = landing.take(Home(tmp_path), feed, date(2017, 12, 10), {}, seq=1, out=tmp_path / "out" / feed)
        for row in intake.quarantine.to_pylist():
            if row["rule"] != "companion":
                drop = f"{row['feed']}/{row['business_date']}/{row['source']}"
                refused.add((drop, row["file"], row["level"], row["record_key"] or ""))
    assert refused == {(b["drop"], b["file"], b["level"], b["record_key"] or "") for b in listed}


def test_what_is_refused_for_good_is_made() -> None:
    rows = {b["id"]: b["record_key"] for b in REFUSED if b["level"] != "drop"}
    assert len(rows) >= 12
    real = {name for name, key in rows.items() if key.isdigit()}
    assert real == {"differing_copy"}, "the first copy of that receipt counts"
    sent_again = DROPS[SAMPLE / "late" / "2017-11-24" / BLEMISHES["wrong_hash"]["drop"]]
    assert sent_again["revision"] == 2


@pytest.mark.parametrize("place", sorted((SAMPLE / "late").iterdir()), ids=lambda place: place.name)
def test_late_drops_arrive_after_their_own_date(place: Path) -> None:
    dates = [folder.parts[-2] for folder in DROPS if place in folder.parents]
    assert dates
    assert all(date < place.name for date in dates)


def test_exceptions_name_receipts_that_are_there() -> None:
    held = {row["transaction_id"] for path in files("transactions") for row in rows(path)[1]}
    missing = [entry for entry in TOLD["exceptions"] if entry["transaction_id"] not in held]
    assert missing == []
    assert {entry["reason"] for entry in TOLD["exceptions"]} == {
        *("overdrawn", "no_rule", "no_tender_card", "blocked_card", "unknown_card", "original_unknown")
    }


def test_contacts_belong_to_nobody() -> None:
    contacts = " ".join(
        text(path) for name in ("customers", "customer_contacts", "order_addresses") for path in files(name)
    )
    hosts = set(re.findall(r"@([\w.-]+)", contacts))
    phones = re.findall(r"\+[\d ]{8,}", contacts)
    assert hosts <= {"example.com", "example.org", "example.net"}
    assert len(phones) > 500
    assert [phone for phone in phones if not re.fullmatch(r"\+1 \d{3} 555 01\d\d", phone)] == []
