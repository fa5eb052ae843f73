"""Reading the published lake: SQL by table names, as of tonight or of an earlier night."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import IO, Any

import duckdb
import sqlglot
from sqlglot import exp

from kanta import contracts, questions, spreadsheets
from kanta.engine import Engine, refusal
from kanta.errors import BadArguments
from kanta.home import Home
from kanta.lake import Lake, State
from kanta.models import models
from kanta.night import Night
from kanta.programme import HqNames
from kanta.programme.relations import RELATIONS

#: More rows than this are not printed as a table; ``--format csv`` or ``--output`` gives them all.
PRINTED = 200


def names() -> list[str]:
    """All tables a reader can ask for: those with a contract, and the landed copies behind them."""
    return sorted({*contracts.lake(), *contracts.landed()})


def say_which(state: State) -> None:
    """Says on standard error which night was read."""
    print(f"As of the night of {state.night} (publication {state.number}).", file=sys.stderr)


def open_lake(
    home: Home, tables: list[str], as_of: date | None = None, *, nearest: bool = False, shared: bool = True
) -> tuple[Engine, State]:
    """An engine with these tables as readers see them; the caller closes it.

    ``nearest``: see :meth:`Lake.published`; ``shared``: see :class:`Engine`.
    """
    lake = Lake(home)
    state = lake.published(as_of, nearest=nearest)
    if as_of is None:
        # Sessions with stores go on after a night is published; what they are now is what one asks for.
        sessions = {name: at for name, at in lake.head().tables.items() if name.startswith("distribution.")}
        state = replace(state, tables={**state.tables, **sessions})
    night = state.night
    engine = Engine(lake.root / "work", shared=shared)
    Night(home, lake, engine, "reading", state, night).attach(*tables)
    return engine, state


def rows_of(home: Home, tables: list[str], sql: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a query of ours over these tables gives, as readers see them: a dict for each row."""
    engine, _ = open_lake(home, tables)
    with engine:
        result = engine.execute(sql, parameters)
        columns = [column[0] for column in result.description or []]
        return [dict(zip(columns, row, strict=True)) for row in result.fetchall()]


def hq_names(home: Home) -> HqNames:
    """The names a programme may use that only headquarters' data knows, as of the last night; without one, none."""
    if not Lake(home).publications():
        return HqNames()
    engine, _ = open_lake(
        home, ["reference.channels", "reference.categories", "reference.products", "landed.affiliations"]
    )
    with engine:

        def column(name: str, table: str) -> set[str] | None:
            found = engine.rows(f"select distinct {name} from {table}")
            return {value for (value,) in found if value is not None} if found else None

        channels = dict(engine.rows("select distinct channel_id, coalesce(org_path, '') from reference.channels"))
        return HqNames(
            channels=channels or None,
            categories=column("category_id", "reference.categories"),
            products=column("product_id", "reference.products"),
            variants=column("variant_id", "reference.products"),
            affiliations=column("id", "landed.affiliations"),
            databases=column('"database"', "reference.channels"),
            data_groups=column("data_group", "reference.channels"),
        )


def open_published(home: Home, *tables: str, shared: bool = True) -> Night:
    """The newest publication as a night that only reads, with these tables attached; raises when there is none.

    ``shared``: see :class:`Engine`.
    """
    lake = Lake(home)
    state = lake.published()
    night = Night(home, lake, Engine(lake.root / "work", shared=shared), "reading", state, state.night)
    night.attach(*tables)
    return night


def refresh_analysts_file(home: Home) -> Path:
    """Sees to it that ``lake/analysts.duckdb`` shows the newest publication; one that does already stays."""
    lake = Lake(home)
    state, target = lake.published(), lake.root / "analysts.duckdb"
    if not target.exists() or shown_by(target) != (state.number, str(lake.root)):
        write_analysts_file(home, state).replace(target)
    return target


def write_analysts_file(home: Home, state: State, fresh: Path | None = None) -> Path:
    """Writes a database with a view for each table over the files of ``state``; the caller puts it in its place.

    Any DuckDB client opens it read-only and sees schema.table as ``kanta query`` does, and in ``main.publication``
    which night that is. It becomes ``lake/analysts.duckdb`` in one rename: who has that open goes on with last night's.
    """
    with AnalystsFile(home, fresh) as file:
        file.draw(state)
        written = file.finish(state)
    return written


class AnalystsFile:
    """The database of ``write_analysts_file``, drawn before all is known that the publication says of its own night."""

    def __init__(self, home: Home, path: Path | None = None) -> None:
        self._home, self._lake = home, Lake(home)
        self._path = path or self._lake.root / ".analysts.part.duckdb"
        clear(self._path)
        self._engine = Engine(self._lake.root / "work", self._path)

    def __enter__(self) -> AnalystsFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._engine.close()
        if kind:
            clear(self._path)

    def draw(self, state: State) -> None:
        """Puts the views in."""
        self._drawn = state
        with self._engine.at_once():
            Night(self._home, self._lake, self._engine, "reading", state, state.night).attach(*names())
            # What lives in this process only, relations of the programme and what calls our functions, goes in as rows.
            called = [name for name, model in models().items() if "folded(" in model.sql]
            for name in [*RELATIONS, "loyalty._replaced", *called]:
                if self._engine.has(name):
                    self._engine.keep(name)

    def finish(self, state: State) -> Path:
        """Brings the tables up to date that changed since, and says which publication this is."""
        for table, version in state.tables.items():
            if version != self._drawn.tables.get(table):
                self._engine.attach(contracts.contract_of(table), self._lake.files(table, state))
        self._engine.con.execute(
            "create table main.publication as select $number::integer as number, $night::date as business_date,"
            " $lake as lake",
            {"number": state.number, "night": state.night, "lake": str(self._lake.root)},
        )
        self._engine.con.execute("checkpoint")
        return self._path


