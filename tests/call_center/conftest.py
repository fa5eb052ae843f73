"""What the call-center tests share: a few drops, nights over them in memory, and the rows that come out.

The nights are real (``kanta.night.Night``, stages ``sales`` and ``call_center``), only nothing is landed or published.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from kanta import contracts, night, programme
from kanta.engine import Engine
from kanta.home import Home
from kanta.lake import Lake, State
from kanta.programme.model import Programme
from tests.feed import DEFAULTS

Row = dict[str, Any]

#: The settings of spec 4-call-center.
RULES: Row = {
    "fraud": {
        "minimum_score": 50,
        "default_scores": {"phone": 20, "email": 30, "zip": 1, "extended_zip": 5},
        "hold_code": "FRAUD",
        "static": [{"type": "email", "value": "Bad@example.com", "score": 30}],
        "rules": [
            {"id": "big_new", "level": "order", "score": 40, "when": "total_amount >= 1000 and customer_age_days < 30"},
            {
                "id": "many_units",
                "level": "line",
                "score": 15,
                "when": "quantity > 20 or unit_price * quantity > 5000",
            },
        ],
    },
    "holds": [
        {"code": "FRAUD", "name": "Fraud", "role": "fraud_desk", "color": "red", "release_reservations": True},
        {"code": "CREDIT", "name": "Credit", "default": True},
    ],
    "submit_when_cleared": True,
    "delivery_charges": [
        {
            "mode": "ground",
            "level": "header",
            "tiers": [
                {"from": 0, "to": 50, "amount": "5.95"},
                {"from": 50, "to": 100, "amount": "7.95"},
                {"from": 100, "amount": 0},
            ],
        },
        {
            "mode": "air",
            "level": "line",
            "tiers": [{"from": 0, "to": 100, "amount": "9.95"}, {"from": 100, "percent": 5}],
        },
    ],
    "notices": {"first": 10, "second": 20, "cancel": 30},
    "price_override": [
        {"role": "agent", "cost": "item", "markup_percent": 5},
        {"role": "lead", "markup_percent": 0},
    ],
    "margin_alert": {"acceptable": 40, "questionable": 20},
    "payments": {
        "check_hold": {"over": 500, "days": 7},
        "tolerance_percent": 20,
        "decline_limit": 3,
        "max_order_credit": 50,
        "refund": {"cash": "check", "default": "check", "approve_over": 100},
    },
}

SOUND: dict[str, Row] = {
    **DEFAULTS,
    "order_payments": {"payment_no": "1", "type": "card", "amount": "10.00", "status": "paid"},
    "order_addresses": {
        "area": "billing", "name": "N", "street": "S", "city": "C", "zip": "00100", "country": "FI",
    },
    "hold_events": {"hold_code": "CREDIT", "event": "hold", "at": "{day}T10:00:00Z", "user": "ann"},
    "fraud_static": {"active": "true"},
    "products": {"product_id": "P", "name": "Coffee", "category_id": "ALL"},
    "channels": {"channel_id": "CC", "time_zone": "UTC", "kind": "call_center"},
    "catalogs": {"status": "published"},
}  # fmt: skip


@dataclass
class Center:
    """A call center's drops, given one after another, and its nights."""

    root: Path
    rules: Row = field(default_factory=lambda: dict(RULES))
    customers: list[Row] = field(default_factory=list)
    account_map: list[Row] = field(default_factory=list)
    stored: dict[str, list[Row]] = field(default_factory=dict)
    landed: dict[str, list[Row]] = field(default_factory=dict)
    drops: list[Row] = field(default_factory=list)
    state: State = field(default_factory=State)

    def __post_init__(self) -> None:
        self.lake = Lake(Home(self.root))

    def land(self, day: str, feed: str = "call_center", **content: Sequence[Mapping[str, Any]]) -> None:
        """A drop; rows name what differs from sound ones."""
        source = "hq" if feed == "hq" else "CC"
        drop_id = f"{feed}/{day}/{source}"
        seq = self.state.seq + 1
        self.drops = [drop for drop in self.drops if drop["drop_id"] != drop_id]
        self.drops.append({"drop_id": drop_id, "feed": feed, "business_date": day, "source": source, "seq": seq})
        origin = {"drop_id": drop_id, "drop_date": day, "feed": feed, "source": source, "file": "f", "seq": seq}
        for dataset, rows in content.items():
            here = self.landed.setdefault(dataset, [])
            for line, row in enumerate(rows, start=1):
                full = {**SOUND.get(dataset, {}), **row}
                texts = {key: str(value) for key, value in full.items() if value is not None}
                filled = {key: text.replace("{day}", day).replace("{source}", source) for key, text in texts.items()}
                here.append({**filled, **origin, "line": line})

    def order(self, day: str, order_id: str = "O1", **parts: Any) -> None:
        """A drop of one order: header by keywords; ``lines``, ``payments``, ``addresses``, ``events``: its rows."""
        named = {"lines": "order_lines", "payments": "order_payments", "addresses": "order_addresses"}
        content: dict[str, list[Row]] = {
            named[key]: [{"order_id": order_id, **row} for row in parts.pop(key)] for key in list(parts) if key in named
        }
        events = [{"order_id": order_id, **row} for row in parts.pop("events", [])]
        content.setdefault("order_lines", [{"order_id": order_id}])
        self.land(day, orders=[{"order_id": order_id, **parts}], hold_events=events, **content)

    def night(self, day: str, *stages: str) -> None:
        """Stages of a business date: ``call_center`` unless others are named."""
        for stage in stages or ("call_center",):
            with self._night(stage, day) as work:
                before = self.state.tables
                night.STAGES[stage](work)
                last = max(work.business_date, work.since)
                self.state = replace(
                    work.state,
                    seq=self.state.seq + (work.state.tables != before),
                    through={**self.state.through, stage: last},
                )
                self.state = replace(self.state, marks={**self.state.marks, stage: self.state.seq})
        # What is landed from here on comes after what these nights took in.
        self.state = replace(self.state, seq=self.state.seq + 1, business_date=date.fromisoformat(day))
        self.state = replace(self.state, marks=dict.fromkeys(self.state.marks, self.state.seq))

    def rows(
        self, table: str, *columns: str, where: str = "true", order: str = "", day: str | None = None
    ) -> list[tuple[Any, ...]]:
        """A table's rows as a reader sees them, in the order of its key unless another is given."""
        last = day or str(self.state.business_date)
        with self._night("reading", last) as work:
            work.attach(table)
            key = order or ", ".join(f'"{name}"' for name in contracts.lake()[table].key)
            return work.engine.rows(f"select {', '.join(columns)} from {table} where {where} order by {key}")

    def one(self, table: str, *columns: str, where: str = "true") -> Any:
        """The one row there is; of one column its value."""
        found = self.rows(table, *columns, where=where)
        assert len(found) == 1, found
        return found[0][0] if len(columns) == 1 else found[0]

    def _night(self, stage: str, day: str) -> _Work:
        engine, night_of = Engine(self.root / "work", shared=True), date.fromisoformat(day)
        work = _Work(Home(self.root), self.lake, engine, stage, self.state, night_of)
        work.rules = self.rules
        given = {f"landed.{dataset}": rows for dataset, rows in self.landed.items()}
        given |= {"ops.drops": self.drops, "customers.customers": self.customers, **self.stored}
        given["customers.account_map"] = self.account_map
        work.given = {**{name: [] for name in contracts.landed()}, **given}
        return work


