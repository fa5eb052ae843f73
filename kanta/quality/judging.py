"""Great Expectations over the engine's tables: runs the suites derived from the contracts.

Importing this imports Great Expectations, which takes seconds; the night does it in a worker (``kanta.quality.Judge``).
"""

from __future__ import annotations

import builtins
import json
import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import great_expectations as gx  # noqa: TID253  # only the worker imports this module
from duckdb_engine import ConnectionWrapper, DuckDBIdentifierPreparer
from great_expectations import expectations as gxe  # noqa: TID253
from great_expectations.core import (  # noqa: TID253
    ExpectationSuiteValidationResult,
    ExpectationValidationResult,
    id_dict,
)
from great_expectations.data_context.types.base import ProgressBarsConfig  # noqa: TID253
from great_expectations.datasource.fluent.sql_datasource import SQLDatasource  # noqa: TID253
from great_expectations.execution_engine.sqlalchemy_execution_engine import (  # noqa: TID253
    SqlAlchemyExecutionEngine,
)
from great_expectations.expectations.core.unexpected_rows_expectation import (  # noqa: TID253
    UnexpectedRowsExpectation,
)
from great_expectations.expectations.expectation import Expectation  # noqa: TID253
from great_expectations.util import convert_to_json_serializable  # noqa: TID253
from sqlalchemy.pool import StaticPool

from kanta.contracts import Contract
from kanta.engine import Engine, file_literal
from kanta.errors import KantaError
from kanta.quality import Result, masked, pages
from kanta.quality.rules import Rule, public, public_key, quoted, rules, types_of

#: How many offending rows a result names.
SHOWN_ROWS = 5

# DuckDB reserves this word for types and functions, and its dialect quotes only what is reserved for everything.
DuckDBIdentifierPreparer.reserved_words.add("at")


class DuckDBExecutionEngine(SqlAlchemyExecutionEngine):
    """Great Expectations' SQL engine, reading each result before its connection goes back to the pool.

    The original reads it afterwards, when DuckDB has dropped it (every expectation failed).
    """

    def execute_query(self, query: Any) -> Any:
        with self.get_connection() as connection:
            return connection.execute(query).freeze()()


class DuckDBDatasource(SQLDatasource):
    """A SQL data source that works through :class:`DuckDBExecutionEngine`."""

    type: Literal["kanta_duckdb"] = "kanta_duckdb"  # type: ignore[assignment]

    @property
    def execution_engine_type(self) -> builtins.type[SqlAlchemyExecutionEngine]:
        return DuckDBExecutionEngine


# A quarter of a check's time went to two things that the library does thousands of times for one table.

_worked_out = Expectation.configuration.fget  # type: ignore[attr-defined]  # pydantic's metaclass hides the property
_configurations: dict[int, tuple[Expectation, Any]] = {}  # by id, with whom it is of, so that no id comes again


def _configuration(self: Expectation) -> Any:
    """What an expectation asks for, worked out once: the library does so at each of some sixty looks at it."""
    if id(self) not in _configurations:
        _configurations[id(self)] = self, _worked_out(self)
    return _configurations[id(self)][1]


def _serializable(data: Any) -> Any:
    """What the id of a metric is made of: nearly always plain values, which need no copy piece by piece."""
    try:
        json.dumps(data)
    except (TypeError, ValueError):
        return convert_to_json_serializable(data)
    return data


Expectation.configuration = property(_configuration)  # type: ignore[assignment,method-assign]
id_dict.convert_to_json_serializable = _serializable  # type: ignore[attr-defined]


class ExpectNoSuchRows(UnexpectedRowsExpectation):
    """UnexpectedRowsExpectation that counts the offending rows and leaves them where they are.

    The original fetches up to 200 whole rows besides, which costs a second scan and may bring personal values.
    """

    metric_dependencies = ("unexpected_rows_query.row_count",)

    def _validate(self, metrics: dict[str, Any], *_: Any, **__: Any) -> dict[str, Any]:
        return {"success": metrics["unexpected_rows_query.row_count"] == 0}


