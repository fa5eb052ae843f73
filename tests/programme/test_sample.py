"""What is tracked: the demo's programme is right and its schemas are those of the models."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import jsonschema
import pytest
import yaml

from kanta.contracts import SCHEMAS
from kanta.home import REPOSITORY, Home
from kanta.programme import HqNames, check_against_hq, load, load_settings, versions, warnings
from kanta.programme.loading import schema_files
from kanta.programme.relations import relations

FOLDER = REPOSITORY / "data" / "programme"
FILES = sorted(FOLDER.glob("*.yaml"))
MADE = schema_files()


def test_the_sample_programme_is_right_and_nothing_in_it_surprises() -> None:
    programme = load(FOLDER)
    assert warnings(programme) == []
    hq = HqNames(categories={"PRODUCE", "DELI", "PASTRY"}, affiliations={"staff", "senior"}, channels={})
    assert check_against_hq(programme, hq) == []
    assert load_settings(FOLDER).time_zone == "America/New_York"


def test_the_demo_shows_points_that_vest_expire_and_pay_tiers_that_end_and_scores() -> None:
    days = [date(2017, 10, 30) + timedelta(days=n) for n in range(42)]
    tables = relations(versions(Home(REPOSITORY / "data"), [], days[0]), days)
    point_dates, tier_rules = (tables[f"programme.{name}"].to_pylist() for name in ("point_dates", "tier_rules"))
    dated = {row["reward_point_id"]: row for row in point_dates if row["business_date"] == days[0]}
    assert days[0] < dated["points"]["usable_from"] < days[-1]
    assert dated["treats"]["expires_on"] < days[-1]
    assert dated["status"]["expires_on"] is None
    ends = {row["tier_id"]: row["valid_until"] for row in tier_rules if row["business_date"] == days[0]}
    assert ends["gold"] < days[-1]
    assert ends["basic"] is None
    assert [row["as_of"] for row in tables["programme.rfm_due"].to_pylist()] == days
    (pay,) = [row for row in tables["programme.redemption_rules"].to_pylist() if row["rule_id"] == "pay"]
    assert (pay["points_h"], pay["per_milli"]) == (10000, 1000)


def test_each_file_names_the_schema_an_editor_checks_it_with() -> None:
    assert FILES
    for path in FILES:
        kind = "settings" if path.name == "settings.yaml" else "programme"
        first = path.read_text(encoding="utf-8").splitlines()[0]
        assert first == f"# yaml-language-server: $schema=../../schemas/programme/{kind}.schema.json", path
        assert (path.parent / first.split("=", 1)[1]).resolve().is_file(), path


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_each_file_passes_the_schema_an_editor_checks_it_with(path: Path) -> None:
    schema = json.loads(MADE["settings.schema.json" if path.name == "settings.yaml" else "programme.schema.json"])
    jsonschema.Draft202012Validator.check_schema(schema)
    content = json.loads(json.dumps(yaml.safe_load(path.read_text(encoding="utf-8")), default=str))
    jsonschema.validate(content, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**content, "shemes": []}, schema)


@pytest.mark.parametrize("name", sorted(MADE))
def test_the_schemas_are_those_of_the_models(name: str) -> None:
    tracked = (SCHEMAS / "programme" / name).read_text(encoding="utf-8")
    again = "python -c 'from kanta.programme import write_schemas; write_schemas()'"
    assert tracked == MADE[name], f"stale; run: {again}"
