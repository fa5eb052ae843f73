"""Which programme judges which day: versions as seen night after night, and their canonical form."""

from __future__ import annotations

import json
from copy import deepcopy
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kanta.errors import BadProgramme, KantaError
from kanta.home import Home
from kanta.programme import Version, canonical, from_canonical, in_force, load, spans, versions
from kanta.programme.model import Programme
from tests.programme.conftest import VALID, Json

D = date.fromisoformat


def paying(points: int, effective_from: str | None = None) -> Json:
    """The valid programme with so many points for a dollar."""
    programme = deepcopy(VALID)
    programme["schemes"][0]["earning"][0]["points"] = points
    programme.pop("effective_from")
    return programme | ({"effective_from": effective_from} if effective_from else {})


def publish(folder: Path, programme: Json, history: str = "") -> None:
    place = folder / "history" / history if history else folder
    place.mkdir(parents=True, exist_ok=True)
    (place / "p.yaml").write_text(json.dumps(programme))


def night(folder: Path, recorded: list[Version], day: str) -> list[Version]:
    """What a run of the day sees, by way of what the lake would keep of it."""
    seen = versions(Home(folder.parent), recorded, D(day))
    assert seen[: len(recorded)] == recorded, "recorded versions never change"
    return [Version.recorded(version.effective_from, version.text, version.origin) for version in seen]


def told(seen: list[Version]) -> list[tuple[str, Any]]:
    """Date and points for a dollar of each version."""
    return [(str(version.effective_from), int(version.programme.schemes[0].earning[0].points)) for version in seen]


def judged(seen: list[Version], day: str) -> Any:
    return int(in_force(spans(seen), D(day)).version.programme.schemes[0].earning[0].points)


def test_a_programme_without_a_date_counts_from_the_first_run_that_sees_it_and_the_first_from_the_beginning(
    folder: Path,
) -> None:
    publish(folder, paying(1))
    seen = night(folder, [], "2026-01-10")
    assert told(seen) == [("2026-01-10", 1)]
    assert judged(seen, "2001-01-01") == 1
    publish(folder, paying(2))
    seen = night(folder, seen, "2026-01-15")
    assert told(seen) == [("2026-01-10", 1), ("2026-01-15", 2)]
    assert [judged(seen, day) for day in ("2026-01-14", "2026-01-15")] == [1, 2]


def test_an_unchanged_programme_is_no_new_version_on_any_night_also_earlier_ones(folder: Path) -> None:
    publish(folder, paying(1))
    seen = night(folder, [], "2026-01-10")
    publish(folder, paying(2))
    seen = night(folder, seen, "2026-01-15")
    for day in ("2026-01-16", "2026-01-05", "2027-01-01"):
        assert night(folder, seen, day) == seen


def test_writing_numbers_files_and_defaults_otherwise_changes_nothing(folder: Path) -> None:
    publish(folder, paying(1))
    seen = night(folder, [], "2026-01-10")
    programme = paying(1)
    programme["schemes"][0]["earning"][0] |= {"points": "1.00", "scaling": "proportional"}
    programme["parameters"] = {"loyalty_tender": "no_earn"}
    schemes = {"schemes": programme.pop("schemes")}
    publish(folder, programme)
    (folder / "schemes.yaml").write_text(json.dumps(schemes))
    assert night(folder, seen, "2026-02-01") == seen


def test_a_version_is_in_force_from_its_own_date_until_the_day_before_the_next(folder: Path) -> None:
    publish(folder, paying(1, "2026-01-01"))
    seen = night(folder, [], "2026-01-05")
    publish(folder, paying(2, "2026-03-01"))
    seen = night(folder, seen, "2026-01-20")
    assert [judged(seen, day) for day in ("2025-06-01", "2026-02-28", "2026-03-01", "2030-01-01")] == [1, 1, 2, 2]
    assert [(span.number, span.first, span.last) for span in spans(seen)] == [
        (1, None, D("2026-02-28")),
        (2, D("2026-03-01"), None),
    ]