def suite(contract: Contract) -> list[Expectation]:
    """The expectations of a lake contract, one for each of its :func:`rules`, in their order.

    ``meta["check"]`` of each is the rule's name. Raises KantaError for a rule that nobody derives.
    """
    return [_expectation(rule) for rule in rules(contract)]


def _expectation(rule: Rule) -> Expectation:
    said: dict[str, Any] = {
        "severity": rule.severity,
        "description": rule.description,
        "meta": {"check": rule.check},
    }
    if rule.rows:
        # Braces would be places to fill in, and a comment at the end would hide what is put around the query.
        query = rule.rows.replace("{", "{{").replace("}", "}}")
        return ExpectNoSuchRows(unexpected_rows_query=f"select * from ({query}\n) as offending", **said)
    made: Expectation = getattr(gxe, rule.expectation)(**rule.arguments, **said)
    return made


class Court:
    """Judges tables while a night is still at work, and each only once while its files are the same.

    One engine and one data context of Great Expectations for all; a context manager.
    """

    def __init__(self) -> None:
        logging.getLogger("great_expectations").setLevel(logging.CRITICAL)  # it logs values; results say what failed
        self._workspace = tempfile.TemporaryDirectory(prefix="kanta-quality-")
        self._engine = Engine(Path(self._workspace.name))
        self._source = _source(self._engine)
        self._known: dict[str, _Judged] = {}

    def __enter__(self) -> Court:
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.close()
        self._workspace.cleanup()

    def judge(
        self, tables: Mapping[str, Sequence[Path]], contracts: Mapping[str, Contract], docs: Path | None = None
    ) -> list[Result]:
        """Judges each table's rows by its contract: results in the order of ``tables`` and of each contract's rules.

        ``tables``: the data files of each table to be judged (what changed tonight; none: an empty table),
        ``contracts``: at least those tables' contracts, ``docs``: the directory the data docs are written to.
        Uniqueness of a key is judged among the files given, not against older ones. What cannot be evaluated is
        a failed result that says so. Raises KantaError when a file cannot be read at all.
        """
        judged = {table: self._judged(contracts[table], tuple(files)) for table, files in tables.items()}
        results = [result for each in judged.values() for result in each.results]
        if docs:
            pages.write(docs, results, {table: each.outcome for table, each in judged.items()})
        return results

    def _judged(self, contract: Contract, files: tuple[Path, ...]) -> _Judged:
        known = self._known.get(contract.name)
        if known and known.files == files and known.contract == contract:
            return known
        _attach(self._engine, contract, files)
        outcome = _validate(self._source, contract)
        known = _Judged(contract, files, _results(self._engine, contract, outcome), outcome)
        self._known[contract.name] = known
        return known


@dataclass(frozen=True)
class _Judged:
    contract: Contract
    files: tuple[Path, ...]
    results: list[Result]
    outcome: ExpectationSuiteValidationResult


def _attach(engine: Engine, contract: Contract, files: Sequence[Path]) -> None:
    """Makes a table's files readable as they are, and what types they hold as ``types_of(table)``."""
    listed = ", ".join(map(file_literal, files))
    try:
        if files:
            engine.view(contract.name, f"select * from read_parquet([{listed}], hive_partitioning = false)", {})
            found = (
                f"select distinct name as column_name, duckdb_type from parquet_schema([{listed}]) where column_id > 0"
            )
        else:
            engine.attach(contract, [])
            found = f"select column_name, column_type as duckdb_type from (describe {contract.name})"
        named = "replace(duckdb_type, 'TIMESTAMP WITH TIME ZONE', 'TIMESTAMPTZ')"
        engine.view(types_of(contract.name), f"select column_name, {named} as type from ({found})", {})
    except KantaError as error:
        raise KantaError(
            f"The files of {contract.name} cannot be read: {masked(error.what)}",
            where=", ".join(str(file) for file in files[:3]),
            next_step="run the night again; it writes tonight's files anew",
        ) from error


