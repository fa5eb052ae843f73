"""A bit turned in any kind of file of the lake is found: by the night before it goes on, by verify with the file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kanta import checksums, maintenance, verify
from kanta.distribution import held, view
from kanta.errors import KantaError
from kanta.home import Home
from kanta.lake import Lake, State
from kanta.night import Night, stage
from kanta.programme import Version
from kanta.programme.model import Distribution
from kanta.publishing import publish
from tests.conftest import NoJudge
from tests.night.test_lake import TABLE, january, put

pytestmark = pytest.mark.usefixtures("without_iceberg")


def flip(path: Path, at: int, bit: int = 0) -> None:
    """Turns one bit of a file and leaves its size and times; the file's times say nothing."""
    about, content = path.stat(), bytearray(path.read_bytes())
    content[at] ^= 1 << bit
    path.write_bytes(content)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


@pytest.fixture
def written(home: Home) -> Iterator[Home]:
    put(home, {january(30): 1, january(31): 2}, [january(30), january(31)])
    put(home, {january(31): 3}, [january(31)])
    checksums.forget()
    yield home
    checksums.forget()


def data_file(home: Home) -> Path:
    lake = Lake(home)
    return lake.listed(TABLE, lake.published())[-1]


def _files(home: Home) -> verify.Checked:
    """What verify says of the files, alone: the other checks need a programme."""
    try:
        return verify._files(Lake(home), Lake(home).published())
    except KantaError:
        return verify.verify(home)[0]


def found_by_verify(home: Home) -> list[tuple[str, ...]]:
    files = _files(home)
    assert files.name == "lake_files_are_whole"
    return [tuple(map(str, row)) for row in files.examples]


def test_nothing_is_found_where_nothing_was_changed(written: Home) -> None:
    files = _files(written)
    assert (files.breaches, "before checksums" in files.about) == (0, False)


def test_verify_finds_every_bit_of_a_data_file_and_names_it(written: Home) -> None:
    file = data_file(written)
    for at in range(0, file.stat().st_size, 97):
        flip(file, at, at % 8)
        assert found_by_verify(written) == [(TABLE, str(file), verify._WRITTEN)], at
        flip(file, at, at % 8)
    assert found_by_verify(written) == []


def records(home: Home) -> list[Path]:
    lake = Lake(home)
    state = lake.published()
    return [lake.head_file, lake.publications()[-1], lake.version_file(TABLE, state.tables[TABLE])]


@pytest.mark.parametrize("number", range(3), ids=["head", "publication", "version"])
def test_a_bit_of_a_record_is_found_or_changes_nothing_it_says(number: int, written: Home) -> None:
    record = records(written)[number]
    said = json.loads(record.read_text())
    for at in range(0, record.stat().st_size, 7):
        flip(record, at)
        try:
            now = json.loads(record.read_text(encoding="utf-8"))
        except ValueError:
            now = None
        try:
            found = found_by_verify(written)
        except KantaError as error:  # of another form
            found = [("", error.where, error.what)]
        # Only a bit of the checksum's own name leaves a record that is taken; it says what it said.
        assert found or (now or {}).items() >= {key: said[key] for key in said if key != "checksum"}.items(), at
        flip(record, at)
    assert found_by_verify(written) == []


