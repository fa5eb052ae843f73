"""The engine: one in-memory DuckDB connection that turns SELECTs over files into new Parquet files.

It knows nothing of the lake: it is told which files are a table, and says which files it wrote.
"""

from __future__ import annotations

import atexit
import itertools
import os
import shutil
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import date
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any

import duckdb
import pyarrow as pa

from kanta.contracts import Contract
from kanta.errors import KantaError

Parameters = Mapping[str, Any]

#: How much memory the engine may use before it spills to disk; KANTA_MEMORY_LIMIT says otherwise.
MEMORY_LIMIT = "2000MB"


# Large columns come and go all the time; Arrow's own allocator takes six times as long to fetch the memory for them.
pa.set_memory_pool(pa.system_memory_pool())

#: As many rows as a piece of an Arrow table may have: it is one, and need not be put together.
_ROWS = 2**31 - 1


def literal(value: object) -> str:
    """A value as SQL text, for the few statements that take no parameters."""
    if isinstance(value, date):
        return f"DATE '{value.isoformat()}'"
    if isinstance(value, bool | int):
        return str(value)
    return "'" + str(value).replace("'", "''") + "'"


def file_literal(file: Path | str) -> str:
    """A file to read, as SQL: the engine takes ``*``, ``?`` and ``[`` of a path for a pattern, and reads what fits."""
    return literal("".join(f"[{character}]" if character in "*?[" else character for character in str(file)))


def folded(text: str) -> str:
    """A text so that those that look the same are the same: NFKC, without spaces around it, in no case.

    SQL knows it by this name, because the engine has no compatibility form of its own.
    """
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).strip().casefold())


def rows_of(contract: Contract, files: Sequence[str | Path]) -> str:
    """A SELECT of a contract's columns over its data files.

    A column that the contract did not have when the oldest of them was written is empty in that file.
    """
    import pyarrow.parquet as pq

    names = ", ".join(f'"{name}"' for name in contract.names)
    source = f"read_parquet([{', '.join(map(file_literal, files))}], hive_partitioning = false"
    with suppress(OSError, pa.ArrowException):  # what is gone or broken is told by whoever reads it
        if not set(contract.names) <= set(pq.read_schema(min(files, key=str)).names):
            both = f"select * from {source}, union_by_name = true) union all by name {_nothing(contract)}"
            return f"select {names} from ({both})"
    return f"select {names} from {source})"


def _nothing(contract: Contract) -> str:
    """No row, in the contract's columns."""
    columns = ", ".join(f'cast(null as {c.type}) as "{c.name}"' for c in contract.columns)
    return f"select {columns} where false"


def refusal(what: str, sql: str, error: Exception) -> KantaError:
    """What the engine's error says; of a file it could not read or write the file, not the SQL."""
    if isinstance(error, duckdb.IOException) or "magic bytes" in str(error):
        return KantaError(
            f"A file could not be read or written: {error}",
            next_step="df -h; kanta verify, which names every file of the lake that is gone or broken",
        )
    return KantaError(f"The engine refused a {what}: {error}", where=sql[:2000])


