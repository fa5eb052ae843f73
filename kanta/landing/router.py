"""Routing spooled rows by their contracts: each row is accepted, a repetition, or refused with the rule it breaks.

All rules are SQL generated from ``schemas/landing``: for each column its type (a strict pattern and a cast, since a
cast alone rounds), what is required, allowed, in range; for each dataset its key, what it is part of, and the SQL
checks its contract states (their queries see the datasets as tables, ``_drop`` telling drops apart, and return the
drop and the record key). A refused row refuses its whole record in that drop: the transaction with lines and
tenders, the order, the operation on a customer, the card with all its programs.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from kanta.contracts import PROVENANCE, Check, Column, Contract, landed, landing
from kanta.engine import file_literal
from kanta.foreign import BLANKS
from kanta.landing.drops import Found
from kanta.landing.limits import LISTED_BYTES, too_many
from kanta.landing.spool import BREAK, RETURN, SEPARATOR, Spool

LATEST = "9999-12-30"  # for moments: one later has no date in every zone
EARLIEST = "1900-01-01"  # for dates the contract sets no bound to; source systems write it for "no date"
LARGEST = 10**12  # no amount, rate or quantity of a retailer is as large; it is a shifted column or a card number
ANY_AGE = 36525  # days: a feed whose facts the settings do not bound
MAX_RAW = 16 << 10
MAX_LINE = 8 << 20  # bytes of a spool's line

_DECIMAL = r"-?(\d{{1,38}}(\.\d{{0,{scale}}}0*)?|\.\d{{1,{scale}}}0*)"
_CLOCK = r"\d{4}-\d{2}-\d{2}[T ]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,9})?)?"
_PATTERNS = {
    "BIGINT": r"-?\d{1,18}(\.0*)?",  # data frames write 1.0 in a column that has empty cells
    "INTEGER": r"-?\d{1,9}(\.0*)?",
    "DATE": r"\d{4}-\d{2}-\d{2}([T ]00:00(:00(\.0{1,9})?)?(Z|[+-]\d{2}(:?\d{2})?)?)?",  # or its midnight
    "TIMESTAMPTZ": _CLOCK + r"(Z|[+-](0\d|1[0-4])(:?[0-5]\d)?)",
}
#: Numbers with an exponent that DECIMAL(38,18) holds to the last digit.
_EXPONENT = r"-?\d{1,9}(\.\d{0,9}0*)?[eE](\+?0*(\d|1[01])|-0*\d)"
_NUMBERS = ("BIGINT", "INTEGER", "DECIMAL")
_IN_WORDS = {
    "BIGINT": "is not a whole number",
    "INTEGER": "is not a whole number of at most nine digits",
    "BOOLEAN": "is not true or false",
    "DATE": "is not a date, written YYYY-MM-DD",
    "JSON": "is not JSON",
}
_ROW_RULES = {
    "columns": "the row has more or fewer fields than the header",
    "length": "the row is longer than 1 MB",
    "control_character": "the row holds a character no text has",
    "json": "the line is not a JSON object",
    "nested": "a value is an object or a list",
    "duplicate_key": "the key stands in several rows of the drop that differ",
    "orphan": "the drop has no row this one is part of",
    "companion": "another row of the same record is refused",
}


@dataclass(frozen=True)
class Rule:
    """One rule of a column: the SQL condition that breaks it, and what to say then."""

    name: str
    broken: str
    reason: str


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """One refused row: where it stood, what it is, the rule it breaks, its own columns as text.

    ``level`` is ``transaction`` (order, operation on a customer) or ``record``.
    """

    drop: int
    file: int
    line: int
    dataset: str
    record_key: str
    level: str
    rule: str
    reason: str
    raw: str


@dataclass
class Routed:
    """What became of the rows: counts by drop, Parquet files by dataset."""

    accepted: dict[int, int] = field(default_factory=dict)
    headers: dict[int, int] = field(default_factory=dict)  # accepted transactions or orders
    repeated: dict[int, int] = field(default_factory=dict)
    files: dict[str, list[Path]] = field(default_factory=dict)


@dataclass(frozen=True)
class Stated:
    """A drop's control totals, None where it states none; ``unread`` transactions could not even be made rows."""

    drop: int
    count: int | None
    net_amount: Decimal | None
    unread: int


