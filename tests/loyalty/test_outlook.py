"""What expires soon, and what it takes to reach or keep a tier: exact against the evaluation of tiers itself."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from kanta import accounts, contracts, models
from kanta.engine import Engine
from kanta.programme import Programme, Version
from kanta.programme.relations import relations

Row = dict[str, Any]
NIGHT = date(2026, 11, 20)
TOMORROW = NIGHT + timedelta(days=1)
BEGINNING, FOREVER = date(1, 1, 1), date(9999, 12, 31)
TYPES = {"VARCHAR": pa.string(), "DATE": pa.date32(), "TIMESTAMPTZ": pa.timestamp("us", "UTC")}
TYPES |= {"INTEGER": pa.int32(), "BIGINT": pa.int64(), "BOOLEAN": pa.bool_()}


def give(engine: Engine, name: str, rows: Iterable[Row]) -> None:
    """Rows as a table of the lake; what a row does not name is empty."""
    columns = contracts.contract_of(name).columns
    schema = pa.schema([(c.name, TYPES.get(c.type) or pa.decimal128(18, c.scale)) for c in columns])
    engine.register(name, pa.Table.from_pylist(list(rows), schema))


def asked(engine: Engine, name: str) -> list[Row]:
    """A model's rows, of the night."""
    model = models.models()[name]
    table = engine.arrow(model.sql, {"business_date": NIGHT, "published_date": NIGHT, "seq": 9, "since": 0})
    rows: list[Row] = table.to_pylist()
    return rows


@pytest.fixture
def engine(tmp_path: Path) -> Iterable[Engine]:
    with Engine(tmp_path) as found:
        yield found


# ── what expires ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_expires_soon_is_added_up_to_the_last_day_of_each_span_from_tomorrow_on(engine: Engine) -> None:
    def lot(number: int, days: int | None, points: str, taken: str = "0", usable: int = 0) -> Row:
        expires = None if days is None else NIGHT + timedelta(days=days)
        return {
            "lot_id": f"L{number}", "card_id": "A", "program_id": "club", "reward_point_id": "points",
            "earned_on": NIGHT, "usable_from": NIGHT + timedelta(days=usable), "expires_on": expires,
            "points": Decimal(points), "taken": Decimal(taken),
        }  # fmt: skip

    days = [(0, "256"), (1, "1"), (30, "2"), (31, "4"), (60, "8"), (61, "16"), (90, "32"), (91, "64"), (None, "128")]
    lots = [lot(number, *given) for number, given in enumerate(days)]
    lots += [lot(20, 10, "100", taken="99.50"), lot(21, 40, "7", usable=1)]
    give(engine, "loyalty.open_lots", lots)
    (row,) = asked(engine, "loyalty.expiring_soon")
    assert row["next_expiry"] == NIGHT + timedelta(days=1), "what goes with the night is gone by morning"
    spans = [str(row[name]) for name in ("expiring_30d", "expiring_60d", "expiring_90d", "unvested_90d")]
    assert spans == ["3.50", "15.50", "63.50", "7.00"], row


# ── what it takes ────────────────────────────────────────────────────────────────────────────────────────────────

WINDOWS = [
    {"id": "weeks", "start": {"from": "evaluation_date", "offset": -2, "unit": "week"},
     "end": {"from": "evaluation_date"}},
    {"id": "month", "start": {"from": "period_start", "period": "month"}, "end": {"from": "evaluation_date"}},
    {"id": "yesterday", "start": {"from": "evaluation_date", "offset": -9, "unit": "day"},
     "end": {"from": "evaluation_date", "offset": -1, "unit": "day"}},
    {"id": "since", "start": {"from": "fixed", "date": "2026-11-05"}, "end": {"from": "evaluation_date"}},
    {"id": "coming", "start": {"from": "evaluation_date"},
     "end": {"from": "evaluation_date", "offset": 1, "unit": "month"}},
]  # fmt: skip
CARDS = 240


