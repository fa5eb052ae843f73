"""Ids that stand for no customer: from the day on that says so, whenever the night hears of it.

What nights one after the other come to is what one night over all comes to, and a replay finds the same (spec
7-seeds-whole section 12).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from kanta import explain, night, sales, simulate
from kanta.customers import erasure
from kanta.errors import BadArguments, KantaError
from kanta.home import Home
from kanta.lake import Lake
from kanta.reading import open_lake
from tests.cases import Case, drops_of, write_programmes
from tests.loyalty.test_cases import breaches, deliver, table
from tests.night.history import COMPARED, contents, sums

FIRST, SECOND, THIRD, FOURTH = DAYS = ("2026-01-05", "2026-01-06", "2026-01-07", "2026-01-08")
LAST = "2026-01-09"  # nothing comes then; scores are as of it

#: What must not depend on the way it came; of scores the last date's alone, since published ones stay.
SAME = (
    *(name for name in COMPARED if name != "rfm.scores"), "customers.receipts", "reference.loyalty_cards",
    "call_center.order_status", "call_center.fraud_checks", "call_center.coupon_usage", "marketing.contact_list",
    "marketing.channel_sales",
)  # fmt: skip


def sold(identifier: str, net: str, **header: str) -> dict[str, list[dict[str, str]]]:
    return {
        "transactions": [{"transaction_id": identifier, "net_amount": net, **header}],
        "lines": [{"transaction_id": identifier, "net_amount": net}],
        "tenders": [{"transaction_id": identifier, "amount": net}],
    }


def ordered(identifier: str, customer: str, **header: str) -> dict[str, list[dict[str, str]]]:
    return {
        "orders": [{"order_id": identifier, "customer_id": customer, "net_amount": "3.00", **header}],
        "order_lines": [{"order_id": identifier, "net_amount": "3.00"}],
    }


def together(*parts: Mapping[str, Sequence[dict[str, str]]]) -> dict[str, list[dict[str, str]]]:
    whole: dict[str, list[dict[str, str]]] = {}
    for part in parts:
        for dataset, rows in part.items():
            whole.setdefault(dataset, []).extend(rows)
    return whole


def customer(account: str) -> dict[str, str]:
    return {"operation_id": f"op-{account}", "customer_id": account}


#: WALKIN is staff, whose purchases earn nothing, has two cards, B and C, that count together, and can be written to. On
#: each day a receipt names WALKIN and the card A of K1, one names the card B alone, and an order is of WALKIN.
LANDING: dict[str, dict[str, list[dict[str, str]]]] = {
    f"hq/{FIRST}/hq": {
        "channels": [
            {"channel_id": "S1"}, {"channel_id": "S3"}, {"channel_id": "CC1", "kind": "call_center", "database": ""},
        ],
        "customers": [customer("K1"), customer("WALKIN")],
        "customer_affiliations": [{"operation_id": "op-WALKIN", "affiliation_id": "staff"}],
        "customer_contacts": [
            {"operation_id": f"op-{account}", "kind": "email", "value": f"{account}@example.com".lower(),
             "marketing_consent": "true"}
            for account in ("K1", "WALKIN")
        ],
        "loyalty_cards": [
            {"card_id": card, "customer_id": owner} for card, owner in (("A", "K1"), ("B", "WALKIN"), ("C", "WALKIN"))
        ],
        "loyalty_adjustments": [
            {"adjustment_id": f"J{card}", "card_id": card, "reward_point_id": "status", "points": "4.00", "date": day}
            for card, day in (("B", SECOND), ("C", FOURTH))
        ],
    },
    **{
        f"pos/{day}/S3": together(
            sold(f"W{number}", f"{10 * number}.00", customer_id="WALKIN", loyalty_card_id="A"),
            sold(f"B{number}", f"{number}.00", loyalty_card_id="B"),
            sold(f"K{number}", "1.00", customer_id="K1"),
        )
        for number, day in enumerate(DAYS, start=1)
    },
    **{
        f"call_center/{day}/CC1": together(
            ordered(f"O{number}", "WALKIN", status="submitted", invoiced_date=""),
            ordered(f"I{number}", "WALKIN", loyalty_card_id="A"),
        )
        for number, day in enumerate(DAYS, start=1)
    },
}  # fmt: skip

PROGRAMME: dict[str, Any] = {
    "effective_from": "2017-01-01",
    "programs": [
        {"id": "club", "pool_related_cards": True, "tiers": [
            {"id": "gold", "level": 2, "validity": "coming_year",
             "rules": [{"reward_point": "status", "minimum": 8, "window": "past_year"}]}]}
    ],
    "schemes": [
        {"id": "everywhere", "excluded_affiliations": ["staff"], "earning": [
            {"id": "base", "activity": "purchase_amount", "per": "1.00", "currency": "USD", "reward_point": point,
             "points": 1} | {"id": point}
            for point in ("points", "status")]}
    ],
    "call_center": {"fraud": {"minimum_score": 1, "hold_code": "FRAUD", "rules": [
        {"id": "new", "level": "order", "score": 5, "when": "customer_age_days < 30"}]},
        "holds": [{"code": "FRAUD", "name": "Fraud", "default": True}]},
}  # fmt: skip


def names_walkin(day: str) -> dict[str, dict[str, list[dict[str, str]]]]:
    """A head-office drop that makes WALKIN the default customer of the store S3."""
    return {f"hq/{day}/again": {"channels": [{"channel_id": "S3", "default_customer_id": "WALKIN"}]}}


def case(landing: Mapping[str, Any], **programme: Any) -> Case:
    return {"bases": "page7", "base": "rfm", "programme": PROGRAMME | programme, "landing": {**LANDING, **landing}}


def run(home: Home, day: str) -> None:
    for stage in night.STAGES:
        night.run_stage(home, stage, date.fromisoformat(day))
    Lake(home).publish(date.fromisoformat(day))


def work(home: Home, whole: Case, nights: Mapping[str, Sequence[str]]) -> None:
    """Runs each night after what it is said to bring has come."""
    for day, drops in nights.items():
        deliver(whole, home, drops)
        run(home, day)


def by_night(whole: Case, late: Mapping[str, str] | None = None) -> dict[str, list[str]]:
    """The drops of each night: those of its date, but for those that come ``late``, on the night said."""
    nights: dict[str, list[str]] = {day: [] for day in DAYS}
    for drop in drops_of(whole):
        nights[(late or {}).get(drop, max(drop.split("/")[1], FIRST))].append(drop)
    return nights


def customers_of(home: Home) -> dict[str, str | None]:
    return {row["transaction_id"]: row["customer_id"] for row in table(home, "customers.receipts")}


def scored(home: Home, day: str) -> list[tuple[Any, ...]]:
    engine, _ = open_lake(home, ["rfm.scores"])
    with engine:
        return engine.rows(
            f"select customer_id, frequency, monetary_total from rfm.scores where as_of = date '{day}' order by all"
        )


def ended(home: Home) -> tuple[Any, ...]:
    """What there is after one more night."""
    run(home, LAST)
    return contents(home, SAME), sums(home), scored(home, LAST)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """WALKIN is a customer like others, in all nights."""
    home, whole = Home(tmp_path_factory.mktemp("plain")), case({})
    write_programmes(whole, home.programme)
    work(home, whole, {FOURTH: list(drops_of(whole)), LAST: []})
    return home


@pytest.fixture(scope="module")
def from_third(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """WALKIN is a default customer from the third day on; all in one night."""
    home, whole = Home(tmp_path_factory.mktemp("third")), case(names_walkin(THIRD))
    write_programmes(whole, home.programme)
    work(home, whole, {FOURTH: list(drops_of(whole)), LAST: []})
    return home


def test_before_anything_says_so_an_id_is_a_customer_like_others(plain: Home) -> None:
    assert {customers_of(plain)[name] for name in ("W1", "W4", "I1", "I4")} == {"WALKIN"}
    assert sorted(row["card_id"] for row in table(plain, "loyalty.card_tiers")) == ["B", "C"]
    assert [row[:2] for row in scored(plain, LAST)] == [("K1", 4), ("WALKIN", 12)]
    assert {row["customer_id"] for row in table(plain, "marketing.contact_list")} == {"K1", "WALKIN"}


def test_a_default_customer_is_nobody_from_its_day_on_and_was_a_customer_before(from_third: Home) -> None:
    of = customers_of(from_third)
    assert [of[f"W{n}"] for n in (1, 2, 3, 4)] == ["WALKIN", "WALKIN", None, None]
    assert [of[f"I{n}"] for n in (1, 2, 3, 4)] == ["WALKIN", "WALKIN", None, None]
    written = {row["transaction_id"]: row["customer_id"] for row in table(from_third, "sales.transactions")}
    assert {written[f"W{n}"] for n in (1, 2, 3, 4)} == {"WALKIN"}
    # Staff earn nothing; from the third day on the card's customer counts: 30 and 3, 40 and 3, and no staff's 3 and 4.
    earned = {
        (row["card_id"], row["transaction_id"]): str(row["points"])
        for row in table(from_third, "loyalty.events")
        if row["reward_point_id"] == "points" and row["event_type"] == "earn"
    }
    assert earned == {
        ("A", "W3"): "30.00", ("A", "W4"): "40.00", ("A", "I3"): "3.00", ("A", "I4"): "3.00", ("B", "B3"): "3.00",
        ("B", "B4"): "4.00",
    }  # fmt: skip
    cards = {
        (row["card_id"], str(row["valid_from"])): row["customer_id"]
        for row in table(from_third, "reference.loyalty_cards")
    }
    assert cards == {
        ("A", "0001-01-01"): "K1", ("B", "0001-01-01"): "WALKIN", ("C", "0001-01-01"): "WALKIN", ("B", THIRD): None,
        ("C", THIRD): None,
    }  # fmt: skip
    # B by 4 + 3 + 4; C has 4 alone.
    assert sorted(row["card_id"] for row in table(from_third, "loyalty.card_tiers")) == ["A", "B"]
    # W1, W2, I1, I2, B1, B2 of WALKIN; W3, W4, I3, I4 by the card A of K1.
    assert [row[:2] for row in scored(from_third, LAST)] == [("K1", 8), ("WALKIN", 6)]
    status = {row["order_id"]: row["customer_id"] for row in table(from_third, "call_center.order_status")}
    assert [status[f"O{n}"] for n in (1, 2, 3, 4)] == ["WALKIN", "WALKIN", None, None]
    assert {row["customer_id"] for row in table(from_third, "marketing.contact_list")} == {"K1"}


def test_night_by_night_it_is_the_same_and_a_replay_finds_nothing(from_third: Home, home: Home) -> None:
    whole = case(names_walkin(THIRD))
    write_programmes(whole, home.programme)
    work(home, whole, by_night(whole))
    assert ended(home) == ended(from_third)
    assert breaches(home) == []
    assert breaches(from_third) == []


def test_a_channel_that_comes_late_makes_what_it_concerns_be_worked_out_again(from_third: Home, home: Home) -> None:
    whole = case(names_walkin(THIRD))
    write_programmes(whole, home.programme)
    work(home, whole, by_night(whole, {f"hq/{THIRD}/again": FOURTH}))
    assert ended(home) == ended(from_third)
    assert breaches(home) == []


@pytest.mark.slow
def test_when_everything_was_judged_before_only_what_changed_is_judged_again(from_third: Home, home: Home) -> None:
    whole = case(names_walkin(THIRD))
    write_programmes(whole, home.programme)
    late = f"hq/{THIRD}/again"
    work(home, whole, {FOURTH: [drop for drop in drops_of(whole) if drop != late]})
    deliver(whole, home, [late])
    logs = {stage: night.run_stage(home, stage, date.fromisoformat(FOURTH)) for stage in night.STAGES}
    Lake(home).publish(date.fromisoformat(FOURTH))
    assert logs["loyalty"]["documents"] == 4  # the receipts and invoices of WALKIN from the third day on
    assert ended(home) == ended(from_third)
    # A drop that says the same again concerns nobody.
    deliver({**whole, "landing": names_walkin(FOURTH), "base": "club"}, home, [f"hq/{FOURTH}/again"])
    logs = {stage: night.run_stage(home, stage, date.fromisoformat(FOURTH)) for stage in night.STAGES}
    assert logs["loyalty"]["documents"] == 0
    assert len({row["seq"] for row in table(home, "sales.placeholder_customers")}) == 2


@pytest.mark.slow
def test_a_drop_that_comes_again_without_the_default_makes_it_a_customer_again(plain: Home, home: Home) -> None:
    whole = case(names_walkin(SECOND))
    write_programmes(whole, home.programme)
    work(home, whole, {FOURTH: list(drops_of(whole))})
    assert customers_of(home)["W2"] is None
    again = {f"hq/{SECOND}/again": {"channels": [{"channel_id": "S3"}]}}
    deliver({**whole, "landing": again}, home, again, revision=2)
    run(home, FOURTH)
    assert ended(home) == ended(plain)
    assert breaches(home) == []


@pytest.mark.slow
@pytest.mark.parametrize("known", ["in time", "late"])
def test_placeholders_of_a_programme_hold_from_its_version_on(known: str, from_third: Home, home: Home) -> None:
    """As those of a channel do: in any case of letters, and for the nights before that knew no better."""
    before = case({})
    write_programmes(before, home.programme)
    nights = by_night(before)
    first = [FIRST, SECOND] if known == "in time" else [FIRST, SECOND, THIRD]
    work(home, before, {day: nights[day] for day in first})
    after = case({}, effective_from=THIRD, placeholder_customers=[" walkIn "])
    write_programmes(after, home.programme)
    work(home, before, {day: nights[day] for day in DAYS if day not in first})
    assert ended(home) == ended(from_third)
    assert breaches(home) == []


@pytest.mark.slow
def test_a_home_of_before_is_settled_by_its_first_night(
    from_third: Home, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = case(names_walkin(THIRD))
    write_programmes(whole, home.programme)
    with monkeypatch.context() as before:
        before.setattr(sales, "_say_who_is_nobody", lambda night: night.attach("sales._placeholders"))
        work(home, whole, {FOURTH: list(drops_of(whole))})
    assert customers_of(home)["W4"] == "WALKIN"
    assert ended(home) == ended(from_third)
    assert breaches(home) == []


def test_ids_are_trimmed_folded_and_spared_alike_in_receipts_cards_and_orders(home: Home) -> None:
    nobody = ("nuLL", " None ", "NIL", "N/a", "nan", "-", "0", "0000", "WALKIN", " WALKIN", "till-7", "TiLL-7")
    somebody = ("walkin", "NULL1", "00A", "n a", "TILL-70", "--", "K1")
    ids = dict(enumerate((*nobody, *somebody)))
    orders = together(*(ordered(f"O{n}", one, status="submitted", invoiced_date="") for n, one in ids.items()))
    whole = {
        "bases": "page7", "base": "rfm", "programme": PROGRAMME | {"placeholder_customers": ["Till-7"]},
        "landing": {
            f"hq/{FIRST}/hq": {
                "channels": [{"channel_id": "S1"}, {"channel_id": "S3", "default_customer_id": "WALKIN "}],
                "loyalty_cards": [{"card_id": f"C{n}", "customer_id": one} for n, one in ids.items()],
            },
            f"pos/{FIRST}/S1": together(*(sold(f"T{n}", "1.00", customer_id=one) for n, one in ids.items())),
            f"call_center/{FIRST}/CC1": orders,
        },
    }  # fmt: skip
    write_programmes(whole, home.programme)
    work(home, whole, {FIRST: list(drops_of(whole))})
    seen = {
        name: {row[key][1:]: row["customer_id"] for row in table(home, name)}
        for name, key in (
            ("customers.receipts", "transaction_id"), ("reference.loyalty_cards", "card_id"),
            ("call_center.order_status", "order_id"),
        )
    }  # fmt: skip
    for name, customers in seen.items():
        assert len(customers) == len(ids), name
        assert {one: customers[str(n)] for n, one in ids.items() if one in nobody} == dict.fromkeys(nobody), name
        assert [customers[str(n)] for n, one in ids.items() if one in somebody] == list(somebody), name
    assert [row["customer_id"] for row in table(home, "rfm.scores")] == sorted(somebody)


def test_nobody_cannot_be_erased_but_was_and_is_explained(from_third: Home) -> None:
    with pytest.raises(KantaError, match="WALKIN stands for nobody") as refused:
        erasure.erase(from_third, "WALKIN")
    assert "default_customer_id" in str(refused.value.next_step)
    found = explain.explain(from_third, "transaction", "W3")
    assert (found["transaction"]["customer_id"], found["transaction"]["is_placeholder"]) == ("WALKIN", True)
    assert {(rule["rule_id"], str(rule["points"])) for rule in found["rules"]} == {
        ("points", "30.00"),
        ("status", "30.00"),
    }
    assert explain.explain(from_third, "transaction", "W2")["transaction"]["is_placeholder"] is False


def test_another_list_of_placeholders_is_not_simulated(from_third: Home, tmp_path: Path) -> None:
    write_programmes(case({}, placeholder_customers=["K1"]), tmp_path)
    with pytest.raises(BadArguments, match="placeholder_customers"):
        simulate.simulate(from_third, tmp_path)
