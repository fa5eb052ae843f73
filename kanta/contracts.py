"""Data contracts (ODCS 3.1 YAML): what is required of a feed and promised of a table.

A contract is written once, under ``schemas/``; the router, the lake's tables, the quality suites and the
data dictionary are all derived from it. Two families:

* ``schemas/landing/<feed>/<dataset>.odcs.yaml`` (physicalName ``<feed>.<dataset>``): what a drop must hold. Besides
  what ODCS has, a dataset may say ``partOf`` (the dataset whose rows it details) and ``recordKey`` (what is refused
  and replaced as a whole, when that is not one row), a column ``optional`` (a file may lack it), ``default`` (what
  empty means), ``daysAfterDrop`` (how far after its drop it may be dated), ``boundedAge`` (whether settings bound how
  far before), of a time ``standsFor`` (the date of bounded age that it tells where that is empty), and of a time that
  may lack its offset ``local`` (the column in which landing notes that it did, so that it is its channel's clock) or
  ``zone``;
* ``schemas/lake/<schema>/<table>.odcs.yaml`` (physicalName ``<schema>.<table>``): what the lake holds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, cast

import yaml

from kanta.errors import KantaError

SCHEMAS = Path(__file__).parent.parent / "schemas"

Kind = Literal["fact", "posting", "state", "view", "feed"]
Severity = Literal["error", "warning", "info"]

#: The types a column may have: the name in the contract (``physicalType``) is the engine's type.
TYPES = re.compile(r"VARCHAR|BIGINT|INTEGER|BOOLEAN|DATE|TIMESTAMPTZ|DECIMAL\((\d+),(\d+)\)|DOUBLE|JSON")


@dataclass(frozen=True)
class Column:
    """One column of a contract. ``type`` is the engine's type; bounds are kept as text, as written."""

    name: str
    type: str
    description: str = ""
    required: bool = False
    key: int = 0  # position in the primary key, from 1; 0: not part of it
    allowed: tuple[str, ...] = ()
    pattern: str = ""
    minimum: str = ""
    maximum: str = ""
    max_length: int = 0
    default: str = ""
    personal: bool = False
    optional: bool = False  # a feed's column that a file may leave out
    bounded_age: bool = False  # may not be older than the settings allow for its feed (days_late)
    stands_for: str = ""  # the date of bounded age that this time tells where that is empty
    days_after_drop: int | None = None  # how many days after its drop's date a fact may be dated; None: any
    local: str = ""  # of a feed's time: the column that says whether it came without offset, so in its channel's zone
    zone: str = ""  # of a feed's time: the zone of one that comes without offset; empty: there must be an offset

    @property
    def scale(self) -> int:
        """Digits after the point of a DECIMAL column, else 0."""
        match = TYPES.fullmatch(self.type)
        return int(match[2]) if match and match[2] else 0


@dataclass(frozen=True)
class Check:
    """A SQL check of a contract: ``query`` returns the offending rows; none is right."""

    name: str
    query: str
    severity: Severity
    description: str = ""


@dataclass(frozen=True)
class Contract:
    """One table or dataset. ``name`` is ``schema.table`` in the lake, ``feed.dataset`` on landing."""

    name: str
    kind: Kind
    description: str
    grain: str
    columns: tuple[Column, ...]
    partition: str = ""  # the column a stored table is partitioned by
    checks: tuple[Check, ...] = ()
    path: str = ""
    part_of: str = ""  # a feed's dataset whose rows these belong to: lines are part of transactions
    record_columns: tuple[str, ...] = ()  # set where the record is more than one row of this dataset

    @property
    def record_key(self) -> tuple[str, ...]:
        """What a feed refuses and a newer drop replaces as a whole: a transaction, a card with all its programs."""
        return self.record_columns or self.key

    @property
    def dataset(self) -> str:
        """The name without feed or schema: ``lines`` of ``pos.lines``."""
        return self.name.partition(".")[2]

    @property
    def key(self) -> tuple[str, ...]:
        """Primary-key columns in their order."""
        return tuple(c.name for c in sorted((c for c in self.columns if c.key), key=lambda c: c.key))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def by_month(self) -> bool:
        """Whether a file of the table holds days of one month, and not a single value of its partition column."""
        return bool(self.partition) and self.column(self.partition).type == "DATE"

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)


