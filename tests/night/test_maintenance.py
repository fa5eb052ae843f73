"""Maintenance, and homes that were moved: readers notice nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kanta import maintenance, night, verify
from kanta.errors import KantaError
from kanta.home import Home
from kanta.lake import Lake
from tests.conftest import NoJudge
from tests.night import history
from tests.night.history import DAYS

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def worked(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Three nights, the first drop of them corrected in the last, so that partitions lie in several files."""
    found = Home(tmp_path_factory.mktemp("worked"))
    for day in (DAYS[0], DAYS[1], DAYS[3]):
        history.write(found, only=day)
        night.run(found, day, day, judge=NoJudge())
    return found


@pytest.fixture
def mine(worked: Home, tmp_path: Path) -> Home:
    """A copy of it elsewhere, as after a restore from a backup."""
    shutil.copytree(worked.root, tmp_path / "mine")
    return Home(tmp_path / "mine")


def files(home: Home) -> int:
    lake = Lake(home)
    return sum(len(lake.files(table, lake.published())) for table in lake.published().tables)


def breaches(home: Home) -> list[object]:
    return [(found.about, found.examples) for found in verify.verify(home) if found.breaches]


def test_compaction_merges_files_keeps_every_row_and_done_again_does_nothing(mine: Home) -> None:
    night.run(mine, DAYS[4], DAYS[4], judge=NoJudge())
    before, rows = files(mine), history.contents(mine)
    done = maintenance.run(mine)
    assert done["partitions compacted"] > 0
    assert files(mine) < before
    assert history.contents(mine) == rows
    assert breaches(mine) == []
    again = maintenance.run(mine)
    assert again["partitions compacted"] == 0
    assert again["files removed"] == 0


def test_expiry_keeps_the_asked_publications_and_removes_what_only_older_ones_read(mine: Home) -> None:
    history.write(mine, only=DAYS[4])
    night.run(mine, DAYS[4], DAYS[4], judge=NoJudge())
    rows = history.contents(mine)
    done = maintenance.run(mine, keep=2)
    assert len(Lake(mine).publications()) == 2
    assert done["publications dropped"] > 0
    assert done["files removed"] > 0
    assert Lake(mine).published(DAYS[4]).night == DAYS[4]
    with pytest.raises(KantaError, match="night of 2026-01-05 is not kept"):
        Lake(mine).published(DAYS[0])
    assert history.contents(mine) == rows
    assert breaches(mine) == []


def test_a_night_half_way_is_left_alone(mine: Home) -> None:
    history.write(mine, only=DAYS[4])
    night.run_stage(mine, "ingest_pos", DAYS[4])
    head = Lake(mine).head()
    assert maintenance.run(mine)["partitions compacted"] == 0
    assert Lake(mine).head() == head
    night.run(mine, DAYS[4], DAYS[4], judge=NoJudge())
    assert breaches(mine) == []


def test_a_home_brought_back_elsewhere_reads_at_once_and_goes_on_without_its_old_place(
    worked: Home, mine: Home
) -> None:
    before = {path: path.stat().st_mtime_ns for path in worked.lake.rglob("*")}
    assert history.contents(mine) == history.contents(worked)
    assert [found.examples[0][1] for found in verify.verify(mine) if found.breaches] == [str(worked.lake)]
    history.write(mine, only=DAYS[4])
    night.run(mine, DAYS[4], DAYS[4], judge=NoJudge())
    maintenance.run(mine)
    assert breaches(mine) == []
    assert {path: path.stat().st_mtime_ns for path in worked.lake.rglob("*")} == before
