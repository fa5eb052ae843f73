"""What the distribution tests share: a small retailer, published nights of it, and its stores."""

from __future__ import annotations

import gzip
import json
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from kanta import contracts, distribution, models, night, store
from kanta.distribution import Session, sending, steps, view
from kanta.distribution import held as held_rows
from kanta.distribution.packing import FULL, Parcel, Staging, pack
from kanta.distribution.planning import Work
from kanta.engine import Engine
from kanta.home import Home
from kanta.lake import Lake
from kanta.night import Night
from kanta.programme import Programme, Version
from kanta.programme.model import JOBS

Row = dict[str, Any]
CUSTOMERS = ("customers", "contacts", "addresses", "attributes", "affiliations")
BEGINNING, FOREVER = date(1, 1, 1), date(9999, 12, 31)

#: The night of the tests; stores open on the day after.
NIGHT = date(2026, 11, 20)
OPENING = NIGHT + timedelta(days=1)

PROGRAMME: Row = {
    "effective_from": "2017-01-01",
    "accounting_currency": "EUR",
    "reward_points": [
        {"id": "points", "type": "quantity", "redeemable": True, "redeem_ranking": 1,
         "expiration": {"value": 12, "unit": "month"}, "vesting": {"value": 14, "unit": "day"}},
        {"id": "cash", "type": "amount", "currency": "EUR", "redeemable": True, "redeem_ranking": 2},
    ],
    "date_intervals": [
        {"id": "past_year", "start": {"from": "evaluation_date", "offset": -12, "unit": "month"},
         "end": {"from": "evaluation_date"}},
        {"id": "coming_year", "start": {"from": "evaluation_date"},
         "end": {"from": "evaluation_date", "offset": 12, "unit": "month"}},
    ],
    "programs": [
        {"id": "club", "price_groups": ["CLUB"], "tiers": [
            {"id": "basic", "level": 1, "validity": "coming_year",
             "rules": [{"reward_point": "points", "minimum": 0, "window": "past_year"}]},
            {"id": "gold", "level": 2, "validity": "coming_year", "price_groups": ["GOLD"],
             "rules": [{"reward_point": "points", "minimum": 1000, "window": "past_year"}]},
        ]},
    ],
    "schemes": [
        {"id": "everywhere", "program": "club", "valid_from": "2017-01-01", "channels": ["all"],
         "excluded_affiliations": ["staff", "press"],
         "earning": [{"id": "base", "activity": "purchase_amount", "per": "1.00", "currency": "EUR",
                      "reward_point": "points", "points": "1"}],
         "redemption": [{"id": "pay", "type": "payment_by_amount", "reward_point": "points", "points": "100",
                         "per": "1.00", "currency": "EUR"}]},
    ],
    # Job 1050 without its rules: what sessions, packages and stores do is the same for fewer datasets.
    "distribution": {
        "schedules": [{"id": "nightly", "jobs": ["1050"]}],
        "jobs": JOBS | {"1050": ("programs", "tiers", "cards", "card_tiers", "card_balances")},
    },
}  # fmt: skip


def table_of(name: str, rows: Sequence[Row]) -> pa.Table:
    """Rows as an Arrow table of the lake table's columns; what a row does not name is empty."""
    types = {
        "VARCHAR": pa.string(), "DATE": pa.date32(), "TIMESTAMPTZ": pa.timestamp("us", "UTC"), "INTEGER": pa.int32(),
        "BIGINT": pa.int64(), "BOOLEAN": pa.bool_(),
    }  # fmt: skip
    columns = contracts.lake()[name].columns
    return pa.Table.from_pylist(
        list(rows), pa.schema([(c.name, types.get(c.type) or pa.decimal128(18, c.scale)) for c in columns])
    )


