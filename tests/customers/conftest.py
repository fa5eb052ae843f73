"""The customers stage over landed rows in memory: no lake, no landing, all the rest as in a night."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from kanta import contracts, customers, models
from kanta.engine import Engine, literal
from kanta.night import BEGINNING, contract_of

Row = dict[str, Any]

#: Columns of a landed row that a test need not name.
DEFAULTS: dict[str, Row] = {
    "customers": {"operation": "create", "mode": "sync"},
    "channels": {
        "kind": "store", "name": "Store", "legal_entity": "LE1", "currency": "EUR", "time_zone": "Europe/Helsinki",
        "country": "FI", "org_path": "/EU", "database": "DB1", "data_group": "G1", "customer_mode": "sync",
    },
    "customer_groups": {"name": "Group"},
    "customer_addresses": {"street": "Mannerheimintie 1", "city": "Helsinki", "zip": "00100"},
}  # fmt: skip
READ = (
    "ops.drops", "ops.decisions", "ops.quarantine", "landed.customers", "landed.customer_contacts",
    "landed.customer_addresses", "landed.customer_attributes", "landed.customer_affiliations", "landed.customer_groups",
    "landed.customer_attribute_definitions", "landed.channels", "landed.loyalty_cards", "landed.transactions",
    "landed.orders", "sales.placeholder_customers", "customers.likely_duplicates", *customers.WRITTEN,
)  # fmt: skip
VIEWS = (
    "customers._newest", "customers.account_map", "sales._placeholders", "reference.channels",
    "reference.loyalty_cards", "customers.customers", "customers.contacts", "customers.addresses",
    "customers.attributes", "customers.affiliations", "customers.operations",
)  # fmt: skip


class Master:
    """A customer master: drops are delivered, nights are run, tables are read.

    ``only_whole``: every customer is worked out from all operations; ``added_to``: how many were not.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine, self.stage, self.log = engine, "customers", {}
        self.seq = self.mark = 0
        self.since = self.last_published = BEGINNING
        self.business_date = date(2026, 1, 1)
        self.changes: list[str] = []
        self.only_whole, self.added_to = False, 0
        for name in READ:
            engine.attach(contract_of(name), [])
            engine.execute(f"create table {name.split('.')[0]}.kept_{name.split('.')[1]} as select * from {name}")
            engine.execute(f"create or replace view {name} as select * from {self._kept(name)}")

    @property
    def state(self) -> SimpleNamespace:
        return SimpleNamespace(tables=dict.fromkeys(READ))

    @staticmethod
    def _kept(name: str) -> str:
        return f"{name.split('.')[0]}.kept_{name.split('.')[1]}"

    # ── what a night is to the stage ─────────────────────────────────────────────────────────────────────────

    @property
    def parameters(self) -> Row:
        return {
            "business_date": self.business_date, "since": self.mark, "since_date": self.since,
            "published_date": self.last_published, "seq": self.seq,
        }  # fmt: skip

    def attach(self, *tables: str) -> None:
        """Everything is attached already."""

    def define(self, *names: str) -> None:
        for name in names:
            self.engine.define(name, models.models()[name].sql, self.parameters)
            if name == "customers._continued":
                if self.only_whole:
                    self.engine.execute(f"delete from {name}")
                self.added_to += self.engine.value(f"select count(*) from {name}")

    def append(self, table: str, select: str, day: date | None = None) -> int:
        self.changes.append(table)
        columns = ", ".join(f'cast("{c.name}" as {c.type}) as "{c.name}"' for c in contract_of(table).columns)
        self.engine.execute(f"create or replace temp table fresh as select {columns} from ({select})")
        self.engine.execute(f"insert into {self._kept(table)} by name select * from fresh")
        return 1

    def put(self, table: str, select: str, partitions: Iterable[Any]) -> int:
        column = contract_of(table).partition
        kept = f"{column} not in ({', '.join(literal(p) for p in partitions)})" if column else "false"
        self.engine.execute(f"create or replace temp table kept_before as select * from {table} where {kept}")
        self.engine.execute(f"create or replace temp table replaced as {select}")
        self.engine.execute(f"delete from {self._kept(table)}")
        self.engine.execute(f"insert into {self._kept(table)} by name select * from kept_before")
        return self.append(table, "select * from replaced")

    # ── what a test does ─────────────────────────────────────────────────────────────────────────────────────

    def deliver(self, drop: str, **datasets: Sequence[Row]) -> None:
        """A drop ``feed/business_date/source`` is taken, or taken again with other rows."""
        feed, day, source = drop.split("/")
        self.seq += 1
        provenance = {
            "feed": feed, "drop_id": drop, "drop_date": date.fromisoformat(day), "source": source, "seq": self.seq,
        }  # fmt: skip
        self.engine.execute(f"delete from ops.kept_drops where drop_id = {literal(drop)}")
        self._insert("ops.drops", [{**provenance, "business_date": day, "revision": 1, "accepted_revision": 1}])
        for name in (name for name in READ if name.startswith("landed.")):
            self.engine.execute(f"delete from {self._kept(name)} where drop_id = {literal(drop)}")
        for dataset, rows in datasets.items():
            filled = [
                {**DEFAULTS.get(dataset, {}), **row, **provenance, "file": f"{dataset}.csv", "line": line}
                for line, row in enumerate(rows, start=2)
            ]
            self._insert(f"landed.{dataset}", filled)

    def _insert(self, table: str, rows: list[Row]) -> None:
        named = [c for c in contract_of(table).columns if any(c.name in row for row in rows)]
        text = {c.name: [None if row.get(c.name) is None else str(row[c.name]) for row in rows] for c in named}
        columns = ", ".join(f'cast("{c.name}" as {c.type}) as "{c.name}"' for c in named)
        if rows:
            self.engine.con.register(
                "given", pa.table({name: pa.array(values, pa.string()) for name, values in text.items()})
            )
            self.engine.execute(f"insert into {self._kept(table)} by name select {columns} from given")

    def night(self, day: str) -> list[str]:
        """Runs the stage of a night and publishes it; returns the tables it changed."""
        self.business_date, self.changes, self.log = date.fromisoformat(day), [], {}
        self.seq += 1
        for name in VIEWS:
            self.engine.view(name, models.models()[name].sql, self._needed(name))
        customers.work_out(self)  # type: ignore[arg-type]
        self.mark, self.since, self.last_published = self.seq, self.business_date, self.business_date
        return self.changes

    def _needed(self, name: str) -> Row:
        return {key: self.parameters[key] for key in models.models()[name].parameters}

    def rows(self, table: str, *columns: str, where: str = "true") -> list[tuple[Any, ...]]:
        """Some columns of a table's rows, in their order; dates and times as text."""
        listed = ", ".join(columns or [c.name for c in contracts.lake()[table].columns])
        found = self.engine.rows(f"select {listed} from {table} where {where} order by all")
        return [tuple(str(v) if isinstance(v, date) else v for v in row) for row in found]

    def on(self, table: str, day: str, *columns: str, where: str = "true") -> list[tuple[Any, ...]]:
        """The rows of a table that a day sees."""
        known = "known" if table.rpartition(".")[2] in ("addresses", "affiliations") else "valid"
        seen = f"{known}_from <= date '{day}' and date '{day}' < {known}_to and {where}"
        return self.rows(table, *columns, where=seen)


@pytest.fixture
def master(tmp_path: Path) -> Iterator[Master]:
    with Engine(tmp_path) as engine:
        yield Master(engine)
