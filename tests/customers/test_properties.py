"""Any order and any split of operations gives the same master; working out twice changes nothing."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import phonenumbers
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kanta import customers
from kanta.customers import checking
from kanta.engine import Engine
from tests.customers.conftest import Master, Row

TABLES = (
    "customers.customers", "customers.contacts", "customers.addresses", "customers.attributes",
    "customers.affiliations", "customers.likely_duplicates",
)  # fmt: skip
WRITTEN = {
    "email": ["a@shop.com", "A@Shop.com", "b@shop.com", "bad"],
    "phone": ["040 1234567", "+358401234567", "12"],
    "last_name": ["Virtanen", "virtanen"],
    "title": ["Dr"],
    "language": ["fi", "sv"],
}


#: Worlds of channels and customers of their own that are worked out side by side: a night costs what one does.
WORLDS = 8


@st.composite
def operations(draw: st.DrawFn) -> list[dict[str, Any]]:
    """In each world a few operations on few customers, one of them the channels' default, each with its parts."""
    return [operation for world in range(WORLDS) for operation in draw(operations_of(str(world)))]


@st.composite
def operations_of(draw: st.DrawFn, world: str) -> list[dict[str, Any]]:
    made = []
    for number in range(draw(st.integers(2, 7))):
        columns = {name: draw(st.sampled_from(values)) for name, values in WRITTEN.items() if draw(st.booleans())}
        operation = {
            "operation": draw(st.sampled_from(["create", "create", "update"])),
            "operated_at": f"2026-01-0{draw(st.integers(1, 5))} {draw(st.integers(10, 23))}:00:00+00",
            "channel_id": draw(st.sampled_from([f"S1-{world}", f"S2-{world}", None])),
            "customer_id": draw(st.sampled_from(["K1", "K1", "K2", "DEF"])) + world,
            "customer_type": draw(st.sampled_from(["person", None])),
            "clears": draw(st.sampled_from([None, None, "email|title", "language"])),
            **columns,
        }
        contact = {"kind": "email", "value": draw(st.sampled_from(WRITTEN["email"])),
                   "is_primary": draw(st.sampled_from([None, True])), "removed": draw(st.sampled_from([None, True])),
                   "marketing_consent": draw(st.sampled_from([None, True, False]))}  # fmt: skip
        affiliation = {"affiliation_id": "club", "valid_to": draw(st.sampled_from([None, "2026-01-03"]))}
        parts = {
            "customers": operation,
            "customer_contacts": contact if draw(st.booleans()) else None,
            "customer_addresses": {"address_id": "1", "zip": str(number)} if draw(st.booleans()) else None,
            "customer_attributes": {"attribute": "stars", "value": draw(st.sampled_from(["2", "9", None]))}
            if draw(st.booleans()) else None,
            "customer_affiliations": affiliation if draw(st.booleans()) else None,
        }  # fmt: skip
        made.append({name: row | {"operation_id": f"op{number}-{world}"} for name, row in parts.items() if row})
    return made


def reference() -> dict[str, list[Row]]:
    stores = [
        {"channel_id": f"{name}-{world}", "default_customer_id": f"DEF{world}"}
        for name in ("S1", "S2")
        for world in range(WORLDS)
    ]
    stars = {"attribute": "stars", "type": "integer", "minimum": "1", "maximum": "5", "default": "3"}
    return {"channels": stores, "customer_attribute_definitions": [stars]}


def worked(folder: Path, made: list[dict[str, Any]], nights: list[int]) -> tuple[dict[str, Any], list[str]]:
    """The master after the operations came in the given nights (6 to 9); and what a night again would change."""
    with Engine(folder) as engine:
        master = Master(engine)
        master.deliver("hq/2026-01-06/hq", **reference())
        for night in range(6, 10):
            for number, operation in enumerate(made):
                if nights[number] == night:
                    drop = {name: [row] for name, row in operation.items()}
                    master.deliver(f"pos/2026-01-0{night}/S{number}", **drop)
            if night in nights or night == 9:
                master.night(f"2026-01-0{night}")
        tables = {table: master.rows(table) for table in TABLES}
        tables["audit"] = master.rows("customers.operations", "operation_id", "account", "status", "reason", "changes")
        tables["quarantine"] = master.rows("ops.quarantine", "record_key", "rule", where="status = 'open'")
        return tables, master.night("2026-01-09")


