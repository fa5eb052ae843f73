"""What-if: another programme over the real facts, and a home that is afterwards as it was."""

from __future__ import annotations

import hashlib
import json
from datetime import date
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from kanta import cli, loyalty, simulate
from kanta.errors import BadArguments, BadProgramme
from kanta.home import Home
from tests.cases import laid_over, programme_of, write_programme
from tests.loyalty.test_cases import work
from tests.loyalty.test_decisions import EARN, case, sale

GOLD = {"id": "gold", "level": 2, "validity": "coming_year"}
GOLD["rules"] = [{"reward_point": "points", "minimum": 100, "window": "past_year"}]
FIRST = case(
    {"programs": [{"id": "club", "tiers": [GOLD]}]},
    {
        "hq/2026-01-01/hq": {"loyalty_cards": [{"card_id": "A"}, {"card_id": "B"}]},
        "pos/2026-01-05/S1": sale("T1", "50.00"),
        "pos/2026-02-06/S1": sale("T2", "8.00", loyalty_card_id="B"),
        "pos/2026-02-07/S1": sale("T3", "5.00"),
        "hq/2026-02-07/hq": {
            "loyalty_adjustments": [
                {"adjustment_id": "ADJ", "card_id": "B", "reward_point_id": "points", "points": "-3.00"}
                | {"business_date": "2026-02-07", "reason": "mistake"}
            ]
        },
    },
    "2026-02-07",
)


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with a history of two months, to be looked at."""
    with pytest.MonkeyPatch.context() as patch:
        from kanta.lake import Lake

        patch.setattr(Lake, "_to_iceberg", lambda *_: 0)
        home = Home(tmp_path_factory.mktemp("simulate") / "home")
        work(FIRST, home, each_night=False)
    return home


@pytest.fixture(scope="module")
def doubled(lived: Home) -> Path:
    """A programme that gives two points for one."""
    folder = lived.root.parent / "doubled"
    double = {"schemes": [{"id": "everywhere", "earning": [EARN | {"points": 2}]}]}
    write_programme(laid_over(programme_of(FIRST), double), folder)
    return folder


@pytest.fixture(scope="module")
def told() -> list[tuple[str, int, int]]:
    """What was said meanwhile of how far it is."""
    return []


@pytest.fixture(scope="module")
def found(lived: Home, doubled: Path, told: list[tuple[str, int, int]]) -> dict[str, Any]:
    before = contents(lived)
    result = simulate.simulate(lived, doubled, progress=lambda *step: told.append(step))
    assert contents(lived) == before
    assert before
    return result


def contents(home: Home) -> dict[str, str]:
    """Every file of the home with what it holds."""
    files = [path for path in home.root.rglob("*") if path.is_file()]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def figures(found: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {row["figure"]: (str(row["published"]), str(row["simulated"])) for row in found["totals"]}


def test_the_other_programme_judges_every_fact_and_the_home_stays_as_it_was(found: dict[str, Any]) -> None:
    got = figures(found)
    assert got["issued"] == ("63.00", "126.00")
    assert got["otherwise"] == ("-3.00", "-3.00"), "adjusted down"
    assert got["outstanding"] == ("60.00", "123.00")
    assert got["owed"] == ("60.00", "123.00"), "paying with a point gives 1.00"
    assert [(row["tier_id"], row["published"], row["simulated"]) for row in found["tiers"]] == [("gold", 0, 1)]
    (segment,) = found["segments"]
    assert (segment["cards"], segment["winners"], segment["losers"]) == (2, 2, 0)
    cards = [(row["card_id"], row["issued_published"], row["issued_simulated"]) for row in found["cards"]]
    assert cards == [("A", 55, 110), ("B", 8, 16)]
    months = [(row["month"], row["issued_simulated"], row["outstanding_simulated"]) for row in found["months"]]
    assert months == [(date(2026, 1, 1), 100, 100), (date(2026, 2, 1), 26, 123)]


@pytest.mark.usefixtures("found")
def test_who_waits_is_told_how_far_it_is(told: list[tuple[str, int, int]]) -> None:
    assert [step for step in told if step[0] == "simulation"] == [("simulation", done, 2) for done in range(3)]


def test_a_period_counts_what_falls_in_it_and_holds_what_came_before(lived: Home, doubled: Path) -> None:
    got = figures(simulate.simulate(lived, doubled, date(2026, 2, 1), date(2026, 2, 6)))
    assert (got["before"], got["issued"]) == (("50.00", "100.00"), ("8.00", "16.00"))
    assert got["outstanding"] == ("58.00", "116.00")
    with pytest.raises(BadArguments, match="is after"):
        simulate.simulate(lived, doubled, date(2026, 3, 1))


def test_the_same_programme_changes_nothing(lived: Home) -> None:
    same = simulate.simulate(lived, lived.programme)
    assert [row for row in same["totals"] if row["change"]] == []
    assert (same["cards"], [row["winners"] for row in same["segments"]]) == ([], [0])
    assert "No card would have been issued anything else." in simulate.text(same)


def test_a_wrong_programme_and_a_home_without_nights_are_refused(lived: Home, home: Home, tmp_path: Path) -> None:
    write_programme(laid_over(programme_of(FIRST), {"surprise": 1}), tmp_path / "wrong")
    with pytest.raises(BadProgramme):
        simulate.simulate(lived, tmp_path / "wrong")
    with pytest.raises(BadArguments, match="Nothing is published"):
        simulate.simulate(home, lived.programme)


def test_stopping_it_leaves_nothing_behind(
    lived: Home, doubled: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    before = contents(lived)
    monkeypatch.setattr(loyalty, "derive", stopped)
    monkeypatch.setenv("KANTA_HOME", str(lived.root))
    assert cli.main(["simulate", "--programme", str(doubled)]) == cli.FAILED
    assert "Stopped" in capsys.readouterr().err
    assert contents(lived) == before
    assert not list((lived.lake / "work").glob("simulate.*"))


class Elements(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_shows_hostile_names_as_text_and_loads_nothing(found: dict[str, Any]) -> None:
    name = '"><img src=x onerror=alert(1)><script>{{ 7 * 7 }}</script>'
    named = {"card_id", "segment", "tier_id", "program_id", "reward_point_id", "tier_simulated"}
    hostile = {
        key: [{k: name if k in named else v for k, v in row.items()} for row in value]
        if isinstance(value, list)
        else value
        for key, value in found.items()
    }
    usual, page = Elements(simulate.html(found)), Elements(simulate.html(hostile | {"programme": name}))
    assert page.text.count(name) >= 8
    assert {tag for tag, _ in page.found} == {tag for tag, _ in usual.found}
    assert not [a for _, attributes in page.found for a in attributes if a in ("src", "href") or a.startswith("on")]
    assert "svg" in {tag for tag, _ in usual.found}


def test_the_result_is_one_document_for_a_script(
    lived: Home, doubled: Path, found: dict[str, Any], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], tmp_path: Path,
) -> None:  # fmt: skip
    monkeypatch.setenv("KANTA_HOME", str(lived.root))
    monkeypatch.setattr(simulate, "simulate", lambda *_: found)
    page = tmp_path / "page.html"
    assert cli.main(["simulate", "--programme", str(doubled), "--json", "--output", str(page)]) == cli.DONE
    document = json.loads(capsys.readouterr().out)
    assert [row["simulated"] for row in document["totals"] if row["figure"] == "issued"] == ["126.00"]
    assert "<svg" in page.read_text(encoding="utf-8")
