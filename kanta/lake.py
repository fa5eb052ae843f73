"""The lake: which files are a table, which of its versions readers see, and the same told to Apache Iceberg.

Four facts live here:

* a **version** of a table (``lake/<schema>/<table>/versions/<version>.json``): its files, never changed once written;
* the **head** (``lake/head.json``): the version of each table as the unfinished night left it;
* a **publication** (``lake/published/<n>.json``): the versions readers see, written at once when a night is whole;
* the **lock** (``lake/.lock``): one process writes at a time.

A stage writes new versions and then moves the head, in one rename; a stage that dies before it leaves versions that
nothing points at. A publication first commits what changed to Iceberg, one snapshot for each table, for every engine
that reads Iceberg. Readers only ever follow a publication, so they see last night or tonight, never between.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlparse

from kanta import checksums
from kanta.contracts import Contract, contract_of
from kanta.errors import BadArguments, KantaError
from kanta.home import Home

if TYPE_CHECKING:
    from pyiceberg.catalog.sql import SqlCatalog
    from pyiceberg.table import Table, Transaction


#: How tables lie in files. Higher whenever files of an earlier version can no longer be read as they are.
FORM = 1


@dataclass(frozen=True)
class State:
    """Which version of each table counts, and how far each stage has come.

    ``snapshots``: the Iceberg snapshot of each table as the publication committed it, ``place``: where the lake lay;
    ``through``: stage -> last business date it has worked through; ``seq``: ordinal of the last change of the head.
    """

    seq: int = 0
    number: int = 0  # of the publication this is or was built on; 0: nothing published yet
    business_date: date | None = None  # of the publication
    tables: dict[str, str] = field(default_factory=dict)
    snapshots: dict[str, int] = field(default_factory=dict)
    place: str = ""  # where the lake lay at the publication
    through: dict[str, date] = field(default_factory=dict)
    marks: dict[str, int] = field(default_factory=dict)  # stage -> seq of the last change it has taken in
    log: dict[str, Any] = field(default_factory=dict)  # stage -> what it did since the publication

    @property
    def night(self) -> date:
        """The business date of the publication. Raises KantaError when nothing is published."""
        if self.business_date is None:
            raise KantaError("Nothing is published here yet", next_step="kanta demo, or kanta run --date D")
        return self.business_date

    def of_the_night(self) -> dict[str, str]:
        """Its tables without those of distribution, whose sessions follow the publication and need none."""
        return {name: version for name, version in self.tables.items() if not name.startswith("distribution.")}

    def to_json(self) -> str:
        document = {
            "form": FORM,
            "seq": self.seq,
            "number": self.number,
            "business_date": self.business_date.isoformat() if self.business_date else None,
            "tables": dict(sorted(self.tables.items())),
            "snapshots": dict(sorted(self.snapshots.items())),
            "place": self.place,
            "through": {stage: day.isoformat() for stage, day in sorted(self.through.items())},
            "marks": dict(sorted(self.marks.items())),
            "log": self.log,
        }
        return checksums.record(document, indent=1)

    @classmethod
    def from_json(cls, text: str) -> State:
        """Reads it. Raises KantaError for a lake of another form, ValueError for a text that was changed."""
        if (form := json.loads(text).get("form", 0)) != FORM:
            raise KantaError(
                f"This lake is of form {form}, and this version of Kanta reads and writes form {FORM}",
                next_step="move the home's lake away and build it anew: kanta run --from FIRST --to LAST;"
                " all drops are still in landing",
            )
        document = checksums.document(text)
        day = document["business_date"]
        return cls(
            seq=document["seq"],
            number=document["number"],
            business_date=date.fromisoformat(day) if day else None,
            tables=document["tables"],
            snapshots=document["snapshots"],
            place=document["place"],
            through={stage: date.fromisoformat(text) for stage, text in document["through"].items()},
            marks=document["marks"],
            log=document["log"],
        )


def uri_of(path: Path) -> str:
    """A local path as a URI; what would end the path in it, or stand for something else, is escaped."""
    escaped = (quote(c) if c in "%#?" or not c.isprintable() else c for c in str(path))
    return f"file://{''.join(escaped)}"


def write_atomically(path: Path, text: str) -> None:
    """Writes a small file so that a reader finds the old or the new one, whole, also after a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