def quoted(name: str) -> str:
    """A column or table name as SQL: some are words SQL knows."""
    return f'"{name}"'


def literal(text: str) -> str:
    """A text of a contract as SQL."""
    return "'" + text.replace("'", "''") + "'"


def typed(column: Column, raw: str) -> str:
    """SQL for the column's value from its text; null when the text is not of the type."""
    if column.type == "VARCHAR":
        value = raw
    elif column.type == "BOOLEAN":
        value = f"case lower({raw}) when 'true' then true when 'false' then false end"
    elif column.type == "JSON":
        value = f"case when json_valid({raw}) then json({raw})::varchar end"
    else:
        pattern = _PATTERNS.get(column.type) or _DECIMAL.format(scale=column.scale)
        text = f"substr({raw}, 1, 10)" if column.type == "DATE" else raw
        cases = f"when regexp_full_match({raw}, '{pattern}') then try_cast({text} as {column.type})"
        if column.type.startswith(_NUMBERS):
            cases += _with_exponent(column.type, raw)
        if column.local or column.zone == "UTC":  # a channel's clock is kept as if it were UTC; sales knows the zone
            cases += f" when regexp_full_match({raw}, '{_CLOCK}') then try_cast({raw} || 'Z' as {column.type})"
        value = f"case {cases} end"
    if column.default:
        value = f"case when {raw} is null then {literal(column.default)}::{column.type} else {value} end"
    return value


def _with_exponent(kind: str, raw: str) -> str:
    """The branch of a CASE for numbers as ``1E+2``, which are taken when nothing of them is lost."""
    rounded, exact = f"try_cast({raw} as {kind})", f"try_cast({raw} as DECIMAL(38,18))"
    same = f"try_cast({rounded} as DECIMAL(38,18)) = {exact}"
    return f"when regexp_full_match({raw}, '{_EXPONENT}') and {same} then {rounded}"


def rules(column: Column, raw: str, value: str) -> list[Rule]:
    """What the contract demands of a column whose text and typed value are the SQL ``raw`` and ``value``.

    In the order they are tried; the name tells the column, as ``range:net_amount``.
    """
    name, found = column.name, []

    def rule(kind: str, broken: str, reason: str) -> None:
        found.append(Rule(f"{kind}:{name}", broken, f"{name} {reason}"))

    if column.required:
        rule("required", f"{raw} is null", "is empty")
    if column.type != "VARCHAR":
        unread = f"{raw} is not null and {value} is null"
        if column.type.startswith("DECIMAL"):
            finer = rf"-?\d{{0,18}}\.\d{{{column.scale}}}\d*[1-9]\d*"
            reason = f"has more than {column.scale} digits behind the point"
            rule("digits", f"{unread} and regexp_full_match({raw}, '{finer}')", reason)
        rule("type", unread, _IN_WORDS.get(column.type, f"is not of type {column.type}"))
    if column.type.startswith("DECIMAL") and column.scale < 6:  # with more digits behind the point none fits
        rule("range", f"abs({value}) >= {LARGEST}", f"is {LARGEST:,} or more")
    if column.minimum or column.type in ("DATE", "TIMESTAMPTZ"):
        least = column.minimum or EARLIEST
        rule("range", f"{value} < {_bound(column, least)}", f"is less than {least}")
    if column.maximum or column.type == "TIMESTAMPTZ":
        most = column.maximum or LATEST
        rule("range", f"{value} > {_bound(column, most)}", f"is more than {most}")
    if column.days_after_drop is not None:
        # the day of a moment depends on the zone: the writer's day will do as well as UTC's
        day = f"least({value}::date, try_cast(substr({raw}, 1, 10) as date))" if column.type == "TIMESTAMPTZ" else value
        days = f"more than {column.days_after_drop} days " if column.days_after_drop else ""
        reason = f"is {days}after the drop's date"
        rule("after_drop", f"{day} > _date + {column.days_after_drop}", reason)
    reason = "is further before the drop's date than settings.yaml allows (days_late): was a clock reset?"
    if column.bounded_age:
        rule("before_drop", f"{value} < _oldest", reason)
    if column.stands_for:
        rule("before_drop", f"{quoted(column.stands_for)} is null and {value}::date < _oldest", reason)
    if column.allowed:
        values = ", ".join(literal(one) for one in column.allowed)
        rule("allowed", f"{value} not in ({values})", f"is not one of {', '.join(column.allowed)}")
    if column.pattern:
        rule("pattern", f"not regexp_full_match({value}, {literal(column.pattern)})", "is not written as it must be")
    if column.max_length:
        rule("length", f"length({value}) > {column.max_length}", f"is longer than {column.max_length} characters")
    return found


