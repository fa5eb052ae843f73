"""What the page adds up at night: each card once, each kind of points by itself."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from kanta import models
from kanta.engine import Engine
from kanta.programme import Programme, Version
from kanta.programme.relations import relations
from tests.loyalty.test_outlook import give

Row = dict[str, Any]
NIGHT = date(2026, 3, 31)
POINTS = [
    {"id": "points", "type": "quantity", "redeemable": True, "value": "0.01"},
    {"id": "cash", "type": "amount", "currency": "USD", "redeemable": True},
    {"id": "status", "type": "quantity", "value": "1.00"},
]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    programme = Programme.model_validate({"accounting_currency": "USD", "reward_points": POINTS})
    with Engine(tmp_path) as found:
        for name, rows in relations([Version.of(programme, date(1, 1, 1))], [NIGHT]).items():
            found.register(name, rows)
        traits = dict.fromkeys(("channel", "country", "tier", "segment"), "")
        cards = [{"card_id": card, "definition": "retail", **traits} for card in "ABC"]
        found.register("analysts._cards", pa.Table.from_pylist(cards))
        yield found


def added_up(engine: Engine, name: str) -> list[Row]:
    rows: list[Row] = engine.arrow(models.models()[name].sql, {"business_date": NIGHT}).to_pylist()
    return rows


def stay(card: str, tier: str, level: int, first: date, last: date | None, program: str = "club") -> Row:
    return {
        "card_id": card, "program_id": program, "tier_id": tier, "level": level, "valid_from": first, "valid_to": last
    }  # fmt: skip


def test_a_card_counts_in_its_effective_tier_only(engine: Engine) -> None:
    """A is basic for ever, silver for a while and gold in February; B only basic; both are in another program, too."""
    january, february = date(2026, 1, 10), date(2026, 2, 1)
    give(engine, "loyalty.card_tiers", [
        stay("A", "basic", 1, date(1, 1, 1), None), stay("A", "silver", 2, january, date(2026, 3, 30)),
        stay("A", "gold", 3, february, date(2026, 2, 28)), stay("B", "basic", 1, date(1, 1, 1), None),
        stay("A", "gold", 1, february, None, program="wine"), stay("C", "silver", 2, january, date(2026, 1, 30)),
        stay("C", "silver", 2, date(2026, 1, 31), None),
    ])  # fmt: skip
    found = {(str(row["day"]), row["program_id"], row["tier_id"]): row["cards"]
             for row in added_up(engine, "analysts._tier_months")}  # fmt: skip
    assert found == {
        ("2026-01-31", "club", "basic"): 1, ("2026-01-31", "club", "silver"): 2,
        ("2026-02-28", "club", "basic"): 1, ("2026-02-28", "club", "gold"): 1, ("2026-02-28", "club", "silver"): 1,
        ("2026-02-28", "wine", "gold"): 1,
        ("2026-03-31", "club", "basic"): 2, ("2026-03-31", "club", "silver"): 1, ("2026-03-31", "wine", "gold"): 1,
    }  # fmt: skip


def test_only_what_can_be_redeemed_is_usable_and_has_a_worth(engine: Engine) -> None:
    lot = {"program_id": "club", "earned_on": NIGHT, "expires_on": None, "taken": Decimal(0)}
    give(engine, "loyalty.open_lots", [
        {**lot, "lot_id": f"{card} {point} {wait}", "card_id": card, "reward_point_id": point,
         "points": Decimal(points), "usable_from": NIGHT + timedelta(days=wait)}
        for card, point, points, wait in [
            ("A", "points", "100", 0), ("B", "points", "20", 1), ("A", "cash", "2.50", 0), ("A", "status", "5000", 0),
            ("C", "status", "1", 9),
        ]
    ])  # fmt: skip
    found = {row["reward_point_id"]: [row["held"], row["usable"], row["vesting"], row["value_per_point"]]
             for row in added_up(engine, "analysts._points")}  # fmt: skip
    assert found == {
        "points": [120, 100, 20, Decimal("0.01")], "cash": [Decimal("2.5"), Decimal("2.5"), 0, 1],
        "status": [5001, 0, 0, None],
    }  # fmt: skip


def test_nobody_is_reminded_of_what_cannot_be_used(engine: Engine) -> None:
    soon = {"program_id": "club", "as_of": NIGHT, "next_expiry": NIGHT, "expiring_60d": Decimal(7), "unvested_90d": 0}
    give(engine, "loyalty.expiring_soon", [
        {**soon, "card_id": card, "reward_point_id": point, "expiring_30d": Decimal(3), "expiring_90d": Decimal(9)}
        for card, point in (("A", "points"), ("B", "points"), ("A", "status"))
    ])  # fmt: skip
    found = [(row["reward_point_id"], row["cards_30d"], row["expiring_30d"], row["expiring_90d"])
             for row in added_up(engine, "analysts._expiring")]  # fmt: skip
    assert found == [("points", 2, 6, 18)]


def test_a_tier_below_the_effective_one_is_nothing_to_lose(engine: Engine) -> None:
    give(engine, "loyalty.tier_outlook", [
        {"card_id": "A", "program_id": "club", "tier_id": tier, "outlook": outlook, "level": level,
         "tier_id_now": "gold", "minimum": Decimal(10), "missing": Decimal(1)}
        for tier, level, outlook in (("silver", 1, "keep"), ("gold", 2, "keep"), ("diamond", 3, "reach"))
    ])  # fmt: skip
    found = {(row["outlook"], row["tier_id"]) for row in added_up(engine, "analysts._outlooks")}
    assert found == {("keep", "gold"), ("reach", "diamond")}
