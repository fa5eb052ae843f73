"""A small history for tests of nights: two stores, five days, sales, redemptions, returns, a late sale."""

from __future__ import annotations

from datetime import date
from typing import Any

from kanta import contracts, night
from kanta.engine import Engine
from kanta.home import Home
from kanta.lake import Lake
from tests.cases import bases, write_programme
from tests.feed import Row, joined, rows, sale, write_drop

DAYS = [date(2026, 1, day) for day in range(5, 10)]

#: What no two ways of working the same facts may differ in: all but when and in which change it was posted.
COMPARED = (
    "sales.transactions", "sales.lines", "sales.tenders", "loyalty.balances", "loyalty.lots", "loyalty.card_tiers",
    "loyalty.exceptions", "rfm.scores",
)  # fmt: skip
_HOW_IT_CAME = {"seq", "posted_date", "entry_id", "event_id"}


def bought(identifier: str, card: str, net: str, **header: str) -> dict[str, list[Row]]:
    parts = sale(identifier, loyalty_card_id=card, net_amount=net, total_amount=net, **header)
    return {
        "transactions": parts["transactions"],
        "lines": [row | {"net_amount": net, "unit_price": net} for row in parts["lines"]],
        "tenders": [row | {"amount": net} for row in parts["tenders"]],
    }


def _redemption(identifier: str, card: str, net: str) -> dict[str, list[Row]]:
    parts = bought(identifier, card, net)
    points = {"type": "loyalty", "loyalty_card_id": card, "reward_point_id": "points", "points": net}
    return parts | {"tenders": [dict(row) | points for row in parts["tenders"]]}


def _return(identifier: str, card: str, net: str, of: str) -> dict[str, list[Row]]:
    parts = bought(identifier, card, net, type="return")
    link = {"kind": "return", "quantity": "-1", "original_transaction_id": of, "original_line_no": "1"}
    return parts | {"lines": [dict(row) | link for row in parts["lines"]]}


def programme() -> dict[str, Any]:
    """One point per 1.00, gold at 60 points, earning twice, basic for all; points expire after three days."""
    found: dict[str, Any] = bases()["rfm"]["programme"]
    found["reward_points"][0]["expiration"] = {"value": 3, "unit": "day"}
    rule = {"activity": "purchase_amount", "per": "1.00", "currency": "USD", "points": 1}
    found["programs"][0]["tiers"] = [
        {"id": tier, "level": level, "validity": "coming_year",
         "rules": [{"reward_point": "status", "minimum": minimum, "window": "past_year"}]}
        for level, (tier, minimum) in enumerate([("basic", 0), ("gold", 60)], start=1)
    ]  # fmt: skip
    found["schemes"][0]["earning"] = [
        rule | {"id": "base", "reward_point": "points"},
        rule | {"id": "status", "reward_point": "status"},
        rule | {"id": "golden", "reward_point": "points", "tier": "gold"},
    ]
    return found


def write(home: Home, *, only: date | None = None) -> None:
    """Writes programme and drops; ``only``: the drops of one day."""
    write_programme(programme(), home.programme)
    drops = {
        (DAYS[0], "S1"): joined(
            bought("T1", "A", "50.00", customer_id="K1"), bought("T2", "B", "20.00", customer_id="K2")
        ),
        (DAYS[0], "S2"): bought("T3", "A", "15.00", customer_id="K1"),
        (DAYS[1], "S1"): joined(bought("T4", "A", "10.00", customer_id="K1"), _redemption("T5", "B", "12.00")),
        (DAYS[2], "S1"): joined(_return("R1", "A", "-50.00", "T1"), bought("T6", "B", "7.00", customer_id="K2")),
        (DAYS[3], "S2"): joined(
            bought("T7", "B", "80.00", customer_id="K2"), bought("T8", "A", "9.00", business_date=DAYS[1].isoformat())
        ),
        (DAYS[4], "S1"): joined(_redemption("T9", "A", "300.00"), bought("T10", "unknown", "5.00")),
    }
    for (day, store), content in drops.items():
        if only in (None, day):
            write_drop(home, "pos", day, store, content)
    if only in (None, DAYS[0]):
        cards = rows(
            "loyalty_cards",
            {"card_id": "A", "customer_id": "K1", "enrolled_from": "2026-01-01"},
            {"card_id": "B", "customer_id": "K2", "enrolled_from": "2026-01-01"},
            {"card_id": "never used", "customer_id": "K3", "enrolled_from": "2026-01-01"},
        )
        channel = bases()["rows"]["channels"] | {"name": "Store"}
        channels = [channel | {"channel_id": store} for store in ("S1", "S2")]
        hq = {"loyalty_cards": cards, "products": rows("products", {}), "channels": channels}
        write_drop(home, "hq", DAYS[0], "hq", hq)


def contents(home: Home, tables: tuple[str, ...] = COMPARED) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of tables as readers see them, without how and when they came, in order."""
    lake = Lake(home)
    state = lake.published()
    found = {}
    with Engine(lake.root / "work") as engine:
        reader = night.Night(home, lake, engine, "test", state, state.night)
        for table in tables:
            reader.attach(table)
            columns = [c.name for c in contracts.lake()[table].columns if c.name not in _HOW_IT_CAME]
            listed = ", ".join(f"cast({name} as varchar)" for name in columns)
            found[table] = engine.rows(f"select {listed} from {table} order by all")
    return found


def sums(home: Home) -> list[tuple[Any, ...]]:
    """What the ledger's entries come to, corrections counted to what they correct."""
    lake = Lake(home)
    state = lake.published()
    with Engine(lake.root / "work") as engine:
        night.Night(home, lake, engine, "test", state, state.night).attach("loyalty.entries")
        return engine.rows(
            "select card_id, program_id, reward_point_id, coalesce(corrected_type, entry_type),"
            " cast(entry_date as varchar), transaction_id, line_no, rule_id, sum(points)"
            " from loyalty.entries group by all having sum(points) <> 0 order by all"
        )