class Lake:
    """The tables of one home."""

    def __init__(self, home: Home) -> None:
        self.root, self._home = home.lake, home
        self._listed: dict[tuple[str, str], list[Path]] = {}
        self._sums: dict[tuple[str, str], dict[str, str]] = {}
        self._read: set[tuple[str, str]] = set()

    # ── state ────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def head_file(self) -> Path:
        return self.root / "head.json"

    def head(self) -> State:
        """What the unfinished night has committed, else what is published, else nothing."""
        if self.head_file.is_file():
            return self.state_of(self.head_file)
        return State()

    def move_head(self, state: State) -> None:
        """Makes ``state`` the head: the one step that makes what a stage wrote count."""
        write_atomically(self.head_file, state.to_json())

    def publications(self) -> list[Path]:
        """The records of all publications kept, oldest first."""
        return sorted((self.root / "published").glob("[0-9]*.json"))

    @staticmethod
    def state_of(publication: Path) -> State:
        """What a publication's record, or the head, says. Raises KantaError when it cannot be read."""
        try:
            return State.from_json(publication.read_text(encoding="utf-8"))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise KantaError(
                f"The lake's record of which files count is broken: {error!r}",
                where=str(publication),
                next_step="bring the lake back from a backup (docs/runbook.md, Restoring)",
            ) from error

    def published(self, as_of: date | None = None, *, nearest: bool = False) -> State:
        """What readers see: the newest publication, or the newest one of the night ``as_of``.

        ``nearest``: of the last kept night before it, where itself is not kept. Raises BadArguments for a night that is
        not kept.
        """
        later = None
        for path in reversed(self.publications()):
            state = self.state_of(path)
            if as_of is None or state.business_date == as_of or (nearest and state.night < as_of):
                return state
            if state.night < as_of:
                raise _not_kept(as_of, state.night, later)
            later = state.night
        if as_of and later:
            raise _not_kept(as_of, None, later)
        return State()

    def next(self, business_date: date) -> State:
        """What the publication of the head will be, but for the snapshots."""
        head = self.head()
        return replace(head, number=head.number + 1, business_date=business_date, place=str(self.root), log={})

    def publish(self, business_date: date) -> State:
        """Commits the head to Iceberg and lets readers see it, as the lake after the night of ``business_date``."""
        head, last, state = self.head(), self.published(), self.next(business_date)
        if self.moved(last):
            # Iceberg's paths are absolute: all tables are told anew, and nothing in the old place is touched.
            vars(self).pop("catalog", None)
            (self.root / "catalog.db").unlink(missing_ok=True)
            for metadata in self.root.glob("*/*/metadata"):
                shutil.rmtree(metadata)
            last = State()
        snapshots = dict(last.snapshots)
        for table, version in sorted(head.tables.items()):
            if version != last.tables.get(table):
                snapshots[table] = self._to_iceberg(table, last, head, f"night {business_date}, change {version}")
        state = replace(state, snapshots=snapshots)
        write_atomically(self.root / "published" / f"{state.number:08d}.json", state.to_json())
        self.move_head(state)
        return state

    def moved(self, published: State) -> bool:
        """The home was moved, copied or brought back elsewhere since this publication."""
        return published.number > 0 and published.place != str(self.root)

    def recover(self) -> State:
        """The head, brought up to a publication whose writer died before it could move the head."""
        head, published = self.head(), self.published()
        if published.number > head.number:
            self.move_head(published)
            return published
        return head

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Holds the lake's write lock; waits, saying so, while another process has it."""
        self._home.make_private()
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / ".lock").open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                holder = file.read().strip() or "unknown"
                print(f"Waiting: process {holder} is writing {self.root}.", file=sys.stderr)
                fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            file.truncate()
            file.write(str(os.getpid()))
            file.flush()
            yield

    # ── tables ───────────────────────────────────────────────────────────────────────────────────────────────

    def directory(self, table: str) -> Path:
        """Where a table's files lie."""
        return self.root / Path(*table.split("."))

    def files(self, table: str, state: State) -> list[Path]:
        """The data files of a table as ``state`` has it, sorted, to be read (:meth:`check_what_was_read`)."""
        version = state.tables.get(table)
        if version is not None:
            self._read.add((table, version))
        return self.listed(table, state)

    def listed(self, table: str, state: State) -> list[Path]:
        """The names of a table's data files as ``state`` has it, sorted."""
        version = state.tables.get(table)
        if version is None:
            return []
        if (table, version) not in self._listed:
            path = self.version_file(table, version)
            next_step = "bring the lake back from a backup, or remove lake/ and run every night again"
            try:
                document = checksums.document(path.read_text(encoding="utf-8"))
                self._listed[table, version] = [self.root / name for name in document["files"]]
                self._sums[table, version] = document.get("sha256", {})
            except OSError as error:
                what = f"The files of {table} are not known: {error.strerror}"
                raise KantaError(what, where=str(path), next_step=next_step) from error
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                what = f"The list of the files of {table} is broken: {error}"
                raise KantaError(what, where=str(path), next_step=next_step) from error
        return self._listed[table, version]

    # ── checksums ────────────────────────────────────────────────────────────────────────────────────────────

    def check_what_was_read(self) -> None:
        """Raises KantaError when a file that was read through this lake is not as it was written."""
        wrong = self.changed_files(self._read)
        self._read.clear()
        _refuse(wrong)

    def check_new(self, head: State, tables: Mapping[str, Collection[Path]]) -> None:
        """Raises KantaError when one of these files of the head's tables is not as it was written."""
        versions = [(table, head.tables[table]) for table in tables]
        only = {file for files in tables.values() for file in files}
        _refuse(self.changed_files(versions, only))

    def changed_files(
        self, versions: Iterable[tuple[str, str]], only: Collection[Path] | None = None
    ) -> list[tuple[str, Path]]:
        """Files of these versions of tables whose bytes are not those that were written, each with its table.

        ``only``: look at these alone.
        """
        expected: dict[tuple[str, Path], set[str]] = {}
        for table, version in versions:
            self.listed(table, State(tables={table: version}))
            sums, again = self._sums[table, version], self._rewritten(table)
            for name, sha256 in sums.items():
                if only is not None and self.root / name not in only:
                    continue
                expected.setdefault((table, self.root / name), set()).update({sha256, *again.get(name, [])})
        found = checksums.of_all(file for _, file in expected)
        return sorted((table, file) for (table, file), right in expected.items() if found[file] not in right)

    def without_checksum(self, versions: Iterable[tuple[str, str]]) -> set[Path]:
        """Files of these versions that were written before checksums were kept."""
        found: set[Path] = set()
        for table, version in versions:
            listed = self.listed(table, State(tables={table: version}))
            found.update(file for file in listed if self._name(file) not in self._sums[table, version])
        return found

    def rewrite(self, table: str, file: Path, fresh: Path) -> None:
        """Puts ``fresh`` in the place of a data file, for every version that holds it.

        Its hash is recorded first: after a crash the old bytes are right as well as the new ones.
        """
        again = self._rewritten(table)
        again[self._name(file)] = sorted({*again.get(self._name(file), []), checksums.of(fresh)})
        write_atomically(self._rewritten_file(table), checksums.record({"files": again}, indent=0))
        fresh.replace(file)

    def _rewritten(self, table: str) -> dict[str, list[str]]:
        """The hashes of files that were rewritten where they lie, besides those their versions name."""
        path = self._rewritten_file(table)
        try:
            found: dict[str, list[str]] = checksums.document(path.read_text(encoding="utf-8"))["files"]
        except FileNotFoundError:
            return {}
        except (ValueError, KeyError, TypeError) as error:
            raise KantaError(f"The list of rewritten files is broken: {error}", where=str(path)) from error
        return found

    def _rewritten_file(self, table: str) -> Path:
        return self.directory(table) / "rewritten.json"

    def _name(self, file: Path) -> str:
        return str(file.relative_to(self.root))

    # ── versions ─────────────────────────────────────────────────────────────────────────────────────────────

    def version_file(self, table: str, version: str) -> Path:
        """Where the list of a version's files lies."""
        return self.directory(table) / "versions" / f"{version}.json"

    def next_version(self, table: str, state: State, seq: int) -> str:
        """The name of the version that a change of number ``seq`` makes of a table; a second one counts on."""
        change, _, times = state.tables.get(table, "-").partition("-")
        return f"{seq:08d}-{int(times) + 1 if change == f'{seq:08d}' else 0}"

    def fresh_directory(self, table: str, version: str) -> Path:
        """Where the files of this version of a table go: nothing of an earlier try may lie there."""
        directory = self.directory(table) / "data" / version
        if directory.exists():
            shutil.rmtree(directory)
        return directory

    def change(self, table: str, state: State, version: str, new: Iterable[Path], gone: Collection[Path]) -> State:
        """Adds the files ``new`` and takes those ``gone`` away; returns the state with the table's new version."""
        before, added = self.listed(table, state), list(new)
        kept = [file for file in before if file not in gone]
        after = sorted([*kept, *added])
        if after == before:
            return state
        if twice := sorted({str(file) for file in added if file in set(kept) or added.count(file) > 1}):
            raise KantaError(
                f"Files of {table} would count twice: {', '.join(twice)}", where=str(self.directory(table))
            )
        sums = dict(self._sums.get((table, state.tables.get(table, "")), {}))
        sums |= {self._name(file): sha256 for file, sha256 in checksums.of_all(added).items()}
        names = [self._name(file) for file in after]
        document: dict[str, Any] = {"files": names, "sha256": {name: sums[name] for name in names if name in sums}}
        write_atomically(self.version_file(table, version), checksums.record(document, indent=0))
        self._listed[table, version], self._sums[table, version] = after, document["sha256"]
        return replace(state, tables={**state.tables, table: version})

    def concerned(self, contract: Contract, state: State, values: Iterable[Any]) -> tuple[list[Path], list[Path]]:
        """Files of a table that hold nothing but partition values of ``values``, and those that hold others, too.

        For a table without partitions any one value means all of it.
        """
        before, found = self.listed(contract.name, state), set(values)
        if not found or not contract.by_month:
            texts = {str(value) for value in found}
            return [file for file in before if found and (not contract.partition or partition_of(file) in texts)], []
        months = {day.isoformat()[:7] for day in found}
        whole, mixed = [], []
        for file in (file for file in before if partition_of(file) in months):
            held = _days_in(file, contract)
            if held <= found:
                whole.append(file)
            elif held & found:
                mixed.append(file)
        return whole, mixed

    # ── Iceberg ──────────────────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def catalog(self) -> SqlCatalog:
        import pyiceberg.io.pyarrow  # noqa: F401  # a commit would load it
        from pyiceberg.catalog.sql import SqlCatalog

        self.root.mkdir(parents=True, exist_ok=True)
        return SqlCatalog(
            "kanta",
            uri=f"sqlite:///{quote(str(self.root / 'catalog.db'))}",
            warehouse=uri_of(self.root),
            **{"py-io-impl": "kanta.iceberg_files.EscapedFiles"},
            init_catalog_tables="true",
        )

    def iceberg_files(self, table: str, snapshot: int) -> list[Path]:
        """The data files of a table as an Iceberg snapshot has them, sorted."""
        scan = self.catalog.load_table(table).scan(snapshot_id=snapshot)
        return sorted(self.local(task.file.file_path) for task in scan.plan_files())

    @staticmethod
    def local(uri: str) -> Path:
        """The path behind a file URI as Iceberg keeps it."""
        return Path(unquote(urlparse(uri).path) if uri.startswith("file:") else uri)

    def _create(self, contract: Contract) -> Table:
        from pyiceberg.partitioning import PartitionField, PartitionSpec
        from pyiceberg.transforms import IdentityTransform, MonthTransform, Transform

        schema = _schema(contract)
        spec = PartitionSpec()
        if contract.partition:
            source = schema.find_field(contract.partition).field_id
            named = f"{contract.partition}_month" if contract.by_month else contract.partition
            transform: Transform[Any, Any] = MonthTransform() if contract.by_month else IdentityTransform()
            spec = PartitionSpec(PartitionField(source, 1000, transform, named))
        self.catalog.create_namespace_if_not_exists(contract.name.split(".")[0])
        return self.catalog.create_table(
            contract.name,
            schema,
            location=uri_of(self.directory(contract.name)),
            partition_spec=spec,
            properties={
                "write.metadata.delete-after-commit.enabled": "true",
                "write.metadata.previous-versions-max": "20",
                "commit.manifest-merge.enabled": "true",
                "commit.manifest.min-count-to-merge": "50",
                "schema.name-mapping.default": schema.name_mapping.model_dump_json(),
            },
        )

    def _table(self, contract: Contract, snapshot: int | None) -> tuple[Table, bool]:
        """The Iceberg table standing at ``snapshot``, whatever a dead night left there; or a new one, and False."""
        from pyiceberg.exceptions import NoSuchTableError

        try:
            table = self.catalog.load_table(contract.name)
        except NoSuchTableError:
            return self._create(contract), False
        if snapshot is None:
            self.catalog.drop_table(contract.name)
            return self._create(contract), False
        if not set(contract.names) <= set(table.schema().column_names):  # the contract has gained a column since
            with table.update_schema() as update:
                update.union_by_name(_schema(contract))
            table = self.catalog.load_table(contract.name)
        if table.metadata.current_snapshot_id != snapshot:
            table.manage_snapshots().set_current_snapshot(snapshot_id=snapshot).commit()
            table = self.catalog.load_table(contract.name)
        return table, True

    def _to_iceberg(self, name: str, last: State, head: State, run: str) -> int:
        """Commits the difference between two versions of a table; returns the snapshot that holds the newer one."""
        from pyiceberg.table import _parquet_files_to_data_files

        contract = contract_of(name)
        table, known = self._table(contract, last.snapshots.get(name))
        before, after = set(self.listed(name, last)) if known else set(), set(self.listed(name, head))
        summary = {"kanta.run": run}
        new = [uri_of(file) for file in sorted(after - before)]
        with _transaction(table) as transaction:
            if (snapshot := table.current_snapshot()) and (
                gone := {self.local(uri_of(file)) for file in before - after}
            ):
                held = [
                    entry.data_file
                    for manifest in snapshot.manifests(table.io)
                    for entry in manifest.fetch_manifest_entry(table.io)
                    if self.local(entry.data_file.file_path) in gone
                ]
                added = _parquet_files_to_data_files(transaction.table_metadata, new, table.io)
                with transaction.update_snapshot(snapshot_properties=summary).overwrite() as update:
                    for file in held:
                        update.delete_data_file(file)
                    for file in added:
                        update.append_data_file(file)
            else:  # a table that never had a file has a snapshot that says so
                transaction.add_files(new, summary, check_duplicate_files=False)
        return int(table.metadata.current_snapshot_id or 0)

    def tell_iceberg_again(self, tables: Sequence[str]) -> None:
        """Makes the Iceberg metadata of tables anew, for every publication kept.

        For files that were rewritten where they lie: the old metadata holds sizes and values that are no more.
        """
        from pyiceberg.exceptions import NoSuchTableError

        for table in tables:
            with suppress(NoSuchTableError):
                self.catalog.drop_table(table)
            shutil.rmtree(self.directory(table) / "metadata", ignore_errors=True)
        last = State()
        for path in self.publications():
            state = self.state_of(path)
            for table in (table for table in tables if table in state.snapshots):
                same = table in last.snapshots and state.tables[table] == last.tables[table]
                told = last.snapshots[table] if same else self._to_iceberg(table, last, state, "told again")
                state.snapshots[table] = told
            write_atomically(path, state.to_json())
            last = state
        if tables and last.number and self.head().number == last.number:
            self.move_head(replace(self.head(), snapshots=last.snapshots))


