"""The derivation of rules from contracts, without Great Expectations."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from sqlglot import exp, parse_one

from kanta import contracts
from kanta.contracts import Check, Column, Contract
from kanta.engine import Engine
from kanta.errors import KantaError
from kanta.quality.rules import rules, types_of
from tests.quality.conftest import SALES


def test_each_kind_of_promise_becomes_a_rule_named_for_its_column() -> None:
    assert [rule.check for rule in rules(SALES)] == [
        "columns",
        "types",
        "row_count",
        "unique(sale, line)",
        "not_null(sale)",
        "not_null(line)",
        "in_set(offer)",
        "between(amount)",
        "between(pieces)",
        "between(day)",
        "between(moment)",
        "matches(currency)",
        "length(comment)",
        "not_null(email)",
        "matches(email)",
        "paid_by_someone",
        "few_pieces",
        "mail_once",
    ]


def test_severities_of_contracts_become_those_of_results_and_column_rules_are_critical() -> None:
    by_check = {rule.check: rule.severity for rule in rules(SALES)}
    own = {check.name: by_check.pop(check.name) for check in SALES.checks}
    assert own == {"paid_by_someone": "warning", "few_pieces": "info", "mail_once": "critical"}
    assert set(by_check.values()) == {"critical"}


def test_every_contract_of_the_lake_is_derived_whole_and_its_sql_runs(tmp_path: Path) -> None:
    tables = {**contracts.lake(), **contracts.landed()}
    assert len(tables) > 20
    with Engine(tmp_path) as engine:
        for contract in tables.values():
            engine.attach(contract, [])
            engine.view(types_of(contract.name), "select '' as column_name, '' as type where false", {})
        for contract in tables.values():
            derived = rules(contract)
            required = [rule for rule in derived if rule.check.startswith("not_null")]
            assert len(required) == sum(column.required for column in contract.columns), contract.name
            assert [engine.rows(rule.rows) for rule in derived if rule.rows and rule.check != "row_count"], (
                contract.name
            )


@dataclass(frozen=True)
class GrowingColumn(Column):
    growing: bool = False


@dataclass(frozen=True)
class FreshContract(Contract):
    at_most_days_old: int = 0


@pytest.mark.parametrize(
    ("contract", "said"),
    [
        (replace(SALES, columns=(GrowingColumn("sale", "BIGINT"),)), "GrowingColumn.growing"),
        (FreshContract("shop.sales", "fact", "", "", SALES.columns), "FreshContract.at_most_days_old"),
        (replace(SALES, checks=(Check("odd", "select 1", "fatal"),)), "unknown severity 'fatal'"),  # type: ignore[arg-type]
        (replace(SALES, checks=(Check("row_count", "select 1", "error"),)), "have one name: row_count"),
        (replace(SALES, columns=(Column("sale", "VARCHAR", minimum="1"),)), "'1' cannot be a bound of a VARCHAR"),
        (replace(SALES, columns=(Column("sale", "BIGINT", maximum="1e3"),)), "'1e3' cannot be a bound of a BIGINT"),
        (replace(SALES, columns=(Column("sale", "BIGINT", pattern="1"),)), "A BIGINT cannot have a pattern"),
        (replace(SALES, columns=(Column("sale", "DATE", max_length=1),)), "A DATE cannot have a pattern, a length"),
        (replace(SALES, columns=(Column("sale", "DATE", allowed=("x",)),)), "a list of allowed values"),
    ],
)
def test_a_rule_nobody_can_derive_is_an_error_and_never_left_out(contract: Contract, said: str) -> None:
    with pytest.raises(KantaError) as error:
        rules(contract)
    assert said in error.value.what
    assert SALES.name in error.value.where


def test_every_check_of_the_lake_reads_its_own_table_alone() -> None:
    """The worker judges each table when it is written, whatever else is there by then."""
    reads = {
        (name, check.name): {f"{t.db}.{t.name}" for t in parse_one(check.query, "duckdb").find_all(exp.Table)}
        for name, contract in contracts.lake().items()
        for check in contract.checks
    }
    assert len(reads) >= 5
    assert {check: tables - {check[0]} for check, tables in reads.items() if tables - {check[0]}} == {}
