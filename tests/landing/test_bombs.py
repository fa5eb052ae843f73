"""Small files that would cost minutes or gigabytes, taken by a process of its own with bounded memory and time.

python -m tests.landing.test_bombs make|take HOME
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from kanta.home import REPOSITORY, Home
from kanta.landing import take
from kanta.landing.drops import datasets
from tests.feed import encoded, rows, sale, write_control, write_drop
from tests.landing.conftest import DAY

MB = 1 << 20
MEGABYTES = 800  # of memory for each of them, of which 100 are Python and its libraries
SECONDS = 10  # of a processor for each of them; they take at most five

LINES = encoded(datasets("pos")["lines"], rows("lines", {"transaction_id": "T"}), "csv")
HEADER = LINES.split(b"\n")[0] + b"\n"
POSLOG = b'<POSLog xmlns="http://www.nrf-arts.org/IXRetail/namespace/">'

Made = tuple[str, bytes, int]
#: By source: the rule that sets it aside, and what makes its file: name, bytes, stated rows.
BOMBS: dict[str, tuple[str, Callable[[], Made]]] = {}


def packed(data: bytes) -> bytes:
    return gzip.compress(data, 1)


def bomb(rule: str) -> Callable[[Callable[[], Made]], Callable[[], Made]]:
    def add(make: Callable[[], Made]) -> Callable[[], Made]:
        BOMBS[make.__name__] = (rule, make)
        return make

    return add


@bomb("rows")
def blank_lines() -> Made:
    return "lines.csv.gz", packed(LINES + b"\n" * 60 * MB), 1


@bomb("rows")
def blank_lines_before_the_header() -> Made:
    return "lines.csv.gz", packed(b"\n" * 60 * MB + LINES), 1


@bomb("rows")
def blank_lines_of_json() -> Made:
    return "lines.ndjson.zst", zstandard.compress(b" \n" * 30 * MB), 0


@bomb("rows")
def more_rows_than_stated_with_quotes() -> Made:
    return "lines.csv.gz", packed(HEADER + b'"T",1\n' * 9 * MB), 1


@bomb("rows")
def more_lines_of_json_than_stated() -> Made:
    return "lines.ndjson.gz", packed(b"{}\n" * 10 * MB), 1


@bomb("unpacking")
def frames_that_hold_nothing() -> Made:
    return "lines.csv.zst", zstandard.compress(LINES) + zstandard.compress(b"") * 2 * MB, 1


@bomb("oversized")
def a_row_of_millions_of_lines() -> Made:
    return "lines.csv.gz", packed(HEADER + b'"\n",' * 12 * MB), 1


@bomb("columns")
def a_row_of_millions_of_fields() -> Made:
    return "lines.csv", HEADER + b"T" + b"," * 60 * MB + b"\n", 1


@bomb("oversized")
def elements_in_elements() -> Made:
    depth = 2_000_000
    return "poslog.xml", POSLOG + b"<Transaction>" + b"<a>" * depth + b"</a>" * depth + b"</Transaction></POSLog>", 1


@bomb("oversized")
def elements_outside_receipts() -> Made:
    return "poslog.xml.gz", packed(POSLOG + b"<a/>" * 8_000_000 + b"</POSLog>"), 0


@bomb("oversized")
def elements_in_one_receipt() -> Made:
    return (
        "poslog.xml.gz",
        packed(POSLOG + b"<Transaction>" + b"<a/>" * 8_000_000 + b"</Transaction></POSLog>"),
        1,
    )


@bomb("oversized")
def attributes_of_one_element() -> Made:
    attributes = b" ".join(b'a%d="1"' % n for n in range(1_500_000))
    return "poslog.xml", POSLOG + b"<Transaction " + attributes + b"/></POSLog>", 1


@bomb("oversized")
def names_without_end() -> Made:
    names = b"".join(b'<e%d a%d=""/>' % (n, n) for n in range(1_000_000))
    return "poslog.xml", POSLOG + b"<Transaction>" + names + b"</Transaction></POSLog>", 1


@bomb("oversized")
def a_comment() -> Made:
    return "poslog.xml.gz", packed(POSLOG + b"<!--" + b"x" * 60 * MB + b"--></POSLog>"), 0


def parquet(texts: dict[str, Any], **how: Any) -> bytes:
    """A Parquet file of lines with these columns; all other columns are sound."""
    (line,) = rows("lines", {"transaction_id": "T"})
    count = len(next(iter(texts.values())))
    table = pa.table({name: texts.get(name, [value] * count) for name, value in line.items()})
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", store_schema=False, write_statistics=False, **how)
    return sink.getvalue()


def varint(number: int, width: int = 0) -> bytes:
    """A number as Thrift's compact protocol writes it, made as wide as is asked."""
    number, out = number << 1, b""
    while number > 0x7F or width > len(out) + 1:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def with_lying_footer(data: bytes) -> bytes:
    """The file, whose footer says of each column and group that it unpacks to little."""
    footer = pq.read_metadata(io.BytesIO(data))
    body, end = data[: -8 - footer.serialized_size], data[-8 - footer.serialized_size :]
    group = footer.row_group(0)
    sizes = {group.total_byte_size, *(group.column(n).total_uncompressed_size for n in range(group.num_columns))}
    for size in (size for size in sizes if size > MB):
        end = end.replace(varint(size), varint(1000, len(varint(size))))
    return body + end