def clear(file: Path) -> None:
    """Removes a database that was begun, and what its writer, if it died, had not brought into it."""
    file.unlink(missing_ok=True)
    file.with_name(f"{file.name}.wal").unlink(missing_ok=True)


def shown_by(file: Path) -> tuple[int, str] | None:
    """The publication an analysts' file shows, and of which lake; None when it cannot be told."""
    try:
        with duckdb.connect(str(file), read_only=True) as con:
            found = con.execute("select number, lake from main.publication").fetchone()
    except duckdb.Error:
        return None
    return (int(found[0]), str(found[1])) if found else None


def _asked_for(sql: str) -> list[str]:
    """The lake tables a statement names; all of them when it cannot be told (``show all tables`` and the like)."""
    known = names()
    try:
        tables = {
            f"{t.db}.{t.name}".lower() for t in sqlglot.parse_one(sql, dialect="duckdb").find_all(exp.Table) if t.db
        }
    except (sqlglot.errors.SqlglotError, RecursionError):
        return known
    if not tables:
        return known if not sql.strip().lower().startswith(("select", "with", "from")) else []
    return [name for name in known if name in tables]


def query(
    home: Home,
    sql: str,
    *,
    form: str = "table",
    output: Path | None = None,
    as_of: date | None = None,
    nearest: bool = False,
    exact: bool = False,
    quiet: bool = False,
) -> None:
    """Runs a query over the published lake and prints or writes its result; says which night it read.

    A CSV file is made harmless for spreadsheets unless ``exact``; what another program reads through a pipe is exact.
    Raises BadArguments for what is no question, or would be written into the lake.
    """
    questions.check(sql)
    _refuse_place(home, output)
    if form == "parquet" and output is None:
        raise BadArguments("--format parquet needs --output FILE", next_step="kanta query … --output out.parquet")
    engine, state = open_lake(home, _asked_for(sql), as_of, nearest=nearest, shared=False)
    with engine:
        engine.confine()
        try:
            result = engine.con.execute(sql)
        except Exception as error:
            if isinstance(error, duckdb.IOException) or "magic bytes" in str(error):
                raise refusal("query", sql, error) from None
            raise BadArguments(str(error).strip(), where=sql, next_step='kanta query "show all tables"') from None
        if not quiet:
            say_which(state)
        if form == "parquet":
            import pyarrow.parquet as pq

            pq.write_table(result.to_arrow_table(), output)
            return
        columns = [column[0] for column in result.description or []]
        if output:
            with output.open("w", encoding="utf-8", newline="") as file:
                _write(file, columns, result, form, exact=exact)
        else:
            _write(sys.stdout, columns, result, form, exact=exact or not _is_file(sys.stdout))


def _refuse_place(home: Home, output: Path | None) -> None:
    lake = Lake(home).root.resolve()
    if output and (output.resolve() == lake or lake in output.resolve().parents):
        raise BadArguments("Nothing is written into the lake by hand", where=str(output), next_step="another --output")


def _is_file(stream: IO[str]) -> bool:
    """Whether what is printed ends in a file, which people open, and not in another program or a terminal."""
    try:
        return stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except (OSError, ValueError, AttributeError):
        return False


def _write(file: IO[str], columns: list[str], result: Any, form: str, *, exact: bool) -> None:
    if form == "csv":
        field = (lambda _, shown: shown) if exact else spreadsheets.field
        file.write(spreadsheets.line(field("", name) for name in columns))
        while rows := result.fetchmany(10_000):
            file.writelines(spreadsheets.line(field(value, _shown(value)) for value in row) for row in rows)
    elif form == "json":
        rows = [dict(zip(columns, row, strict=True)) for row in result.fetchall()]
        json.dump(rows, file, default=str, indent=1)
        file.write("\n")
    else:
        file.write(as_table(columns, result.fetchmany(PRINTED + 1)))


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    return str(value)


def as_table(columns: list[str], rows: list[tuple[Any, ...]]) -> str:
    """Rows as aligned text, numbers to the right, cut after PRINTED rows with a word about it."""
    shown = [[_shown(value).replace("\n", " ") for value in row] for row in rows[:PRINTED]]
    widths = [max([len(name), *(len(row[i]) for row in shown)]) for i, name in enumerate(columns)]
    right = [all(not isinstance(row[i], str | bool) for row in rows) and bool(rows) for i in range(len(columns))]

    def line(cells: list[str]) -> str:
        return "  ".join(
            cell.rjust(width) if flush else cell.ljust(width)
            for cell, width, flush in zip(cells, widths, right, strict=True)
        ).rstrip()

    text = "\n".join([line(columns), line(["-" * width for width in widths]), *(line(row) for row in shown)]) + "\n"
    if len(rows) > PRINTED:
        text += f"… more than {PRINTED} rows: --format csv gives them all\n"
    return text