def _connect(workspace: Path, database: str = ":memory:") -> tuple[duckdb.DuckDBPyConnection, Path]:
    """A database process with every setting explicit, and the folder it alone spills into."""
    con = duckdb.connect(database)
    spill = workspace / f"spill-{os.getpid()}-{next(_processes)}"
    with suppress(OSError):  # a home that may only be read: what fits into memory is still answered
        if workspace.parent.exists():
            workspace.mkdir(exist_ok=True)  # what is spilled makes its own folder, but not this one
    settings = {
        "TimeZone": "UTC",
        "threads": os.cpu_count() or 1,
        "memory_limit": os.environ.get("KANTA_MEMORY_LIMIT", MEMORY_LIMIT),
        "temp_directory": str(spill),
        "preserve_insertion_order": False,
        "partitioned_write_max_open_files": 4096,
        # Rows of up to so many cards are looked for only in groups of rows that can hold them; fifty is little.
        "dynamic_or_filter_threshold": 1000,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    for name, value in settings.items():
        con.execute(f"set global {name} = {literal(value)}")  # else its cursors would not have it
    con.create_function("folded", folded, ["VARCHAR"], "VARCHAR")
    return con, spill


def remove_dead_spills(workspace: Path) -> int:
    """Removes what processes that died had spilled; returns how many there were."""
    dead = [path for path in workspace.glob("spill-*") if not _runs(int(path.name.split("-")[1]))]
    for path in dead:
        shutil.rmtree(path, ignore_errors=True)
    return len(dead)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


_processes = itertools.count()


@lru_cache(1024)
def _parsed(sql: str) -> duckdb.Statement:
    """One statement, parsed: a third of what a small one takes, and nights of a range say much the same."""
    statements = duckdb.extract_statements(sql)
    if len(statements) != 1:
        raise KantaError(f"One statement was expected, not {len(statements)}", where=sql[:2000])
    return statements[0]


def _named(statement: duckdb.Statement, parameters: Parameters | None) -> dict[str, Any] | None:
    return {name: parameters[name] for name in statement.named_parameters} if parameters else None


class _Shared:
    """The database process that the engines of a night's stages use one after the other: to start one takes as long
    as twenty small statements. Each has an empty database of its own there, which goes when it is closed."""

    def __init__(self) -> None:
        self.key: tuple[Path, int] | None = None
        self.con: duckdb.DuckDBPyConnection | None = None
        self.spill = Path()
        self.users = 0
        self.number = 0

    def enter(self, workspace: Path) -> tuple[duckdb.DuckDBPyConnection, str] | None:
        """A connection to a database of its own, and its name; None while another workspace's engines are at work."""
        key = (workspace, os.getpid())
        if self.con is None or key != self.key:
            if self.users and self.key and self.key[1] == os.getpid():
                return None
            self.end()
            self.key, self.users = key, 0
            self.con, self.spill = _connect(workspace)
        self.users += 1
        self.number += 1
        con, name = self.con.cursor(), f"engine_{self.number}"
        con.execute(f"attach ':memory:' as {name}")
        con.execute(f"use {name}")
        return con, name

    def leave(self, con: duckdb.DuckDBPyConnection, name: str) -> None:
        con.close()
        if self.con is not None:
            self.con.execute(f"detach {name}")
        self.users -= 1
        if not self.users and self.spill.exists():
            self.end()
            shutil.rmtree(self.spill, ignore_errors=True)

    def end(self) -> None:
        """Ends the database process."""
        if self.con is not None and self.key and self.key[1] == os.getpid():
            self.con.remove_function("folded")
            self.con.close()
        self.con = None


_shared = _Shared()
atexit.register(_shared.end)


class Engine:
    """One DuckDB connection with explicit settings; use as a context manager.

    ``workspace``: where what is spilled has a folder of its own, removed at the end. ``database``: a file that keeps
    what is defined.
    ``shared``: may run in the same database process as other engines of this workspace; not for one whose settings
    are to be changed.
    """

    def __init__(self, workspace: Path, database: Path | None = None, *, shared: bool = False) -> None:
        self.workspace = workspace
        self._name = ""
        if shared and (entered := _shared.enter(workspace)):
            self.con, self._name = entered
        else:
            self.con, self._spill = _connect(workspace, str(database) if database else ":memory:")
        self._schemas: set[str] = set()
        self._views: set[str] = set()
        self._registered: dict[str, pa.Table] = {}
        self._files: set[str] = set()

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of memory and of what was spilled."""
        if self._name:
            _shared.leave(self.con, self._name)
            return
        self.con.abort()  # of a result that was not read to its end
        self.con.remove_function("folded")
        self.con.close()
        shutil.rmtree(self._spill, ignore_errors=True)

    def execute(self, sql: str, parameters: Parameters | None = None) -> duckdb.DuckDBPyConnection:
        """Runs one statement with just those of ``parameters`` that it names."""
        try:
            statement = _parsed(sql)
            return self.con.execute(statement, _named(statement, parameters))
        except duckdb.Error as error:
            raise refusal("statement", sql, error) from error

    def confine(self) -> None:
        """Lets the engine reach no file but those attached by now, for good: what follows is in words of a user.

        Those files could still be written over by a COPY, so a user's statement must be a question, too
        (:func:`kanta.questions.check`). Not for a shared engine.
        """
        for setting in (
            f"allowed_paths = [{', '.join(literal(file) for file in sorted(self._files))}]",
            "enable_external_access = false",
            "python_enable_replacements = false",  # a table's name is no variable of ours
            "lock_configuration = true",
        ):
            self.con.execute(f"set {setting}")

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """What is defined meanwhile goes into the database together or, after an error, not at all."""
        self.con.begin()
        try:
            yield
        except BaseException:
            self.con.rollback()
            raise
        self.con.commit()

    def rows(self, sql: str, parameters: Parameters | None = None) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        return self.execute(sql, parameters).fetchall()

    def value(self, sql: str, parameters: Parameters | None = None) -> Any:
        """The one value of a query of one row and column."""
        ((result,),) = self.rows(sql, parameters)
        return result

    def arrow(self, sql: str, parameters: Parameters | None = None) -> pa.Table:
        """The result as one Arrow table."""
        try:
            result: pa.Table = self.con.sql(_parsed(sql), params=_named(_parsed(sql), parameters)).to_arrow_table(_ROWS)
        except duckdb.Error as error:
            raise refusal("query", sql, error) from error
        return result

    def _schema_of(self, name: str) -> None:
        schema = name.split(".")[0]
        if schema not in self._schemas:
            self.con.execute(f"create schema if not exists {schema}")
            self._schemas.add(schema)

    def register(self, name: str, table: pa.Table) -> None:
        """Makes an Arrow table readable as ``schema.table``."""
        self._schema_of(name)
        flat = "_arrow_" + name.replace(".", "__")
        self.con.register(flat, table)
        self._registered[name] = table
        self._view(name, f"select * from {flat}")

    def registered(self, name: str) -> pa.Table:
        """The Arrow table last made readable under this name."""
        return self._registered[name]

    def attach(self, contract: Contract, files: Sequence[str | Path]) -> None:
        """Makes files readable as the contract's table; no files: an empty table of its columns."""
        self._schema_of(contract.name)
        self._files.update(str(file) for file in files)
        body = rows_of(contract, files) if files else _nothing(contract)
        self._view(contract.name, body)

    def define(self, name: str, sql: str, parameters: Parameters | None = None) -> None:
        """Works a SELECT out and keeps its rows as ``schema.table`` for this connection."""
        self._schema_of(name)
        if name in self._views:
            self.con.execute(f"drop view {name}")
            self._views.remove(name)
        self.execute(f"create or replace table {name} as {sql}", parameters)

    def keep(self, name: str) -> None:
        """Works out what is readable under this name and puts its rows in its place, into the database itself."""
        schema, bare = name.split(".")
        self.con.execute(f'create table {schema}."_kept" as select * from {name}')
        self.con.execute(f"drop view {name}")
        self.con.execute(f'alter table {schema}."_kept" rename to "{bare}"')
        self._views.discard(name)

    def has(self, name: str) -> bool:
        """Whether something was made readable under this name."""
        schema, table = name.split(".")
        sql = (
            "select count(*) from information_schema.tables"
            " where table_catalog = current_database() and table_schema = ? and table_name = ?"
        )
        return bool(self.con.execute(sql, [schema, table]).fetchall()[0][0])

    def view(self, name: str, sql: str, parameters: Parameters) -> None:
        """Keeps a SELECT unworked, as ``schema.table``; parameters are written into it."""
        self._schema_of(name)
        for key, value in sorted(parameters.items(), reverse=True):  # $since_date before $since
            sql = sql.replace(f"${key}", literal(value))
        self._view(name, sql)

    def _view(self, name: str, sql: str) -> None:
        if name not in self._views:
            self.con.execute(f"drop table if exists {name}")
        self.execute(f"create or replace view {name} as {sql}")
        self._views.add(name)

    def write(
        self,
        contract: Contract,
        select: str,
        directory: Path,
        parameters: Parameters | None = None,
        month: str | None = None,
    ) -> list[Path]:
        """Writes a SELECT's rows as Parquet files, each of one partition, into a fresh ``directory``.

        A partition is a month where the column is a date, else a value. The columns are cast to the contract's types,
        in its order, sorted by day and key, so that the same rows give the same files. ``month`` (``2017-01``): the one
        month all rows are of, where that is known: they need not be parted then, a third of the work. Returns the
        files; no rows give none.
        """
        if directory.exists():
            raise KantaError("The engine writes only into fresh directories", where=str(directory))
        directory.mkdir(parents=True)
        columns = ", ".join(f'cast("{c.name}" as {c.type}) as "{c.name}"' for c in contract.columns)
        # A file of one partition is not sorted by what is the same in all its rows: that would only take longer.
        rest = [name for name in contract.key if name != contract.partition]
        by = [contract.partition, *rest] if contract.by_month else rest
        order = ", ".join(f'"{name}"' for name in by)
        body = f"select {columns} from ({select}) order by {order or 'all'}"
        options = "format parquet, compression zstd"
        folder = f"{contract.partition}_month"
        if contract.by_month and not month:
            self.execute(
                f"""copy (select *, strftime("{contract.partition}", '%Y-%m') as {folder} from ({body}))"""
                f" to {literal(str(directory))} ({options}, partition_by ({folder}))",
                parameters,
            )
            return sorted(directory.rglob("*.parquet"))
        if month or not contract.partition:
            target = directory / (f"{folder}={month}/data_0.parquet" if month else "part-0.parquet")
            target.parent.mkdir(exist_ok=True)
            ((_, rows, _, _, ranges, *_),) = self.rows(
                f"copy ({body}) to {literal(str(target))} ({options}, return_stats)", parameters
            )
            found = ranges.get(f'"{contract.partition}"', {}) if month and rows else {}
            if elsewhere := {found[end][:7] for end in ("min", "max") if end in found} - {month}:
                other = ", ".join(sorted(elsewhere))
                raise KantaError(f"Rows for {contract.name} are of {other}, not of {month}", where=select[:2000])
            if not rows:
                target.unlink()
            return [target] if rows else []
        self.execute(
            f"copy ({body}) to {literal(str(directory))}"
            f" ({options}, partition_by ({contract.partition}), write_partition_columns true)",
            parameters,
        )
        return sorted(directory.rglob("*.parquet"))