@pytest.mark.slow
@settings(max_examples=2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(made=operations(), data=st.data())
def test_any_order_and_any_split_of_operations_gives_the_same_master(
    made: list[dict[str, Any]], data: st.DataObject, tmp_path: Path
) -> None:
    nights = data.draw(st.lists(st.integers(6, 9), min_size=len(made), max_size=len(made)))
    at_once, again = worked(tmp_path, made, [9] * len(made))
    assert again == []
    split, again = worked(tmp_path, made, nights)
    assert again == []
    assert split == at_once
    for table in ("customers.customers", "customers.contacts"):
        key = 1 if table == "customers.customers" else 2
        for one, other in pairwise(at_once[table]):
            if one[:key] == other[:key]:
                assert one[key + 1] <= other[key], "two versions of one day"


def later_operations(chance: random.Random, day: int, customers: int) -> dict[str, list[Row]]:
    """A day's drop of operations on some of many customers: mostly in order, few that take something away."""
    made: dict[str, list[Row]] = {}
    for number in range(customers):
        # All inherit from the first one, so that they are worked out whole whenever it changes.
        if (day not in (1, 6)) if number == 0 else chance.random() < 0.4:
            continue
        # One in ten comes a day late or more, so that it is of a day others saw already.
        on = max(1, day - chance.choice([0] * 9 + [1, 2]))
        create = chance.random() < 0.5 or day == 1
        operation = {
            "operation": "create" if create else "update",
            "operated_at": f"2026-01-{on:02} {chance.randint(0, 23):02}:{chance.randint(0, 59):02}:00+00",
            "channel_id": chance.choice(["S1-0", "S1-1", "S2-0", None]),
            "customer_id": f"K{number:03}" if number else "DEF0",
            "clears": chance.choice([None] * 12 + ["language", "title|warehouse", "email"]),
            "customer_type": chance.choice(["person", "person", "organization", None]),
            "organization_name": chance.choice(["Oy", None]), "middle_name": chance.choice([None, "Z"]),
            "on_hold": chance.choice([None, "true", "false"]), "warehouse": chance.choice([None, "W1"]),
            "customer_group": chance.choice([None, None, None, "vip", "nobody"]),
            "mode": "async" if (guid := chance.random() < 0.1) else "sync",
            "async_id": f"g{number}" if guid else None,
            **{name: chance.choice(values) for name, values in WRITTEN.items() if chance.random() < 0.4},
        }  # fmt: skip
        drop: dict[str, list[Row]] = {"customers": [operation]}
        if chance.random() < 0.4:
            drop["customer_contacts"] = [
                {"kind": kind, "value": chance.choice(WRITTEN[kind]), "is_primary": chance.choice([None, None, True]),
                 "removed": chance.choice([None] * 9 + [True]), "marketing_consent": chance.choice([None, True, False])}
                for kind in ("email", "phone") if chance.random() < 0.7
            ]  # fmt: skip
        if chance.random() < 0.4:
            drop["customer_addresses"] = [
                {"address_id": address, "zip": str(day), "is_primary": chance.choice([None] * 9 + [True, True, False]),
                 **{name: chance.choice([None, None, value]) for name, value in own.items()}}
                for address in ("b", "a") if chance.random() < 0.7
            ]  # fmt: skip
        if chance.random() < 0.3:
            drop["customer_attributes"] = [{"attribute": "stars", "value": chance.choice(["2", "9", None])}]
        if chance.random() < 0.2:
            drop["customer_affiliations"] = [
                {"affiliation_id": chance.choice(["club", "staff"]), "valid_to": chance.choice([None, "2026-01-03"])}
            ]
        name = f"op{day:02}-{number}"
        for table, rows in drop.items():
            made.setdefault(table, []).extend(row | {"operation_id": name} for row in rows)
    return made


#: What an address may have of its own; the names are those its customer has, too.
own = {"name": "virtanen", "phone": "+358401234567", "purpose": "home", "country": "FI"}


@pytest.mark.slow
def test_what_is_only_added_to_is_as_if_worked_out_whole(tmp_path: Path) -> None:
    """Customers over nine nights, in three ways: added to night after night, whole each night, all at once."""
    chance, found, days = random.Random(39), [], range(1, 10)  # noqa: S311
    nights = {day: later_operations(chance, day, 250) for day in days}
    abroad = {"channel_id": "S2-0", "country": "SE", "time_zone": "America/New_York", "default_customer_id": "DEF0"}
    for way in ("added to", "whole", "at once"):
        with Engine(tmp_path / way) as engine:
            master = Master(engine)
            master.only_whole = way != "added to"
            stores = [row for row in reference()["channels"] if row["channel_id"] in ("S1-0", "S1-1")]
            vip = {"id": "vip", "financial_dimensions": '{"dept": 2}'}
            master.deliver("hq/2026-01-01/hq", **(reference() | {"channels": [*stores, abroad]}), customer_groups=[vip])
            for day in days:
                master.deliver(f"pos/2026-01-{day:02}/S1", **nights[day])
                if way != "at once" or day == days[-1]:
                    master.night(f"2026-01-{day:02}")
            assert (master.added_to > 150) == (way == "added to"), master.added_to
            kept = len(master.rows("customers.operation_versions"))
            tables = {table: master.rows(table) for table in (*TABLES, "customers.operations")}
            tables["quarantine"] = master.rows("ops.quarantine", "record_key", "rule", where="status = 'open'")
            customers.forget_superseded(master)  # type: ignore[arg-type]
            assert {table: master.rows(table) for table in TABLES} == {table: tables[table] for table in TABLES}
            assert master.night("2026-01-09") == []
            found.append((tables, kept))
    (added, fewer), (whole, more), (at_once, _) = found
    for table in added:
        assert added[table] == whole[table] == at_once[table], table
    assert fewer < more


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.from_regex(checking._PLAIN_EMAIL, fullmatch=True))
def test_an_address_that_looks_plain_is_what_the_library_says(text: str) -> None:
    from email_validator import EmailNotValidError, validate_email

    try:
        expected = validate_email(text, check_deliverability=False).normalized.lower()
    except EmailNotValidError:
        expected = None
    assert checking.contact("email", text, "") == ((expected, True) if expected else (text, False))