def _bound(column: Column, bound: str) -> str:
    return f"{literal(bound)}::{column.type}" if column.type in ("DATE", "TIMESTAMPTZ") else bound


@cache
def reasons(contract: Contract) -> dict[str, str]:
    """Every rule a row of the dataset can break, with its reason in words."""
    columns = {rule.name: rule.reason for column in contract.columns for rule in rules(column, "raw", "value")}
    checks = {check.name: f"it must hold that {check.description.rstrip('.')}" for check in contract.checks}
    return columns | _ROW_RULES | checks


def source(spool: Spool) -> str:
    """SQL for a spool as a table: ``_file, _line, _row, _flag`` and its columns as text, blank text as null.

    ``_file`` and ``_row`` together tell rows apart, and ``_row`` keeps the file's order. The rows of an ordered spool
    are numbered far below zero, as the beginning of the same file may stand in a plain one.
    """
    names = [c if c in spool.contract.names else f"_unknown_{n}" for n, c in enumerate(spool.columns)]
    head = {"_file": "INTEGER", "_line": "BIGINT", **({"_row": "BIGINT"} if spool.escaped else {}), "_flag": "VARCHAR"}
    columns = {**head, **dict.fromkeys(names, "VARCHAR")}
    spec = ", ".join(f"{literal(name)}: '{kind}'" for name, kind in columns.items())
    read = (
        f"read_csv({file_literal(spool.path)}, columns = {{{spec}}}, delim = '{SEPARATOR}', quote = '', escape = '',"
        " header = false, auto_detect = false, nullstr = '', new_line = '\\n',"
        f" max_line_size = {MAX_LINE}, buffer_size = {2 * MAX_LINE})"
    )
    row = f"_row - {1 << 62} as _row" if spool.escaped else "_line as _row"
    texts = ", ".join(f"{_text(quoted(name), spool)} as {quoted(name)}" for name in names)
    return f"(select _file, _line, {row}, _flag, {texts} from {read})"


def _text(column: str, spool: Spool) -> str:
    """SQL for a column of a spool as it was written, without the blanks it was padded with."""
    if spool.escaped:
        column = f"translate({column}, '{BREAK}{RETURN}', chr(10) || chr(13))"
    return f"nullif(trim({column}, {literal(BLANKS)}), '')" if spool.padded else column


def typed_rows(spool: Spool) -> str:
    """SQL that types a spool's rows and names in ``_bad`` the first rule each breaks."""
    contract, present = spool.contract, set(spool.columns)
    clocks = {column.local: column.name for column in contract.columns if column.local}
    inner, cases = [], ["when _flag is not null then _flag"]
    for n, column in enumerate(contract.columns):
        raw = f"s.{quoted(column.name)}" if column.name in present else "null::varchar"
        value = typed(column, raw)
        if time := clocks.get(column.name):  # whatever a file says of it
            raw = "null::varchar"
            value = f"coalesce(regexp_full_match(s.{quoted(time)}, '{_CLOCK}'), false)" if time in present else "false"
        inner += [f"{raw} as _raw_{n}", f"{value} as {quoted(column.name)}"]
        for rule in rules(column, f"_raw_{n}", quoted(column.name)):
            cases.append(f"when {rule.broken} then {literal(rule.name)}")
    own = ", ".join(quoted(name) for name in contract.names)
    return f"""
        select _file, _drop, _line, _row, {own}, case {" ".join(cases)} end as _bad
        from (
            select
                s._file, f._drop, s._line, s._row, s._flag, f.drop_date as _date, f.oldest as _oldest,
                {", ".join(inner)}
            from {source(spool)} as s
            inner join _files as f on f._file = s._file
        )"""


def drops_table(drops: Iterable[tuple[int, Found]]) -> pa.Table:
    """Drops that were read whole, by ordinal."""
    rows = [(n, found.drop_id, found.business_date, found.source) for n, found in drops]
    names = (("_drop", pa.int32()), ("drop_id", pa.string()), ("drop_date", pa.date32()), ("source", pa.string()))
    return pa.table({name: pa.array([row[i] for row in rows], kind) for i, (name, kind) in enumerate(names)})


