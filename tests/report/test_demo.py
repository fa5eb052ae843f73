"""The demo: works every night of the sample once, makes only its own things anew, says what came out."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kanta import cli, demo
from kanta.errors import BadArguments
from kanta.home import Home
from kanta.reading import open_lake

FIRST = date(2026, 11, 2)
DAYS = st.integers(0, 60).map(lambda days: FIRST + timedelta(days=days))


@given(DAYS, st.lists(DAYS))
def test_every_night_is_worked_once_and_in_order(last: date, arrivals: list[date]) -> None:
    legs = demo.plan(FIRST, last, arrivals)
    nights = [leg.first + timedelta(days=n) for leg in legs for n in range((leg.last - leg.first).days + 1)]
    assert nights == [FIRST + timedelta(days=n) for n in range((last - FIRST).days + 1)]


def test_what_comes_late_finds_the_nights_before_it_worked_and_the_last_nights_are_worked_one_by_one() -> None:
    late, last = FIRST + timedelta(days=8), FIRST + timedelta(days=20)
    legs = [(str(leg.first), str(leg.last)) for leg in demo.plan(FIRST, last, [late])]
    assert legs == [
        ("2026-11-02", "2026-11-09"),
        ("2026-11-10", "2026-11-19"),
        ("2026-11-20", "2026-11-20"),
        ("2026-11-21", "2026-11-21"),
        ("2026-11-22", "2026-11-22"),
    ]


def test_every_day_of_the_sample_is_in_the_plan_also_what_comes_late() -> None:
    first, last = demo._span(demo.SAMPLE / "landing")
    late = demo._dates(demo.SAMPLE / "late")
    assert (first, last) == (date(2017, 10, 30), date(2017, 12, 10))
    assert late
    assert {leg.first for leg in demo.plan(first, last, late)} >= set(late)


@pytest.mark.parametrize("folder", demo.FOLDERS)
def test_a_home_that_the_demo_did_not_build_is_left_alone(tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "mine").write_text("x")
    with pytest.raises(BadArguments, match="which the demo did not make"):
        demo.run(Home(tmp_path))
    assert [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*"))] == [folder, f"{folder}/mine"]


def test_a_home_whose_lake_is_elsewhere_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "programme").mkdir()
    (tmp_path / "programme" / "settings.yaml").write_text("lake: ../mine\n")
    with pytest.raises(BadArguments, match=r"settings\.yaml puts lake elsewhere"):
        demo.run(Home(tmp_path))


def test_building_anew_removes_what_the_demo_made_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / demo.MARKER).touch()
    (tmp_path / "lake").mkdir()
    for kept in ("programme/programme.yaml", "notes/mine.txt"):
        (tmp_path / kept).parent.mkdir()
        (tmp_path / kept).write_text("{}")
    demo._fresh(Home(tmp_path))
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert left == [demo.MARKER, "notes/mine.txt", "programme/programme.yaml"]
    assert not (tmp_path / "lake").exists()


def test_a_drop_that_comes_again_replaces_the_drop_as_a_whole(tmp_path: Path) -> None:
    home = Home(tmp_path)
    for day in demo._dates(demo.SAMPLE / "late"):
        for drop in (demo.SAMPLE / "late" / str(day)).glob("*/*/*"):
            place = home.landing.joinpath(*drop.parts[-3:])
            place.mkdir(parents=True)
            (place / "of-revision-1.csv").touch()
    demo._deliver(home, demo.Leg(*demo._span(demo.SAMPLE / "landing")))
    assert len(list(home.landing.glob("*/*/*"))) == 498
    assert not list(home.landing.rglob("of-revision-1.csv"))


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The sample's first twelve days, on the last of which a drop comes late."""
    folder, last = tmp_path_factory.mktemp("sample"), date(2017, 11, 10)
    for part in ("landing", "late"):
        shutil.copytree(
            demo.SAMPLE / part, folder / part, ignore=lambda _, names: [n for n in names if _after(n, last)]
        )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "SAMPLE", folder)
        yield folder


def _after(name: str, last: date) -> bool:
    return bool(re.fullmatch(r"\d{4}-\d\d-\d\d", name)) and date.fromisoformat(name) > last


@pytest.mark.slow
def test_the_demo_ends_well_and_a_second_time_the_same(
    sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(tmp_path / "home")
    outcomes = []
    for _ in range(2):
        assert cli.main(["demo", "--home", str(home.root), "--json"]) == 0
        outcomes.append(json.loads(capsys.readouterr().out))
    for outcome in outcomes:
        del outcome["seconds"]
    assert outcomes[0] == outcomes[1]
    (outcome, _) = outcomes
    assert (outcome["nights"], outcome["runs"]) == (12, 4)
    rows = outcome["rows"]
    assert rows["rows_in"] == rows["accepted"] + rows["refused"] + rows["repeated"] > 0
    assert outcome["quarantine"], "the sample's bad rows are not in quarantine"
    assert outcome["packages"]["applied"] == demo.STORES
    assert Path(outcome["report"]).read_text().startswith("<!doctype html>")
    _stores_hold_what_the_lake_says(home)
    assert "Try next" in demo.text({**outcome, "seconds": 1})


def _stores_hold_what_the_lake_says(home: Home) -> None:
    engine, _ = open_lake(home, ["loyalty.balances"])
    with engine:
        held = {
            row[:2]: row[2] for row in engine.rows("select card_id, reward_point_id, available from loyalty.balances")
        }
    databases = sorted((home.root / "stores").glob("*.duckdb"))
    assert len(databases) == demo.STORES
    for database in databases:
        with duckdb.connect(database, read_only=True) as con:
            rows = con.execute("select card_id, reward_point_id, available from card_balances").fetchall()
        assert rows
        assert not [row for row in rows if held[row[:2]] != row[2]]
