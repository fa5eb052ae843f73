"""What the RFM tests share: a programme and a few facts, and ``kanta.rfm.score`` over them in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from kanta import contracts, models, rfm
from kanta.engine import Engine
from kanta.programme import Programme, Version
from kanta.programme.relations import relations as programme_relations

Row = dict[str, Any]
BEGINNING, FOREVER = date(1, 1, 1), date(9999, 12, 31)
CHANNELS = {"S1": "/EU/FI/Helsinki", "S2": "/EU/SE/Stockholm", "CC1": "/EU/FI"}
TABLES = tuple(name for name in contracts.lake() if name.startswith("rfm."))
BASE: Row = {"id": "r", "period": {"rolling": 24, "unit": "month"}, "channels": ["all"], "schedule": "daily"}


def sale(customer: str | None, day: date, net: str, **other: Any) -> Row:
    """A row of sales.transactions; a negative amount is a return, all else as in ``other``."""
    return {"customer_id": customer, "business_date": day, "net_amount": Decimal(net), **other}


def relations(
    definitions: Sequence[Row], days: Sequence[date], changed: tuple[date, Sequence[Row]] | None = None
) -> dict[str, pa.Table]:
    """The programme.* relations of definitions that name only what differs from ``BASE`` and the defaults.

    ``changed``: the definitions in force from a date on.
    """
    versions = [
        Version.of(
            Programme.model_validate({"accounting_currency": "USD", "rfm": [{**BASE, **item} for item in items]}), day
        )
        for day, items in ((BEGINNING, definitions), *([changed] if changed else []))
    ]
    return programme_relations(versions, days)


def _filled(rows: Iterable[Row]) -> Iterator[Row]:
    for number, row in enumerate(rows, start=1):
        full = {
            "transaction_id": f"T{number}",
            "channel_id": "S1",
            "type": "return" if row["net_amount"] < 0 else "sale",
            "currency": "USD",
            "tax_amount": Decimal(0),
            "charges_amount": Decimal(0),
            "loyalty_card_id": None,
            "posted_date": row["business_date"],
            **row,
        }
        full["total_amount"] = full["net_amount"] + full["tax_amount"] + full["charges_amount"]
        yield full


def transactions(rows: Iterable[Row]) -> pa.Table:
    """sales.transactions of rows such as :func:`sale` makes."""
    return table_of("sales.transactions", _filled(rows))


def table_of(name: str, rows: Iterable[Row]) -> pa.Table:
    """Rows as an Arrow table of the lake table's contract; what a row does not name is empty."""
    types = {
        "VARCHAR": pa.string(),
        "DATE": pa.date32(),
        "BOOLEAN": pa.bool_(),
        "TIMESTAMPTZ": pa.timestamp("us", "UTC"),
    }
    schema = pa.schema(
        [
            (column.name, types.get(column.type) or pa.decimal128(18, column.scale))
            for column in contracts.lake()[name].columns
        ]
    )
    return pa.Table.from_pylist(list(rows), schema)


@dataclass
class Rehearsal:
    """A night without a lake: the tables are kept in the engine, the rest is what ``kanta.night.Night`` does."""

    engine: Engine
    puts: list[str] = field(default_factory=list)

    def attach(self, *tables: str) -> None:
        """Everything is attached already."""

    def define(self, *names: str) -> None:
        for name in names:
            self.engine.define(name, models.models()[name].sql)

    def put(self, table: str, select: str, partitions: Sequence[date]) -> int:
        self.puts.append(table)
        contract = contracts.lake()[table]
        columns = ", ".join(f"cast({column.name} as {column.type}) as {column.name}" for column in contract.columns)
        kept = ", ".join(f"date '{day}'" for day in partitions)
        rows = self.engine.con.sql(
            f"select {columns} from ({select}) union all select * from {table} where as_of not in ({kept})"
        ).to_arrow_table()
        self.engine.register(table, rows)
        return int(rows.num_rows)

    def facts(
        self,
        sales: Iterable[Row],
        cards: Iterable[Row] = (),
        rates: Iterable[Row] = (),
        channels: Mapping[str, str] = CHANNELS,
    ) -> None:
        """Replaces the facts the scores are made from."""
        always = {"valid_from": BEGINNING, "valid_to": FOREVER}
        self.engine.register("sales.transactions", transactions(sales))
        self.engine.view("customers.receipts", models.models()["customers.receipts"].sql, {})
        tables: dict[str, Iterable[Row]] = {
            "reference.loyalty_cards": ({**always, **card} for card in cards),
            "reference.exchange_rates": ({**always, **rate} for rate in rates),
            "reference.channels": ({**always, "channel_id": c, "org_path": path} for c, path in channels.items()),
        }
        for name, rows in tables.items():
            self.engine.register(name, table_of(name, rows))

    def score(self, definitions: Sequence[Row], *days: date, changed: tuple[date, Sequence[Row]] | None = None) -> None:
        """Scores on those of ``days`` that are due for definitions written as in a programme."""
        for name, table in relations(definitions, days, changed).items():
            self.engine.register(name, table)
        rfm.score(self)  # type: ignore[arg-type]

    def rows(self, table: str, order: str = "all", where: str = "true") -> list[Row]:
        """A table's rows as dictionaries."""
        found = self.engine.execute(f"select * from {table} where {where} order by {order}")
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def scores(self, *columns: str, where: str = "true") -> list[tuple[Any, ...]]:
        """Some columns of rfm.scores in the order of its key."""
        return self.engine.rows(
            f"select {', '.join(columns)} from rfm.scores where {where} order by definition, as_of, customer_id"
        )


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Rehearsal]:
    with Engine(tmp_path) as engine:
        for name in TABLES:
            engine.attach(contracts.lake()[name], [])
        yield Rehearsal(engine)