def test_a_stage_that_read_a_changed_file_commits_nothing(written: Home) -> None:
    lake, file = Lake(written), data_file(written)
    head = lake.head()
    flip(file, file.stat().st_size // 2)
    with (
        pytest.raises(KantaError, match="not as it was written") as refused,
        stage(written, "sales", january(31)) as night,
    ):
        night.attach(TABLE)
    assert refused.value.where == str(file)
    assert lake.head() == head
    with stage(written, "customers", january(31)):
        pass  # a stage that does not read it goes on


def test_what_a_stage_leaves_of_a_file_is_not_taken_over_changed(written: Home) -> None:
    put(written, {january(30): 1, january(31): 2}, [january(30), january(31)])  # both days in one file
    flip(data_file(written), 40)
    with pytest.raises(KantaError):
        put(written, {january(31): 9}, [january(31)])
    assert Lake(written).published().number == 3


def test_a_night_is_not_published_with_a_file_that_was_changed_since_its_stage(home: Home) -> None:
    names = "business_date, table_name, check_name, severity, success, observed, rows_checked"
    row = f"select * from (values (date '2026-01-31', 'a.b', 'rows', 'info', true, '', 1::bigint)) as t({names})"
    with stage(home, "sales", january(31)) as night:
        night.put(TABLE, row, [january(31)])
    lake = Lake(home)
    (file,) = lake.listed(TABLE, lake.head())
    flip(file, 40)
    with pytest.raises(KantaError, match="not as it was written"):
        publish(home, january(31), judge=NoJudge())
    assert lake.publications() == []


def test_nothing_is_sent_that_was_made_from_a_changed_file(
    written: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reads(night: Night) -> list[Version]:
        night.attach(TABLE)
        return []

    monkeypatch.setattr(view, "attach", reads)
    monkeypatch.setattr(view, "request", lambda *_: Distribution())
    with view.published(written, january(31), None, tmp_path / "work") as ready:
        assert ready.business_date == january(31)
    flip(data_file(written), 40)
    with (
        pytest.raises(KantaError, match="not as it was written"),
        view.published(written, january(31), None, tmp_path / "work"),
    ):
        pytest.fail("a package could be made")


def test_maintenance_does_not_write_a_changed_file_anew(home: Home) -> None:
    for day in (1, 2):
        put(home, {january(day): day}, [january(day)])
    checksums.forget()
    file = data_file(home)
    good = file.read_bytes()
    for at in range(4, len(good) - 8):  # a bit that leaves a file that can be read and says something else
        flip(file, at)
        try:
            if pq.read_table(file).num_rows == 1:
                break
        except (OSError, pa.ArrowException):
            pass
        flip(file, at)
    number = Lake(home).published().number
    with pytest.raises(KantaError):
        maintenance._compact(home, Lake(home))
    assert Lake(home).published().number == number


def test_a_version_of_before_there_were_checksums_is_read_and_verify_says_so(written: Home) -> None:
    lake = Lake(written)
    for path in [lake.head_file, *lake.publications(), *lake.directory(TABLE).glob("versions/*.json")]:
        document = json.loads(path.read_text())
        document.pop("checksum")
        document.pop("sha256", None)
        path.write_text(json.dumps(document, indent=1) + "\n")
    files = _files(written)
    assert (files.breaches, "before checksums were kept" in files.about) == (0, True)
    put(written, {january(30): 7}, [january(30)])
    assert found_by_verify(written) == []
    file = data_file(written)
    flip(file, 40)
    assert [row[1] for row in found_by_verify(written)] == [str(file)], "a file written since has one"


def test_a_file_that_is_rewritten_where_it_lies_is_right_before_and_after(written: Home) -> None:
    lake, file = Lake(written), data_file(written)
    fresh = file.with_name(".fresh.part")
    pq.write_table(pq.read_table(file), fresh, compression="none")
    before = file.read_bytes()
    lake.rewrite(TABLE, file, fresh)
    assert file.read_bytes() != before
    assert found_by_verify(written) == []
    file.write_bytes(before)  # as if the process had died before the file was in its place
    assert found_by_verify(written) == []
    flip(file, 40)
    assert [row[1] for row in found_by_verify(written)] == [str(file)]


def test_what_stores_were_sent_is_lost_when_it_was_changed_and_so_sent_in_full(tmp_path: Path) -> None:
    folder = tmp_path / "job" / "shared.000000000001"
    folder.mkdir(parents=True)
    target = tmp_path / "job" / ".shared.part"
    target.mkdir()
    pq.write_table(pa.table({"key": ["a"], "fingerprint": [1]}), target / "products.parquet")
    held._keep(tmp_path / "job", target, folder, [{"database": "", "since": 1, "layout": "x", "highest": 0}], 1)
    assert list(held._lines(tmp_path / "job", "shared")) == [""]
    for name in ("products.parquet", "lines.parquet"):
        flip(folder / name, 40)
        assert held._lines(tmp_path / "job", "shared") == {}, name
        flip(folder / name, 40)
    assert list(held._lines(tmp_path / "job", "shared")) == [""]


def test_verify_before_the_first_night_says_what_to_run(home: Home) -> None:
    with pytest.raises(KantaError, match="Nothing is published here yet"):
        verify.verify(home)
    assert State().tables == {}
