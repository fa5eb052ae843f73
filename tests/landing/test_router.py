"""The router does what the contracts say: for every rule of every column, one row that breaks it and nothing else."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta

import pytest

from kanta.contracts import Column, Contract, landed, landing
from kanta.home import Home
from kanta.landing.drops import datasets, feeds
from kanta.landing.router import rules
from tests.feed import joined, rows, sale, write_drop
from tests.landing.conftest import DAY, Takes, refusals
from tests.landing.conftest import landed as landed_rows

Row = dict[str, str]


def sound(column: Column) -> str:
    """A value no rule of the column minds."""
    if column.allowed:
        return column.allowed[0]
    if column.pattern:
        return {"^[A-Z]{3}$": "USD", "^/.*$": "/EU"}[column.pattern]
    if column.type.startswith("DECIMAL"):
        return column.minimum or "0.00"
    return {
        "VARCHAR": "a", "BIGINT": "1", "DATE": DAY.isoformat(), "TIMESTAMPTZ": f"{DAY}T10:00:00Z", "BOOLEAN": "true",
        "JSON": "{}",
    }[column.type]  # fmt: skip


def breaking(column: Column, rule: str) -> list[str]:
    """Values that break one rule of the column; more where several bounds share a rule's name."""
    kind = rule.partition(":")[0]
    if kind == "range" and column.type in ("DATE", "TIMESTAMPTZ"):
        return ["0001-01-01" + sound(column)[10:], "1899-12-31" + sound(column)[10:]]
    if kind == "range":
        below = {"": [], "0": ["-1"], "0.01": ["0"], "0.00000001": ["0"], "-2147483647": ["-2147483648"]}
        found = below[column.minimum] + {"": [], "2147483646": ["2147483647"]}[column.maximum]
        return found + (["1000000000000", "-1000000000000.00"] if column.type.startswith("DECIMAL") else [])
    if kind == "after_drop":
        assert column.days_after_drop is not None
        return [(DAY + timedelta(column.days_after_drop + 1)).isoformat() + sound(column)[10:]]
    if kind == "before_drop":  # of any feed: the settings bound a receipt's age more narrowly than an order's
        return [(DAY - timedelta(3661)).isoformat() + sound(column)[10:]]
    if kind == "digits":
        return [f"1.{'0' * column.scale}1", f"-.{'0' * column.scale}50"]
    return {
        "required": ["", "  "], "type": ["x", "1.5.5", "0x1", "١"], "allowed": ["zzz", "Sale"], "pattern": ["?"],
    }[kind]  # fmt: skip


@dataclass
class Content:
    """One drop with a record for every value that breaks a rule; ``expected`` by dataset and row."""

    rows: dict[str, list[Row]]
    expected: dict[tuple[str, int], str]


def mutations(contract: Contract) -> Content:
    content = Content({contract.dataset: []}, {})
    whole = next((c for c in landing().values() if c.dataset == contract.part_of), None)
    if whole:
        content.rows[whole.dataset] = []
    number = 0
    noted = {column.local for column in contract.columns}  # by landing, whatever a file says there
    for column in (column for column in contract.columns if column.name not in noted):
        for rule in dict.fromkeys(rule.name for rule in rules(column, "raw", "value")):
            for value in breaking(column, rule):
                if column.type == "DECIMAL(18,8)" and len(value) > 12:
                    continue  # fits no such column at all
                number += 1
                own = {key: own_key(contract.column(key), number) for key in contract.key}
                content.rows[contract.dataset].append(
                    {c.name: sound(c) for c in contract.columns}
                    | own
                    | ({column.stands_for: ""} if rule.startswith("before_drop") and column.stands_for else {})
                    | {column.name: value}
                )
                content.expected[(contract.dataset, number)] = rule
                if whole:
                    header = {c.name: sound(c) for c in whole.columns}
                    content.rows[whole.dataset].append(header | {key: own[key] for key in contract.record_key})
    return content


def own_key(column: Column, number: int) -> str:
    """A value of a key column that makes the record one of its own, where the column can."""
    if column.type == "VARCHAR" and not column.allowed and not column.pattern:
        return f"K{number}"
    return str(number) if column.type == "BIGINT" else sound(column)


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Content, Counter[tuple[str, int, str]]]]:
    """For each landing contract its mutations, and what was reported: dataset, row, rule."""
    home = Home(tmp_path_factory.mktemp("mutations") / "home")
    made = {}
    for name, contract in landing().items():
        feed = name.partition(".")[0] if name.partition(".")[0] in feeds() else "hq"
        made[name] = (feed, mutations(contract))
        write_drop(home, feed, DAY, contract.dataset, made[name][1].rows)
    found: dict[str, Counter[tuple[str, int, str]]] = {name: Counter() for name in made}
    for feed in feeds():
        for row in Takes(home, seq=feeds().index(feed))(feed).quarantine.to_pylist():
            name = next(n for n in made if n.endswith(f".{row['source']}"))
            if row["rule"] != "companion":
                found[name][(row["dataset"], row["line"] - 1, row["rule"])] += 1
    return {name: (content, found[name]) for name, (_, content) in made.items()}


