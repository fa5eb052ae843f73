"""The worked cases' programmes are right programmes: all load, but for what no engine carries out yet."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from kanta.home import Home
from kanta.programme import Version, canonical, from_canonical, load, versions
from kanta.programme.model import Programme
from kanta.programme.segments import TRIPLES, segment_map
from tests.cases import CASES, _read, bases, cases, programme_of, write_programmes

ALL = {f"{kind}/{name}": case for kind in ("loyalty", "rfm") for name, case in cases(kind).items()}


def test_there_are_cases() -> None:
    assert len(ALL) > 100, sorted(ALL)


@pytest.mark.parametrize("name", ALL)
def test_a_case_is_a_right_programme_with_a_canonical_text(name: str, tmp_path: Path) -> None:
    case = ALL[name]
    write_programmes(case, tmp_path / "programme")
    load(tmp_path / "programme")
    seen = versions(Home(tmp_path), [], date.fromisoformat(case["through"]))
    assert len(seen) == 1 + len(case.get("earlier_programmes", []))
    assert seen[-1].programme == Programme.model_validate(programme_of(case))
    for version in seen:
        assert from_canonical(canonical(version.programme)) == version.programme
        assert Version.recorded(version.effective_from, version.text, version.origin) == version


def test_a_case_is_laid_over_its_base_by_id() -> None:
    case = cases("loyalty")["earn-excluded-affiliation"]
    base, laid = bases()["club"]["programme"], programme_of(case)
    assert laid["schemes"][0] == base["schemes"][0] | {"excluded_affiliations": ["staff"]}
    assert laid["reward_points"] == base["reward_points"]


def test_champions_125_names_every_triple_as_the_case_does() -> None:
    expected = _read(CASES / "rfm_segments.json")
    named = {"".join(map(str, triple)): name for triple, name in segment_map("champions_125").items()}
    assert named == expected
    assert len(named) == len(TRIPLES) == 125