def _refuse(wrong: Sequence[tuple[str, Path]]) -> None:
    """Raises KantaError for files that are not as they were written."""
    if wrong:
        (table, file), more = wrong[0], f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise KantaError(
            f"A file of {table} is not as it was written{more}; nothing made from it goes on",
            where=str(file),
            next_step="kanta verify names every such file; bring them back from a backup (docs/runbook.md, Restoring)",
        )


def _not_kept(asked: date, before: date | None, after: date | None) -> BadArguments:
    around = [f"--as-of {night}" for night in (before, after) if night]
    return BadArguments(
        f"The night of {asked} is not kept; the kept nights around it: {before or 'none before'},"
        f" {after or 'none after'}",
        next_step=" or ".join(around) + ("; --nearest takes the one before" if before else ""),
    )


def _transaction(table: Table) -> Transaction:
    """A transaction on the table that works its metadata out once for each of its updates.

    The library's own does so, copying all of it, each time anything asks: some twenty times in a commit.
    """
    from pyiceberg.table import Transaction

    class Remembering(Transaction):
        known: tuple[Any, Any, Any] = (None, None, None)

        @property
        def table_metadata(self) -> Any:
            base, updates, _ = self.known
            if base is not self._table.metadata or updates is not self._updates:
                self.known = self._table.metadata, self._updates, super().table_metadata
            return self.known[2]

    return Remembering(table)