def test_of_two_versions_for_one_date_the_one_seen_last_is_in_force(folder: Path) -> None:
    publish(folder, paying(1, "2026-01-01"))
    seen = night(folder, [], "2026-01-05")
    publish(folder, paying(9, "2026-03-01"))
    seen = night(folder, seen, "2026-01-20")
    publish(folder, paying(2, "2026-03-01"))
    seen = night(folder, seen, "2026-01-21")
    assert told(seen) == [("2026-01-01", 1), ("2026-03-01", 9), ("2026-03-01", 2)]
    assert [span.number for span in spans(seen)] == [1, 3]
    assert judged(seen, "2026-03-01") == 2


def test_going_back_to_an_older_programme_is_a_new_version(folder: Path) -> None:
    seen: list[Version] = []
    for day, points in (("2026-01-01", 1), ("2026-01-02", 2), ("2026-01-03", 1)):
        publish(folder, paying(points))
        seen = night(folder, seen, day)
    assert told(seen) == [("2026-01-01", 1), ("2026-01-02", 2), ("2026-01-03", 1)]


def test_moving_only_the_date_of_the_current_programme_is_a_new_version(folder: Path) -> None:
    publish(folder, paying(1, "2026-01-01"))
    seen = night(folder, [], "2026-01-05")
    publish(folder, paying(1, "2026-02-01"))
    assert told(night(folder, seen, "2026-01-06")) == [("2026-01-01", 1), ("2026-02-01", 1)]


def test_history_rebuilds_a_lake_from_nothing_as_night_after_night_made_it(folder: Path) -> None:
    publish(folder, paying(1))
    seen = night(folder, [], "2026-01-10")
    publish(folder, paying(1), history="2026-01-10")
    publish(folder, paying(2, "2026-02-01"))
    seen = night(folder, seen, "2026-01-20")
    assert told(seen) == [("2026-01-10", 1), ("2026-02-01", 2)], "a superseded version that is known is not seen again"
    rebuilt = night(folder, [], "2026-05-01")
    assert told(rebuilt) == told(seen)
    assert [version.origin for version in rebuilt] == ["history", "current"]
    assert night(folder, rebuilt, "2026-05-02") == rebuilt


def test_history_that_comes_later_is_added_and_the_current_programme_stays_the_same(folder: Path) -> None:
    publish(folder, paying(3))
    seen = night(folder, [], "2026-03-01")
    publish(folder, paying(1, "2026-01-01"), history="2026-01-01")
    seen = night(folder, seen, "2026-03-05")
    assert told(seen) == [("2026-03-01", 3), ("2026-01-01", 1)]
    assert [(span.number, span.first) for span in spans(seen)] == [(2, None), (1, D("2026-03-01"))]
    assert night(folder, seen, "2026-03-06") == seen


def test_history_that_differs_from_what_was_recorded_is_a_problem(folder: Path) -> None:
    publish(folder, paying(1))
    seen = night(folder, [], "2026-01-10")
    publish(folder, paying(7), history="2026-01-10")
    with pytest.raises(BadProgramme, match="differs from the version recorded for that date"):
        night(folder, seen, "2026-01-11")


@pytest.mark.parametrize("effective_from", [None, "2026-01-31"])
def test_a_current_programme_that_begins_before_its_history_is_a_problem(
    folder: Path, effective_from: str | None
) -> None:
    publish(folder, paying(2, effective_from))
    publish(folder, paying(1), history="2026-02-01")
    with pytest.raises(BadProgramme, match=r"effective_from: would be 2026-01-\d\d, before history/2026-02-01"):
        night(folder, [], "2026-01-10")


@pytest.mark.parametrize(
    ("history", "effective_from", "message"),
    [
        ("last-year", None, "must be named for its effective_from"),
        ("2026-01-01", "2026-01-02", "effective_from: must be the date its folder is named for"),
    ],
)
def test_a_history_folder_and_its_date_must_agree(
    folder: Path, history: str, effective_from: str | None, message: str
) -> None:
    publish(folder, paying(1))
    publish(folder, paying(1, effective_from), history=history)
    with pytest.raises(BadProgramme, match=message):
        night(folder, [], "2026-01-10")


