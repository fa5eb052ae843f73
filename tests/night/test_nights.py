"""Nights: run again, in any order, broken anywhere, two at once; the published lake is whole and the same."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from hashlib import sha256
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyiceberg.table import Transaction

from kanta import contracts, loyalty, night, quality, reading, slices, verify
from kanta.home import Home
from kanta.lake import Lake, State
from tests.conftest import NoJudge
from tests.feed import write_drop
from tests.night import history
from tests.night.history import DAYS

pytestmark = pytest.mark.slow  # whole nights


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The history worked in one run, which all other ways must equal."""
    found = Home(tmp_path_factory.mktemp("whole"))
    history.write(found)
    night.run(found, DAYS[0], DAYS[-1], judge=NoJudge())
    return found


def test_the_history_exercises_every_kind_of_entry_a_late_fact_and_an_exception(whole: Home) -> None:
    kinds = {row[3] for row in history.sums(whole)}
    assert kinds >= {"earn", "redeem", "return_earned", "expire"}
    reasons = {row[2] for row in history.contents(whole)["loyalty.exceptions"]}
    assert reasons == {"unknown_card", "overdrawn"}
    assert history.contents(whole)["rfm.scores"]


def test_invariants_hold_and_a_replay_gives_the_same(whole: Home) -> None:
    assert [(r.about, r.examples) for r in verify.verify(whole, everything=True) if r.breaches] == []


def test_running_a_night_again_changes_nothing(whole: Home, no_judge: NoJudge) -> None:
    before = Lake(whole).head().of_the_night(), [p.name for p in Lake(whole).publications()]
    night.run(whole, DAYS[0], DAYS[-1], judge=no_judge)
    night.run(whole, DAYS[2], DAYS[2], judge=no_judge)
    assert (Lake(whole).head().of_the_night(), [p.name for p in Lake(whole).publications()]) == before
    assert {path.name for path in whole.outbox.glob("*/1050/*")} == {"00000001"}