def files_table(files: Sequence[tuple[int, int, str]]) -> pa.Table:
    """Their files: ordinal, drop, name."""
    names = (("_file", pa.int32()), ("_drop", pa.int32()), ("file", pa.string()))
    return pa.table({name: pa.array([row[i] for row in files], kind) for i, (name, kind) in enumerate(names)})


class Router:
    """The rows of one take, routed in an in-memory database; ``folder`` takes what does not fit in memory.

    ``days_late``: how far before its drop's date a fact may be dated where its contract bounds that.

    Each dataset is a table of its typed columns and ``_file, _drop, _line, _row, _bad``.
    """

    def __init__(self, feed: str, folder: Path, days_late: int) -> None:
        self.feed, self.days_late = feed, days_late
        self.routed = Routed()
        self.spools: dict[str, list[Spool]] = {}
        self.contracts: dict[str, Contract] = {}
        self.connection = duckdb.connect()
        self.connection.execute(
            "set preserve_insertion_order = false; set memory_limit = '2GB'; set TimeZone = 'UTC';"
            f"set temp_directory = {literal(str(folder))}"
        )

    def __enter__(self) -> Router:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def load(
        self,
        spools: Sequence[Spool],
        drops: pa.Table,
        files: pa.Table,
        tell: Callable[[int, int], None] = lambda *_: None,
    ) -> None:
        """Types the spooled rows of the drops that were read whole; see ``drops_table`` and ``files_table``."""
        self.connection.register("_arrow_drops", drops)
        self.connection.register("_arrow_files", files)
        self.connection.execute(
            "create table _drops as from _arrow_drops;"
            f"create table _files as select f.*, d.drop_date, d.drop_date - {self.days_late} as oldest"
            " from _arrow_files as f inner join _drops as d using (_drop);"
            "create table _refused (dataset varchar, _file integer, _row bigint, rule varchar);"
            "create table _units (family varchar, _drop integer, unit varchar)"
        )
        for spool in spools:
            self.spools.setdefault(spool.contract.dataset, []).append(spool)
            self.contracts[spool.contract.dataset] = spool.contract
        families = {_family(contract) for contract in self.contracts.values()}
        for table in landed().values():  # a check may name what no drop of this take holds: an empty table will do
            if _family(table) in families:
                columns = ", ".join(f"{quoted(c.name)} {c.type}" for c in table.columns[: -len(PROVENANCE)])
                self.connection.execute(
                    f"create table {quoted(table.dataset)}"
                    f" (_file integer, _drop integer, _line bigint, _row bigint, {columns}, _bad varchar)"
                )
        # Of a text file the optimizer takes a few hundred rows for granted, and would look files up in a spool's rows.
        self.connection.execute("set disabled_optimizers = 'join_order,build_side_probe_side'")
        for done, spool in enumerate(spools, 1):
            self.connection.execute(f"insert into {quoted(spool.contract.dataset)} {typed_rows(spool)}")
            tell(done, len(spools))
        self.connection.execute("reset disabled_optimizers")

    def check_totals(self, dataset: str, stated: Sequence[Stated]) -> dict[int, str]:
        """Drops whose control totals are not what their files hold, with the reason.

        A row that stands twice may count once or twice, and a sum may leave out what did not come about: senders
        do either. A sum over an amount that cannot be read is not compared; that row is refused anyway.
        """
        held = self._held(dataset) if stated and dataset in self.contracts else {}
        wrong: dict[int, str] = {}
        for totals in stated:
            rows, keys, unreadable, *sums = held.get(totals.drop, (0, 0, 0, 0, 0, 0))
            rows, keys = rows + totals.unread, keys + totals.unread
            if totals.count is not None and totals.count not in (rows, keys):
                wrong[totals.drop] = f"{dataset}: the control file says {totals.count}, the files hold {keys}"
            elif (
                totals.net_amount is not None and not unreadable and not totals.unread and totals.net_amount not in sums
            ):
                wrong[totals.drop] = f"net_amount: the control file says {totals.net_amount}, the files hold {sums[1]}"
        return wrong

    def forget(self, drops: Collection[int]) -> None:
        """Leaves out the rows of drops that are refused after all."""
        if drops:
            numbers = ", ".join(str(drop) for drop in drops)
            for dataset in self.contracts:
                self.connection.execute(f"delete from {quoted(dataset)} where _drop in ({numbers})")
            theirs = f"select _file from _files where _drop in ({numbers})"
            self.connection.execute(f"delete from _refused where _file in ({theirs})")
            for drop in drops:
                self.routed.repeated.pop(drop, None)

    def _held(self, dataset: str) -> dict[int, tuple[Any, ...]]:
        (key,) = self.contracts[dataset].key
        came_about = "status = 'completed'" if dataset == "transactions" else "status <> 'cancelled'"
        flags = ", ".join(literal(rule) for rule in _ROW_RULES)
        rows = self.connection.execute(
            f"""
            select
                _drop, sum(n), count(*), sum(unreadable),
                sum(total), sum(net_amount), coalesce(sum(net_amount) filter (where {came_about}), 0)
            from (
                select
                    _drop, count(*) as n, sum(net_amount) as total, max(net_amount) as net_amount,
                    max(status) as status, count(*) filter (where net_amount is null or _bad in ({flags})) as unreadable
                from {quoted(dataset)}
                group by _drop, {quoted(key)}
            )
            group by _drop"""
        ).fetchall()
        return {row[0]: row[1:] for row in rows}

    def route(self) -> None:
        """Tells repeated and refused rows from accepted ones: by themselves, then with what they belong to."""
        for dataset, contract in self.contracts.items():
            self._refuse(dataset, f"select _file, _row, _bad as rule from {quoted(dataset)} where _bad is not null")
            self._find_repetitions(contract)
        self._spread()
        for dataset, contract in self.contracts.items():
            if contract.part_of:
                self._refuse(dataset, self._orphans(contract))
            for check in contract.checks:
                self._refuse(dataset, self._offending(contract, check))
        self._spread()
        for dataset, contract in self.contracts.items():
            self._refuse(dataset, self._companions(contract))

    def _refuse(self, dataset: str, rows: str) -> None:
        """Refuses the rows (_file, _row, rule) that are not refused yet."""
        self.connection.execute(
            f"""
            insert into _refused
            select {literal(dataset)}, n._file, n._row, min(n.rule)
            from ({rows}) as n
            anti join _refused as r on r.dataset = {literal(dataset)} and r._file = n._file and r._row = n._row
            group by n._file, n._row"""
        )

    def _find_repetitions(self, contract: Contract) -> None:
        """Rows with the same key in one drop: identical ones count once, differing ones are refused."""
        table, key, own = quoted(contract.dataset), _list(contract.key), _list(contract.names)
        same = " and ".join(f"t.{quoted(name)} is not distinct from k.{quoted(name)}" for name in contract.key)
        self.connection.execute(
            f"""
            create or replace temp table _twice as
            select
                _file, _row, _drop, n, max(version) over (partition by _drop, {key}) as versions
            from (
                select
                    *,
                    dense_rank() over (partition by _drop, {key} order by {own}) as version,
                    row_number() over (partition by _drop, {key} order by _file, _line, _row) as n
                from (
                    select t.*
                    from {table} as t
                    inner join (
                        select _drop, {key} from {table} where _bad is null group by _drop, {key} having count(*) > 1
                    ) as k on k._drop = t._drop and {same}
                    where t._bad is null
                )
            )"""
        )
        self._refuse(contract.dataset, "select _file, _row, 'duplicate_key' as rule from _twice where versions > 1")
        again = "from _twice where versions = 1 and n > 1"
        for drop, repeated in self.connection.execute(f"select _drop, count(*) {again} group by _drop").fetchall():
            self.routed.repeated[drop] = self.routed.repeated.get(drop, 0) + repeated
        self.connection.execute(f"delete from {table} where (_file, _row) in (select (_file, _row) {again})")

    def _spread(self) -> None:
        """Notes the records that hold a refused row."""
        self.connection.execute("delete from _units")
        for dataset, contract in self.contracts.items():
            self.connection.execute(
                f"""
                insert into _units
                select distinct {literal(_family(contract))}, t._drop, {_unit(contract)}
                from {quoted(dataset)} as t
                semi join _refused as r on r.dataset = {literal(dataset)} and r._file = t._file and r._row = t._row
                where {_unit(contract)} is not null"""
            )

    def _orphans(self, contract: Contract) -> str:
        (key,) = contract.record_key
        return f"""
            select t._file, t._row, 'orphan' as rule
            from {quoted(contract.dataset)} as t
            anti join {quoted(contract.part_of)} as h on h._drop = t._drop and h.{quoted(key)} = t.{quoted(key)}
            anti join _units as u on {_same_unit(contract)}"""

    def _offending(self, contract: Contract, check: Check) -> str:
        same = " and ".join(f"q.{quoted(name)} = t.{quoted(name)}" for name in contract.key)
        return f"""
            select t._file, t._row, {literal(check.name)} as rule
            from {quoted(contract.dataset)} as t
            semi join ({check.query}) as q on q._drop = t._drop and {same}
            anti join _units as u on {_same_unit(contract)}"""

    def _companions(self, contract: Contract) -> str:
        return f"""
            select t._file, t._row, 'companion' as rule
            from {quoted(contract.dataset)} as t
            semi join _units as u on {_same_unit(contract)}"""

    def unlisted(self) -> dict[int, str]:
        """Drops of which too many rows are refused to be listed, with their number and the rules most of them break."""
        rules: dict[int, list[tuple[int, str]]] = {}
        counted = "select f._drop, count(*) as n, r.rule from _refused as r inner join _files as f on f._file = r._file"
        for drop, rows, rule in self.connection.execute(
            f"{counted} group by f._drop, r.rule order by n desc, r.rule"
        ).fetchall():
            rules.setdefault(drop, []).append((rows, rule))
        count = {drop: sum(rows for rows, _ in found) for drop, found in rules.items()}
        size = self._refused_size() if sum(count.values()) * MAX_RAW > LISTED_BYTES else {}
        named = {drop: ", ".join(f"{rule} {rows:,}" for rows, rule in found[:3]) for drop, found in rules.items()}
        chosen = too_many({drop: (count[drop], size.get(drop, 0)) for drop in count})
        return {drop: f"{count[drop]:,} rows are refused ({named[drop]})" for drop in sorted(chosen)}

    def _refused_size(self) -> Counter[int]:
        """About how many bytes the refused rows of each drop are as text."""
        size: Counter[int] = Counter()
        for dataset, spools in self.spools.items():
            for spool in spools:
                texts = (
                    f"coalesce(strlen(s.{quoted(name)}), 0)" for name in spool.contract.names if name in spool.columns
                )
                held = self.connection.execute(
                    f"""
                    select t._drop, sum(least({MAX_RAW}, {" + ".join(texts)}))
                    from {source(spool)} as s
                    inner join {quoted(dataset)} as t on t._file = s._file and t._row = s._row
                    inner join _refused as r on r.dataset = {literal(dataset)} and r._file = t._file and r._row = t._row
                    group by t._drop"""
                )
                size.update({drop: int(total) for drop, total in held.fetchall()})
        return size

    def refused(self) -> Iterator[RefusedRow]:
        """The refused rows, with their own columns as text."""
        wholes = {contract.part_of for contract in landing().values()}
        for dataset, spools in self.spools.items():
            contract = self.contracts[dataset]
            level = "transaction" if contract.part_of or dataset in wholes else "record"
            refused = (
                f"inner join _refused as r on r.dataset = {literal(dataset)} and r._file = t._file and r._row = t._row"
            )
            for spool in spools:
                for drop, file, line, key, rule, values in self._as_text(spool, "r.rule", refused):
                    yield RefusedRow(
                        drop, file, line, dataset, key, level, rule, reasons(contract)[rule], raw_json(values)
                    )

    def rows(self) -> Iterator[tuple[Contract, int, int, str, dict[str, str]]]:
        """All rows as text: contract, file, line, record key, columns that are not empty."""
        for spool in (spool for spools in self.spools.values() for spool in spools):
            for _, file, line, key, _, values in self._as_text(spool, "''", ""):
                yield spool.contract, file, line, key, values

    def _as_text(
        self, spool: Spool, rule: str, joined: str
    ) -> Iterator[tuple[int, int, int, str, str, dict[str, str]]]:
        """Rows of a spool, read from it again: drop, file, line, record key, rule, columns that are not empty."""
        names = [name for name in spool.contract.names if name in spool.columns]
        rows = self.connection.execute(
            f"""
            select t._drop, t._file, t._line, {_shown_key(spool.contract)}, {rule}, {_list(names, "s")}
            from {source(spool)} as s
            inner join {quoted(spool.contract.dataset)} as t on t._file = s._file and t._row = s._row
            {joined}
            order by t._file, t._line, t._row"""
        )
        while batch := rows.fetchmany(10_000):
            for drop, file, line, key, broken, *texts in batch:
                values = {name: text for name, text in zip(names, texts, strict=True) if text is not None}
                yield drop, file, line, key, broken, values

    def write(self, out: Path, seq: int, tell: Callable[[int, int], None]) -> None:
        """Writes the accepted rows as Parquet, ``out/<dataset>/drop_date_month=<month>/``."""
        for done, (dataset, contract) in enumerate(self.contracts.items(), 1):
            accepted = f"""
                from {quoted(dataset)} as t
                anti join _refused as r on r.dataset = {literal(dataset)} and r._file = t._file and r._row = t._row"""
            counts = self.connection.execute(f"select t._drop, count(*) {accepted} group by t._drop").fetchall()
            for drop, rows in counts:
                self.routed.accepted[drop] = self.routed.accepted.get(drop, 0) + rows
                if dataset in ("transactions", "orders"):
                    self.routed.headers[drop] = rows
            if counts:
                self._copy(contract, accepted, out / dataset, seq)
            tell(done, len(self.contracts))

    def _copy(self, contract: Contract, accepted: str, folder: Path, seq: int) -> None:
        named = f"""
            {accepted}
            inner join _files as f on f._file = t._file
            inner join _drops as d on d._drop = t._drop"""
        month = "strftime(d.drop_date, '%Y-%m')"
        for (value,) in self.connection.execute(f"select distinct {month} {named} order by 1").fetchall():
            # A file of one month, not a part of one COPY: parting rows takes as long as writing them.
            file = folder / f"drop_date_month={value}" / "data_0.parquet"
            file.parent.mkdir(parents=True)
            self.connection.execute(
                f"""
                copy (
                    select
                        {_list(contract.names, "t")}, {literal(self.feed)} as feed, d.drop_id, d.drop_date, d.source,
                        f.file, t._line as line, {seq}::bigint as seq
                    {named}
                    where {month} = {literal(value)}
                    order by t._file, t._line, t._row -- files are numbered by date and source
                )
                to {literal(str(file))} (format parquet, compression zstd)"""
            )
            self.routed.files.setdefault(contract.dataset, []).append(file)