def partition_of(file: Path) -> str:
    """The partition of a data file, as text: its folder is named for it (``business_date_month=2017-01``)."""
    return unquote(file.parent.name.partition("=")[2])


def _days_in(file: Path, contract: Contract) -> set[date]:
    """The days a file may hold rows of, from the first to the last."""
    import pyarrow.parquet as pq

    position = contract.names.index(contract.partition)
    metadata = pq.read_metadata(file)
    groups = [metadata.row_group(n).column(position).statistics for n in range(metadata.num_row_groups)]
    first, last = min(group.min for group in groups), max(group.max for group in groups)
    return {first + timedelta(days=n) for n in range((last - first).days + 1)}


def _schema(contract: Contract) -> Any:
    from pyiceberg import types
    from pyiceberg.schema import Schema

    simple = {
        "VARCHAR": types.StringType, "JSON": types.StringType, "BIGINT": types.LongType, "INTEGER": types.IntegerType,
        "BOOLEAN": types.BooleanType, "DATE": types.DateType, "TIMESTAMPTZ": types.TimestamptzType,
        "DOUBLE": types.DoubleType,
    }  # fmt: skip

    def type_of(text: str) -> Any:
        if text.startswith("DECIMAL"):
            precision, scale = text[8:-1].split(",")
            return types.DecimalType(int(precision), int(scale))
        return simple[text]()

    return Schema(
        *(
            types.NestedField(position, column.name, type_of(column.type), required=False, doc=column.description)
            for position, column in enumerate(contract.columns, start=1)
        )
    )
