"""What moves points after the night: releases, re-evaluations, changed programmes, reference records that come late."""

from __future__ import annotations

import json
from copy import deepcopy
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from kanta import accounts, decisions, explain, programme_diff, quarantine, replay
from kanta.errors import BadArguments
from kanta.home import Home
from tests.cases import Case, cases, laid_over, programme_of, write_programme
from tests.loyalty.test_cases import deliver, table, work, work_night

EARN = {"id": "base", "activity": "purchase_amount", "per": "1.00", "currency": "USD", "reward_point": "points"}


def sums(home: Home, card: str) -> Decimal:
    return sum((row["points"] for row in table(home, "loyalty.entries") if row["card_id"] == card), Decimal(0))


def nothing_differs(home: Home) -> list[Any]:
    return list(replay.replay(home, dry_run=True).examples)


def sale(transaction: str, net: str, **more: str) -> dict[str, list[dict[str, Any]]]:
    header = {key: value for key, value in more.items() if key in ("store_id", "currency", "loyalty_card_id")}
    line = {key: value for key, value in more.items() if key == "product_id"}
    return {
        "transactions": [{"transaction_id": transaction, "loyalty_card_id": "A", "net_amount": net} | header],
        "lines": [{"transaction_id": transaction, "net_amount": net} | line],
        "tenders": [{"transaction_id": transaction, "amount": net}],
    }


def paid(transaction: str, points: str) -> dict[str, list[dict[str, Any]]]:
    """A receipt paid with points alone, which earns nothing."""
    tender = {"type": "loyalty", "loyalty_card_id": "A", "reward_point_id": "points", "points": points}
    receipt = sale(transaction, points)
    receipt["tenders"] = [row | tender for row in receipt["tenders"]]
    return receipt


def case(programme: dict[str, Any], landing: dict[str, Any], through: str) -> Case:
    return {"base": "club", "programme": programme, "landing": landing, "through": through}


@pytest.mark.slow
def test_a_released_tender_is_posted_on_its_own_date_and_then_its_refund_finds_it(home: Home) -> None:
    work(cases("loyalty")["refund-unmatched"], home, each_night=False)
    assert [row["quarantine_id"] for row in quarantine.effects(home)] == ["T1/A/no_rule", "R1/A/refund_unmatched"]
    assert "posted" in quarantine.release(home, "T1/A/no_rule", {})
    assert quarantine.effects(home) == [], "the 99 points are taken now, so that giving them back is explained"
    taken = [(r["entry_type"], str(r["points"])) for r in table(home, "loyalty.entries") if r["transaction_id"] != "J1"]
    assert sorted(taken) == [("redeem", "-99.00"), ("refund", "99.00")]
    assert nothing_differs(home) == []
    with pytest.raises(BadArguments, match="nothing called"):
        quarantine.release(home, "T1/A/no_rule", {})


@pytest.mark.slow
def test_a_dismissed_effect_moves_no_points_is_open_no_more_and_stays_so_until_it_is_released(home: Home) -> None:
    work(cases("loyalty")["refund-unmatched"], home, each_night=False)
    before = table(home, "loyalty.entries")
    closed = quarantine.dismiss(home, [], "agreed with the store", rule="no_rule", source="S1", day=date(2026, 1, 5))
    assert [row["exception_id"] for row in closed] == ["T1/A/no_rule"]

    def states() -> dict[str, str]:
        return {row["reason"]: row["status"] for row in table(home, "loyalty.exceptions")}

    dismissed = {"no_rule": "dismissed", "refund_unmatched": "open"}
    assert states() == dismissed
    assert table(home, "loyalty.entries") == before
    assert [row["quarantine_id"] for row in quarantine.effects(home)] == ["R1/A/refund_unmatched"]
    assert quarantine.one(home, "T1/A/no_rule")["status"] == "dismissed"
    # The account is worked out anew, and all of it from nothing.
    later = {"pos/2026-01-10/S1": sale("T3", "1.00")}
    deliver(case({}, later, "2026-01-10"), home, later)
    work_night(home, date(2026, 1, 10))
    assert states() == dismissed
    assert nothing_differs(home) == []
    replay.replay(home, dry_run=False)
    assert states() == dismissed
    with pytest.raises(BadArguments, match="nothing called"):
        quarantine.dismiss(home, ["T1/A/no_rule"], "once more")
    assert "posted" in quarantine.release(home, "T1/A/no_rule", {})
    assert states() == {}