def _family(contract: Contract) -> str:
    return contract.part_of or contract.dataset


def _list(names: Sequence[str], table: str = "") -> str:
    prefix = f"{table}." if table else ""
    return ", ".join(prefix + quoted(name) for name in names)


def _unit(contract: Contract) -> str:
    """SQL of the record a row of ``t`` belongs to, as one text; null when it cannot be told."""
    texts = [f"t.{quoted(name)}::varchar" for name in contract.record_key]
    if len(texts) == 1:
        return texts[0]
    filled = ", ".join(f"coalesce({text}, '')" for text in texts)
    return f"concat_ws('{SEPARATOR}', {filled})"


def _same_unit(contract: Contract) -> str:
    return f"u.family = {literal(_family(contract))} and u._drop = t._drop and u.unit = {_unit(contract)}"


def _shown_key(contract: Contract) -> str:
    """SQL of the record key as ``ops.quarantine`` shows it; of personal values only a digest."""
    parts = []
    for name in contract.record_key:
        text = f"coalesce(t.{quoted(name)}::varchar, '')"
        parts.append(f"left(sha256({text}), 12)" if contract.column(name).personal else f"left({text}, 200)")
    return f"concat_ws('|', {', '.join(parts)})"


def raw_json(values: dict[str, str]) -> str:
    """A row's columns as JSON; long texts are cut until it is at most 16 KB."""
    raw = json.dumps(values, ensure_ascii=False)
    for limit in (2000, 400, 80, 10):
        if len(raw.encode()) <= MAX_RAW:
            break
        raw = json.dumps({name: value[:limit] for name, value in values.items()}, ensure_ascii=False)
    return raw
