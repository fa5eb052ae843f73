"""A lake written by hand, two nights of it, so that each figure of the report has rows one can count."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from kanta import report
from kanta.contracts import contract_of
from kanta.engine import Engine
from kanta.home import Home
from kanta.lake import Lake
from kanta.night import STAGES, Night

Row = dict[str, Any]
BEFORE, NIGHT = date(2026, 11, 19), date(2026, 11, 20)


@dataclass(frozen=True)
class Books:
    """A home whose lake is written row by row."""

    home: Home

    def night(self, day: date, tables: Mapping[str, Iterable[Row]], *, publish: bool = True) -> int:
        """Commits rows as the night of ``day`` (facts: whole partitions) and publishes them; returns its seq."""
        lake = Lake(self.home)
        with lake.writing(), Engine(self.home.root / "work") as engine:
            night = Night(self.home, lake, engine, "test", lake.recover(), day)
            for table, rows in tables.items():
                _commit(night, table, [{"seq": night.seq, "posted_date": day, **row} for row in rows])
            seq = night.seq
            lake.move_head(replace(night.state, seq=seq, through=dict.fromkeys(STAGES, day)))
            if publish:
                lake.publish(day)
        return seq


def _commit(night: Night, table: str, rows: list[Row]) -> None:
    contract = contract_of(table)
    types = {
        "VARCHAR": pa.string(), "JSON": pa.string(), "DATE": pa.date32(), "TIMESTAMPTZ": pa.timestamp("us", "UTC"),
        "BOOLEAN": pa.bool_(), "INTEGER": pa.int32(), "BIGINT": pa.int64(),
    }  # fmt: skip
    columns = [(c.name, types.get(c.type) or pa.decimal128(18, c.scale)) for c in contract.columns]
    night.engine.register("test.rows", pa.Table.from_pylist(rows, pa.schema(columns)))
    if contract.kind == "posting":
        night.append(table, "select * from test.rows")
    else:
        night.put(table, "select * from test.rows", {row[contract.partition] for row in rows})


def _books(folder: Path) -> Books:
    home = Home(folder / "home")
    home.programme.mkdir(parents=True)
    (home.programme / "settings.yaml").write_text(
        "trading_days:\n  S001: [mon, tue, wed, thu, fri]\n  S002: [thu]\n  S009: [fri]\n"
    )
    return Books(home)


@pytest.fixture(autouse=True)
def _only_the_pages(without_iceberg: None) -> None:
    """Pages do not depend on what Iceberg is told."""


@pytest.fixture
def books(tmp_path: Path) -> Books:
    """A home without a night."""
    return _books(tmp_path)


@pytest.fixture(scope="session")
def two_nights(tmp_path_factory: pytest.TempPathFactory) -> Books:
    """The two nights, to be read."""
    return _written(_books(tmp_path_factory.mktemp("two_nights")))


@pytest.fixture
def own_nights(books: Books) -> Books:
    """The two nights, for a test that goes on writing."""
    return _written(books)


@pytest.fixture(scope="session")
def found(two_nights: Books) -> report.Report:
    """What the report finds of the second night."""
    return report.of_night(two_nights.home)


def drop(
    day: date, source: str, *, feed: str = "pos", stated: int, taken: int, refused: int = 0, revision: int = 1
) -> Row:
    return {
        "drop_id": f"{feed}/{day}/{source}", "feed": feed, "business_date": day, "source": source,
        "revision": revision, "status": "accepted" if taken else "quarantined", "rows": taken, "refused": refused,
        "accepted_revision": revision if taken else 0,
        "files": json.dumps([{"name": "lines.csv", "rows": stated, "sha256": "0"}]), "stamp": "1",
    }  # fmt: skip


def refused(number: int, day: date, source: str, rule: str, *, line: int | None = 2, level: str = "transaction") -> Row:
    return {
        "quarantine_id": f"q{number}", "feed": "pos", "business_date": day, "source": source, "file": "lines.csv",
        "line": line, "dataset": "lines", "record_key": "SECRET-KEY", "level": level, "rule": rule,
        "reason": f"{rule} in words", "status": "open", "drop_id": f"pos/{day}/{source}", "raw": "SECRET-ROW",
    }  # fmt: skip


def entry(card: str, kind: str, amount: str, day: date, point: str = "points") -> Row:
    side = {"redeem": "used", "refund": "used", "expire": "expired", "write_off": "written_off"}.get(kind, "issued")
    return {
        "entry_id": f"{card} {kind} {amount} {day} {point}", "card_id": card, "program_id": "club",
        "reward_point_id": point, "entry_type": kind, "points": Decimal(amount), "entry_date": day, "posted_date": day,
        "event_id": f"{kind}:{card}", "side": side,
    }  # fmt: skip


def lot(card: str, amount: str, day: date, usable: date, point: str = "points") -> Row:
    return {
        "lot_id": f"{card} {amount} {day} {point}", "earned_on": day, "usable_from": usable,
        "expires_on": day + timedelta(days=40), "card_id": card, "program_id": "club", "reward_point_id": point,
        "points": Decimal(amount), "entry_id": f"{card} {day}", "event_id": f"earn:{card}", "posted_date": day,
    }  # fmt: skip


def stay(card: str, tier: str, level: int, first: date, last: date | None = None) -> Row:
    return {
        "card_id": card, "program_id": "club", "tier_id": tier, "level": level, "valid_from": first, "valid_to": last,
        "qualified_on": first, "reason": "qualified", "bucket": 0,
    }  # fmt: skip


def store_day(store: str, day: date, verdict: str, **figures: Any) -> Row:
    counted = dict.fromkeys(("registers", "receipts", "missing", "late", "offline", "post_voided", "quarantined"), 0)
    amounts = ("total_amount", "tenders_amount", "difference", "points_declared", "points_earned")
    known = {"store_id": store, "business_date": day, "verdict": verdict, "reports": 0}
    return {**known, **counted, **dict.fromkeys(amounts, Decimal(0)), **figures}


def check(day: date, name: str, severity: str = "warning", *, success: bool = True) -> Row:
    return {
        "business_date": day, "table_name": "sales.lines", "check_name": name, "severity": severity,
        "success": success, "observed": "3 of 40 rows", "rows_checked": 40,
    }  # fmt: skip


def run(day: date, stage: str, seconds: str, seq: int) -> Row:
    return {
        "business_date": day, "stage": stage, "seq": seq, "rows_in": 40, "rows_out": 39, "seconds": Decimal(seconds),
        "detail": "{}",
    }  # fmt: skip


def score(customer: str, r: int, f: int, m: int, segment: str, day: date = NIGHT) -> Row:
    return {
        "definition": "retail", "as_of": day, "customer_id": customer, "last_purchase_on": day, "recency": 1,
        "frequency": f, "monetary_total": Decimal(10 * m), "monetary_average": Decimal(10), "r": r, "f": f, "m": m,
        "composite": 100 * r + 10 * f + m, "segment": segment,
    }  # fmt: skip


def segment(name: str, customers: int, share: str, revenue: str, day: date = NIGHT, change: int | None = 0) -> Row:
    return {
        "definition": "retail", "as_of": day, "segment": name, "customers": customers, "share": Decimal(share),
        "purchases": customers, "revenue": Decimal(revenue), "customers_change": change, "without_rate": 0,
    }  # fmt: skip


def step(database: str, sequence: int, number: int, state: str, day: date, reason: str = "") -> Row:
    return {
        "database": database, "job": "1050", "sequence": sequence, "step": number, "state": state, "reason": reason,
        "business_date": day, "data_group": "stores", "recorded_at": datetime(2026, 11, 21, 3, tzinfo=UTC),
        "posted_date": day,
    }  # fmt: skip


def package(database: str, sequence: int, day: date) -> Row:
    return {
        "database": database, "job": "1050", "sequence": sequence, "mode": "full", "base_sequence": 0,
        "business_date": day, "manifest_sha256": "0", "view_sha256": "0", "rows": 120, "deletes": 0, "bytes": 3400,
        "control_totals": "{}", "posted_date": day,
    }  # fmt: skip


def _written(books: Books) -> Books:
    """Thursday and Friday of a small retailer, with something in every section of the page."""
    ago = date(2026, 10, 3)
    first = books.night(
        BEFORE,
        {
            "ops.drops": [drop(BEFORE, "S001", stated=40, taken=40)],
            "ops.quarantine": [refused(1, BEFORE, "S001", "type:quantity")],
            "ops.checks": [check(BEFORE, "quantity is there")],
            "loyalty.entries": [
                entry("A", "earn", "500.00", ago), entry("A", "redeem", "-80.00", date(2026, 11, 2)),
                entry("B", "earn", "50.00", BEFORE), entry("B", "earn", "0.75", BEFORE, "cash"),
            ],
            "loyalty.lot_postings": [
                lot("A", "420.00", ago, ago), lot("B", "50.00", BEFORE, NIGHT + timedelta(days=14)),
                lot("B", "0.75", BEFORE, BEFORE, "cash"),
            ],
            "ops.runs": [run(BEFORE, "ingest_pos", "1.5", 1)],
        },
    )  # fmt: skip
    assert first == 1
    books.night(
        NIGHT,
        {
            "ops.drops": [
                drop(NIGHT, "S001", stated=60, taken=55, refused=3),
                drop(NIGHT, "S002", stated=9, taken=0, refused=9),
                drop(NIGHT, "hq", feed="hq", stated=10, taken=10),
                drop(BEFORE, "S001", stated=40, taken=40) | {"seq": 1},
                drop(BEFORE, "S003", stated=20, taken=20),
            ],
            "ops.quarantine": [
                refused(2, NIGHT, "S001", "companion", line=3), refused(3, NIGHT, "S001", "type:quantity"),
                refused(4, NIGHT, "S002", "truncated", line=None, level="drop"),
            ],
            "ops.store_days": [
                store_day("S001", BEFORE, "incomplete", missing=9, missing_numbers="R1:1-9"),
                store_day("S001", NIGHT, "incomplete", receipts=3, quarantined=1, missing=52,
                          missing_numbers="R1:2-51|R2:7|R3:9|R4:1"),
                store_day("S002", NIGHT, "differs", receipts=8, reports=2, difference=Decimal("-7.00")),
                store_day("S003", NIGHT, "complete", receipts=5), store_day("S009", NIGHT, "absent"),
            ],
            "ops.checks": [
                check(NIGHT, "quantity is there", "critical"), check(NIGHT, "rates are known", success=False),
            ],
            "loyalty.entries": [
                entry("A", "earn", "100.00", NIGHT), entry("A", "return_earned", "-30.00", NIGHT),
                entry("A", "refund", "5.00", NIGHT), entry("A", "adjust", "-1.00", NIGHT),
                entry("A", "transfer_out", "-10.00", NIGHT), entry("B", "transfer_in", "10.00", NIGHT),
                entry("A", "expire", "-7.00", NIGHT), entry("C", "return_earned", "-4.00", NIGHT),
                entry("C", "write_off", "1.00", NIGHT), entry("B", "correction", "2.00", NIGHT),
                entry("B", "correction", "0.25", NIGHT, "cash"),
            ],
            "loyalty.lot_postings": [
                lot("A", "57.00", NIGHT, NIGHT), lot("B", "12.00", NIGHT, NIGHT),
                lot("B", "0.25", NIGHT, NIGHT, "cash"),
            ],
            "loyalty.exceptions": [
                {"transaction_id": "T9", "card_id": "Z", "reason": "unknown_card", "business_date": NIGHT},
            ],
            "loyalty.card_tiers": [
                stay("A", "basic", 1, ago), stay("A", "gold", 2, NIGHT + timedelta(days=1)),
                stay("B", "basic", 1, ago), stay("B", "gold", 2, ago, NIGHT),
                stay("C", "basic", 1, NIGHT + timedelta(days=1)), stay("D", "gold", 2, ago),
            ],
            "rfm.scores": [
                score("K1", 5, 5, 5, "Champions"), score("K2", 5, 5, 4, "Champions"), score("K3", 1, 1, 2, "Lost"),
            ],
            "rfm.segments": [
                segment("Lost", 1, "0.333333", "20.00", change=-1), segment("Champions", 2, "0.666667", "90.00"),
                segment("New", 0, "0", "0"),
            ],
            "ops.runs": [run(NIGHT, "loyalty", "2.25", 3), run(NIGHT, "ingest_pos", "0.5", 3)],
        },
    )  # fmt: skip
    books.night(
        NIGHT,
        {
            "distribution.sessions": [
                step("DB1", 1, 1, "available", BEFORE), step("DB1", 1, 2, "applied", BEFORE),
                step("DB1", 2, 1, "available", NIGHT), step("DB2", 1, 1, "started", NIGHT),
                step("DB2", 1, 2, "apply_failed", NIGHT, "totals"),
            ],
            "distribution.packages": [package("DB1", 1, BEFORE), package("DB1", 2, NIGHT), package("DB2", 1, NIGHT)],
        },
        publish=False,
    )  # fmt: skip
    return books
