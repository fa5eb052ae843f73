"""A published home of two hundred customers: four months of purchases, three channels, tiers, points, scores."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pytest

from kanta import reading, rfm
from kanta.contracts import Contract
from kanta.engine import Engine
from kanta.home import Home
from kanta.lake import Lake
from kanta.night import STAGES, Night, contract_of
from tests.rfm.conftest import relations

Row = dict[str, Any]
FIRST, NIGHT = date(2025, 9, 1), date(2026, 1, 31)
MONTH_ENDS = [date(year, month, monthrange(year, month)[1]) for year, month in ((2025, 11), (2025, 12), (2026, 1))]
CHANNELS = {"S1": "FI", "S2": "FI", "S3": "SE"}
CUSTOMERS = 200
PROGRAMME = """
accounting_currency: USD
reward_points:
  - {id: points, type: quantity, redeemable: true, redeem_ranking: 1, expiration: {value: 12, unit: month}}
date_intervals:
  - {id: past_year, start: {from: evaluation_date, offset: -12, unit: month}, end: {from: evaluation_date}}
  - {id: coming_year, start: {from: evaluation_date}, end: {from: evaluation_date, offset: 12, unit: month}}
programs:
  - id: club
    tiers:
      - {id: basic, level: 1, validity: coming_year, rules: [{reward_point: points, minimum: 0, window: past_year}]}
      - {id: gold, level: 2, validity: coming_year, rules: [{reward_point: points, minimum: 600, window: past_year}]}
"""
AMOUNTS = ("tax_amount", "charges_amount", "discount_amount", "loyalty_tender_amount", "total_amount")


def table(contract: Contract, rows: Iterable[Row]) -> pa.Table:
    """Rows as the contract's table; what a row does not name is empty."""
    types = {
        "VARCHAR": pa.string(), "JSON": pa.string(), "DATE": pa.date32(), "TIMESTAMPTZ": pa.timestamp("us", "UTC"),
        "BOOLEAN": pa.bool_(), "INTEGER": pa.int32(), "BIGINT": pa.int64(), "DOUBLE": pa.float64(),
    }  # fmt: skip
    fields = [(c.name, types.get(c.type) or pa.decimal128(18, c.scale)) for c in contract.columns]
    return pa.Table.from_pylist(list(rows), pa.schema(fields))


def commit(night: Night, name: str, rows: Iterable[Row]) -> None:
    contract = contract_of(name)
    night.engine.register("test.rows", table(contract, ({"posted_date": NIGHT, "seq": 1, **row} for row in rows)))
    if contract.kind == "posting":
        night.append(name, "select * from test.rows")
        return
    night.put(
        name,
        "select * from test.rows",
        [v for (v,) in night.engine.rows(f"select distinct {contract.partition} from test.rows")],
    )


def landed(rows: Iterable[Row]) -> Iterable[Row]:
    for number, row in enumerate(rows):
        yield {
            "feed": "hq", "drop_id": f"hq/{FIRST}/hq", "drop_date": FIRST, "source": "hq", "file": "x.csv",
            "line": number, **row,
        }  # fmt: skip


def facts() -> dict[str, list[Row]]:
    chance = Random(20)  # noqa: S311
    sales, entries, lots, taken, stays, cards = [], [], [], [], [], []
    for number in range(CUSTOMERS):
        customer, card = f"K{number:04d}", f"C{number:04d}"
        home = chance.choice(["S1", "S1", "S2", "S3"])
        day, every = FIRST + timedelta(days=chance.randrange(60)), chance.choice([4, 9, 20, 45])
        leaves, spends = chance.betavariate(1, 8), chance.gammavariate(3, 12)  # so that a lifetime can be fitted
        stays_on = True
        while day <= NIGHT and stays_on:
            sales.append(
                {
                    "transaction_id": f"T{len(sales):05d}", "channel_id": home,
                    "business_date": day, "posted_date": day,
                    "type": "sale", "customer_id": customer if number % 2 else None, "loyalty_card_id": card,
                    "currency": "USD", "net_amount": Decimal(int(spends * chance.gammavariate(6, 20)) + 100) / 100,
                    **dict.fromkeys(AMOUNTS, Decimal(0)), "drop_id": "d",
                }
            )  # fmt: skip
            day += timedelta(days=1 + int(chance.expovariate(1 / every)))
            stays_on = chance.random() >= leaves
        points = Decimal(chance.randint(1, 900))
        same = {"card_id": card, "program_id": "club"}
        lot = {
            **same,
            "reward_point_id": "points",
            "points": points,
            "entry_id": f"e{card}",
            "event_id": f"earn:{card}",
        }
        entries.append({**lot, "entry_type": "earn", "entry_date": FIRST, "side": "issued", "posted_date": FIRST})
        lots.append(
            {
                **lot, "lot_id": f"l{card}", "earned_on": FIRST, "usable_from": FIRST, "posted_date": FIRST,
                "expires_on": NIGHT + timedelta(days=30 * chance.randint(1, 6)),
            }
        )  # fmt: skip
        if points > 1:
            used = {"entry_type": "redeem", "entry_date": FIRST, "side": "used", "posted_date": FIRST}
            entries.append({**lot, **used, "entry_id": f"r{card}", "event_id": f"redeem:{card}", "points": Decimal(-1)})
            taken.append(
                {
                    "debit_entry_id": f"r{card}", "lot_id": f"l{card}", "card_id": card, "points": Decimal(1),
                    "allocated_on": FIRST, "posted_date": FIRST,
                }
            )  # fmt: skip
        gold = number % 5 == 0
        stays.append(
            {
                **same, "tier_id": "gold" if gold else "basic", "level": 2 if gold else 1, "valid_from": FIRST,
                "qualified_on": FIRST, "reason": "qualified", "bucket": 0,
                "valid_to": NIGHT + timedelta(days=10 + number % 90) if gold else None,
            }
        )  # fmt: skip
        cards.append({**same, "card_type": "as_card_tender", "customer_id": customer, "enrolled_from": FIRST})
    channels = [
        {"channel_id": channel, "kind": "store", "name": channel, "currency": "EUR", "country": country}
        for channel, country in CHANNELS.items()
    ]
    return {
        "landed.channels": list(landed(channels)), "landed.loyalty_cards": list(landed(cards)),
        "sales.transactions": sales, "loyalty.entries": entries, "loyalty.lot_postings": lots,
        "loyalty.allocations": taken, "loyalty.card_tiers": stays,
    }  # fmt: skip


def build(folder: Path) -> Home:
    home = Home(folder)
    home.programme.mkdir(parents=True)
    (home.programme / "programme.yaml").write_text(PROGRAMME, encoding="utf-8")
    lake = Lake(home)
    definition = {
        "id": "retail", "period": {"rolling": 3, "unit": "month"}, "schedule": "monthly",
        "lifetime": {"holdout_days": 30, "tolerance": Decimal(1)},
    }  # fmt: skip
    with lake.writing(), Engine(folder / "work") as engine:
        night = Night(home, lake, engine, "rfm", lake.recover(), NIGHT)
        for name, rows in facts().items():
            commit(night, name, rows)
        assert len(night.versions) == 1  # recorded, as a night does
        for name, relation in relations([definition], MONTH_ENDS).items():
            night.engine.register(name, relation)
        rfm.score(night)
        lake.move_head(replace(night.state, through=dict.fromkeys(STAGES, NIGHT)))
        lake.publish(NIGHT)
    reading.refresh_analysts_file(home)
    return home


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The home, to be read."""
    return build(tmp_path_factory.mktemp("analysts") / "home")