@dataclass
class Retailer:
    """What the lake says: the rows of its tables, and the programme. Tests change it and publish again."""

    programme: Row = field(default_factory=lambda: deepcopy(PROGRAMME))
    channels: list[Row] = field(default_factory=list)
    cards: list[Row] = field(default_factory=list)
    transactions: list[Row] = field(default_factory=list)
    card_tiers: list[Row] = field(default_factory=list)
    balances: list[Row] = field(default_factory=list)
    lots: list[Row] = field(default_factory=list)
    categories: list[Row] = field(default_factory=list)
    products: list[Row] = field(default_factory=list)
    customers: dict[str, list[Row]] = field(default_factory=lambda: {name: [] for name in CUSTOMERS})

    def channel(self, channel_id: str, database: str | None = None, **other: Any) -> None:
        row = {"org_path": "/EU/FI", "data_group": "nordic", "valid_from": BEGINNING, "valid_to": FOREVER}
        self.channels.append({**row, "channel_id": channel_id, "database": database or channel_id, **other})

    def card(self, card_id: str, **other: Any) -> None:
        row = {
            "program_id": "club",
            "card_type": "as_card_tender",
            "issued_at": datetime(2026, 1, 5, tzinfo=UTC),
            "enrolled_from": date(2026, 1, 5),
            "valid_from": BEGINNING,
            "valid_to": FOREVER,
        }
        self.cards.append({**row, "card_id": card_id, **other})

    def sale(self, channel_id: str, card: str | None = None, customer: str | None = None, day: date = NIGHT) -> None:
        self.transactions.append(
            {"channel_id": channel_id, "loyalty_card_id": card, "customer_id": customer, "business_date": day}
        )

    def tier(self, card_id: str, tier_id: str, valid_from: date, valid_to: date | None = None, level: int = 1) -> None:
        row = {"card_id": card_id, "program_id": "club", "tier_id": tier_id, "level": level}
        self.card_tiers.append({**row, "valid_from": valid_from, "valid_to": valid_to})

    def holds(
        self, card_id: str, *lots: tuple[str, date, date | None], deficit: str = "0.00", point: str = "points"
    ) -> None:
        """What a card holds: lots (remaining, usable_from, expires_on) and a deficit."""
        key = {"card_id": card_id, "program_id": "club", "reward_point_id": point}
        self.balances.append({**key, "deficit": Decimal(deficit)})
        for remaining, usable_from, expires_on in lots:
            dates = {"usable_from": usable_from, "expires_on": expires_on}
            self.lots.append({**key, "points": Decimal(remaining), "taken": Decimal(0), **dates})

    def customer(self, account: str, status: str = "synced", **other: Any) -> None:
        known = {"valid_from": BEGINNING, "valid_to": FOREVER, "created_at": datetime(2026, 1, 5, tzinfo=UTC)}
        self.customers["customers"].append({**known, "account": account, "status": status, **other})

    def sends(self, **choices: Any) -> None:
        """Changes what the programme says of distribution."""
        self.programme["distribution"] |= choices

    def versions(self) -> list[Version]:
        programme = Programme.model_validate(self.programme)
        return [Version.of(programme, programme.effective_from or BEGINNING)]

    def register(self, engine: Engine) -> None:
        """Makes the tables readable as the lake's."""
        tables = {
            "reference.channels": self.channels,
            "reference.loyalty_cards": self.cards,
            "sales.transactions": self.transactions,
            "loyalty.card_tiers": self.card_tiers,
            "loyalty.balances": self.balances,
            "loyalty.open_lots": self.lots,
            "reference.categories": self.categories,
            "reference.products": self.products,
        }
        tables |= {f"customers.{name}": rows for name, rows in self.customers.items()}
        for name, rows in tables.items():
            engine.register(name, table_of(name, rows))
        engine.view("customers.receipts", models.models()["customers.receipts"].sql, {})

    def view(
        self, workspace: Path, data_group: str | None = None, night: date = NIGHT, job: str = "1050"
    ) -> dict[str, dict[str, list[str]]]:
        """V(n) of each database: the lines of each dataset as they stand in a package, without op; no rows: none."""
        with Engine(workspace) as engine:
            self.register(engine)
            rules = view.request(engine, night, self.versions(), data_group)
            databases = view.Published(engine, night, rules).databases()
            view.work_out(engine, rules.jobs[job])
            sent = workspace / f"sent {job}"
            works = [Work(database, job, tuple(rules.jobs[job])) for database in databases]
            for work in works:
                work.excluded = work.database.offline and job in rules.exclude_from_offline
            sending.leave_out(engine, works)
            told = [held_rows.Told(database.name, "", 0) for database in databases]
            held_rows.update(engine, sent, "all", rules.jobs[job], told, lambda: 1, 0)
            parcels = [
                Parcel(w.database.name, job, 1, night, "csv.gz", FULL, w.datasets, empty=w.excluded) for w in works
            ]
            if parcels:
                with Staging(workspace / f"staging {job}") as staging:
                    pack(engine, parcels, staging)
        assert all(not parcel.problem for parcel in parcels), parcels
        return {
            parcel.database: {
                entry.name: lines_of(parcel.files[entry.file].read()) for entry in parcel.entries.values() if entry.file
            }
            for parcel in parcels
        }


