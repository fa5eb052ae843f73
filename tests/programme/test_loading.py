"""A programme folder is read whole: right ones load, wrong ones say everything that is wrong, where, at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kanta.errors import BadProgramme
from kanta.programme import HqNames, check_against_hq, load, load_settings, warnings
from kanta.programme.model import Programme
from kanta.programme.when import to_sql
from tests.programme.conftest import VALID, Json, changed

Problems = Callable[..., list[str]]

WRONG = """\
effective_from: 2017-02-30
acounting_currency: USD
parameters:
  loyalty_tender: never
  post_per_sales_line: yes
  earn_basis: {tax: included, tax: excluded}
reward_points:
  - {id: points, type: quantity, redeemable: true, vesting: {value: 14}}
  - {id: points, type: kwantity}
programs:
  - id: club
    tiers:
      - id: gold
        level: 1
        validity: comming
        rules:
          - {reward_point: point, minimum: -1, window: past}
schemes:
  - id: over all
    program: klub
    channels: []
    earning:
      - {id: base, activity: purchase_amount, per: 1e3, currency: USD, reward_point: points, points: 1, teir: gold}
"""


def test_every_problem_of_a_programme_is_told_at_once_with_file_line_and_key(problems: Problems) -> None:
    extra = "date_intervals:\n  - {id: coming, start: {from: evaluation_date}, end: {from: fixed}}\n"
    found = problems(club=WRONG, intervals=extra)
    assert found[0].endswith("/programme: accounting_currency: is missing")
    assert found[1:] == [
        "club.yaml:1: effective_from: is no day of the calendar",
        "club.yaml:2: acounting_currency: unknown key; did you mean accounting_currency?",
        "club.yaml:4: parameters.loyalty_tender: must be 'no_earn' or 'earn_on_rest'",
        "club.yaml:5: parameters.post_per_sales_line: must be true or false",
        "club.yaml:6: parameters.earn_basis.tax: is written twice in one place (first on line 6)",
        "club.yaml:8: reward_points[points].vesting.unit: is missing; say day, week, month, quarter or year",
        "club.yaml:9: reward_points[points].id: id is already taken (club.yaml:8); every id here is unique",
        "club.yaml:9: reward_points[points].type: must be 'quantity' or 'amount'",
        "club.yaml:15: programs[club].tiers[gold].validity: "
        "comming is no date interval of this programme; did you mean coming?",
        "club.yaml:17: programs[club].tiers[gold].rules[0].minimum: must be greater than or equal to 0",
        "club.yaml:17: programs[club].tiers[gold].rules[0].reward_point: "
        "point is no reward point of this programme; did you mean points?",
        "club.yaml:17: programs[club].tiers[gold].rules[0].window: past is no date interval of this programme",
        "club.yaml:19: schemes[over all].id: must be an id of letters, digits, _ . and -",
        "club.yaml:20: schemes[over all].program: klub is no program of this programme; did you mean club?",
        "club.yaml:21: schemes[over all].channels: must not be empty",
        "club.yaml:23: schemes[over all].earning[base].per: must be a number such as 12.50",
        "club.yaml:23: schemes[over all].earning[base].teir: unknown key; did you mean tier?",
        "intervals.yaml:2: date_intervals[coming].end.date: is missing; from: fixed needs it",
    ]


def test_the_valid_programme_of_these_tests_has_no_problem(problems: Problems) -> None:
    assert problems(VALID) == []


IMPOSSIBLE = yaml.safe_load((Path(__file__).parent / "wrong.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", IMPOSSIBLE, ids=lambda case: f"{case['at']}-{case['problem'][:60]}")
def test_what_cannot_be_is_a_problem_with_its_key(problems: Problems, case: Json) -> None:
    found = problems(changed(case["at"], case["is"]))
    assert any(case["problem"] in line for line in found), found


def test_valid_to_before_valid_from_is_a_problem_of_schemes_and_rules(problems: Problems) -> None:
    programme = changed("schemes.0.valid_from", "2026-02-01")
    programme["schemes"][0]["valid_to"] = "2026-01-31"
    programme["schemes"][0]["earning"][0] |= {"valid_from": "2026-01-02", "valid_to": "2026-01-01"}
    assert [line.split(": ", 1)[1] for line in problems(programme)] == [
        "schemes[everywhere].earning[base].valid_to: is before valid_from",
        "schemes[everywhere].valid_to: is before valid_from",
    ]


@pytest.mark.parametrize(("vesting", "wrong"), [(0, False), (14, True)])
def test_available_only_with_write_off_needs_points_that_vest_at_once(
    problems: Problems, vesting: int, wrong: bool
) -> None:
    programme = changed("parameters", {"return_consumes": "available_only", "negative_balance": "write_off"})
    programme["reward_points"][1]["vesting"] = {"value": vesting, "unit": "day"}
    found = problems(programme)
    assert [line for line in found if "parameters.return_consumes: available_only" in line] == (found if wrong else [])
    assert bool(found) == wrong, found


@pytest.mark.parametrize(
    "end",
    [
        {"from": "evaluation_date"},
        {"from": "period_end", "period": "month", "offset": -1, "unit": "month"},
        {"from": "period_start", "period": "year", "offset": -1, "unit": "day"},
        {"from": "fixed", "date": "2026-01-01"},
    ],
)
def test_windows_that_never_reach_beyond_the_evaluation_date_are_fine(problems: Problems, end: Json) -> None:
    programme = changed("date_intervals.0.end", end)
    programme["date_intervals"][0]["start"] = {"from": "fixed", "date": "2020-01-01"}
    assert problems(programme) == []


def test_a_fixed_window_end_is_checked_against_the_first_run_when_there_is_no_effective_from(folder: Path) -> None:
    programme = changed("date_intervals.0.end", {"from": "fixed", "date": "2026-03-01"})
    programme["date_intervals"][0]["start"] = {"from": "fixed", "date": "2026-01-01"}
    del programme["effective_from"]
    (folder / "p.yaml").write_text(json.dumps(programme))
    assert load(folder, date(2026, 3, 1)).effective_from is None
    with pytest.raises(BadProgramme, match="ends on 2026-03-01, later than effective_from"):
        load(folder, date(2026, 2, 28))


CONDITIONS = [
    ("order", "total_amount >= 1000 and customer_age_days < 30", None),
    ("line", "quantity > 20 or unit_price * quantity > 5000", None),
    ("order", "not (delivery_country in ('FI', 'SE')) and billing_zip <> delivery_zip", None),
    ("order", "quantity > 20", "unknown field quantity"),
    ("order", "totl_amount > 1", "unknown field totl_amount; did you mean total_amount?"),
    ("order", "total_amount", "must be a condition, true or false"),
    ("order", "total_amount > ", "cannot be read"),
    ("order", "total_amount > (select 1)", "may not use subquery"),
    ("order", "read_text('/etc/passwd') = ''", "may not use"),
    ("order", "true; drop table orders", "may not use"),
    ("order", "price_overridden", "unknown field price_overridden"),
    ("line", "price_overridden and not kind = 'return'", None),
    ("order", "total_amount > '1000'", "compares a number with a text"),
    ("order", "billing_zip + 1 = 2", "billing_zip is a text, not a number"),
    ("order", "total_amount and true", "total_amount is a number, not a boolean"),
    ("order", "customer_group in ('A', 2)", "compares a text with a number"),
    ("order", "business_date > '2017-13-01'", "'2017-13-01' is no date; write it as 2017-01-31"),
    ("order", "ordered_at >= '2017-01-01T08:00:00Z'", None),
    ("order", "total_amount > 1e400", "1e400 is no number"),
    ("order", "hold_comment = 'x'", "unknown field hold_comment"),
    ("order", "orders.total_amount > 1", "unknown field orders.total_amount"),
    ("order", "total_amount is null", "may not use"),
    ("order", "total_amount / 0 > 1", None),
    ("order", "x" * 10_000, "string should have at most 2000 characters"),
    ("order", "(" * 900 + "true" + ")" * 900, "cannot be read"),
    ("order", "true or " * 300 + "true", "string should have at most 2000 characters"),
]


@pytest.mark.parametrize(("level", "when", "problem"), CONDITIONS, ids=[row[1][:40] for row in CONDITIONS])
def test_fraud_conditions_may_only_compare_known_fields(
    problems: Problems, level: str, when: str, problem: str | None
) -> None:
    rule = {"id": "r", "level": level, "score": 1, "when": when}
    fraud = {"minimum_score": 50, "hold_code": "FRAUD", "rules": [rule]}
    found = problems(changed("call_center", {"fraud": fraud, "holds": [{"code": "FRAUD", "name": "Fraud"}]}))
    told = [line.split("fraud.rules[r].when: ")[1] for line in found if "rules[r].when" in line]
    assert (told == []) if problem is None else any(text.startswith(problem) for text in told), found


def test_values_that_may_be_personal_are_never_shown(problems: Problems) -> None:
    static = {"type": "e-mail", "value": " jane@example.com ", "score": "jane@example.com"}
    fraud = {"minimum_score": 50, "hold_code": "F", "static": [static]}
    found = problems(changed("call_center", {"fraud": fraud, "holds": [{"code": "F", "name": "F"}]}))
    assert len(found) >= 3, found
    assert "jane" not in str(found)


# Several files


def test_files_are_merged_lists_joined_mappings_key_by_key(folder: Path) -> None:
    one = {key: value for key, value in VALID.items() if key != "schemes"}
    one["parameters"] = {"loyalty_tender": "no_earn"}
    scheme = {**VALID["schemes"][0], "id": "second", "earning": [], "redemption": []}
    two = {"schemes": VALID["schemes"], "parameters": {"post_per_sales_line": False}, "accounting_currency": "USD"}
    (folder / "a.yaml").write_text(json.dumps(one))
    (folder / "more").mkdir()
    (folder / "more" / "b.yaml").write_text(json.dumps(two))
    (folder / "c.yaml").write_text(json.dumps({"schemes": [scheme]}))
    (folder / "empty.yaml").write_text("# nothing yet\n")
    (folder / "settings.yaml").write_text("landing: elsewhere\n")
    (folder / "history" / "2020-01-01").mkdir(parents=True)
    (folder / "history" / "2020-01-01" / "old.yaml").write_text("not: read\n")
    programme = load(folder)
    assert [scheme.id for scheme in programme.schemes] == ["second", "everywhere"]
    assert programme.parameters.loyalty_tender == "no_earn"
    assert programme.parameters.post_per_sales_line is False


def test_a_key_with_two_values_in_two_files_is_a_problem(problems: Problems) -> None:
    found = problems(VALID, zz="accounting_currency: EUR\nparameters:\n  loyalty_tender: earn_on_rest\n")
    assert len(found) == 1
    assert found[0].startswith("zz.yaml:1: accounting_currency: has another value in ")
    assert found[0].endswith("programme.yaml:3; keep one")


def test_a_duplicate_id_in_another_file_names_both_places(problems: Problems) -> None:
    found = problems(VALID, zz="reward_points:\n  - id: status\n    type: quantity\n")
    assert len(found) == 1, found
    assert found[0].startswith("zz.yaml:2: reward_points[status].id: id is already taken (")


def test_a_folder_without_a_programme_and_a_yml_file_are_problems(folder: Path) -> None:
    with pytest.raises(BadProgramme, match=r"holds no programme \(\*\.yaml\)"):
        load(folder)
    (folder / "a.yaml").write_text(json.dumps(VALID))
    (folder / "b.yml").write_text("schemes: []\n")
    with pytest.raises(BadProgramme, match=r"b\.yml: is not read; name it \*\.yaml"):
        load(folder)


# YAML that is odd, broken or hostile


def test_numbers_are_those_written_and_never_pass_through_a_float(folder: Path) -> None:
    text = json.dumps(VALID).replace('"per": "1.00"', '"per": 12345678901.29')
    (folder / "p.yaml").write_text(text.replace('"minimum": 100', '"minimum": 07'))
    loaded = load(folder)
    assert loaded.schemes[0].earning[0].per == Decimal("12345678901.29")
    assert loaded.programs[0].tiers[0].rules[0].minimum == 7


def test_ids_and_words_stay_text_whatever_they_look_like(folder: Path) -> None:
    text = (
        json.dumps(VALID)
        .replace('"id": "everywhere"', "id: 007")
        .replace('"channels": ["all"]', "channels: [no, 0123]")
    )
    (folder / "p.yaml").write_text(text)
    scheme = load(folder).schemes[0]
    assert (scheme.id, scheme.channels) == ("007", ("no", "0123"))


def test_anchors_and_a_byte_order_mark_are_fine(folder: Path) -> None:
    point = "{id: a, type: quantity, vesting: &never {value: 0}, expiration: *never}"
    text = f"\ufeffaccounting_currency: USD\nreward_points:\n  - {point}\n"
    (folder / "p.yaml").write_text(text, encoding="utf-8")
    assert load(folder).reward_points[0].expiration.value == 0


CHAIN = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 500))  # each link is short
BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)

HOSTILE = [
    ("!!python/object/apply:os.system ['true']", "name Python objects are not allowed"),
    ("a: !secret x", "tags such as !secret are not allowed"),
    (BOMB, "holds more than 200,000 values once its aliases are written out"),
    ("[" * 100_000, "nested deeper than 30 levels"),
    (CHAIN, "is nested deeper than 30 levels once its aliases are written out"),
    (CHAIN.replace("[", "{k: ").replace("]", "}"), "is nested deeper than 30 levels once its aliases are written out"),
    ("a: &a [*a]", "alias *a names no finished anchor"),
    ("a: *b", "alias *b names no finished anchor"),
    ("x" * 1_000_001, "is larger than 1,000,000 bytes"),
    ("a: 1\n---\nb: 2", "holds a second document"),
    ("- a\n- b", "must be a mapping of keys at the top"),
    ("a: [1\nb: 2", "is not YAML"),
    ("a: \x01", "is not YAML"),
    ("? [a, b]\n: c", "a key must be a word"),
    ("a: 1\na: 2", "is written twice in one place (first on line 1)"),
]


@pytest.mark.parametrize(("text", "problem"), HOSTILE, ids=[row[1][:40] for row in HOSTILE])
def test_hostile_yaml_is_one_problem_not_a_crash(problems: Problems, text: str, problem: str) -> None:
    found = problems(VALID, evil=text)
    assert any(line.startswith("evil.yaml") and problem in line for line in found), found


def test_a_file_that_is_not_utf8_is_a_problem_and_hides_no_other(folder: Path) -> None:
    (folder / "a.yaml").write_bytes(b"a: \xff\n")
    (folder / "b.yaml").write_text("acounting_currency: USD\n")
    with pytest.raises(BadProgramme) as error:
        load(folder)
    assert [line.replace(f"{folder}/", "") for line in error.value.problems] == [
        "a.yaml: is not UTF-8 (byte 3)",
        "b.yaml:1: acounting_currency: unknown key; did you mean accounting_currency?",
    ]


def _paths(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    for key, child in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        found += _paths(child, (*path, key))
    return found


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.text(max_size=5) | st.just("2026-01-01"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "from"]), inner, max_size=2),
    max_leaves=5,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.sampled_from(_paths(VALID)), ANYTHING), min_size=1, max_size=4))
def test_whatever_a_programme_says_it_loads_or_tells_its_problems(tmp_path: Path, changes: list[Any]) -> None:
    programme = deepcopy(VALID)
    for path, value in changes:
        node: Any = programme
        try:
            for part in path[:-1]:
                node = node[part]
            node[path[-1]] = value
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took this place away
    (tmp_path / "p.yaml").write_text(json.dumps(programme), encoding="utf-8")
    try:
        load(tmp_path)
    except BadProgramme as error:
        assert error.problems, "a programme that is refused has problems"  # noqa: PT017


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(alphabet=st.characters(codec="utf-8"), max_size=60) | st.text("abc:-[]{}&*!?#\"' \n", max_size=60))
def test_whatever_text_a_file_holds_it_loads_or_tells_its_problems(tmp_path: Path, text: str) -> None:
    (tmp_path / "p.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(BadProgramme) as error:
        load(tmp_path)
    assert error.value.problems


# Own segment maps, warnings, settings


def test_an_own_segment_map_is_a_file_in_segments_and_its_lines_are_checked(problems: Problems, folder: Path) -> None:
    (folder / "segments").mkdir()
    own = "segments:\n  - {segment: Best, recency: [4, 5]}\n  - {segment: Rest}\n"
    (folder / "segments" / "own.yaml").write_text(own)
    programme = changed("rfm.0.segments", "segments/own.yaml")
    assert problems(programme) == []
    lines = load(folder).rfm[0].segments
    assert [(line if isinstance(line, str) else line.segment) for line in lines] == ["Best", "Rest"]
    (folder / "segments" / "own.yaml").write_text("segments:\n  - {segment: Best, recency: [0, 5]}\n")
    assert problems(programme) == [
        "segments/own.yaml:2: rfm[retail].segments[0].recency[0]: must be greater than or equal to 1"
    ]
    (folder / "segments" / "own.yaml").write_text("- a\n")
    assert problems(programme) == ["segments/own.yaml:1: must be a mapping of keys at the top"]


def test_gaps_and_overlaps_of_an_own_map_are_warnings() -> None:
    lines = [{"segment": "A", "recency": [1, 2]}, {"segment": "B", "recency": [2, 4], "frequency": [1, 4]}]
    programme = Programme.model_validate(changed("rfm.0.segments", lines))
    assert warnings(programme) == [
        "reward_points[cash]: is redeemable, but no redemption rule takes it",
        "rfm[retail].segments: 35 of 125 score triples are covered by no line (Others): "
        "351 352 353 354 355 451 452 453 454 455 …",
        "rfm[retail].segments: 20 of 125 score triples are covered by several lines (the first counts): "
        "211 212 213 214 215 221 222 223 224 225 …",
    ]


def test_what_is_right_but_surprising_is_warned_of() -> None:
    programme = changed("parameters.transfer_expiry", "restart")
    programme["schemes"][0] |= {"valid_to": "2026-01-31", "channels": ["all", "S1"]}
    programme["schemes"][0]["earning"][0]["valid_from"] = "2026-02-01"
    assert [text.split(":")[0] for text in warnings(Programme.model_validate(programme))] == [
        "parameters.transfer_expiry",
        "reward_points[cash]",
        "schemes[everywhere].channels",
        "schemes[everywhere].earning[base]",
    ]


def test_names_only_hq_knows_are_warned_of_once_hq_has_come() -> None:
    programme = changed("schemes.0.channels", ["S1", "S9", "/EU/FI", "/EU/SE", "all"])
    programme["schemes"][0]["excluded_affiliations"] = ["staff", "crew"]
    programme["schemes"][0]["earning"][0]["category"] = "TEA"
    valid = Programme.model_validate(programme)
    assert check_against_hq(valid, HqNames()) == []
    hq = HqNames(channels={"S1": "/EU/FI/Helsinki"}, categories={"COFFEE"}, affiliations={"staff"})
    assert check_against_hq(valid, hq) == [
        "schemes[everywhere].channels: S9 is not known to hq",
        "schemes[everywhere].channels: /EU/SE is not known to hq",
        "schemes[everywhere].excluded_affiliations: crew is not known to hq",
        "schemes[everywhere].earning[base].category: TEA is not known to hq",
    ]


def test_settings_have_defaults_and_tell_their_problems(folder: Path) -> None:
    assert load_settings(folder).outbox == "outbox"
    file = folder / "settings.yaml"
    file.write_text("lake: file:/srv/lake\ntime_zone: Europe/Helsinki\ntrading_days: {S001: [mon, sat]}\n")
    assert load_settings(folder).trading_days == {"S001": ("mon", "sat")}
    file.write_text("lake: s3://bucket/lake\ntime_zone: Mars\ntrading_day: {}\n")
    with pytest.raises(BadProgramme) as error:
        load_settings(folder)
    assert [line.replace(str(file), "") for line in error.value.problems] == [
        ":1: lake: must be a local folder; only outbox and inbox may be elsewhere",
        ":2: time_zone: must be a time zone such as Europe/Helsinki",
        ":3: trading_day: unknown key; did you mean trading_days?",
    ]
    file.write_text('landing: "a\\0b"\n')
    with pytest.raises(BadProgramme) as error:
        load_settings(folder)
    assert [line.replace(str(file), "")[:12] for line in error.value.problems] == [":1: landing:"]


@pytest.mark.parametrize(
    "text",
    [
        "net_amount" + "+1" * 900 + ">1", "-" + " -" * 900 + "1>net_amount", "not " * 490 + "true",
        "(" * 900 + "true" + ")" * 900, "true = " * 250 + "true",
    ],
    ids=["sum", "signs", "not", "brackets", "comparisons"],
)  # fmt: skip
@pytest.mark.parametrize("level", ["order", "line"])
def test_a_long_condition_is_a_problem_and_no_crash_at_whatever_depth_it_is_read(text: str, level: Any) -> None:
    assert len(text) <= 2_000
    with pytest.raises(ValueError, match=r"deep in each other|cannot be read"):
        to_sql(text, level)


def test_a_long_chain_is_wide_and_so_allowed() -> None:
    sql = to_sql(" or ".join(["not(tax_amount>1)"] * 90), "order")
    assert sql.count("tax_amount") == 90
    assert not sql.startswith("((("), "each part stands beside the others, not in them"
