"""Whatever a drop holds, a take ends, every row is accounted for, and the drop beside it comes through."""

from __future__ import annotations

import gzip
import hashlib
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kanta.home import Home
from tests.feed import joined, sale, write_drop
from tests.landing.conftest import DAY, Takes, landed
from tests.landing.test_poslog import deliver, item, tender, transaction, whole

NASTY = [
    b"", b"\x00", b"\xff", b'"', b"'", b",", b"\n", b"\r", b"\x1f", b"\x1e", b"{", b"}", b"[", b"<", b">", b"&",
    b"</Sale>", b"9" * 40, b"-", b".", b"=", b"NaN", b"0001-01-01", b"9999-12-31", b"1e9", b"\xef\xbb\xbf",
    b"\xed\xa0\x80", b"null",
]  # fmt: skip

#: Where to cut, how much to leave out there, what to put in.
EDIT = st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 5), st.sampled_from(NASTY) | st.binary(max_size=3))
EDITS = st.lists(EDIT, min_size=1, max_size=4)


def edited(data: bytes, edits: list[tuple[float, int, bytes]]) -> bytes:
    for where, out, put in edits:
        at = int(where * len(data))
        data = data[:at] + put + data[at + out :]
    return data


def damage(folder: Path, name: str, edits: list[tuple[float, int, bytes]]) -> None:
    """Edits a file of a drop and lists it as it now is; a packed one inside."""
    path, control = folder / name, json.loads((folder / "control.json").read_text(encoding="utf-8"))
    data = path.read_bytes()
    data = gzip.compress(edited(gzip.decompress(data), edits)) if name.endswith(".gz") else edited(data, edits)
    path.write_bytes(data)
    for file in control["files"]:
        if file["name"] == name:
            file["sha256"] = hashlib.sha256(data).hexdigest()
    (folder / "control.json").write_text(json.dumps(control), encoding="utf-8")


@pytest.mark.slow
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(edits=st.lists(EDITS, min_size=6, max_size=6))
def test_damage_in_any_place_of_any_file_stops_nothing(edits: list[list[tuple[float, int, bytes]]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        content = joined(sale("T1"), sale("T2"), sale("T3"))
        write_drop(home, "pos", DAY, "SOUND", content)
        names = ("lines.csv", "transactions.ndjson", "lines.csv.gz", "lines.parquet", "control.json", "poslog.xml")
        for n, name in enumerate(names):
            if name == "poslog.xml":
                document = whole(*(transaction(item(1, "9.00"), tender(2, "9.00"), number=str(i)) for i in range(3)))
                drop = deliver(home, f"D{n}", document, 3)
            else:
                fmt = "csv" if name == "control.json" else name.partition(".")[2]
                drop = write_drop(home, "pos", DAY, f"D{n}", content, fmt)
            if name == "control.json":
                (drop / name).write_bytes(edited((drop / name).read_bytes(), edits[n]))
            else:
                damage(drop, name, edits[n])
        intake = Takes(home)()
        assert [row["transaction_id"] for row in landed(intake, "lines") if row["source"] == "SOUND"] == [
            "T1",
            "T2",
            "T3",
        ]
        assert intake.drops.num_rows == 7