def _column(where: str, item: dict[str, Any]) -> Column:
    known = {
        "name", "logicalType", "physicalType", "description", "required", "primaryKey", "primaryKeyPosition",
        "unique", "logicalTypeOptions", "quality", "classification", "customProperties", "examples",
    }  # fmt: skip
    if unknown := set(item) - known:
        raise KantaError(f"Contract column has unknown keys {sorted(unknown)}", where=f"{where}: {item.get('name')}")
    options = item.get("logicalTypeOptions", {})
    custom = {entry["property"]: entry["value"] for entry in item.get("customProperties", [])}
    allowed: tuple[str, ...] = ()
    for rule in item.get("quality", []):
        if rule.get("metric") != "invalidValues":
            raise KantaError(f"Contract column has an unknown quality rule {rule}", where=f"{where}: {item['name']}")
        allowed = tuple(str(value) for value in rule["arguments"]["validValues"])
    if not TYPES.fullmatch(str(item["physicalType"])):
        raise KantaError(f"Contract type {item['physicalType']} is not known", where=f"{where}: {item['name']}")
    return Column(
        name=item["name"],
        type=item["physicalType"],
        description=" ".join(str(item.get("description", "")).split()),
        required=bool(item.get("required", False)),
        key=int(item.get("primaryKeyPosition", 0)) if item.get("primaryKey") else 0,
        allowed=allowed,
        pattern=str(options.get("pattern", "")),
        minimum=str(options.get("minimum", "")),
        maximum=str(options.get("maximum", "")),
        max_length=int(options.get("maxLength", 0)),
        default=str(custom.get("default", "")),
        personal=item.get("classification") == "personal",
        optional=bool(custom.get("optional", False)),
        days_after_drop=custom.get("daysAfterDrop"),
        bounded_age=bool(custom.get("boundedAge", False)),
        stands_for=str(custom.get("standsFor", "")),
        local=str(custom.get("local", "")),
        zone=str(custom.get("zone", "")),
    )


def read(path: Path) -> Contract:
    """Reads one contract file; a key this project does not use is an error, never ignored."""
    document = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    (table,) = document["schema"]
    custom = {entry["property"]: entry["value"] for entry in table.get("customProperties", [])}
    if unknown := set(custom) - {"tableKind", "partition", "recordKey", "partOf"}:
        raise KantaError(f"Contract has unknown custom properties {sorted(unknown)}", where=str(path))
    where = str(path.relative_to(SCHEMAS.parent)) if path.is_relative_to(SCHEMAS) else str(path)
    return Contract(
        name=table["physicalName"],
        kind=cast(Kind, custom.get("tableKind", "feed")),
        description=" ".join(str(table.get("description", "")).split()),
        grain=str(table.get("dataGranularityDescription", "")),
        columns=tuple(_column(where, item) for item in table["properties"]),
        partition=str(custom.get("partition", "")),
        checks=tuple(
            Check(
                name=rule["name"],
                query=str(rule["query"]).strip(),
                severity=rule.get("severity", "error"),
                description=" ".join(str(rule.get("description", "")).split()),
            )
            for rule in table.get("quality", [])
        ),
        path=where,
        part_of=str(custom.get("partOf", "")),
        record_columns=tuple(custom.get("recordKey", ())),
    )


@cache
def lake() -> dict[str, Contract]:
    """All lake contracts by table name (``loyalty.entries``), in name order."""
    return _all(SCHEMAS / "lake")


@cache
def landing() -> dict[str, Contract]:
    """All landing contracts by ``feed.dataset`` (``pos.lines``), in name order; ``any.*`` come on every feed."""
    return _all(SCHEMAS / "landing")


#: Where a landed row comes from; ``seq`` is the ordinal of the take that accepted it.
PROVENANCE = (
    Column("feed", "VARCHAR", "Feed it came on.", required=True),
    Column("drop_id", "VARCHAR", "Drop it came in: feed, business date and source.", required=True),
    Column("drop_date", "DATE", "Business date of the drop.", required=True),
    Column("source", "VARCHAR", "Source of the drop.", required=True),
    Column("file", "VARCHAR", "File it stood in.", required=True),
    Column("line", "BIGINT", "Line of the file; in Parquet the row.", required=True),
    Column("seq", "BIGINT", "Ordinal of the take that accepted it.", required=True),
)


@cache
def landed() -> dict[str, Contract]:
    """The lake tables that hold accepted rows, by name (``landed.lines``): each dataset's columns, then PROVENANCE.

    Derived from the landing contracts: what those require is the router's business, so here all may be empty.
    """
    tables: dict[str, Contract] = {}
    for contract in landing().values():
        columns = tuple(
            replace(column, type="VARCHAR" if column.type == "JSON" else column.type, required=False)
            for column in contract.columns
        )
        drop_id = len(contract.key) + 1
        provenance = tuple(replace(c, key=drop_id) if c.name == "drop_id" else c for c in PROVENANCE)
        name = f"landed.{contract.dataset}"
        if name in tables:
            raise KantaError(f"Two feeds have a dataset {contract.dataset}", where=contract.path)
        if taken := {column.name for column in PROVENANCE} & set(contract.names):
            raise KantaError(f"Column {min(taken)} would stand for provenance, too", where=contract.path)
        tables[name] = replace(
            contract,
            name=name,
            kind="fact",
            columns=columns + provenance,
            partition="drop_date",
            checks=(),
            record_columns=contract.record_key,
        )
    return dict(sorted(tables.items()))


def contract_of(table: str) -> Contract:
    """The contract of a lake table, landed copies included. Raises KantaError when there is no such table."""
    found = lake().get(table) or landed().get(table)
    if found is None:
        raise KantaError(f"There is no table {table}", next_step='kanta query "show all tables"')
    return found


def _all(folder: Path) -> dict[str, Contract]:
    contracts: dict[str, Contract] = {}
    for path in sorted(folder.glob("*/*.odcs.yaml")):
        contract = read(path)
        expected = f"{path.parent.name}.{path.name.removesuffix('.odcs.yaml')}"
        if contract.name != expected:
            raise KantaError(f"Contract names {contract.name}, its path says {expected}", where=str(path))
        contracts[contract.name] = contract
    return contracts