def lines_of(content: bytes) -> list[str]:
    """The lines of a package's file without its header and op."""
    header, *lines = re.split(r"\n(?=U,|D,|\Z)", gzip.decompress(content).decode())
    assert header.startswith("op,"), header
    assert all(line.startswith("U,") for line in lines[:-1]), lines
    return [line.removeprefix("U,") for line in lines[:-1]]


@pytest.fixture
def retailer() -> Retailer:
    """One store S001 (database S001), with card K1 of customer C7: gold, 12.50 points."""
    made = Retailer()
    made.channel("S001")
    made.card("K1", customer_id="C7", channel_id="S001")
    made.tier("K1", "gold", date(2026, 3, 1), date(2027, 3, 1), level=2)
    made.holds("K1", ("12.50", date(2026, 2, 1), date(2027, 2, 1)))
    return made


@dataclass
class Chain:
    """Head office with its stores: a home whose published nights are the retailer's rows."""

    home: Home
    retailer: Retailer
    stores: Path
    memory: Memory | None = None

    def has_sent(self) -> None:
        """As after the first :meth:`send`."""
        self._after("sent", self.send)

    def has_settled(self) -> None:
        """As after a first package, applied and acknowledged."""
        self._after("settled", lambda: (self.send(), self.apply(), self.acknowledge()))

    def _after(self, what: str, work: Callable[[], object]) -> None:
        """Done once for all tests of the same retailer; afterwards the folders and tables it left are copied."""
        assert self.memory is not None
        what = f"{what} {self.retailer}"
        if what not in _LEFT:
            work()
            kept = TemporaryDirectory()
            shutil.copytree(self.home.root, Path(kept.name, "home"))
            shutil.copytree(self.stores, Path(kept.name, "stores"), ignore=shutil.ignore_patterns("work"))
            _LEFT[what] = kept, self.memory.tables()
            return
        kept, tables = _LEFT[what]
        shutil.rmtree(self.home.root)
        shutil.copytree(Path(kept.name, "home"), self.home.root)
        shutil.copytree(Path(kept.name, "stores"), self.stores, dirs_exist_ok=True)
        self.memory.put(tables)

    def publish(self, business_date: date = NIGHT) -> None:
        lake = Lake(self.home)
        with lake.writing():
            lake.publish(business_date)

    def send(self, business_date: date = NIGHT, data_group: str | None = None) -> list[tuple[str, int, str, str]]:
        """What moved: database, sequence, state, reason."""
        return told(distribution.send(self.home, business_date, data_group))

    def acknowledge(self, business_date: date = NIGHT) -> list[tuple[str, int, str, str]]:
        return told(distribution.acknowledge(self.home, business_date))

    def package(self, sequence: int, database: str = "S001", job: str = "1050") -> Path:
        return self.home.outbox / database / job / f"{sequence:08d}"

    def manifest(self, sequence: int, database: str = "S001", job: str = "1050") -> Row:
        content: Row = json.loads((self.package(sequence, database, job) / "manifest.json").read_bytes())
        return content

    def ack(self, sequence: int, database: str = "S001", job: str = "1050") -> Path:
        return self.home.inbox / database / job / f"{sequence:08d}.ack.json"

    def apply(self, database: str = "S001", **where: Path) -> list[tuple[int, str, str | None]]:
        """The store takes what its outbox has: sequence, status, reason of each."""
        results = store.apply(
            [self.home.outbox / database], where.get("file", self.stores / f"{database}.duckdb"), self.home.inbox
        )
        return [(r.acknowledgement.sequence, r.acknowledgement.status, r.acknowledgement.reason) for r in results]

    def states(self, database: str = "S001") -> list[tuple[int, str]]:
        """Every step of every session, as recorded."""
        steps = self.rows("distribution.sessions", "database, sequence, step, state")
        return [(sequence, state) for name, sequence, _, state in steps if name == database]

    def packages(self) -> list[tuple[int, str]]:
        """Sequence and manifest's hash of every package recorded."""
        return [(row[0], row[1]) for row in self.rows("distribution.packages", "sequence, manifest_sha256")]

    def rows(self, table: str, columns: str) -> list[tuple[Any, ...]]:
        """A sessions' table, in order of these columns."""
        with night.stage(self.home, "reading", NIGHT) as stage:
            stage.attach(table)
            return stage.engine.rows(f"select {columns} from {table} order by all")