@bomb("parquet")
def a_page_that_the_footer_tells_nothing_of() -> Made:
    names = [name for name, value in rows("lines", {})[0].items() if value]
    return (
        "lines.parquet",
        with_lying_footer(parquet({name: ["x" * 90 * MB] for name in names}, use_dictionary=False)),
        1,
    )


@bomb("zip_bomb")
def values_that_repeat_the_one_before() -> Made:
    how = {"use_dictionary": False, "column_encoding": {"product_id": "DELTA_BYTE_ARRAY"}}
    return "lines.parquet", parquet({"product_id": ["x" * MB] * 1024}, **how), 1024


@bomb("parquet")
def a_footer_of_megabytes() -> Made:
    data = parquet({"product_id": ["P"]})
    return "lines.parquet", data[:-8] + bytes(40 * MB) + (40 * MB).to_bytes(4, "little") + b"PAR1", 1


@bomb("parquet")
def groups_without_end() -> Made:
    return "lines.parquet", parquet({"product_id": ["P"] * 21_000}, row_group_size=1), 21_000


def make(home: Home) -> None:
    for source, (_, made) in BOMBS.items():
        name, data, count = made()
        folder = write_drop(home, "pos", DAY, source, {} if "poslog" in name else sale("T"))
        (folder / name).write_bytes(data)
        control = json.loads((folder / "control.json").read_bytes())
        files = [file for file in control["files"] if file["name"] != "lines.csv"]
        if name != "lines.csv":
            (folder / "lines.csv").unlink(missing_ok=True)
        listed = {"name": name, "rows": count, "sha256": hashlib.sha256(data).hexdigest()}
        write_control(folder, control | {"files": [*files, listed]})


def take_them(home: Home) -> None:
    """Takes each bomb in a process of its own, and prints by which rule it is set aside; nothing where that died."""
    _ = home.settings, datasets("pos"), pa.array(["once for all"])  # which imports what it can
    for source in BOMBS:
        if process := os.fork():
            os.waitpid(process, 0)
            continue
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        alone = Home(home.root / "alone" / source)
        place = Path("landing") / "pos" / DAY.isoformat() / source
        (alone.root / place).parent.mkdir(parents=True)
        (home.root / place).rename(alone.root / place)
        intake = take(alone, "pos", DAY, {}, seq=1, out=alone.root / "out")
        rules = {row["rule"] for row in intake.quarantine.to_pylist()} & {BOMBS[source][0]}
        megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 // MB
        print(json.dumps([source, *rules, megabytes > MEGABYTES and f"{megabytes} MB"]), flush=True)
        os._exit(0)


@pytest.mark.slow
def test_no_small_file_costs_minutes_or_gigabytes(tmp_path: Path) -> None:
    def run(what: str) -> str:
        command = [sys.executable, "-m", "tests.landing.test_bombs", what, str(tmp_path)]
        return subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.PIPE, text=True).stdout

    run("make")
    told = [json.loads(line) for line in run("take").splitlines()]
    assert told == [[source, rule, False] for source, (rule, _) in BOMBS.items()]


if __name__ == "__main__":
    {"make": make, "take": take_them}[sys.argv[1]](Home(Path(sys.argv[2])))