def _source(engine: Engine) -> Any:
    """The engine's tables as a data source of Great Expectations."""
    context = gx.get_context(mode="ephemeral")
    context.enable_analytics(False)
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    context._save_project_config = lambda: None  # type: ignore[method-assign]  # writes it out as YAML, for nobody
    connection = engine.con.cursor()
    return context.data_sources.add_kanta_duckdb(
        name="lake",
        connection_string="duckdb:///:memory:",
        kwargs={"creator": lambda: ConnectionWrapper(connection), "poolclass": StaticPool},
    )


def _validate(source: Any, contract: Contract) -> ExpectationSuiteValidationResult:
    # The name is not taken apart into schema and table: Great Expectations would look the table up without its schema.
    if contract.name in source.get_asset_names():
        source.delete_asset(contract.name)
    asset = source.add_table_asset(name=contract.name, table_name=contract.name)
    batch = asset.add_batch_definition_whole_table("tonight").get_batch()
    expectations = gx.ExpectationSuite(name=contract.name, expectations=suite(contract))
    outcome: ExpectationSuiteValidationResult = batch.validate(
        expectations,
        result_format={
            "result_format": "BOOLEAN_ONLY",  # all conditions in one scan, and no values leave the engine
            "return_unexpected_index_query": True,
            "unexpected_index_column_names": list(public_key(contract)),
        },
    )
    _configurations.clear()
    return outcome


def _results(engine: Engine, contract: Contract, outcome: ExpectationSuiteValidationResult) -> list[Result]:
    by_check = {item.expectation_config.meta["check"]: item for item in outcome.results if item.expectation_config}
    count = int(engine.value(f"select count(*) from {contract.name}"))
    results = []
    for rule in rules(contract):
        item = by_check[rule.check]
        observed = _observed(engine, contract, rule, item, count)
        results.append(Result(contract.name, rule.check, rule.severity, bool(item.success), observed, count))
    return results


def _observed(engine: Engine, contract: Contract, rule: Rule, item: ExpectationValidationResult, count: int) -> str:
    if crash := _crash(item):
        return f"could not be checked: {crash}"
    if rule.check == "row_count":
        return f"{count} rows"
    if rule.check == "columns":
        return _observed_columns(engine, contract)
    among = f"{len(contract.columns)} columns" if rule.check == "types" else f"{count} rows"
    if item.success:
        return f"none in {among}"
    offending = rule.rows or str(item.result["unexpected_index_query"]).rstrip(";")
    number = engine.value(f"select count(*) from ({offending}\n)")
    return f"{number} in {among}{_examples(engine, contract, rule, offending)}"


def _crash(item: ExpectationValidationResult) -> str:
    """Why an expectation could not be evaluated, or "" when it was."""
    info = item.exception_info or {}
    raised = [info] if "raised_exception" in info else list(info.values())
    messages = sorted({masked(str(entry["exception_message"])) for entry in raised if entry["raised_exception"]})
    return " · ".join(messages)


def _observed_columns(engine: Engine, contract: Contract) -> str:
    found = [name for name, *_ in engine.rows(f"describe {contract.name}")]
    missing = [name for name in contract.names if name not in found]
    more = [name for name in found if name not in contract.names]
    if missing or more:
        return "; ".join(
            [f"missing: {', '.join(missing)}"] * bool(missing) + [f"not promised: {', '.join(more)}"] * bool(more)
        )
    return f"{len(found)} columns" if found == list(contract.names) else f"in another order: {', '.join(found)}"


def _examples(engine: Engine, contract: Contract, rule: Rule, offending: str) -> str:
    """The first offending rows by their public columns, in the order of these columns."""
    may = {*public(contract), *rule.shown}
    found = dict.fromkeys(name for name, *_ in engine.rows(f"describe {offending}"))
    shown = [name for name in found if name in may]
    if not shown:
        return ""
    values = ", ".join(f'cast("{name}" as varchar)' for name in shown)
    try:
        rows = engine.rows(
            f"select {values} from (select distinct {quoted(*shown)} from ({offending}\n))"
            f" order by {quoted(*shown)} limit {SHOWN_ROWS}"
        )
    except KantaError as error:  # counting the rows does not work their columns out; this does
        return f" that cannot be shown: {masked(error.what)}"
    return ": " + "; ".join(
        ", ".join(f"{name}={value}" for name, value in zip(shown, row, strict=True)) for row in rows
    )