@pytest.mark.slow
def test_a_channel_that_takes_no_loyalty_tenders_is_judged_as_it_stood_that_day(home: Home) -> None:
    worked = case(
        {},
        {
            "hq/2026-01-01/hq": {
                "loyalty_cards": [{"card_id": "A"}],
                "channels": [{"channel_id": "S3"}],
                "loyalty_adjustments": [{"adjustment_id": "J1", "points": "50.00", "date": "2026-01-02"}],
            },
            "pos/2026-01-05/S3": paid("T1", "5.00"),
            "hq/2026-01-06/hq": {"channels": [{"channel_id": "S3", "loyalty_tender": "false"}]},
            "pos/2026-01-07/S3": paid("T2", "5.00"),
        },
        "2026-01-08",
    )
    work(worked, home, each_night=True)
    assert [row["quarantine_id"] for row in quarantine.effects(home)] == ["T2/A/no_loyalty_tender"]
    assert sums(home, "A") == 45
    # It comes late that the channel took none from the fourth on.
    late = {"hq/2026-01-04/hq.late": {"channels": [{"channel_id": "S3", "loyalty_tender": "false"}]}}
    deliver(case({}, worked["landing"] | late, "2026-01-08"), home, late)
    work_night(home, date(2026, 1, 9))
    assert [row["quarantine_id"] for row in quarantine.effects(home)] == [
        "T1/A/no_loyalty_tender", "T2/A/no_loyalty_tender",
    ]  # fmt: skip
    assert sums(home, "A") == 50
    assert nothing_differs(home) == []
    assert "posted" in quarantine.release(home, "T2/A/no_loyalty_tender", {})
    assert sums(home, "A") == 45
    assert nothing_differs(home) == []


@pytest.mark.slow
def test_tiers_are_evaluated_again_as_if_points_had_changed_that_day(home: Home) -> None:
    tier = {"id": "gold", "level": 2, "validity": "coming_year"}
    rule = {"reward_point": "points", "minimum": 40, "window": "past_year"}
    landing = {
        "hq/2026-01-01/hq": {"loyalty_cards": [{"card_id": "A"}, {"card_id": "B"}]},
        "pos/2026-01-05/S1": sale("T1", "50.00"),
        "pos/2026-01-08/S1": sale("T2", "10.00"),
    }
    earning = [EARN | {"points": 1}, EARN | {"id": "golden", "points": 1, "tier": "gold"}]
    programme = {
        "programs": [{"id": "club", "tiers": [tier | {"rules": [rule | {"minimum": 400}]}]}],
        "schemes": [{"id": "everywhere", "earning": earning}],
    }
    first = case(programme, landing, "2026-01-08")
    work(first, home, each_night=False)
    assert table(home, "loyalty.card_tiers") == []
    changed = deepcopy(first)
    changed["programme"] |= {"effective_from": "2026-01-06"}
    changed["programme"]["programs"][0]["tiers"] = [tier | {"rules": [rule]}]
    write_programme(programme_of(changed), home.programme)
    work_night(home, date(2026, 1, 9))
    (stay,) = table(home, "loyalty.card_tiers")
    assert (stay["card_id"], stay["reason"], stay["valid_from"]) == ("A", "qualified", date(2026, 1, 9)), (
        "the version of 6 January judges the day that raised points after it, the 8th"
    )
    decisions.reevaluate(home, date(2026, 1, 6), "A")
    (stay,) = table(home, "loyalty.card_tiers")
    assert (stay["reason"], stay["valid_from"]) == ("reevaluation", date(2026, 1, 7))
    assert sums(home, "A") == 70, "gold on the 8th, so its sale earns double"
    assert nothing_differs(home) == []
    with pytest.raises(BadArguments, match="not published"):
        decisions.reevaluate(home, date(2026, 2, 1))
    with pytest.raises(BadArguments, match="no loyalty card"):
        decisions.reevaluate(home, date(2026, 1, 6), "Z")


@pytest.mark.slow
def test_a_version_for_the_past_moves_what_the_diff_said_it_would(home: Home) -> None:
    landing = {
        "hq/2026-01-01/hq": {"loyalty_cards": [{"card_id": "A"}, {"card_id": "B"}, {"card_id": "C"}]},
        "pos/2026-01-04/S1": sale("T0", "3.00", loyalty_card_id="C"),
        "pos/2026-01-05/S1": sale("T1", "50.00"),
        "pos/2026-01-06/S1": sale("T2", "8.00", loyalty_card_id="B"),
        "pos/2026-01-07/S1": sale("T3", "5.00"),
    }
    first = case({}, landing, "2026-01-07")
    work(first, home, each_night=True)
    assert programme_diff.diff(home)["new_versions"] == []
    double = {"effective_from": "2026-01-06", "schemes": [{"id": "everywhere", "earning": [EARN | {"points": 2}]}]}
    elsewhere = home.root / "planned"
    write_programme(laid_over(programme_of(first), double), elsewhere)
    moved = programme_diff.diff(home, elsewhere)
    assert [(row["card_id"], row["points"]) for row in moved["cards"]] == [("B", 8), ("A", 5)]
    assert "13.00" in programme_diff.text(moved)
    assert json.dumps(moved, default=str)
    write_programme(laid_over(programme_of(first), double), home.programme)
    log = work_night(home, date(2026, 1, 8))
    assert (sums(home, "A"), sums(home, "B"), sums(home, "C")) == (60, 16, 3)
    assert (log["accounts"], log["accounts_again"]) == (3, 2), "nothing of C is dated so late"
    posted = [row["posted_date"] for row in table(home, "loyalty.entries")]
    assert max(posted) == date(2026, 1, 8)
    assert programme_diff.diff(home)["new_versions"] == []
    assert nothing_differs(home) == []