_LEFT: dict[str, tuple[TemporaryDirectory[str], tuple[int, dict[str, list[pa.Table]]]]] = {}


def told(sessions: list[Session]) -> list[tuple[str, int, str, str]]:
    return [(session.database, session.sequence, session.state, session.reason) for session in sessions]


def held(database: Path) -> dict[str, list[str]]:
    """All a store's tables, each row as the line of a package it came from; tables without rows are left out."""
    with duckdb.connect(database, read_only=True) as con:
        found = {}
        for (table,) in con.execute("select table_name from duckdb_tables() where schema_name = 'main'").fetchall():
            (columns,) = con.execute(f"select list(column_name) from (describe {table})").fetchone() or ((),)
            line = " || ',' || ".join(f"coalesce(cast({column} as varchar), '')" for column in columns)
            rows = [row[0] for row in con.execute(f"select {line} from {table} order by all").fetchall()]
            if rows:
                found[table] = rows
        return found


class Memory:
    """The sessions' tables without a lake: a stage's rows are kept when it ends, or not at all."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.seq = 0
        self._kept = {name: [table_of(name, [])] for name in contracts.lake() if name.startswith("distribution.")}

    @contextmanager
    def stage(self, home: Home, name: str, business_date: date) -> Iterator[Any]:
        new: list[tuple[str, pa.Table]] = []
        for table, kept in self._kept.items():
            self._engine.register(table, pa.concat_tables(kept))
        self._engine.view("distribution.session_states", models.models()["distribution.session_states"].sql, {})

        def append(table: str, select: str) -> None:
            made = self._engine.arrow(select)
            new.append((table, made.cast(self._kept[table][0].schema)))

        yield SimpleNamespace(engine=self._engine, seq=self.seq + 1, attach=lambda *tables: None, append=append)
        self.seq += bool(new)
        for table, made in new:
            self._kept[table] = [pa.concat_tables([*self._kept[table], made]).combine_chunks()]

    def tables(self) -> tuple[int, dict[str, list[pa.Table]]]:
        return self.seq, {name: list(kept) for name, kept in self._kept.items()}

    def put(self, tables: tuple[int, dict[str, list[pa.Table]]]) -> None:
        self.seq, self._kept = tables[0], {name: list(kept) for name, kept in tables[1].items()}


@pytest.fixture
def published(tmp_path: Path, retailer: Retailer, monkeypatch: pytest.MonkeyPatch) -> Chain:
    """A home with one published night of the retailer; sessions are kept in its lake."""

    def attach(night: Night) -> list[Version]:
        retailer.register(night.engine)
        return retailer.versions()

    monkeypatch.setattr(view, "attach", attach)
    monkeypatch.setattr(view, "rules", lambda home: Programme.model_validate(retailer.programme).distribution)
    made = Chain(Home(tmp_path / "home"), retailer, tmp_path / "stores")
    made.stores.mkdir()
    made.publish()
    return made


@pytest.fixture
def chain(published: Chain, monkeypatch: pytest.MonkeyPatch) -> Iterator[Chain]:
    """The same, with the sessions in memory, which is quicker."""
    with Engine(published.stores / "work") as engine:
        memory = published.memory = Memory(engine)
        monkeypatch.setattr(night, "stage", memory.stage)
        monkeypatch.setattr(steps, "attach", lambda stage: False)
        monkeypatch.setattr(steps, "attach_all", lambda stage: None)
        monkeypatch.setattr(sending, "next_mark", lambda home: memory.seq + 1)
        yield published


@pytest.fixture(autouse=True)
def _only_the_packages(without_iceberg: None) -> None:
    """Packages do not depend on what Iceberg is told."""