@pytest.mark.parametrize("name", landing())
def test_each_row_that_breaks_one_rule_is_refused_for_that_rule(
    name: str, reported: dict[str, tuple[Content, Counter[tuple[str, int, str]]]]
) -> None:
    content, found = reported[name]
    expected = Counter((*place, rule) for place, rule in content.expected.items())
    assert expected
    assert found == expected, {"missing": expected - found, "too many": found - expected}


def test_a_sound_row_of_every_dataset_lands(home: Home, takes: Takes) -> None:
    for feed in feeds():
        own = {c.dataset: c for c in datasets(feed).values() if c.name.startswith(f"{feed}.") or feed == "hq"}
        content = {name: [{c.name: sound(c) for c in contract.columns}] for name, contract in own.items()}
        if feed == "pos":
            content["lines"][0]["kind"] = "sale"
        write_drop(home, feed, DAY, "S1", content)
        intake = takes(feed)
        assert refusals(intake) == []
        for name in own:
            (row,) = landed_rows(intake, name)
            assert list(row) == list(landed()[f"landed.{name}"].names)
            assert all(value is not None for value in row.values()), row


def test_each_landed_table_is_its_dataset_and_provenance() -> None:
    tables = landed()
    assert len(tables) == len(landing()) == 40
    for name, contract in landing().items():
        table = tables[f"landed.{name.partition('.')[2]}"]
        assert table.names[: len(contract.names)] == contract.names
        assert table.names[len(contract.names) :] == ("feed", "drop_id", "drop_date", "source", "file", "line", "seq")
        assert (table.kind, table.partition) == ("fact", "drop_date")
        assert not [column.name for column in table.columns[: len(contract.names)] if column.required]


def test_a_row_dated_by_its_writers_zone_may_be_a_day_after_its_drop(home: Home, takes: Takes) -> None:
    late = {"ended_at": "2026-01-06T23:59:00-10:00"}  # the 7th in UTC, the 6th where it was rung up
    later = {"ended_at": "2026-01-07T00:01:00+01:00"}  # the 6th in UTC
    latest = {"ended_at": "2026-01-07T00:01:00Z"}
    drops = [sale(f"T{n}", **header) for n, header in enumerate((late, later, latest))]
    write_drop(home, "pos", DAY, "S1", joined(*drops))
    assert [row[3:] for row in refusals(takes())] == [("T2", "transaction", "after_drop:ended_at")]


def test_net_may_miss_its_lines_by_a_cent_and_no_more_and_only_what_counts_is_compared(
    home: Home, takes: Takes
) -> None:
    drops = [
        sale("CENT", net_amount="10.01", total_amount="10.01"),
        sale("MORE", net_amount="10.02", total_amount="10.02"),
        sale("VOID", net_amount="0.00", total_amount="99.00", status="voided"),
        sale("CONTROL", net_amount="0.00", total_amount="0.00", type="control"),
        {"transactions": rows("transactions", {"transaction_id": "EMPTY", "net_amount": "0.00", "total_amount": "0"})},
    ]
    write_drop(home, "pos", DAY, "S1", joined(*drops))
    intake = takes()
    assert [row[3:] for row in refusals(intake)] == [("MORE", "transaction", "net_is_its_lines")]
    (reason,) = (row["reason"] for row in intake.quarantine.to_pylist() if row["rule"] == "net_is_its_lines")
    assert reason == "it must hold that net_amount equals the sum of its unvoided lines', to 0.01"


def test_control_totals_may_count_all_or_what_came_about(home: Home, takes: Takes) -> None:
    content = joined(sale("T1"), sale("T2", status="voided"))
    for source, net in (("ALL", "20.00"), ("DONE", "10"), ("NONE", "30.00")):
        write_drop(home, "pos", DAY, source, content, totals={"transactions": 2, "net_amount": net})
    unreadable = joined(sale("T1"), sale("T2", net_amount="?"))
    write_drop(home, "pos", DAY, "UNREAD", unreadable, totals={"transactions": 2, "net_amount": "20.00"})
    assert [(row[0], row[5]) for row in refusals(takes())] == [
        ("NONE", "control_totals"),
        ("UNREAD", "type:net_amount"),
    ]


def test_order_totals_are_checked_too(home: Home, takes: Takes) -> None:
    content = {
        "orders": rows("orders", {}, {"order_id": "O2", "status": "cancelled"}),
        "order_lines": rows("order_lines", {}),
    }
    write_drop(home, "call_center", DAY, "CC1", content, totals={"orders": 2, "net_amount": 20})
    write_drop(home, "call_center", DAY, "CC2", content, totals={"orders": 3})
    assert [(row[0], row[5]) for row in refusals(takes("call_center"))] == [("CC2", "control_totals")]
