"""The demo: works every night of the sample once, makes only its own things anew, says what came out."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kanta import cli, contracts, demo, quality
from kanta.errors import BadArguments
from kanta.home import Home
from kanta.reading import open_lake
from tests.conftest import NoJudge

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
        ("2026-11-10", "2026-11-20"),
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


def test_a_folder_that_is_only_a_link_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").touch()
    (tmp_path / demo.MARKER).touch()
    (tmp_path / "lake").symlink_to(tmp_path / "mine")
    with pytest.raises(BadArguments, match="This home holds lake"):
        demo.run(Home(tmp_path))
    assert (tmp_path / "mine" / "file").exists()


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
    sent = {drop.parts[-3:] for drop in (*demo.SAMPLE.glob("landing/*/*/*"), *demo.SAMPLE.glob("late/*/*/*/*"))}
    assert {drop.parts[-3:] for drop in home.landing.glob("*/*/*")} == sent
    assert not list(home.landing.rglob("of-revision-1.csv"))


OUTCOME = demo.Outcome(
    home=Path("home"), report=Path("home/reports/2026-11-20.html"), first=FIRST, last=FIRST + timedelta(days=18),
    runs=4, dags=["ingest_pos", "loyalty"], seconds=12.3, rows=(1000, 990, 8, 1), made=(70, 800, 1600),
    quarantine={"a comma in a number": 8}, exceptions={"no rule": 2},
    points={"points": (Decimal("1600.00"), Decimal("80.00"), Decimal(0), Decimal("1520.00"))},
    tiers={"club": {"gold": 3, "basic": 9}}, segments={"retail": {"Champions": 8, "Lost": 4, "New": 0}},
    packages={"applied": 3}, to_try=[("kanta explain card A", "a card")],
)  # fmt: skip


def test_the_summary_says_what_came_in_and_out_and_where_to_look() -> None:
    assert demo.text(OUTCOME).split("\n") == [
        "",
        "Kanta worked 19 nights, 2026-11-02 to 2026-11-20, in 4 runs and 12 s.",
        "The last night went through the DAGs ingest_pos, loyalty; each run succeeded.",
        "",
        "Rows        1,000 came in: 990 accepted, 8 set aside, 1 known before, 1 lost",
        "            70 receipts and orders of 800 lines made 1,600 ledger entries",
        "Quarantine  8 rows and files are still set aside, all of them on purpose:",
        "                8  a comma in a number",
        "            and 2 sales stand whose points wait:",
        "                2  no rule",
        "Points                      issued        used     expired   outstanding",
        "            points        1,600.00       80.00           0      1,520.00",
        "Tiers       club: 3 gold, 9 basic",
        f"Segments    {'Champions':<20}{'█' * 32}     8",
        f"            {'Lost':<20}{'█' * 16:<32}     4",
        f"            {'New':<20}{'':<32}     0",
        "Packages    the newest of each store and job: 3 applied",
        "Report      home/reports/2026-11-20.html",
        "",
        "Try next",
        "  kanta explain card A",
        "      a card",
    ]


def test_a_summary_of_a_programme_without_analyses_is_whole() -> None:
    bare = replace(OUTCOME, dags=[], segments={}, tiers={}, points={})
    assert "DAGs" not in demo.text(bare)


@pytest.fixture
def sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sample's first twelve days as two runs: on the last day a drop comes late."""
    last = date(2017, 11, 10)
    for part in ("landing", "late"):
        ignore = partial(_after, last)
        shutil.copytree(demo.SAMPLE / part, tmp_path / "sample" / part, ignore=ignore)
    monkeypatch.setattr(demo, "SAMPLE", tmp_path / "sample")
    monkeypatch.setattr(demo, "SINGLE_NIGHTS", 1)


def _after(last: date, folder: str, names: list[str]) -> list[str]:
    return [name for name in names if re.fullmatch(r"\d{4}-\d\d-\d\d", name) and date.fromisoformat(name) > last]


@pytest.mark.slow
@pytest.mark.usefixtures("sample", "without_iceberg")
def test_the_demo_ends_well_and_stores_hold_what_the_lake_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path / "home")
    monkeypatch.setattr(quality, "Judge", NoJudge)
    assert cli.main(["demo", "--home", str(home.root), "--json"]) == 0
    outcome = json.loads(capsys.readouterr().out)
    came, *became = outcome["rows"]
    assert came == sum(became) > 0
    assert outcome["runs"] == 2
    assert outcome["quarantine"], "the sample's bad rows are not in quarantine"
    assert outcome["packages"]["applied"] >= demo.STORES
    assert Path(outcome["report"]).read_text().startswith("<!doctype html>")
    _stores_hold_what_the_lake_says(home)
    assert _empty_tables(home) == {"call_center.notices", "call_center.price_matches"}, "those come after twelve days"


def _empty_tables(home: Home) -> set[str]:
    names = [name for name in contracts.lake() if name.split(".")[0] in ("customers", "call_center", "marketing")]
    engine, _ = open_lake(home, names)
    with engine:
        return {name for name in names if not engine.value(f"select count(*) from {name}")}


def _stores_hold_what_the_lake_says(home: Home) -> None:
    engine, _ = open_lake(home, ["loyalty.balances"])
    with engine:
        sums = "select card_id, program_id, reward_point_id, available + unvested from loyalty.balances"
        held = {row[:3]: row[3] for row in engine.rows(sums)}
    databases = sorted((home.root / "stores").glob("*.duckdb"))
    assert len(databases) == demo.STORES
    for database in databases:
        with duckdb.connect(database, read_only=True) as con:
            rows = con.execute("select card_id, program_id, reward_point_id, available + unvested from card_balances")
            told = rows.fetchall()
        assert told
        assert not [row for row in told if held[row[:3]] != row[3]]