def world(engine: Engine, seed: int) -> None:
    """A programme of three tiers, cards of which some are pooled, some replaced and some new, and what they earned."""
    chance = random.Random(seed)  # noqa: S311 -- a repeatable small world, no secret
    tiers = [
        {"id": name, "level": level, "validity": "coming", "rules": [
            {"reward_point": chance.choice(["status", "points"]), "minimum": chance.randrange(1, 400),
             "window": chance.choice(["weeks", "month", "since"])} for _ in range(chance.choice([1, 2]))]}
        for level, name in enumerate(("silver", "gold", "diamond"), start=2)
    ]  # fmt: skip
    everyone = {"id": "basic", "level": 1, "validity": "coming"}
    everyone["rules"] = [{"reward_point": "status", "minimum": 0, "window": "weeks"}]
    content = {
        "accounting_currency": "USD", "date_intervals": WINDOWS,
        "reward_points": [{"id": name, "type": "quantity"} for name in ("status", "points")],
        "programs": [{"id": "club", "pool_related_cards": bool(seed % 2), "tiers": [everyone, *tiers]}],
    }  # fmt: skip
    version = Version.of(Programme.model_validate(content), BEGINNING)
    days = [TOMORROW - timedelta(days=back) for back in range(60)]
    for name, table in relations([version], days).items():
        engine.register(name, table)
    cards, landed, posted = [], [], []
    for number in range(CARDS):
        old = f"C{number - 1}" if number % 11 == 0 and number else None
        card = {
            "card_id": f"C{number}", "program_id": "club", "replaces_card_id": old, "card_type": "as_card_tender",
            "customer_id": f"K{number // 3}" if chance.random() < 0.7 else None,
            "enrolled_from": NIGHT - timedelta(days=chance.randrange(-3, 30)),
            "valid_from": BEGINNING, "valid_to": FOREVER,
        }  # fmt: skip
        if old:
            card["enrolled_from"] = cards[-1]["enrolled_from"] + timedelta(days=chance.randrange(1, 5))
        if card["enrolled_from"] == TOMORROW:  # a card that joins with points is looked at without any being posted
            card["enrolled_from"] += timedelta(days=1)
        cards.append(card)
        landed.append(card | {"drop_date": NIGHT - timedelta(days=9)})
        for _ in range(chance.randrange(6)):
            kind = chance.choice(["earn", "earn", "adjust", "return_earned"])
            points = Decimal(chance.randrange(1, 15_000)) / 100 * (-1 if kind == "return_earned" else 1)
            posted.append({
                "card_id": card["card_id"], "program_id": "club", "entry_type": kind,
                "reward_point_id": chance.choice(["status", "points"]),
                "points": points, "side": "issued",
                "entry_date": NIGHT - timedelta(days=chance.randrange(40)), "entry_id": f"E{len(posted)}",
            })  # fmt: skip
    posted.append(posted[0] | {"entry_type": "redeem", "side": "used", "points": Decimal(-1000)})
    give(engine, "reference.loyalty_cards", cards)
    give(engine, "landed.loyalty_cards", landed)
    give(engine, "customers.account_map", [])
    give(engine, "loyalty.entries", posted)
    for step in ("loyalty._cards", "loyalty._replacement_claims"):
        engine.define(step, models.models()[step].sql, {"business_date": NIGHT})
    accounts.replace(engine)
    give(engine, "loyalty.card_tiers", [])


def tier(name: str, level: int, minimum: int, point: str = "status", window: str = "month") -> Row:
    rule = {"reward_point": point, "minimum": minimum, "window": window}
    return {"id": name, "level": level, "validity": "coming", "rules": [rule]}


def reached(engine: Engine, posted: Iterable[tuple[str, str, int]]) -> set[tuple[str, str]]:
    """(card, tier) that the evaluation of tomorrow gives when (card, point, hundredths) are posted tomorrow."""
    rows = [{"card_id": c, "reward_point_id": p, "points_h": h} for c, p, h in posted]
    schema = pa.schema([("card_id", pa.string()), ("reward_point_id", pa.string()), ("points_h", pa.int64())])
    engine.register("test.posted", pa.Table.from_pylist(rows, schema))
    empty = "select '' as card_id, date '0001-01-01' as business_date where false"
    engine.define("loyalty._reevaluations", empty)
    scope = "select distinct card_id, false as again, false as only_due from loyalty._cards"
    engine.define("loyalty._scope_cards", scope)
    engine.define(
        "loyalty._events",
        "select card_id, 'club' as program_id, reward_point_id, date '2026-11-21' as business_date, points_h,"
        " 'adjust' as event_type from test.posted",
    )
    engine.define("loyalty._capped_tier_points", "select '' as reward_point_id where false")
    engine.define(
        "loyalty._credited",
        "select card_id, program_id, reward_point_id, business_date, points_h from loyalty._events where false",
    )
    for step in ("loyalty._issued_before", "loyalty._issued_days", "loyalty._memberships", "loyalty._qualified"):
        engine.define(step, models.models()[step].sql)
    return set(
        engine.rows(
            "select members.card_id, reached.tier_id from loyalty._qualified as reached"
            " inner join loyalty._memberships as members using (party, program_id)"
            " where reached.business_date = date '2026-11-21'"
            " and reached.business_date between members.member_from and members.member_to"
        )
    )


