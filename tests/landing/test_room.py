"""Limits for a drop and for a night, disks and memory that are full, and drops of which everything is refused."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import duckdb
import pytest

from kanta.errors import BadProgramme, KantaError
from kanta.home import Home
from kanta.landing import Intake, intake, limits, poslog, release, router, spool
from tests.feed import joined, sale, write_drop
from tests.landing.conftest import DAY, Takes, landed
from tests.landing.test_poslog import deliver, item, tender, transaction, whole

Disk = Callable[[int], None]


def settings(home: Home, text: str) -> None:
    home.programme.mkdir(parents=True, exist_ok=True)
    (home.programme / "settings.yaml").write_text(text)
    vars(home).pop("settings", None)


def many(source: str, receipts: int, **more: str) -> dict[str, Any]:
    return joined(*(sale(f"T-{source}-{n}", **more) for n in range(receipts)))


def reasons(taken: Intake) -> dict[str, tuple[str, str]]:
    """Rule and reason of each drop that is set aside."""
    found = taken.quarantine.to_pylist()
    return {row["source"]: (row["rule"], row["reason"]) for row in found if row["level"] == "drop"}


def accepted(taken: Intake) -> list[str]:
    return sorted(row["source"] for row in taken.drops.to_pylist() if row["status"] == "accepted")


# ── limits ───────────────────────────────────────────────────────────────────────────────────────────────────────


def wide(source: str) -> dict[str, Any]:
    """4,000 receipts of 12,000 rows and some 1.7 MB."""
    return many(source, 4000, operator_id="x" * 190)


@pytest.mark.parametrize(
    ("setting", "fmt"),
    [
        *(("rows: 11999", fmt) for fmt in ("csv", "parquet", "ndjson.zst")),
        *(("megabytes: 1", fmt) for fmt in ("csv", "ndjson")),
        *(("unpacked_megabytes: 1", fmt) for fmt in ("csv", "csv.gz", "ndjson.zst", "parquet")),
    ],
)
def test_a_drop_over_a_limit_is_set_aside_with_limit_value_and_setting(
    home: Home, takes: Takes, setting: str, fmt: str
) -> None:
    settings(home, f"drop_limits: {{{setting}}}")
    write_drop(home, "pos", DAY, "LARGE", wide("LARGE"), fmt)
    write_drop(home, "pos", DAY, "SOUND", many("SOUND", 2), fmt)
    taken = takes()
    name, _, limit = setting.partition(": ")
    rule, reason = reasons(taken)["LARGE"]
    assert rule == "drop_limit"
    assert f"drop_limits.{name} in settings.yaml allows {int(limit):,}" in reason
    assert ("12,000 rows" if name == "rows" else " MB ") in reason
    assert accepted(taken) == ["SOUND"]
    assert {row["source"] for row in landed(taken, "transactions")} == {"SOUND"}
    assert takes().drops.num_rows == 0, "it is looked at again only when it is released"
    settings(home, "")
    assert accepted(takes(known={})) == ["LARGE", "SOUND"]


def test_a_document_is_limited_by_the_rows_it_makes(home: Home, takes: Takes) -> None:
    settings(home, "drop_limits: {rows: 8}")
    receipts = [transaction(item(1, "9.00"), tender(2, "9.00"), number=str(n)) for n in range(3)]
    deliver(home, "LARGE", whole(*receipts), 3)
    deliver(home, "SOUND", whole(*receipts[:2]), 2)
    taken = takes()
    assert reasons(taken)["LARGE"][0] == "drop_limit"
    assert accepted(taken) == ["SOUND"]
    assert len(landed(taken, "transactions")) == 2


def test_nothing_of_a_drop_is_read_that_says_it_is_too_large(
    home: Home, takes: Takes, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings(home, "drop_limits: {rows: 20}")
    write_drop(home, "pos", DAY, "LARGE", many("LARGE", 7))
    monkeypatch.setattr(intake, "read", lambda *_: pytest.fail("a file is read"))
    assert reasons(takes())["LARGE"][0] == "drop_limit"


@pytest.mark.parametrize("setting", ["rows: 25000", "megabytes: 4", "unpacked_megabytes: 4"])
def test_drops_over_the_limit_of_a_night_wait_and_are_taken_the_next_night(
    home: Home, takes: Takes, setting: str
) -> None:
    name = setting.partition(":")[0]
    settings(home, f"drop_limits: {{{setting}}}\nnight_limits: {{{setting}}}")
    for source in ("A", "B", "C"):
        write_drop(home, "pos", DAY, source, wide(source))
    write_drop(home, "pos", DAY, "SMALL", many("SMALL", 2))
    first = takes()
    assert accepted(first) == ["A", "B", "SMALL"]
    rule, reason = reasons(first)["C"]
    assert rule == "night_limit"
    assert f"night_limits.{name} in settings.yaml allows {int(setting.partition(': ')[2]):,}" in reason
    second = takes(through=DAY + timedelta(1))
    assert accepted(second) == ["C"]
    assert len(landed(second, "transactions")) == 4000


def test_a_refused_drop_takes_nothing_from_the_others_night(home: Home, takes: Takes) -> None:
    settings(home, "drop_limits: {rows: 50}\nnight_limits: {rows: 50}")
    folder = write_drop(home, "pos", DAY, "A", many("A", 15))
    (folder / "tenders.csv").write_bytes((folder / "tenders.csv").read_bytes().replace(b"cash", b"CASH"))
    write_drop(home, "pos", DAY, "B", many("B", 15))
    taken = takes()
    assert (accepted(taken), {source: rule for source, (rule, _) in reasons(taken).items()}) == (["B"], {"A": "sha256"})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("drop_limits: {rows: 0}", "drop_limits.rows"),
        ("drop_limits: {megabytes: 1.5}", "drop_limits.megabytes"),
        ("night_limits: {bytes: 1}", "night_limits.bytes"),
        ("night_limits: {rows: 49999999}", "night_limits.rows: must not be less than drop_limits.rows, 50000000"),
        ("drop_limits: {unpacked_megabytes: 900000}", "must not be less than drop_limits.unpacked_megabytes"),
    ],
)
def test_limits_that_make_no_sense_are_said(home: Home, text: str, says: str) -> None:
    settings(home, text)
    with pytest.raises(BadProgramme) as raised:
        _ = home.settings
    assert says in str(raised.value)


# ── no room ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """A disk that takes so many bytes of all spools together, and then no more."""
    monkeypatch.setattr(spool, "HELD", 1024)
    plain = spool.Growing.put

    def of(room: int) -> None:
        growing: list[spool.Growing] = []

        def put(self: spool.Growing, data: Any) -> int:
            if self not in growing:
                growing.append(self)
            left = room - sum(one.written for one in growing if not one.closed)
            if left <= 0:
                raise limits.UnwrittenError(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
            return plain(self, bytes(data[:left]))

        monkeypatch.setattr(spool.Growing, "put", put)

    return of


def test_a_drop_that_fills_the_disk_is_set_aside_and_taken_when_there_is_room(
    home: Home, takes: Takes, disk: Disk
) -> None:
    for source, receipts in (("A", 3), ("B", 300), ("C", 3)):
        write_drop(home, "pos", DAY, source, many(source, receipts))
    disk(20_000)
    taken = takes()
    assert {source: rule for source, (rule, _) in reasons(taken).items()} == {"B": "no_room"}
    assert [row["transaction_id"] for row in landed(taken, "lines")] == [f"T-{s}-{n}" for s in "AC" for n in range(3)]
    disk(1 << 30)
    assert accepted(takes()) == ["B"]


def test_the_drop_that_left_no_room_is_set_aside_not_the_one_that_met_the_full_disk(
    home: Home, takes: Takes, disk: Disk
) -> None:
    for source, receipts in (("A", 100), ("B", 20), ("C", 20)):
        write_drop(home, "pos", DAY, source, many(source, receipts))
    disk(27_000)
    assert accepted(takes()) == ["B", "C"]


@pytest.mark.parametrize("fmt", ["csv", "ndjson", "parquet"])
@pytest.mark.parametrize("room", [0, 3_000, 9_000, 15_000, 17_500, 17_900, 18_200])
def test_wherever_the_disk_is_full_no_drop_is_landed_in_part(
    home: Home, takes: Takes, disk: Disk, room: int, fmt: str
) -> None:
    for source, receipts in (("A", 9), ("B", 20), ("C", 4)):
        write_drop(home, "pos", DAY, source, many(source, receipts), fmt)
    disk(room)
    taken = takes()
    assert {rule for rule, _ in reasons(taken).values()} <= {"no_room"}
    assert sorted([*accepted(taken), *reasons(taken)]) == ["A", "B", "C"]
    held = {"A": 9, "B": 20, "C": 4}
    for dataset in ("transactions", "lines", "tenders"):
        found = [row["source"] for row in landed(taken, dataset)]
        assert {source: found.count(source) for source in set(found)} == {s: held[s] for s in accepted(taken)}


@pytest.mark.parametrize(
    "error",
    [
        duckdb.OutOfMemoryException("failed to offload data block of size 160.0 KiB (7.1 MiB/7.1 MiB used)"),
        duckdb.IOException('Could not write file "x.parquet": No space left on device'),
        OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)),
    ],
)
@pytest.mark.parametrize("step", ["load", "route", "_copy", "refused"])
def test_where_the_engine_has_no_room_the_largest_drops_are_set_aside(
    home: Home, takes: Takes, monkeypatch: pytest.MonkeyPatch, step: str, error: Exception
) -> None:
    for source, receipts in (("A", 5), ("B", 60), ("C", 5)):
        write_drop(home, "pos", DAY, source, many(source, receipts))
    plain = getattr(router.Router, step)

    def full(self: router.Router, *said: Any) -> Any:
        held = [row for (row,) in self.connection.execute("show tables").fetchall()]
        if "_files" in held and self.connection.execute("select count(*) from _files where _drop = 1").fetchone() != (
            0,
        ):
            raise error
        return plain(self, *said)

    def loaded(self: router.Router, *said: Any) -> None:
        plain(self, *said)
        full(self, *said) if self.connection.execute("select count(*) from _drops").fetchone() == (3,) else None

    monkeypatch.setattr(router.Router, step, loaded if step == "load" else full)
    taken = takes()
    assert {source: rule for source, (rule, _) in reasons(taken).items()} == {"B": "no_room"}
    assert accepted(taken) == ["A", "C"]


def test_a_release_without_room_says_so(home: Home, takes: Takes, disk: Disk) -> None:
    write_drop(home, "pos", DAY, "A", joined(sale("T1"), sale("T2", net_amount="x"), many("A", 200)))
    (refused,) = [row for row in takes().quarantine.to_pylist() if row["rule"] != "companion"]
    disk(5_000)
    with pytest.raises(KantaError, match=r"(?s)No space left.*make room"):
        release(home, [refused], {refused["quarantine_id"]: {"net_amount": "10.00"}})
    assert {path.name for path in (home.landing / "pos" / str(DAY)).iterdir()} == {"A"}


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("fmt", ["csv", "ndjson", "parquet"])
def test_a_drop_with_more_refused_rows_than_are_listed_is_set_aside_whole_and_says_so(
    home: Home, takes: Takes, monkeypatch: pytest.MonkeyPatch, fmt: str
) -> None:
    monkeypatch.setattr(limits, "LISTED", 20)
    bad = many("A", 7, net_amount="much")
    write_drop(home, "pos", DAY, "A", joined(bad, many("A-good", 2), sale("T-A-good-0")), fmt)
    write_drop(home, "pos", DAY, "B", joined(many("B", 6, net_amount="much"), many("B-good", 2)), fmt)
    taken = takes()
    reason = "21 rows are refused (companion 14, type:net_amount 7): too much to be listed one by one"
    assert reasons(taken) == {"A": ("refused_rows", f"{reason}, so the drop is set aside as a whole")}
    assert accepted(taken) == ["B"]
    assert [row["source"] for row in taken.quarantine.to_pylist()] == ["A"] + ["B"] * 18
    assert {row["transaction_id"] for row in landed(taken, "lines")} == {"T-B-good-0", "T-B-good-1"}


def test_of_many_drops_the_ones_with_most_refused_rows_are_set_aside_until_the_rest_can_be_listed(
    home: Home, takes: Takes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "ALL_LISTED", 20)
    for source, receipts in (("A", 3), ("B", 5), ("C", 3)):
        write_drop(home, "pos", DAY, source, many(source, receipts, net_amount="much"))
    taken = takes()
    assert {source: rule for source, (rule, _) in reasons(taken).items()} == {"B": "refused_rows"}
    assert taken.quarantine.num_rows == 1 + 9 + 9


def test_refused_rows_are_counted_in_bytes_too(home: Home, takes: Takes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LISTED_BYTES", 100_000)
    monkeypatch.setattr(router, "LISTED_BYTES", 100_000)
    write_drop(home, "pos", DAY, "A", many("A", 20, net_amount="much", operator_id="x" * 9_000))
    write_drop(home, "pos", DAY, "B", many("B", 20, net_amount="much"))
    assert {source: rule for source, (rule, _) in reasons(takes()).items()} == {"A": "refused_rows"}


def test_a_document_with_more_refused_receipts_than_are_listed_is_set_aside_whole(
    home: Home, takes: Takes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poslog, "LISTED", 3)
    bad = [transaction(item(1, "9.00"), tender(2, "9.00"), number="") for _ in range(5)]
    deliver(home, "A", whole(*bad), 5)
    deliver(home, "B", whole(*bad[:3]), 3)
    taken = takes()
    assert {source: rule for source, (rule, _) in reasons(taken).items()} == {"A": "refused_rows"}
    assert [row["rule"] for row in taken.quarantine.to_pylist() if row["source"] == "B"] == ["poslog"] * 3


def test_a_document_of_more_receipts_than_stated_is_read_no_further(
    home: Home, takes: Takes, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    plain = poslog.convert
    monkeypatch.setattr(poslog, "convert", lambda node: (seen.append(1), plain(node))[1])
    deliver(home, "A", whole(*(transaction(item(1, "9.00"), number=str(n)) for n in range(500))), 3)
    assert reasons(takes()) == {"A": ("rows", "the document holds more than 3 transactions, the control file says 3")}
    assert len(seen) == 4


def test_what_is_odd_is_told_so_many_times_and_then_counted(home: Home, takes: Takes) -> None:
    folder = write_drop(home, "pos", DAY, "A", many("A", 1))
    for n in range(intake.MAX_WARNED + 7):
        (folder / f"note{n:03}.txt").touch()
    write_drop(home, "pos", DAY, "B", {"lines": [{"transaction_id": "T", "odd": "1"}]})
    warned = takes().warnings.to_pylist()
    assert [row["rule"] for row in warned] == ["stray_file"] * intake.MAX_WARNED + ["and_more", "unknown_column"]
    assert warned[intake.MAX_WARNED]["reason"] == "7 more like these"
