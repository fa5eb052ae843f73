"""What moves on a date although nobody bought anything: lots that run out, whoever holds them and however it was known.

A first range leaves its accounts in slices, some worked out again and some not, and perhaps a state of every card; each
night after it goes on from there, and no account may be passed over.
"""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from kanta import loyalty, night, replay, slices, verify
from kanta.errors import CheckFailed
from kanta.home import Home
from kanta.lake import Lake
from kanta.publishing import publish
from tests.cases import bases, drops_of, laid_over, write_programme, write_programmes
from tests.conftest import NoJudge
from tests.feed import Row, joined, rows, write_drop
from tests.loyalty.test_cases import breaches, deliver, table, work_night
from tests.loyalty.test_decisions import EARN, case, sale

#: The last day of the range, and after how many days points run out.
LAST, RUN_OUT = date(2026, 2, 20), 10

#: On these days something is bought whose points run out the day before the range's last, on it, and the day after.
BOUGHT = [LAST - timedelta(days=RUN_OUT + n) for n in (1, 0, -1)]
BEGUN = date(2026, 1, 1)
GOLD_RULE = {"reward_point": "status", "window": "past_year"}
GIVEN = LAST - timedelta(days=15)

#: Accounts by what sets each apart; of each there is one for every day of BOUGHT.
KINDS = (
    "plain", "given_to_a_customer_later", "pays_with_some", "pays_with_another_card", "returns_some",
    "gets_points_back", "hands_some_on", "is_replaced", "is_only_adjusted", "orders",
)  # fmt: skip


def programme() -> dict[str, Any]:
    base: dict[str, Any] = bases()["club"]["programme"]
    return laid_over(base, {"reward_points": [{"id": "points", "expiration": {"value": RUN_OUT, "unit": "day"}}]})


def receipt(name: str, day: date, card: str, net: int, **more: str) -> dict[str, list[Row]]:
    """A receipt of one line, a return where ``net`` < 0; ``pay``: points of ``by`` (else the card) for a part."""
    kind, total = ("return" if net < 0 else "sale"), f"{net}.00"
    own = {"transaction_id": name, "business_date": str(day), "started_at": f"{day}T10:00:00Z"}
    header = own | {"ended_at": f"{day}T10:01:00Z", "type": kind, "loyalty_card_id": card}
    line = {"transaction_id": name, "kind": kind, "quantity": "1" if net > 0 else "-1", "net_amount": total}
    if "of" in more:
        line |= {"original_transaction_id": more["of"], "original_line_no": "1"}
    pay = int(more.get("pay", 0))
    tenders = [{"transaction_id": name, "amount": f"{net - pay}.00"}]
    if pay:
        paid = {"type": "loyalty", "loyalty_card_id": more.get("by", card), "reward_point_id": "points"}
        tenders.append({"transaction_id": name, "tender_no": "2", "amount": f"{pay}.00", "points": str(pay)} | paid)
    return {
        "transactions": rows("transactions", header | {"net_amount": total, "total_amount": total}),
        "lines": rows("lines", line | {"unit_price": f"{abs(net)}.00"}),
        "tenders": rows("tenders", *tenders),
    }