@pytest.mark.slow
def test_reference_records_of_every_kind_that_come_late_make_their_facts_be_worked_out_again(home: Home) -> None:
    tea = EARN | {"id": "tea", "points": 1, "category": "DRINKS"}
    scheme = {"id": "everywhere", "channels": ["/EU/FI"], "earning": [EARN | {"points": 1}, tea]}
    head = {
        "channels": [{"channel_id": "S7", "org_path": "/EU/FI"}],
        "categories": [{"category_id": "TEA"}],
        "products": [{"product_id": "SENCHA", "category_id": "TEA"}],
        "loyalty_cards": [{"card_id": "A"}, {"card_id": "B"}],
    }
    late = {
        "channels": [{"channel_id": "S8", "org_path": "/EU/FI/Turku"}],
        "categories": [{"category_id": "TEA", "parent_id": "DRINKS"}],
        "exchange_rates": [{"from_currency": "SEK", "to_currency": "USD", "date": "2026-01-02", "rate": "0.10"}],
        "card_tier_overrides": [],
        "loyalty_transfers": [{"transfer_id": "X1", "points": "3.00", "date": "2026-01-06"}],
    }
    landing = {
        "hq/2026-01-01/hq": head,
        "pos/2026-01-05/S7": sale("T1", "10.00", product_id="SENCHA"),
        "pos/2026-01-05/S8": sale("T2", "7.00"),
        "pos/2026-01-06/S7": sale("T3", "500.00", currency="SEK"),
        "hq/2026-01-04/late": late,
    }
    given = case({"schemes": [scheme]}, landing, "2026-01-07")
    write_programme(programme_of(given), home.programme)
    deliver(given, home, [drop for drop in landing if not drop.endswith("/late")])
    deliver(given, home, ["hq/2026-01-01/hq"])
    work_night(home, date(2026, 1, 6))
    assert sums(home, "A") == 10
    assert {row["reason"] for row in table(home, "loyalty.exceptions")} == {"missing_rate"}
    deliver(given, home, ["hq/2026-01-04/late"])
    work_night(home, date(2026, 1, 7))
    assert sums(home, "A") + sums(home, "B") == 10 + 10 + 7 + 50
    assert sums(home, "B") == 3
    assert table(home, "loyalty.exceptions") == []
    assert nothing_differs(home) == []


def test_accounts_are_the_connected_parts_and_owners_the_last_in_line() -> None:
    parts = accounts.components([("b", "a"), ("c", "b"), ("x", "y")])
    assert parts == {"a": "a", "b": "a", "c": "a", "x": "x", "y": "x"}
    first, second, drop = date(2026, 1, 1), date(2026, 1, 5), date(2026, 1, 1)
    claims = [("A", "B", first, drop), ("B", "C", second, drop), ("C", "A", second, drop), ("A", "D", second, drop)]
    owned = {(old, new, begins, ends) for old, new, begins, ends, *_ in accounts.owners(claims)}
    assert owned == {
        ("A", "B", first, date(2026, 1, 4)),
        ("A", "C", second, accounts.FOREVER),
        ("B", "C", second, accounts.FOREVER),
    }, "what leads back to its beginning, and a second one in place of the same card, are void"
    same_day = {(old, new) for old, new, *_ in accounts.owners([("A", "B", first, drop), ("B", "C", first, drop)])}
    assert same_day == {("A", "C"), ("B", "C")}


@pytest.mark.slow
def test_explain_says_what_was_cut_moved_and_given_back(home: Home) -> None:
    found = cases("loyalty")["earn-cap"]
    found["landing"]["hq/2026-01-01/hq"] |= {
        "loyalty_cards": [{"card_id": "A"}, {"card_id": "B"}],
        "loyalty_transfers": [{"transfer_id": "X1", "points": "5.00", "date": "2026-01-09"}],
        "other_activities": [
            {"activity_id": "V1", "activity_type": "review", "occurred_at": "2026-01-05T10:00:00+00:00"}
        ],
    }
    work(found, home, each_night=False)
    (rule,) = [row for row in explain.explain(home, "transaction", "T2")["rules"] if row["rule_id"] == "base"]
    assert (rule["points"], rule["credited"]) == (30, 20)
    assert rule["why"] == "paid, but cut to 20.00: the card may hold no more than 100.00"
    moved = explain.explain(home, "entry", "transfer:X1:club")
    assert [str(piece["points"]) for piece in moved["taken_from"]] == ["5.00"]
    assert {row["card_id"]: str(row["points"]) for row in moved["event"]} == {"A": "-5.00", "B": "5.00"}
    assert moved["transaction"]["loyalty_transfers"][0]["file"].startswith("landing/hq/2026-01-01/hq/")
    activity = explain.explain(home, "transaction", "V1")
    assert [row["why"] for row in activity["rules"]] == ["not for this activity: purchase_amount"]
    assert explain.text(activity)
    assert explain.explain(home, "card", "B")["lots"]