class _Work(night.Night):
    rules: Row
    given: dict[str, list[Row]]

    def __enter__(self) -> _Work:
        return self

    def __exit__(self, *_: object) -> None:
        self.engine.close()

    def recorded_versions(self) -> list[programme.Version]:
        content = {"accounting_currency": "USD", **({"call_center": self.rules} if self.rules else {})}
        return [programme.Version.of(Programme.model_validate(content), date(2000, 1, 1))]

    @property
    def versions(self) -> list[programme.Version]:  # type: ignore[override]
        return self.recorded_versions()

    def attach(self, *tables: str) -> None:
        for table in tables:
            if table in self.given and table not in self._attached:
                self.give(table, self.given[table])
            super().attach(table)

    def give(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        contract = night.contract_of(name)
        if rows:
            text = pa.table({c: [None if r.get(c) is None else str(r[c]) for r in rows] for c in contract.names})
            self.engine.register("given." + name.replace(".", "_"), text)
            columns = ", ".join(f'cast("{c.name}" as {c.type}) as "{c.name}"' for c in contract.columns)
            self.engine.define(name, f"select {columns} from given.{name.replace('.', '_')}")
        else:
            self.engine.attach(contract, [])
        self._attached.add(name)


def customer(account: str, **other: Any) -> Row:
    """A row of customers.customers: synced, since ever."""
    always = {"valid_from": "0001-01-01", "valid_to": None, "status": "synced", "created_at": "2017-01-01T00:00:00Z"}
    return {"account": account, **always, **other}


@pytest.fixture
def center(tmp_path: Path) -> Center:
    """A call center by the settings of the specification."""
    return Center(tmp_path)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Center]:
    """Call centers, each with rules of its own."""
    made: list[Center] = []

    def build(**changes: Any) -> Center:
        rules = {key: value for key, value in {**RULES, **changes}.items() if value is not None}
        made.append(Center(tmp_path / str(len(made)), rules))
        return made[-1]

    return build