def account(kind: str, day: date) -> tuple[dict[str, Decimal], dict[tuple[str, date, str], dict[str, list[Row]]]]:
    """Which cards of such an account hold how much when its points run out, and what is delivered of it."""
    card = f"{kind}-{day.day}"
    other, customer, name = f"{card}-other", f"K-{card}", f"T-{card}"
    enrolled: Row = {"card_id": card, "enrolled_from": str(BEGUN)}
    cards: list[Row] = [enrolled]
    pos, hq = receipt(name, day, card, 40), {}
    left, of_other = 40, 0
    if kind == "pays_with_some":
        pos, left = joined(pos, receipt(f"{name}x", day, card, 15, pay="15")), 25
    elif kind == "pays_with_another_card":
        cards = [
            {**row, "card_type": "as_contact_tender", "customer_id": customer}
            for row in (enrolled, {**enrolled, "card_id": other})
        ]
        pos, left = joined(pos, receipt(f"{name}x", day, other, 15, pay="15")), 25
    elif kind == "returns_some":
        pos, left = (
            joined(pos, receipt(f"{name}x", day, card, 20), receipt(f"{name}y", day, card, -20, of=f"{name}x")),
            40,
        )
    elif kind == "gets_points_back":
        paid = receipt(f"{name}x", day, card, 15, pay="15")
        pos, left = joined(pos, paid, receipt(f"{name}y", day, card, -15, pay="-15", of=f"{name}x")), 40
    elif kind == "hands_some_on":
        cards.append({**enrolled, "card_id": other})
        gift = {"transfer_id": f"X-{card}", "from_card_id": card, "to_card_id": other, "reward_point_id": "points"}
        hq, left, of_other = {}, 30, 10
    elif kind == "is_replaced":
        cards.append(
            {**enrolled, "card_id": other, "replaces_card_id": card, "enrolled_from": str(day + timedelta(days=1))}
        )
        left, of_other = 0, 40
    elif kind == "is_only_adjusted":
        given = {"adjustment_id": f"A-{card}", "card_id": card, "program_id": "club", "reward_point_id": "points"}
        pos, hq = {}, {"loyalty_adjustments": [given | {"points": "40", "date": str(day)}]}
    drops = {("pos", day, "S1"): pos, ("hq", day, "hq"): hq, ("hq", BEGUN, "hq"): {"loyalty_cards": cards}}
    if kind == "orders":
        order = {"order_id": f"O-{card}", "business_date": str(day), "loyalty_card_id": card, "net_amount": "40.00"}
        drops["call_center", day, "CC1"] = {
            "orders": rows(
                "orders", order | {"total_amount": "40.00", "status": "invoiced", "invoiced_date": str(day)}
            ),
            "order_lines": rows("order_lines", {"order_id": f"O-{card}", "net_amount": "40.00", "unit_price": "40.00"}),
        }
        drops["pos", day, "S1"] = {}
    if kind == "hands_some_on":  # the day after: a transfer moves what is there before anything is earned
        after = day + timedelta(days=1)
        drops["hq", after, "hq"] = {"loyalty_transfers": [gift | {"points": "10", "date": str(after)}]}
    if kind == "given_to_a_customer_later":
        drops["hq", GIVEN, "hq"] = {"loyalty_cards": [{**enrolled, "customer_id": customer}]}
    held = {card: Decimal(left), other: Decimal(of_other)}
    return {name: points for name, points in held.items() if points}, drops


@pytest.fixture
def held(home: Home) -> dict[tuple[str, date], Decimal]:
    """Delivers one account of each kind for each day of BOUGHT; what each card holds, and until when."""
    write_programme(programme(), home.programme)
    found: dict[tuple[str, date], Decimal] = {}
    parts: dict[tuple[str, date, str], list[dict[str, list[Row]]]] = {}
    for kind in KINDS:
        for day in BOUGHT:
            of_account, drops = account(kind, day)
            found |= {(card, day + timedelta(days=RUN_OUT)): points for card, points in of_account.items()}
            for place, content in drops.items():
                parts.setdefault(place, []).append(content)
    channel = {key: value or "1" for key, value in bases()["rows"]["channels"].items()} | {
        "name": "Store",
        "default_customer_id": "",
    }
    parts["hq", BEGUN, "hq"].append({"channels": [channel | {"channel_id": "S1"}], "products": rows("products", {})})
    for (feed, day, source), contents in parts.items():
        content = joined(*contents)
        content = {name: rows(name, *items) if name == "loyalty_cards" else items for name, items in content.items()}
        write_drop(home, feed, day, source, {name: items for name, items in content.items() if items})
    return found


def open_lots(home: Home) -> dict[tuple[str, date], Decimal]:
    found: dict[tuple[str, date], Decimal] = {}
    for row in table(home, "loyalty.lots"):
        if row["remaining"]:
            key = row["card_id"], row["expires_on"]
            found[key] = found.get(key, Decimal(0)) + row["remaining"]
    return found


