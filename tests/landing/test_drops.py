"""Which drops a take looks at: new ones, higher revisions, repaired ones; and which days did not come."""

from __future__ import annotations

import json
import os
import shutil
from datetime import date
from pathlib import Path

import pytest

from kanta.errors import BadArguments, KantaError
from kanta.home import Home
from kanta.landing import Known, missing_days, take
from kanta.landing.drops import feeds, stamp_of
from tests.feed import joined, sale, write_drop
from tests.landing.conftest import DAY, Takes, landed, refusals


def test_a_drop_is_taken_once(home: Home, takes: Takes) -> None:
    write_drop(home, "pos", DAY, "S1", sale("T1"))
    assert takes().drops.num_rows == 1
    again = takes()
    assert (again.drops.num_rows, again.in_rows, again.rows) == (0, 0, {})


def test_a_known_drop_is_not_opened_again_while_its_control_file_keeps_size_and_time(home: Home, takes: Takes) -> None:
    folder = write_drop(home, "pos", DAY, "S1", sale("T1"))
    takes()
    (folder / "lines.csv").unlink()
    assert takes().drops.num_rows == 0


def test_a_control_file_written_again_with_the_same_content_changes_nothing(home: Home, takes: Takes) -> None:
    folder = write_drop(home, "pos", DAY, "S1", sale("T1"))
    takes()
    os.utime(folder / "control.json", ns=(1, 1))
    assert takes().drops.num_rows == 0


def test_a_higher_revision_is_taken_whole_again(home: Home, takes: Takes) -> None:
    write_drop(home, "pos", DAY, "S1", joined(sale("T1"), sale("T2")))
    takes()
    write_drop(home, "pos", DAY, "S1", sale("T2"), revision=2)
    intake = takes()
    assert [(row["drop_id"], row["revision"], row["status"]) for row in intake.drops.to_pylist()] == [
        ("pos/2026-01-05/S1", 2, "accepted")
    ]
    assert [row["transaction_id"] for row in landed(intake, "lines")] == ["T2"]


def test_a_lower_revision_is_ignored_with_a_warning(home: Home, takes: Takes) -> None:
    write_drop(home, "pos", DAY, "S1", sale("T1"), revision=3)
    takes()
    write_drop(home, "pos", DAY, "S1", sale("T2"), revision=2)
    intake = takes()
    assert (intake.drops.num_rows, intake.rows) == (0, {})
    assert [(row["rule"], row["source"]) for row in intake.warnings.to_pylist()] == [("older_revision", "S1")]


def test_the_same_revision_with_other_content_is_refused_however_often_it_comes(home: Home, takes: Takes) -> None:
    write_drop(home, "pos", DAY, "S1", sale("T1"))
    takes()
    for transaction in ("T2", "T3"):
        write_drop(home, "pos", DAY, "S1", sale(transaction))
        assert refusals(takes()) == [("S1", "control.json", None, "", "drop", "revision_reused")]
    write_drop(home, "pos", DAY, "S1", sale("T4"), revision=2)
    assert [row["transaction_id"] for row in landed(takes(), "lines")] == ["T4"]


def test_a_refused_drop_is_looked_at_again_when_its_control_file_is_written_again(home: Home, takes: Takes) -> None:
    folder = write_drop(home, "pos", DAY, "S1", sale("T1"))
    lines = (folder / "lines.csv").read_bytes()
    (folder / "lines.csv").unlink()
    assert [row[5] for row in refusals(takes())] == ["missing_file"]
    (folder / "lines.csv").write_bytes(lines)
    assert takes().drops.num_rows == 0, "nothing tells it is whole now"
    os.utime(folder / "control.json", ns=(1, 1))
    assert [row["status"] for row in takes().drops.to_pylist()] == ["accepted"]


def test_a_refused_drop_left_out_of_what_is_known_is_looked_at_again(home: Home, takes: Takes) -> None:
    folder = write_drop(home, "pos", DAY, "S1", sale("T1"), totals={"transactions": 2})
    takes()
    assert takes().drops.num_rows == 0
    del takes.known["pos/2026-01-05/S1"]
    assert [row["status"] for row in takes().drops.to_pylist()] == ["quarantined"]
    assert folder.is_dir()