def test_problems_of_the_programme_and_of_its_history_are_told_together(folder: Path) -> None:
    publish(folder, paying(1) | {"nonsense": 1})
    publish(folder, paying(1) | {"rubbish": 1}, history="2026-01-01")
    with pytest.raises(BadProgramme) as error:
        night(folder, [], "2026-01-10")
    assert [problem.split(": ")[1] for problem in error.value.problems] == ["rubbish", "nonsense"]


def test_a_recorded_version_this_release_cannot_read_says_what_to_do() -> None:
    with pytest.raises(KantaError, match="1 keys this release does not understand"):
        Version.recorded(D("2026-01-01"), '{"accounting_currency":"USD","newer":1}', "current")


# Properties

RFM = {
    "id": "r",
    "period": {"rolling": "3", "unit": "day"},
    "channels": ["all"],
    "binning": "quantile",
    "cut_offset": "0.50",
    "segments": [{"segment": "x"}],
}
AMOUNTS = st.decimals(min_value="0.01", max_value="999999999.99", places=2)
DATES = st.dates(date(1990, 1, 1), date(2090, 1, 1))


@st.composite
def programmes(draw: st.DrawFn) -> Json:
    """Programmes of the right shape, numbers and dates written as YAML would give them: as text."""
    points = draw(st.lists(st.from_regex(r"[A-Za-z0-9_.-]{1,8}", fullmatch=True), min_size=1, max_size=4, unique=True))
    rule = st.fixed_dictionaries(
        {
            "id": st.uuids().map(str),
            "activity": st.sampled_from(["purchase_amount", "purchase_quantity", "transaction_count"]),
            "per": AMOUNTS.map(str),
            "points": AMOUNTS.map(str),
            "reward_point": st.sampled_from(points),
        },
        optional={
            "category": st.text("ÄÖÅäöå €&/abc", min_size=1).filter(lambda text: text == text.strip()),
            "scaling": st.sampled_from(["whole_units", "proportional"]),
            "valid_from": DATES.map(str),
            "ignore_vesting": st.sampled_from(["true", "false", True, False]),
        },
    )
    return {
        "effective_from": draw(st.none() | DATES.map(str)),
        "accounting_currency": draw(st.sampled_from(["USD", "EUR"])),
        "parameters": draw(st.sampled_from([{}, {"post_per_sales_line": "false"}, {"transfer_expiry": "restart"}])),
        "reward_points": [{"id": id_, "type": "quantity", "maximum": str(draw(AMOUNTS))} for id_ in points],
        "schemes": [
            {"id": "s", "program": "p", "channels": ["all"], "earning": draw(st.lists(rule, max_size=3))},
        ],
        "rfm": draw(st.sampled_from([[], [RFM]])),
    }


@settings(max_examples=100, deadline=None)
@given(programmes())
def test_the_canonical_text_gives_the_same_programme_back(written: Json) -> None:
    programme = Programme.model_validate(written)
    text = canonical(programme)
    assert from_canonical(text) == programme
    assert canonical(from_canonical(text)) == text


def test_the_canonical_text_of_a_loaded_programme_is_what_its_yaml_says_not_how(folder: Path) -> None:
    publish(folder, VALID)
    loaded = load(folder)
    assert loaded == Programme.model_validate(VALID)
    assert from_canonical(canonical(loaded)) == loaded


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.dates(date(2026, 1, 1), date(2026, 2, 1)), st.integers(1, 9)), min_size=1, max_size=8))
def test_spans_cover_every_day_once_by_the_newest_start_seen_last(starts: list[tuple[date, int]]) -> None:
    seen = [Version.of(Programme.model_validate(paying(points)), start) for start, points in starts]
    all_spans = spans(seen)
    for offset in range(-3, 40):
        day = date(2026, 1, 1) + timedelta(days=offset)
        covering = [s for s in all_spans if (s.first or date.min) <= day and day <= (s.last or date.max)]
        assert covering == [in_force(all_spans, day)]
        begun = [start for start, _ in starts if start <= day]
        governing = max(begun) if begun else min(start for start, _ in starts)
        assert covering[0].number == max(number for number, (start, _) in enumerate(starts, 1) if start == governing)
