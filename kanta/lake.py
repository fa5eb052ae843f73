"""The lake: Apache Iceberg says which files are a table; one small record says which snapshots readers see.

Three facts live here:

* the **head** (``lake/head.json``): the snapshot of each table as the unfinished night left it;
* a **publication** (``lake/published/<n>.json``): the snapshots readers see, written at once when a night is whole;
* the **lock** (``lake/.lock``): one process writes at a time.

A stage commits its tables to Iceberg and then moves the head, in one rename. A stage that dies before it leaves
snapshots that nothing points at: the next commit to that table starts again from the head's. Readers only ever
follow a publication, so they see last night or tonight, never between.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

from kanta.contracts import Contract
from kanta.errors import KantaError
from kanta.home import Home

if TYPE_CHECKING:
    from pyiceberg.catalog.sql import SqlCatalog
    from pyiceberg.table import Table


@dataclass(frozen=True)
class State:
    """Which snapshot of each table counts, and how far each stage has come.

    ``through``: stage -> last business date it has worked through; ``seq``: ordinal of the last change of the head.
    """

    seq: int = 0
    number: int = 0  # of the publication this is or was built on; 0: nothing published yet
    business_date: date | None = None  # of the publication
    tables: dict[str, int] = field(default_factory=dict)
    through: dict[str, date] = field(default_factory=dict)
    marks: dict[str, int] = field(default_factory=dict)  # stage -> seq of the last change it has taken in
    log: dict[str, Any] = field(default_factory=dict)  # stage -> what it did since the publication

    @property
    def night(self) -> date:
        """The business date of the publication. Raises KantaError when nothing is published."""
        if self.business_date is None:
            raise KantaError("Nothing is published here yet", next_step="kanta demo, or kanta run --date D")
        return self.business_date

    def of_the_night(self) -> dict[str, int]:
        """Its tables without those of distribution, whose sessions follow the publication and need none."""
        return {name: snapshot for name, snapshot in self.tables.items() if not name.startswith("distribution.")}

    def to_json(self) -> str:
        document = {
            "seq": self.seq,
            "number": self.number,
            "business_date": self.business_date.isoformat() if self.business_date else None,
            "tables": dict(sorted(self.tables.items())),
            "through": {stage: day.isoformat() for stage, day in sorted(self.through.items())},
            "marks": dict(sorted(self.marks.items())),
            "log": self.log,
        }
        return json.dumps(document, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> State:
        document = json.loads(text)
        day = document["business_date"]
        return cls(
            seq=document["seq"],
            number=document["number"],
            business_date=date.fromisoformat(day) if day else None,
            tables=document["tables"],
            through={stage: date.fromisoformat(text) for stage, text in document["through"].items()},
            marks=document["marks"],
            log=document["log"],
        )


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
        self.root = home.lake
        self._loaded: dict[str, Table] = {}

    # ── state ────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def head_file(self) -> Path:
        return self.root / "head.json"

    def head(self) -> State:
        """What the unfinished night has committed, else what is published, else nothing."""
        if self.head_file.is_file():
            return State.from_json(self.head_file.read_text(encoding="utf-8"))
        return State()

    def move_head(self, state: State) -> None:
        """Makes ``state`` the head: the one step that makes a stage's commits count."""
        write_atomically(self.head_file, state.to_json())

    def publications(self) -> list[Path]:
        """The records of all publications kept, oldest first."""
        return sorted((self.root / "published").glob("[0-9]*.json"))

    def published(self, as_of: date | None = None) -> State:
        """What readers see: the newest publication, or the newest of a night no later than ``as_of``."""
        for path in reversed(self.publications()):
            state = State.from_json(path.read_text(encoding="utf-8"))
            if as_of is None or (state.business_date and state.business_date <= as_of):
                return state
        if as_of and self.publications():
            raise KantaError(
                f"No night on or before {as_of} is kept",
                where=str(self.root / "published"),
                next_step="ask for a later date; maintenance expires old publications",
            )
        return State()

    def publish(self, business_date: date) -> State:
        """Lets readers see the head, as the lake after the night of ``business_date``, in one rename."""
        head = self.head()
        state = replace(head, number=head.number + 1, business_date=business_date, log={})
        write_atomically(self.root / "published" / f"{state.number:08d}.json", state.to_json())
        self.move_head(state)
        return state

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

    @cached_property
    def catalog(self) -> SqlCatalog:
        from pyiceberg.catalog.sql import SqlCatalog

        self.root.mkdir(parents=True, exist_ok=True)
        return SqlCatalog(
            "kanta",
            uri=f"sqlite:///{self.root / 'catalog.db'}",
            warehouse=f"file://{self.root}",
            init_catalog_tables="true",
        )

    def _create(self, contract: Contract) -> Table:
        from pyiceberg.partitioning import PartitionField, PartitionSpec
        from pyiceberg.transforms import IdentityTransform

        schema = _schema(contract)
        spec = PartitionSpec()
        if contract.partition:
            source = schema.find_field(contract.partition).field_id
            spec = PartitionSpec(PartitionField(source, 1000, IdentityTransform(), contract.partition))
        self.catalog.create_namespace_if_not_exists(contract.name.split(".")[0])
        return self.catalog.create_table(
            contract.name,
            schema,
            location=f"file://{self.directory(contract.name)}",
            partition_spec=spec,
            properties={
                "write.metadata.delete-after-commit.enabled": "true",
                "write.metadata.previous-versions-max": "20",
                "commit.manifest-merge.enabled": "true",
                "commit.manifest.min-count-to-merge": "50",
            },
        )

    def directory(self, table: str) -> Path:
        """Where a table's files lie."""
        return self.root / Path(*table.split("."))

    def _table(self, contract: Contract, snapshot: int | None) -> Table:
        """The Iceberg table, standing at ``snapshot`` (None: without any), whatever a dead night left there."""
        from pyiceberg.exceptions import NoSuchTableError

        name = contract.name
        table = self._loaded.get(name)
        if table is None:
            try:
                table = self.catalog.load_table(name)
            except NoSuchTableError:
                table = self._create(contract)
        current = table.metadata.current_snapshot_id
        if current is not None and current != snapshot:
            if snapshot is None:
                self.catalog.drop_table(name)
                table = self._create(contract)
            else:
                table.manage_snapshots().set_current_snapshot(snapshot_id=snapshot).commit()
                table = self.catalog.load_table(name)
        self._loaded[name] = table
        return table

    def commit(
        self, contract: Contract, state: State, files: Sequence[Path], replaced: Iterable[Any], run: str
    ) -> State:
        """Adds ``files`` and removes the partitions ``replaced`` in one Iceberg transaction; returns the new state.

        ``replaced`` holds partition values; for a table without partitions any one value means all of it.
        """
        from pyiceberg.expressions import AlwaysTrue, Or

        replaced = sorted(set(replaced))
        if not files and not replaced:
            return state
        snapshot = state.tables.get(contract.name)
        table = self._table(contract, snapshot)
        summary = {"kanta.run": run}
        with table.transaction() as transaction:
            if replaced and snapshot is not None:
                condition: Any = AlwaysTrue()
                if contract.partition:
                    condition = _is(contract.partition, replaced[0])
                    for value in replaced[1:]:
                        condition = Or(condition, _is(contract.partition, value))
                with warnings.catch_warnings():
                    # A partition that is only now begun has nothing to remove, and pyiceberg would say so.
                    warnings.filterwarnings("ignore", "Delete operation did not match any records")
                    transaction.delete(condition, snapshot_properties=summary)
            if files:
                transaction.add_files([f"file://{file}" for file in files], summary, check_duplicate_files=False)
        after = table.metadata.current_snapshot_id
        return replace(state, tables={**state.tables, contract.name: after} if after is not None else state.tables)

    def files(self, table: str, state: State) -> list[Path]:
        """The data files of a table as ``state`` has it, sorted."""
        snapshot = state.tables.get(table)
        if snapshot is None:
            return []
        loaded = self._loaded.get(table)
        if loaded is None or loaded.snapshot_by_id(snapshot) is None:
            loaded = self._loaded[table] = self.catalog.load_table(table)
        return sorted(self.local(task.file.file_path) for task in loaded.scan(snapshot_id=snapshot).plan_files())

    @staticmethod
    def local(uri: str) -> Path:
        """The path behind a file URI as Iceberg keeps it."""
        return Path(unquote(urlparse(uri).path) if uri.startswith("file:") else uri)

    def fresh_directory(self, table: str, seq: int) -> Path:
        """Where the files of this change of a table go: nothing of an earlier try may lie there."""
        directory = self.directory(table) / "data" / f"{seq:08d}"
        if directory.exists():
            shutil.rmtree(directory)
        return directory


def _is(column: str, value: Any) -> Any:
    from pyiceberg.expressions import EqualTo, Reference

    literal: Any = value.isoformat() if isinstance(value, date) else value
    return EqualTo(term=Reference(column), value=literal)


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