def test_a_home_from_before_a_contract_gained_columns_goes_on(
    home: Home, no_judge: NoJudge, whole: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract = contracts.contract_of("sales.documents")
    fewer = tuple(column for column in contract.columns if column.name != "voided_by")
    history.write(home, only=DAYS[0])
    night.run(home, DAYS[0], DAYS[0], judge=no_judge)
    lake = Lake(home)
    for number, file in enumerate(lake.files(contract.name, lake.head())):
        pq.write_table(
            pq.read_table(file, partitioning=None).drop_columns("voided_by"), home.root / f"{number}.parquet"
        )
        lake.rewrite(contract.name, file, home.root / f"{number}.parquet")
    with monkeypatch.context() as before:
        before.setitem(contracts.lake(), contract.name, replace(contract, columns=fewer))
        lake.tell_iceberg_again([contract.name])
    for day in DAYS[1:]:
        history.write(home, only=day)
        night.run(home, day, day, judge=no_judge)
    assert history.contents(home) == history.contents(whole)
    assert [(r.about, r.examples) for r in verify.verify(home, everything=True) if r.breaches] == []
    assert "voided_by" in Lake(home).catalog.load_table(contract.name).schema().column_names


@pytest.mark.usefixtures("without_iceberg")
def test_what_a_corrected_drop_takes_back_whole_leaves_entries_of_nothing_and_no_breach(
    home: Home, no_judge: NoJudge
) -> None:
    history.write(home, only=DAYS[0])
    history.write(home, only=DAYS[1])
    night.run(home, DAYS[0], DAYS[1], judge=no_judge)
    write_drop(home, "pos", DAYS[0], "S2", history.bought("T3", "never used", "15.00"), revision=2)
    write_drop(home, "pos", DAYS[0], "S1", history.bought("T2", "B", "20.00", customer_id="K2"), revision=2)
    write_drop(home, "pos", DAYS[1], "S1", history.bought("T5", "B", "12.00"), revision=2)
    night.run(home, DAYS[2], DAYS[2], judge=no_judge)
    nothing = {(card, point) for card, point, points in points_of(home) if not points}
    assert nothing == {("A", "points"), ("A", "status")}, points_of(home)
    assert [(r.about, r.examples) for r in verify.verify(home, everything=True) if r.breaches] == []


def points_of(home: Home) -> list[tuple[str, str, Decimal]]:
    """What each card's entries come to."""
    with reading.open_lake(home, ["loyalty.entries"])[0] as engine:
        return engine.rows(
            "select card_id, reward_point_id, sum(points) from loyalty.entries group by all order by all"
        )


def test_night_after_night_equals_one_run_and_a_reader_of_an_earlier_night_sees_the_lake_as_it_stood_then(
    home: Home, no_judge: NoJudge, whole: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loyalty, "CHECKPOINT_AT_LEAST", 0)
    monkeypatch.setattr(slices, "DOCUMENTS", 1)  # every account by itself
    seen = {}
    for day in DAYS:  # the fourth brings a late sale, which is posted as a correction
        history.write(home, only=day)
        night.run(home, day, day, judge=no_judge)
        seen[day] = Lake(home).published().tables
    assert history.contents(home) == history.contents(whole)
    assert history.sums(home) == history.sums(whole)
    assert [(r.about, r.examples) for r in verify.verify(home, everything=True) if r.breaches] == []
    assert "checkpoint" in Lake(home).head().marks
    assert "checkpoint" not in Lake(whole).head().marks
    assert {day: Lake(home).published(day).tables for day in DAYS} == seen
    assert len({str(tables) for tables in seen.values()}) == len(DAYS)


@pytest.mark.usefixtures("without_iceberg")
@pytest.mark.parametrize("order", [(1, 0, 4, 2, 3)], ids=str)
def test_dates_in_any_order_give_the_same(order: tuple[int, ...], home: Home, no_judge: NoJudge, whole: Home) -> None:
    history.write(home)
    for place in order:
        night.run(home, DAYS[place], DAYS[place], judge=no_judge)
    assert history.contents(home) == history.contents(whole)
    assert history.sums(home) == history.sums(whole)


class Killed(BaseException):
    """The process is gone: nothing after it runs but what the operating system does."""


@contextmanager
def killed_at(monkeypatch: pytest.MonkeyPatch, steps: int) -> Iterator[list[str]]:
    """Dies at the given step of all that change what lies on disk for good: a file renamed, an Iceberg commit."""
    taken: list[str] = []

    def dying(owner: type, name: str) -> None:
        original = getattr(owner, name)

        def step(*arguments: object, **named: object) -> object:
            taken.append(f"{name} {arguments[-1]}")
            if len(taken) == steps:
                raise Killed
            return original(*arguments, **named)

        patch.setattr(owner, name, step)

    with monkeypatch.context() as patch:
        dying(Path, "replace")
        dying(Transaction, "commit_transaction")
        yield taken


def hashes(lake: Lake, state: State) -> dict[str, list[str]]:
    """The content of each table's files, but of those that tell of the runs themselves."""
    tables = [table for table in state.tables if not table.startswith("ops.")]
    return {table: [sha256(file.read_bytes()).hexdigest() for file in lake.files(table, state)] for table in tables}


def as_it_lies(home: Home) -> tuple[object, ...]:
    """What the night has come to so far: how far each stage is, what tables hold, what is published."""
    lake = Lake(home)
    return lake.head().through, hashes(lake, lake.head()), [path.name for path in lake.publications()]


def test_a_stage_killed_at_any_step_leaves_readers_on_last_night_and_its_rerun_ends_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, kept = Home(tmp_path / "home"), tmp_path / "kept"
    for day in DAYS[:2]:
        history.write(home, only=day)
    night.run(home, DAYS[0], DAYS[1], judge=NoJudge())
    last_night = hashes(Lake(home), Lake(home).published())
    for day in DAYS[2:]:
        history.write(home, only=day)
    monkeypatch.setattr(quality, "Judge", NoJudge)
    deaths = 0
    for stage in (*night.STAGES, "publish"):
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(home.root, kept)
        with killed_at(monkeypatch, 0) as steps:
            night.run_stage(home, stage, DAYS[-1])
        whole = as_it_lies(home)
        shutil.rmtree(home.root)
        shutil.copytree(kept, home.root)
        # Each try is a rerun after the death before it, and dies later. A publication tells Iceberg of one table after
        # the other: it dies at the first of them, at one in the middle, and at each step that ends it.
        last = len(steps)
        some = {1, last // 2, *range(last - 3, last + 1)} if stage == "publish" else range(1, last + 1)
        for step in sorted(some):
            with killed_at(monkeypatch, step) as taken, pytest.raises(Killed):
                night.run_stage(home, stage, DAYS[-1])
            deaths += 1
            if len(Lake(home).publications()) == 1:
                seen = hashes(Lake(home), Lake(home).published())
                assert seen == last_night, f"{stage}: half a night is seen after {taken}"
        night.run_stage(home, stage, DAYS[-1])
        assert as_it_lies(home) == whole, f"{stage}: not the same after deaths up to step {last}"
    assert deaths > 30
    assert [(r.about, r.examples) for r in verify.verify(home, everything=True) if r.breaches] == []


#: Works a night in a process of its own, which the system kills at a step, or which may write only small files.
HARD = """
import os, resource, signal, sys
from pyiceberg.table import Transaction
from kanta import cli, lake, quality
from tests.conftest import NoJudge

what, at, day = sys.argv[1], int(sys.argv[2]), sys.argv[3]
quality.Judge = NoJudge
if what == "full":
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (at, resource.RLIM_INFINITY))
else:
    owner, name = {"change": (lake.Lake, "change"), "commit": (Transaction, "commit_transaction")}[what]
    original, steps = getattr(owner, name), iter(range(1, 1000))
    def step(*arguments):
        if next(steps) == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments)
    setattr(owner, name, step)
sys.exit(cli.main(["run", "--date", day]))
"""


def test_a_process_killed_by_the_system_or_out_of_disk_loses_nothing_and_its_rerun_is_right(
    tmp_path: Path, whole: Home
) -> None:
    home = Home(tmp_path / "home")
    history.write(home)

    def work(what: str, at: int) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", HARD, what, str(at), DAYS[-1].isoformat()]
        return subprocess.run(
            command, env=os.environ | {"KANTA_HOME": str(home.root)}, check=False, capture_output=True, text=True
        )

    full = work("full", 2_000)
    assert full.returncode == 1
    assert "next:" in full.stderr
    assert "Traceback" not in full.stderr
    for what, at in (("change", 8), ("commit", 5)):
        died = work(what, at)
        assert died.returncode == -signal.SIGKILL, (what, at, died.stderr)
        assert not Lake(home).publications()
    ended = work("change", 1000)
    assert ended.returncode == 0, ended.stderr
    assert history.contents(home) == history.contents(whole)
    assert history.sums(home) == history.sums(whole)
    assert [(r.about, r.examples) for r in verify.verify(home) if r.breaches] == []
