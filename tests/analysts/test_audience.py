"""Who may be written to: conditions that are safe, reasons that add up, a control group that stays."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from kanta import audience
from kanta.engine import Engine, literal
from kanta.errors import BadArguments

NIGHT = date(2026, 1, 31)


@pytest.mark.parametrize(
    "text",
    [
        "segment = 'Champions' and r >= 4",
        "tier in ('gold', 'silver') or points_available between 10 and 20.5",
        "not (language is null) and lower(country) like 'f%'",
        "last_purchase_on >= business_date - interval 30 day",
        "last_purchase_on >= date '2026-01-01' and expected_value_90d * 2 > 50",
        "points_value > 20",
        "segment not like 'A%' and segment ilike 'l%' and R not in (1, 2) and -r < abs(f)",
        "cast(monetary_total as decimal(18, 1)) > 1.5 or r::int = 1",
        "true",
    ],
)
def test_a_condition_on_known_columns_is_taken(text: str) -> None:
    assert audience.condition(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "1 = 1; drop table x", "segment = 'a' union select 1", "select 1", "exists (select 1)",
        "customer_id in (select customer_id from rfm.scores)", "r > (select 1)", "password = 'x'", "rfm.scores.r = 1",
        "read_text('/etc/passwd') = ''", "getenv('HOME') = ''", "now() > business_date", "random() < 0.5",
        "segment = 'a' -- )", "r = $definition", "r >= ", "list_contains([1], r)", "sum(r) > 1",
        "row_number() over () = 1", "cast(r as \"oid) = 1 or (2\") = 1", "cast(r as \"int\"[]) is null",
        "r::struct(a \"x) or (1\") is null", "try_cast(r as integer) = 1", "r = interval '1 day' second", "r = :x",
        "segment like 'a' escape 'b'", "segment similar to 'a'", "segment collate nocase = 'x'", "(" * 5000 + "r",
        "(" * 500 + "r = 1" + ")" * 500, "not " * 3000 + "true", "r = 1" + " or r = 1" * 5000, "r = '\udcff'",
        "case when r = 1 then true end", "struct_pack(a := 1).a = 1", "[1, 2][1] = r", "r = 1 order by 1",
    ],
)  # fmt: skip
def test_anything_else_is_refused_with_words(text: str) -> None:
    if text == "segment = 'a' -- )":
        assert "--" not in audience.condition(text), "a comment does not get through"
        return
    with pytest.raises(BadArguments) as refused:
        audience.condition(text)
    assert "columns: customer_id" in str(refused.value)


def test_a_chain_is_wide_not_deep(engine: Engine) -> None:
    safe = audience.condition(" or ".join(["segment = 'Loyal'"] * 400))
    assert audience.choose(engine, safe, "email", Decimal(0), "", NIGHT).counts()["matching"] == 9


@pytest.mark.parametrize("text", ["' or 1 = 1 --", "\\', x", "a''b", "$1", "\0"])
def test_a_text_stays_a_text(text: str, engine: Engine) -> None:
    safe = audience.condition(f"segment = {literal(text)}")
    assert engine.rows(f"select {safe} from (select $text as segment)", {"text": text}) == [(True,)]


#: customer, value in the contact list, contact (valid, consent), why it is left out
PEOPLE = [
    ("K1", "a@x.fi", (True, True), None),
    ("K2", "a@x.fi", (True, True), "contact of another customer, too"),
    ("K3", None, None, "no contact of this kind"),
    ("K4", None, (False, True), "contact is not valid"),
    ("K5", None, (True, False), "no consent"),
    ("K6", None, (True, True), "on hold, erased, or opted out elsewhere"),
    ("K7", "b@x.fi", (True, True), "suppressed: bounced"),
    ("K8", "c@x.fi", (True, True), None),
    ("K9", "d@x.fi", (True, True), "(the condition does not take it in)"),
]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine(tmp_path) as engine:
        text = pa.string()
        rows = [
            {"customer_id": who, "segment": "x" if who == "K9" else "Loyal", "language": "fi", "tier": "gold"}
            for who, *_ in PEOPLE
        ]
        engine.register("audience.customers", pa.Table.from_pylist(rows))
        engine.register(
            "marketing.contact_list",
            pa.table(
                {
                    "customer_id": [who for who, value, *_ in PEOPLE if value] + ["K8", "K8"],
                    "kind": ["email"] * (len([1 for _, value, *_ in PEOPLE if value]) + 1) + ["phone"],
                    "value": [value for _, value, *_ in PEOPLE if value] + ["e@x.fi", "+358401"],
                }
            ),
        )
        engine.register(
            "customers.contacts",
            pa.Table.from_pylist(
                [
                    {"account": who, "kind": "email", "is_valid": contact[0], "consent": contact[1], "valid_to": None}
                    for who, _, contact, _ in PEOPLE
                    if contact
                ],
                pa.schema([("account", text), ("kind", text), ("is_valid", pa.bool_()), ("consent", pa.bool_()),
                           ("valid_to", pa.date32())]),
            ),
        )  # fmt: skip
        bounced = tmp_path / "bounced.csv"
        bounced.write_text("value,reason\nB@x.fi,bounced\n")
        engine.register("audience.suppressed", audience._suppressed((bounced,)))
        yield engine


def chosen(engine: Engine, kind: str = "email", control: str = "0", campaign: str = "") -> audience.Audience:
    safe = audience.condition("segment = 'Loyal'")
    return audience.choose(engine, safe, kind, Decimal(control), campaign, NIGHT)


def test_everyone_is_in_or_has_a_reason(engine: Engine) -> None:
    found = chosen(engine)
    assert found.rows["customer_id"].to_pylist() == ["K1", "K8"]
    assert found.rows["value"].to_pylist() == ["a@x.fi", "c@x.fi"]
    expected = {why: 1 for *_, why in PEOPLE if why and not why.startswith("(")}
    assert found.left_out == {**expected, "further contact of the same customer": 1}
    assert found.counts() == {"matching": 9, "target": 2, "control": 0}  # K8 stands in the list with two addresses


def test_a_phone_is_no_email(engine: Engine) -> None:
    assert chosen(engine, "phone").rows["value"].to_pylist() == ["+358401"]


def crowd(engine: Engine, many: int) -> None:
    """So many customers with a mail address each."""
    who, loyal = [f"C{n}" for n in range(many)], ["Loyal"] * many
    engine.register(
        "audience.customers", pa.table({"customer_id": who, "segment": loyal, "language": loyal, "tier": loyal})
    )
    listed = {"customer_id": who, "kind": ["email"] * many, "value": [f"{name}@x.fi" for name in who]}
    engine.register("marketing.contact_list", pa.table(listed))


def held_back(engine: Engine, control: str, campaign: str = "spring") -> set[str]:
    rows = chosen(engine, control=control, campaign=campaign).rows.to_pylist()
    return {row["customer_id"] for row in rows if row["group"] == "control"}


@pytest.mark.parametrize(
    ("many", "control", "held"),
    [
        (23, "10", 2), (25, "10", 3), (24, "10", 2), (1, "10", 1), (4, "10", 1), (4000, "12.5", 500), (23, "0", 0),
        (1000, "0.05", 1), (3000, "0.05", 2), (10, "99.99", 10), (0, "10", 0),
    ],
)  # fmt: skip
def test_the_control_group_is_exactly_the_share_rounded_half_up_and_one_at_least(
    engine: Engine, many: int, control: str, held: int
) -> None:
    crowd(engine, many)
    assert len(held_back(engine, control)) == held


def test_the_control_group_is_the_same_each_time_and_another_for_another_campaign(engine: Engine) -> None:
    crowd(engine, 400)
    assert held_back(engine, "10") == held_back(engine, "10") < held_back(engine, "20"), "ranked by one hash"
    assert held_back(engine, "10") != held_back(engine, "10", "summer")


def test_those_left_out_are_not_held_back(engine: Engine) -> None:
    """Of nine who match two may be written to; one of them is held back, whoever else ranks before."""
    found = chosen(engine, control="10")
    assert found.counts() == {"matching": 9, "target": 1, "control": 1}


@pytest.mark.parametrize(("many", "control", "warned"), [(23, "10", True), (500, "10", False), (500, "9.7", True)])
def test_groups_too_small_to_show_an_effect_are_warned_of(
    engine: Engine, many: int, control: str, warned: bool
) -> None:
    crowd(engine, many)
    warnings = chosen(engine, control=control).warnings
    assert bool(warnings) == warned, warnings
    assert not warned or "too small to show an effect" in warnings[0]
    assert chosen(engine).warnings == (), "no control group, no warning"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("p_alive > 0.5 and segment = 'x'", ["p_alive: bg_nbd of 2026-01-31 is not published: at its bound"]),
        ("expected_value_365d > 9", [
            "expected_value_365d: bg_nbd of 2026-01-31 is not published: at its bound",
            "expected_value_365d: gamma_gamma of 2026-01-31 is published with a warning: so far",
        ]),
        ("segment = 'x'", []),
    ],
)  # fmt: skip
def test_a_condition_on_what_is_foretold_is_told_why_it_is_not(engine: Engine, text: str, said: list[str]) -> None:
    models = [(NIGHT, "bg_nbd", False, "at its bound"), (NIGHT, "gamma_gamma", True, "so far"),
              (date(2025, 12, 31), "bg_nbd", True, None)]  # fmt: skip
    columns = ("as_of", "model", "published", "reason")
    rows = [{"definition": "retail", **dict(zip(columns, row, strict=True))} for row in models]
    engine.register("rfm.lifetime_models", pa.Table.from_pylist(rows))
    assert audience._not_foretold(engine, audience.condition(text), "retail") == said


def test_a_condition_that_is_no_yes_or_no_is_refused(engine: Engine) -> None:
    with pytest.raises(BadArguments, match="no yes or no"):
        audience.choose(engine, audience.condition("upper(segment)"), "email", Decimal(0), "", NIGHT)
    with pytest.raises(BadArguments, match="cannot be worked out"):
        audience.choose(engine, audience.condition("segment > 3.5 and r = 'x'"), "email", Decimal(0), "", NIGHT)
    with pytest.raises(BadArguments, match="cannot be worked out"):  # its type is known, its values are not
        audience.choose(engine, audience.condition("monetary_total between 1 and 'x'"), "email", Decimal(0), "", NIGHT)


def test_a_list_without_its_column_is_refused(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("email\na@x.fi\n")
    with pytest.raises(BadArguments, match="needs a column value"):
        audience._suppressed((wrong,))