def test_a_number_that_looks_plain_is_what_the_library_says() -> None:
    """Numbers of every kind and country, and others that differ from them by a few digits."""
    chance, read = random.Random(7), 0  # noqa: S311
    for country in sorted(phonenumbers.SUPPORTED_REGIONS):
        for kind in range(11):
            example = phonenumbers.example_number_for_type(country, kind)
            for change in range(4) if example else ():
                digits = list(phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)[1:])
                for _ in range(change):
                    place = chance.randrange(len(digits))
                    digits[place : place + chance.randint(0, 1)] = chance.choice(["", "0", "1", "38"])
                text = "+" + "".join(digits)
                number = phonenumbers.parse(text) if phonenumbers.is_possible_number_string(text, None) else None
                valid = number is not None and phonenumbers.is_valid_number(number)
                e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164) if valid else text
                assert checking.contact("phone", text, "") == (e164, valid)
                read += checking.looks_valid(text)
    assert read > 1_000


@pytest.mark.parametrize(
    ("kind", "value", "country", "expected"),
    [
        ("email", " Aino.Virtanen@Shop.FI ", "", ("aino.virtanen@shop.fi", True)),
        ("email", "aino@xn--shop", "", ("aino@xn--shop", False)),
        ("email", "päivi@käpy.fi", "", ("päivi@käpy.fi", True)),
        ("email", "a" * 5000 + "@shop.fi", "", ("a" * 5000 + "@shop.fi", False)),
        ("phone", "040 123 4567", "FI", ("+358401234567", True)),
        ("phone", "040 123 4567", "Finland", ("+358401234567", True)),
        ("phone", "040 123 4567", "", ("0401234567", False)),
        ("phone", "040 123 4567", "Atlantis", ("0401234567", False)),
        ("phone", "+1 555", "US", ("+1555", False)),
    ],
)
def test_contacts_are_normalized(kind: str, value: str, country: str, expected: tuple[str, bool]) -> None:
    assert checking.contact(kind, value, country) == expected


@pytest.mark.parametrize(
    ("value", "definition", "expected"),
    [
        ("5", ("integer", None, "1", "5"), ("5", None)),
        ("6", ("integer", None, "1", "5"), (None, "attribute_range")),
        ("5.0", ("integer", None, "1", "5"), (None, "attribute_type")),
        ("1e3", ("decimal", None, None, None), (None, "attribute_type")),
        ("1.50", ("decimal", "1.5|2", None, None), ("1.5", None)),
        ("3", ("decimal", "1.5|2", None, None), (None, "attribute_value")),
        ("9" * 400, ("integer", None, None, None), (None, "attribute_type")),
        ("TRUE", ("boolean", None, None, None), ("true", None)),
        ("2026-01-01", ("boolean", None, None, None), (None, "attribute_type")),
        ("4", ("integer", None, "least", "most"), ("4", None)),
        (None, ("integer", None, "1", "5"), (None, None)),
        ("x", (None, None, None, None), (None, "attribute_undefined")),
    ],
)
def test_attributes_are_held_against_their_definition(value: Any, definition: Any, expected: Any) -> None:
    assert checking.attribute(value, *definition) == expected
