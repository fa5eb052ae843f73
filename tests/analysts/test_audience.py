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


def test_the_control_group_is_stable_and_about_as_large_as_asked(engine: Engine) -> None:
    many = 4000
    who, loyal = [f"C{n}" for n in range(many)], ["Loyal"] * many
    engine.register(
        "audience.customers", pa.table({"customer_id": who, "segment": loyal, "language": loyal, "tier": loyal})
    )
    listed = {"customer_id": who, "kind": ["email"] * many, "value": [f"{name}@x.fi" for name in who]}
    engine.register("marketing.contact_list", pa.table(listed))
    first = chosen(engine, control="12.5", campaign="spring").rows
    assert first.equals(chosen(engine, control="12.5", campaign="spring").rows)
    assert 400 < first["group"].to_pylist().count("control") < 600
    assert chosen(engine, control="12.5", campaign="summer").rows["group"] != first["group"]


def test_a_condition_that_is_no_yes_or_no_is_refused(engine: Engine) -> None:
    with pytest.raises(BadArguments, match="no yes or no"):
        audience.choose(engine, audience.condition("upper(segment)"), "email", Decimal(0), "", NIGHT)
    with pytest.raises(BadArguments, match="cannot be worked out"):
        audience.choose(engine, audience.condition("segment > 3.5 and r = 'x'"), "email", Decimal(0), "", NIGHT)


def test_a_list_without_its_column_is_refused(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("email\na@x.fi\n")
    with pytest.raises(BadArguments, match="needs a column value"):
        audience._suppressed((wrong,))