def test_a_wrong_revision_does_not_make_what_was_accepted_forgotten(home: Home, takes: Takes) -> None:
    write_drop(home, "pos", DAY, "S1", sale("T1"), revision=2)
    takes()
    folder = write_drop(home, "pos", DAY, "S1", sale("T1"), revision=3)
    (folder / "lines.csv").unlink()
    assert [row[5] for row in refusals(takes())] == ["missing_file"]
    write_drop(home, "pos", DAY, "S1", sale("T9"), revision=1)
    intake = takes()
    assert (intake.drops.num_rows, intake.warnings.num_rows) == (0, 1)


@pytest.mark.parametrize("in_place", [True, False])
def test_a_revision_whose_control_file_has_the_size_and_time_of_the_one_before_is_taken(
    home: Home, takes: Takes, in_place: bool
) -> None:
    folder = write_drop(home, "pos", DAY, "S1", sale("T1"))
    status = (folder / "control.json").stat()
    takes()
    if not in_place:
        shutil.rmtree(folder)
    write_drop(home, "pos", DAY, "S1", sale("T2"), revision=2)
    os.utime(folder / "control.json", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (folder / "control.json").stat().st_size == status.st_size
    intake = takes()
    assert [(row["revision"], row["status"]) for row in intake.drops.to_pylist()] == [(2, "accepted")]
    assert [row["transaction_id"] for row in landed(intake, "lines")] == ["T2"]
    assert takes().drops.num_rows == 0, "and then it is known"


def test_thousands_of_known_drops_are_skipped_by_one_look_each(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_drop(home, "pos", DAY, "S1", sale("T1"))
    for n in range(2000):
        drop = home.landing / "pos" / DAY.isoformat() / f"K{n}"
        drop.mkdir()
        os.link(folder / "control.json", drop / "control.json")
    stamp = stamp_of((folder / "control.json").stat())
    before = ":".join(stamp.split(":")[:2])  # as earlier releases wrote it
    known = {
        drop_id: Known(drop_id, 1, before if n % 2 else stamp, "", "accepted")
        for n in range(2000)
        for drop_id in [f"pos/{DAY}/K{n}"]
    }
    looks: list[object] = []
    real = os.stat

    def stat(path: str, **more: bool) -> os.stat_result:
        looks.append(path)
        return real(path, **more)

    monkeypatch.setattr(os, "stat", stat)
    intake = take(home, "pos", DAY, known, seq=1, out=home.root / "out")
    assert [row["source"] for row in intake.drops.to_pylist()] == ["S1"]
    assert len([path for path in looks if str(path).endswith("control.json")]) == 2001


def test_the_drops_table_says_what_each_file_was(home: Home, takes: Takes) -> None:
    folder = write_drop(home, "pos", DAY, "S1", sale("T1"))
    (row,) = takes().drops.to_pylist()
    assert json.loads(row["files"]) == json.loads((folder / "control.json").read_text())["files"]
    counts = {key: row[key] for key in ("rows", "repeated", "refused", "transactions", "revision", "seq")}
    assert counts == {"rows": 3, "repeated": 0, "refused": 0, "transactions": 1, "revision": 1, "seq": 1}


def test_rows_carry_their_drop_file_and_line_and_lie_under_their_drops_date(home: Home, takes: Takes) -> None:
    write_drop(home, "pos", date(2026, 1, 4), "S1", joined(sale("A"), sale("B")), "csv.gz")
    write_drop(home, "pos", DAY, "S2", sale("C", business_date="2026-01-01"))
    intake = takes()
    assert [path.parent.name for path in intake.rows["lines"]] == ["drop_date_month=2026-01"]
    places = [
        (
            row["transaction_id"],
            row["drop_id"],
            str(row["drop_date"]),
            row["source"],
            row["file"],
            row["line"],
            row["seq"],
        )
        for row in landed(intake, "transactions")
    ]
    assert places == [
        ("A", "pos/2026-01-04/S1", "2026-01-04", "S1", "transactions.csv.gz", 2, 1),
        ("B", "pos/2026-01-04/S1", "2026-01-04", "S1", "transactions.csv.gz", 3, 1),
        ("C", "pos/2026-01-05/S2", "2026-01-05", "S2", "transactions.csv", 2, 1),
    ]


def test_many_drops_make_one_file_for_each_dataset_and_month(home: Home, takes: Takes) -> None:
    for n in range(60):
        write_drop(home, "pos", date(2026, 1, 1 + n % 3), f"S{n}", sale(f"T{n}"))
    stages: list[tuple[str, int, int]] = []
    intake = take(home, "pos", DAY, {}, seq=7, out=home.root / "out", progress=lambda *told: stages.append(told))
    assert {name: len(paths) for name, paths in intake.rows.items()} == {"transactions": 1, "lines": 1, "tenders": 1}
    assert intake.accepted_rows == 180
    assert stages[-1] == ("datasets written", 3, 3)
    assert ("drops read", 60, 60) in stages


def test_files_beside_folders_and_other_files_are_ignored_with_a_warning(home: Home, takes: Takes) -> None:
    folder = write_drop(home, "pos", DAY, "S1", sale("T1"))
    (folder / "notes.txt").touch()
    (folder / ".hidden").touch()
    (folder.parent / "stray.csv").touch()
    (folder.parent.parent / "README").touch()
    assert [(row["rule"], row["file"]) for row in takes().warnings.to_pylist()] == [
        ("stray_file", "stray.csv"),
        ("stray_file", "README"),
        ("stray_file", "notes.txt"),
    ]


def test_a_folder_that_is_no_feed_is_reported_once_a_night(home: Home, takes: Takes) -> None:
    (home.landing / "POS").mkdir(parents=True)
    warnings = [row for feed in feeds() for row in takes(feed).warnings.to_pylist()]
    assert [(row["feed"], row["rule"]) for row in warnings] == [("POS", "unknown_feed")]


def test_a_folder_that_cannot_be_read_is_a_refused_drop(
    home: Home, takes: Takes, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_drop(home, "pos", DAY, "S1", sale("T1"))
    write_drop(home, "pos", date(2026, 1, 4), "S1", sale("T2"))
    real = os.scandir

    def scandir(path: Path) -> object:
        if str(path).endswith("2026-01-04"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    intake = takes()
    assert [(row["drop_id"], row["rule"]) for row in intake.quarantine.to_pylist()] == [
        ("pos/2026-01-04", "unreadable")
    ]
    assert [row["transaction_id"] for row in landed(intake, "lines")] == ["T1"]
    assert takes().drops.num_rows == 1, "it is tried again"
    monkeypatch.undo()
    assert [row["transaction_id"] for row in landed(takes(), "lines")] == ["T2"]


def test_a_feed_that_is_none_and_a_directory_in_use_are_wrong_arguments(home: Home) -> None:
    with pytest.raises(BadArguments, match=r"no feed web(.|\n)*pos"):
        take(home, "web", DAY, {}, seq=1, out=home.root / "out")
    (home.root / "out").mkdir(parents=True)
    (home.root / "out" / "old").touch()
    with pytest.raises(KantaError, match="empty directory"):
        take(home, "pos", DAY, {}, seq=1, out=home.root / "out")
    assert feeds() == ["call_center", "hq", "pos"]


def test_a_home_without_landing_brings_nothing(home: Home, takes: Takes) -> None:
    assert takes().drops.num_rows == 0


def test_a_source_that_should_trade_and_did_not_come_is_missing(home: Home, takes: Takes) -> None:
    week = "[mon, tue, wed, thu, fri]"
    home.programme.mkdir(parents=True)
    (home.programme / "settings.yaml").write_text(
        f"trading_days: {{S1: {week}, S2: {week}, S3: {week}, S4: {week}, S5: [sat], CC: {week}}}\n", encoding="utf-8"
    )
    write_drop(home, "pos", DAY, "S1", sale("T1"))
    write_drop(home, "pos", DAY, "S2", sale("T2"), totals={"transactions": 5})
    (home.landing / "pos" / DAY.isoformat() / "S3").mkdir()
    takes()
    taken = {drop.drop_id for drop in takes.known.values() if drop.status == "accepted"}
    missing = [(found.source, found.why) for found in missing_days(home, [DAY], {*taken, f"call_center/{DAY}/CC"})]
    assert missing == [
        ("S2", "the drop was refused"),
        ("S3", "the drop has no control.json yet"),
        ("S4", "there is no drop"),
    ]
    assert [found.source for found in missing_days(home, [date(2026, 1, 10)], taken)] == ["S5"]


def test_without_trading_days_nothing_is_missing(home: Home) -> None:
    assert missing_days(home, [DAY], set()) == []
