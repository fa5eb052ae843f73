"""Nights: run again, in any order, broken anywhere, two at once; the published lake is whole and the same."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kanta import night, verify
from kanta.home import Home
from kanta.lake import Lake
from tests.conftest import NoJudge
from tests.night import history
from tests.night.history import DAYS


class Killed(BaseException):
    """The process is gone: nothing after it runs but what the operating system does."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The history worked in one run, which all other ways must equal."""
    found = Home(tmp_path_factory.mktemp("whole"))
    history.write(found)
    night.run(found, DAYS[0], DAYS[-1], judge=NoJudge())
    return found


@contextmanager
def killed_at(monkeypatch: pytest.MonkeyPatch, calls: int) -> Iterator[list[int]]:
    """Dies at the given call among all that change the lake on disk: commits, head moves, publications."""
    count = [0]

    def dying(name: str) -> None:
        original = getattr(Lake, name)

        def call(*arguments: object, **named: object) -> object:
            count[0] += 1
            if count[0] == calls:
                raise Killed(name)
            return original(*arguments, **named)

        patch.setattr(Lake, name, call)

    with monkeypatch.context() as patch:
        for name in ("commit", "move_head", "publish"):
            dying(name)
        yield count


def test_the_history_exercises_every_kind_of_entry_a_late_fact_and_an_exception(whole: Home) -> None:
    kinds = {row[3] for row in history.sums(whole)}
    assert kinds >= {"earn", "redeem", "return_earned", "expire"}
    reasons = {row[2] for row in history.contents(whole)["loyalty.exceptions"]}
    assert reasons == {"unknown_card", "overdrawn"}
    assert history.contents(whole)["rfm.scores"]


def test_invariants_hold_and_a_replay_gives_the_same(whole: Home) -> None:
    assert [(r.about, r.examples) for r in verify.verify(whole, everything=True) if r.breaches] == []


def test_running_a_night_again_changes_nothing(home: Home, no_judge: NoJudge) -> None:
    history.write(home)
    night.run(home, DAYS[0], DAYS[-1], judge=no_judge)
    before = Lake(home).head().of_the_night(), [p.name for p in Lake(home).publications()]
    night.run(home, DAYS[0], DAYS[-1], judge=no_judge)
    night.run(home, DAYS[2], DAYS[2], judge=no_judge)
    assert (Lake(home).head().of_the_night(), [p.name for p in Lake(home).publications()]) == before
    sequences = {path.name for path in home.outbox.glob("*/1050/*")}
    assert sequences == {"00000001"}


def test_night_after_night_equals_one_run_and_a_late_fact_is_posted_as_a_correction(
    home: Home, no_judge: NoJudge, whole: Home
) -> None:
    for day in DAYS:
        history.write(home, only=day)
        night.run(home, day, day, judge=no_judge)
    assert history.contents(home) == history.contents(whole)
    assert history.sums(home) == history.sums(whole)
    assert [(r.about, r.examples) for r in verify.verify(home, everything=True) if r.breaches] == []


@pytest.mark.parametrize("order", [(4, 3, 2, 1, 0), (1, 0, 4, 2, 3)], ids=str)
def test_dates_in_any_order_give_the_same(order: tuple[int, ...], home: Home, no_judge: NoJudge, whole: Home) -> None:
    history.write(home)
    for place in order:
        night.run(home, DAYS[place], DAYS[place], judge=no_judge)
    assert history.contents(home) == history.contents(whole)
    assert history.sums(home) == history.sums(whole)


def test_a_reader_of_an_earlier_night_sees_the_lake_as_it_stood_then(home: Home, no_judge: NoJudge) -> None:
    seen = {}
    for day in DAYS:
        history.write(home, only=day)
        night.run(home, day, day, judge=no_judge)
        seen[day] = Lake(home).published().tables
    assert {day: Lake(home).published(day).tables for day in DAYS} == seen
    assert len({str(tables) for tables in seen.values()}) == len(DAYS)


@pytest.mark.slow
def test_a_night_killed_at_any_change_of_the_lake_is_right_after_a_rerun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: Home
) -> None:
    home, kept = Home(tmp_path / "home"), tmp_path / "kept"
    for day in DAYS[:2]:
        history.write(home, only=day)
    night.run(home, DAYS[0], DAYS[1], judge=NoJudge())
    before = history.contents(home)
    for day in DAYS[2:]:
        history.write(home, only=day)
    shutil.copytree(home.root, kept)
    for calls in itertools.count(1):
        shutil.rmtree(home.root)
        shutil.copytree(kept, home.root)
        try:
            with killed_at(monkeypatch, calls) as count:
                night.run(home, DAYS[2], DAYS[-1], judge=NoJudge())
        except Killed:
            seen = history.contents(home)
            assert seen in (before, history.contents(whole)), f"readers saw half a night after change {calls}"
            night.run(home, DAYS[2], DAYS[-1], judge=NoJudge())
            assert history.contents(home) == history.contents(whole), f"not right after a kill at change {calls}"
            assert history.sums(home) == history.sums(whole)
        else:
            assert count[0] == calls - 1 > 20
            break