def balances(home: Home) -> dict[str, Decimal]:
    return {row["card_id"]: row["available"] for row in table(home, "loyalty.balances") if row["available"]}


@pytest.mark.parametrize(
    ("documents", "checkpoint"),
    [(7, 0), pytest.param(1, 0, marks=pytest.mark.slow), pytest.param(1, 1000, marks=pytest.mark.slow)],
)
def test_lots_run_out_on_their_day_after_a_range(
    home: Home, held: dict[tuple[str, date], Decimal], documents: int, checkpoint: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``documents``: of a slice. ``checkpoint``: how many postings make the states of all cards be written."""
    monkeypatch.setattr(slices, "DOCUMENTS", documents)
    monkeypatch.setattr(loyalty, "CHECKPOINT_AT_LEAST", checkpoint)
    for ran in (LAST, LAST + timedelta(days=1), LAST + timedelta(days=2)):
        work_night(home, ran)
        due = {key: points for key, points in held.items() if key[1] >= ran}
        assert open_lots(home) == due, f"open lots after the night of {ran}"
        assert balances(home) == {card: points for (card, _), points in due.items()}, f"balances of {ran}"
        entries = table(home, "loyalty.entries")
        expired = {(row["card_id"], row["entry_date"]) for row in entries if row["entry_type"] == "expire"}
        assert expired == {(card, day + timedelta(days=1)) for card, day in held if day < ran}
    assert breaches(home) == []


@pytest.mark.slow
def test_a_night_that_would_leave_a_lot_open_is_not_published_and_a_replay_mends_it(
    home: Home, held: dict[tuple[str, date], Decimal], monkeypatch: pytest.MonkeyPatch, no_judge: NoJudge
) -> None:
    monkeypatch.setattr(loyalty, "CHECKPOINT_AT_LEAST", 0)
    work_night(home, LAST)
    with night.stage(home, "loyalty", LAST) as work:  # as the code before left them
        for state in loyalty.STATES:
            work.attach(state)
            seqs = [seq for (seq,) in work.engine.rows(f"select distinct seq from {state}")]
            work.put(state, f"select * from {state} where not starts_with(card_id, 'plain-')", seqs)
    Lake(home).publish(LAST)
    plain = {key for key in held if key[0].startswith("plain-") and key[1] >= LAST}
    told = next(result for result in verify.verify(home) if result.name == "1_balance_is_its_parts")
    assert {row[0] for row in told.examples} == {card for card, _ in plain}

    morrow = LAST + timedelta(days=1)
    for stage in night.STAGES:
        night.run_stage(home, stage, morrow)
    with pytest.raises(
        CheckFailed, match=f"1 open: .*plain-{LAST.day - RUN_OUT}, 40.00 until {LAST} .*next: kanta replay"
    ):
        publish(home, morrow, no_judge)
    assert Lake(home).published().business_date == LAST

    Lake(home).publish(morrow)  # as the code before did
    found = {result.name: result.examples for result in verify.verify(home) if result.breaches}
    assert [row[1:3] for row in found["2_no_open_lot_has_run_out"]] == [
        (f"earn:T-plain-{LAST.day - RUN_OUT}:1:base", f"plain-{LAST.day - RUN_OUT}")
    ]

    assert replay.replay(home, dry_run=False).breaches > 0
    assert Lake(home).published().business_date == morrow
    due = {key: points for key, points in held.items() if key[1] >= morrow}
    assert open_lots(home) == due
    assert balances(home) == {card: points for (card, _), points in due.items()}
    assert breaches(home) == []
    entries = [row for row in table(home, "loyalty.entries") if row["card_id"] == f"plain-{LAST.day - RUN_OUT}"]
    (expired,) = [row for row in entries if row["entry_type"] == "expire"]
    assert (expired["entry_date"], expired["posted_date"], expired["points"]) == (morrow, morrow, Decimal(-40))

    work_night(home, morrow + timedelta(days=1))  # goes on from what the replay left
    assert open_lots(home) == {}
    assert breaches(home) == []


def test_facts_of_a_drop_that_was_taken_before_its_day_count_on_their_own_date(home: Home) -> None:
    """Head office may be taken in further than the stores; loyalty comes to that drop's day a night later."""
    review = {"id": "review", "activity": "other_activity", "activity_type": "review", "reward_point": "points"}
    tier = {"id": "gold", "level": 2, "validity": "coming_year"}
    programme = {
        "programs": [{"id": "club", "tiers": [tier | {"rules": [{**GOLD_RULE, "minimum": 1000}]}]}],
        "schemes": [{"id": "everywhere", "earning": [EARN | {"points": 1}, review | {"per": "1", "points": 50}]}],
    }
    landing: dict[str, Any] = {
        "hq/2026-01-01/cards": {"loyalty_cards": [{"card_id": card} for card in "ABCDE"]},
        "pos/2026-01-02/S1": sale("T1", "10.00", loyalty_card_id="B"),
        "hq/2026-01-06/records": {
            "loyalty_adjustments": [{"adjustment_id": "J1", "card_id": "A", "points": "5.00", "date": "2026-01-03"}],
            "loyalty_transfers": [
                {"transfer_id": "X1", "from_card_id": "B", "to_card_id": "C", "points": "3.00", "date": "2026-01-03"}
            ],
            "other_activities": [
                {"activity_id": "V1", "card_id": "D", "activity_type": "review", "occurred_at": "2026-01-03T10:00:00Z"}
            ],
            "card_tier_overrides": [{"card_id": "E", "tier_id": "gold", "valid_from": "2026-01-03"}],
        },
    }
    it = case(programme, landing, "2026-01-06")
    write_programmes(it, home.programme)
    deliver(it, home, drops_of(it))
    night.run_stage(home, "ingest_hq", date(2026, 1, 6))
    work_night(home, date(2026, 1, 5), ("pos",))
    assert balances(home) == {"B": Decimal(10)}
    work_night(home, date(2026, 1, 6))
    assert balances(home) == {"A": Decimal(5), "B": Decimal(7), "C": Decimal(3), "D": Decimal(50)}
    assert [(row["card_id"], str(row["valid_from"])) for row in table(home, "loyalty.card_tiers")] == [
        ("E", "2026-01-03")
    ]
    assert breaches(home) == []


def test_a_card_that_joins_on_a_date_ahead_gives_its_pool_the_tier_on_that_date(home: Home) -> None:
    tier = {"id": "gold", "level": 2, "validity": "coming_year", "rules": [{**GOLD_RULE, "minimum": 1000}]}
    programme = {"programs": [{"id": "club", "pool_related_cards": True, "tiers": [tier]}]}
    cards = [
        {"card_id": "A", "customer_id": "K1", "enrolled_from": "2026-01-01"},
        {"card_id": "B", "customer_id": "K1", "enrolled_from": "2026-01-07"},
    ]
    given = {"reward_point_id": "status", "date": "2026-01-03"}
    adjustments = [
        given | {"adjustment_id": "J1", "card_id": "A", "points": "500.00"},
        given | {"adjustment_id": "J2", "card_id": "B", "points": "600.00"},
    ]
    it = case(
        programme, {"hq/2026-01-03/hq": {"loyalty_cards": cards, "loyalty_adjustments": adjustments}}, "2026-01-08"
    )
    write_programmes(it, home.programme)
    deliver(it, home, drops_of(it))
    for day in (3, 6, 7, 8):
        work_night(home, date(2026, 1, day), ("hq",))
        stays = {(row["card_id"], str(row["valid_from"])) for row in table(home, "loyalty.card_tiers")}
        assert stays == ({("A", "2026-01-08"), ("B", "2026-01-08")} if day >= 7 else set()), f"night of {day} January"
    assert breaches(home) == []