@pytest.mark.parametrize("seed", range(2))
def test_posting_exactly_what_it_takes_gives_the_tier_and_a_cent_less_does_not(engine: Engine, seed: int) -> None:
    world(engine, seed)
    outlook = [row for row in asked(engine, "loyalty.tier_outlook") if row["outlook"] == "reach"]
    assert {row["tier_id"] for row in outlook} == {"silver", "gold", "diamond"}
    tested = 0
    # One card of a party and one tier at a time: what others post would count for it as well.
    for tier in ("silver", "gold", "diamond"):
        for turn in range(3):
            rows = [r for r in outlook if r["tier_id"] == tier and int(r["card_id"][1:]) % 3 == turn]
            exact = [(r["card_id"], r["reward_point_id"], int(max(r["missing"] * 100, 1))) for r in rows]
            given = reached(engine, exact)
            assert [r for r in rows if (r["card_id"], tier) not in given] == []
            short = [(card, point, points - 1) for card, point, points in exact]
            given = reached(engine, [post for post in short if post[2]])
            assert [r for r in rows if (r["card_id"], tier) in given] == []
            tested += len(rows)
    assert tested == len(outlook) > CARDS


def test_a_tier_that_ends_says_when_what_keeps_it_and_what_the_card_falls_to(engine: Engine) -> None:
    world(engine, 2)
    (card, *_) = sorted(r["card_id"] for r in asked(engine, "loyalty.tier_outlook") if r["tier_id"] == "gold")
    stay = {"card_id": card, "program_id": "club", "valid_from": NIGHT - timedelta(days=3)}
    ends = NIGHT + timedelta(days=12)
    give(engine, "loyalty.card_tiers", [
        stay | {"tier_id": "gold", "level": 3, "valid_to": ends},
        stay | {"tier_id": "silver", "level": 2, "valid_to": ends + timedelta(days=9)},
        stay | {"tier_id": "basic", "level": 1},
    ])  # fmt: skip
    rows = {row["tier_id"]: row for row in asked(engine, "loyalty.tier_outlook") if row["card_id"] == card}
    assert {tier: row["outlook"] for tier, row in rows.items()} == {
        "gold": "keep",
        "silver": "keep",
        "diamond": "reach",
    }
    gold = rows["gold"]
    assert (gold["days_left"], gold["tier_id_then"], gold["tier_id_now"]) == (12, "silver", "gold")
    assert rows["silver"]["tier_id_then"] == "basic"
    exact = (card, gold["reward_point_id"], int(max(gold["missing"] * 100, 1)))
    assert (card, "gold") in reached(engine, [exact])


def test_a_rule_of_a_later_version_counts_what_was_issued_before_it(engine: Engine) -> None:
    world(engine, 0)
    content = {"accounting_currency": "USD", "date_intervals": WINDOWS}
    content["reward_points"] = [{"id": name, "type": "quantity"} for name in ("status", "points")]

    def version(first: date, *tiers: Row) -> Version:
        programs = [{"id": "club", "tiers": list(tiers)}]
        return Version.of(Programme.model_validate({**content, "programs": programs}), first)

    versions = [version(BEGINNING, tier("gold", 3, 999, "points")), version(TOMORROW, tier("gold", 3, 150))]
    for name, table in relations(versions, [TOMORROW - timedelta(days=back) for back in range(60)]).items():
        engine.register(name, table)
    card = {"card_id": "C1", "program_id": "club", "reward_point_id": "status", "entry_type": "earn"}
    card |= {"side": "issued", "entry_id": "E1", "entry_date": NIGHT - timedelta(days=2), "points": Decimal(100)}
    give(engine, "loyalty.entries", [card])
    assert reached(engine, [("C1", "status", 5_000)]) == {("C1", "gold")}
    assert reached(engine, [("C1", "status", 4_999)]) == set()
