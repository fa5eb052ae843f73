"""V(n): which rows a store database is to hold on the opening day (spec 6-distribution, "Involved", "View")."""

from __future__ import annotations

import random
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kanta import models
from kanta.distribution import view
from kanta.distribution.protocol import contract
from kanta.programme.model import JOBS
from kanta.programme.relations import RELATIONS
from tests.distribution.conftest import BEGINNING, NIGHT, OPENING, Retailer

DAY = timedelta(days=1)


def cards(retailer: Retailer, workspace: Path, database: str = "S001") -> list[str]:
    return [line.split(",")[0] for line in retailer.view(workspace)[database].get("cards", [])]


@pytest.fixture
def retailer(retailer: Retailer) -> Retailer:
    """The shared one, with all datasets of its job."""
    retailer.sends(jobs=JOBS)
    return retailer


@pytest.fixture
def empty() -> Retailer:
    """Two stores without any card."""
    made = Retailer()
    made.channel("S001", default_customer_id="C0")
    made.channel("S002")
    return made


def test_every_dataset_of_the_jobs_has_a_contract_and_a_model() -> None:
    datasets = [dataset for job in JOBS.values() for dataset in job]
    assert sorted(datasets) == list(view.contracts_of_all())
    assert {contract(dataset).name for dataset in datasets} == {f"{job}.{d}" for job, ds in JOBS.items() for d in ds}
    assert {f"_{dataset}" for dataset in datasets} <= set(view.steps(datasets))


def test_models_read_only_relations_and_tables_that_exist_and_are_worked_out_before() -> None:
    before = {"distribution._request", "distribution._offline"}
    for step in view.steps(view.contracts_of_all()):
        for table in models.models()[f"distribution.{step}"].inputs:
            schemas = ("reference.", "sales.", "loyalty.", "customers.")
            assert table in before or table in RELATIONS or table.startswith(schemas), (step, table)
        before.add(f"distribution.{step}")


@pytest.mark.parametrize(
    "how",
    [
        "enrolled here",
        "used here",
        "used here by a known customer's other card",
        "customer bought here without a card",
        "card of the default customer",
        "used here long ago, its customer's other card recently",
    ],
)
def test_a_card_that_concerns_the_store_is_involved(empty: Retailer, tmp_path: Path, how: str) -> None:
    customer = {"card of the default customer": "C0"}.get(how, "C7")
    empty.card("K1", customer_id=customer, channel_id="S001" if how == "enrolled here" else "S002")
    empty.card("K2", customer_id=customer)
    if how == "used here":
        empty.sale("S001", card="K1")
    elif how.startswith("used here by"):
        empty.sale("S001", card="K2")
    elif how.startswith("customer bought"):
        empty.sale("S001", customer="C7")
    elif how.startswith("used here long ago"):
        empty.sale("S001", card="K1", day=date(2020, 1, 1))
        empty.sale("S001", card="K2")
    assert cards(empty, tmp_path) == ["K1", "K2"]


def test_cards_of_other_stores_and_cards_nobody_knows_are_not_involved(empty: Retailer, tmp_path: Path) -> None:
    empty.card("K1", customer_id="C7", channel_id="S002")
    empty.sale("S002", card="K1", customer="C7")
    empty.sale("S001", card="K-unknown", customer="C-unknown")
    empty.sale("S001")
    views = empty.view(tmp_path)
    assert "cards" not in views["S001"]
    assert views["S002"]["cards"] == ["K1,club,as_card_tender,C7,2026-01-05,,"]


def test_one_step_of_customers_is_followed_and_no_more(empty: Retailer, tmp_path: Path) -> None:
    # K1 is used here by C8, though it is C7's: both customers' cards are involved; C8's card was C9's elsewhere.
    empty.card("K1", customer_id="C7")
    empty.card("K2", customer_id="C8", channel_id="S002")
    empty.card("K3", customer_id="C9", channel_id="S002")
    empty.sale("S001", card="K1", customer="C8")
    empty.sale("S002", card="K2", customer="C9")
    assert cards(empty, tmp_path) == ["K1", "K2"]


def test_a_sale_of_a_placeholder_involves_its_card_and_no_customer(empty: Retailer, tmp_path: Path) -> None:
    empty.customer("WALKIN")
    empty.card("K1", customer_id="C7")
    empty.card("K2", customer_id="WALKIN")
    empty.sale("S002", card="K1", customer="WALKIN")
    empty.transactions[-1]["is_placeholder"] = True
    views = empty.view(tmp_path)
    assert views["S002"]["cards"] == ["K1,club,as_card_tender,C7,2026-01-05,,"]
    assert "customers" not in views["S002"]


@pytest.mark.parametrize(("day", "involved"), [(date(2024, 11, 21), ["K1"]), (date(2024, 11, 20), [])])
def test_transactions_of_the_last_24_months_before_the_opening_day_count(
    empty: Retailer, tmp_path: Path, day: date, involved: list[str]
) -> None:
    empty.card("K1")
    empty.sale("S001", card="K1", day=day)
    assert cards(empty, tmp_path) == involved


def test_cards_all_sends_every_card_to_every_database(empty: Retailer, tmp_path: Path) -> None:
    empty.programme["distribution"] |= {"cards": "all"}
    empty.card("K1", channel_id="S002")
    empty.card("K2")
    views = empty.view(tmp_path)
    assert {name: len(made["cards"]) for name, made in views.items()} == {"S001": 2, "S002": 2}


def test_channels_count_as_they_hold_on_the_opening_day(tmp_path: Path) -> None:
    retailer = Retailer()
    retailer.sends(jobs=JOBS)
    retailer.channel("S001", "old", valid_to=NIGHT)
    retailer.channel("S001", "new", valid_from=OPENING)
    retailer.channel("S002", "new", valid_from=OPENING + DAY)
    made = retailer.view(tmp_path)
    assert list(made) == ["new"]
    assert [line.split(",")[0] for line in made["new"]["earning_rules"]] == ["S001"]


def test_a_database_serves_all_its_channels_and_has_one_group(tmp_path: Path) -> None:
    retailer = Retailer()
    retailer.sends(jobs=JOBS)
    retailer.channel("S001", "shared", data_group="b")
    retailer.channel("S002", "shared", data_group="a")
    retailer.channel("S003", data_group="b")
    assert list(retailer.view(tmp_path / "a", "a")) == ["shared"]
    assert list(retailer.view(tmp_path / "b", "b")) == ["S003"]
    lines = retailer.view(tmp_path / "all")["shared"]["earning_rules"]
    assert [line.split(",")[0] for line in lines] == ["S001", "S002"]


def test_the_newest_row_of_a_card_decides_for_all_its_programs(empty: Retailer, tmp_path: Path) -> None:
    empty.card("K1", program_id="club", card_type="as_card_tender", customer_id=None, channel_id="S001")
    empty.card(
        "K1", program_id="spa", card_type="no_tender", customer_id="C7", enrolled_from=date(2026, 5, 1)
    )  # fmt: skip
    assert empty.view(tmp_path)["S001"]["cards"] == [
        "K1,club,no_tender,C7,2026-01-05,,",
        "K1,spa,no_tender,C7,2026-05-01,,",
    ]


@pytest.mark.parametrize(
    ("from_day", "old"),
    [
        (OPENING, "K1,club,blocked,C7,2026-01-05,,K2"),
        (OPENING + DAY, "K1,club,as_card_tender,C7,2026-01-05,,"),
    ],
)
def test_a_replaced_card_is_blocked_and_names_its_successor_from_that_cards_first_day(
    empty: Retailer, tmp_path: Path, from_day: date, old: str
) -> None:
    empty.card("K1", customer_id="C7", channel_id="S001")
    empty.card("K2", customer_id="C7", enrolled_from=from_day, replaces_card_id="K1")
    assert empty.view(tmp_path)["S001"]["cards"] == [old, f"K2,club,as_card_tender,C7,{from_day},,"]


def test_blocked_cards_are_sent(empty: Retailer, tmp_path: Path) -> None:
    empty.card("K1", card_type="blocked", channel_id="S001")
    assert empty.view(tmp_path)["S001"]["cards"] == ["K1,club,blocked,,2026-01-05,,"]


def test_what_has_ended_is_not_sent_and_what_ends_on_the_opening_day_is(retailer: Retailer, tmp_path: Path) -> None:
    retailer.cards[0]["enrolled_to"] = OPENING
    retailer.card("K2", channel_id="S001", enrolled_to=NIGHT)
    retailer.holds("K2", ("5.00", NIGHT, None))
    retailer.tier("K2", "basic", date(2026, 1, 1))
    retailer.tier("K1", "basic", date(2026, 1, 1), NIGHT)
    retailer.tier("K1", "basic", OPENING, OPENING)
    scheme = retailer.programme["schemes"][0]
    scheme["earning"][0] |= {"valid_to": str(NIGHT)}
    scheme["redemption"][0] |= {"valid_to": str(OPENING)}
    made = retailer.view(tmp_path)["S001"]
    assert made["cards"] == [f"K1,club,as_card_tender,C7,2026-01-05,{OPENING},"]
    assert made["card_tiers"] == [f"K1,club,basic,{OPENING},1,{OPENING}", "K1,club,gold,2026-03-01,2,2027-03-01"]
    assert [line.split(",")[0] for line in made["card_balances"]] == ["K1"]
    assert "earning_rules" not in made
    assert [line.split(",")[1] for line in made["redemption_rules"]] == ["pay"]


def test_balances_are_those_of_the_opening_day(retailer: Retailer, tmp_path: Path) -> None:
    retailer.lots, retailer.balances = [], []
    retailer.holds(
        "K1",
        ("1.00", OPENING, None),  # vests tomorrow: usable
        ("2.00", OPENING + DAY, None),  # the day after: not yet
        ("4.00", BEGINNING, NIGHT),  # expired tonight: gone
        ("8.00", BEGINNING, OPENING),  # its last day
        ("16.00", BEGINNING, OPENING + 30 * DAY),
        ("32.00", BEGINNING, OPENING + 31 * DAY),
        ("64.00", OPENING + DAY, OPENING + 2 * DAY),  # expires soon, but is not usable
    )
    retailer.holds("K1", deficit="7.25", point="cash")
    retailer.holds("K9", ("99.00", BEGINNING, None))
    assert retailer.view(tmp_path)["S001"]["card_balances"] == [
        "K1,club,cash,-7.25,0.00,0.00",
        "K1,club,points,57.00,66.00,24.00",
    ]


def test_without_include_balances_none_are_sent(retailer: Retailer, tmp_path: Path) -> None:
    retailer.programme["distribution"] |= {"include_balances": False}
    made = retailer.view(tmp_path)["S001"]
    assert "card_balances" not in made
    assert "cards" in made


@pytest.mark.parametrize(
    ("channels", "reached"),
    [
        (["all"], ["S1", "S2", "S3"]),
        (["S2"], ["S2"]),
        (["/EU/FI"], ["S1", "S2"]),
        (["/EU/FI/Helsinki"], ["S2"]),
        (["/EU/FI", "S2", "all"], ["S1", "S2", "S3"]),
        (["/EU/F"], []),
    ],
)
def test_rules_reach_channels_by_id_and_at_or_below_an_org_path(
    tmp_path: Path, channels: list[str], reached: list[str]
) -> None:
    retailer = Retailer()
    retailer.sends(jobs=JOBS)
    for channel, path in (("S1", "/EU/FI"), ("S2", "/EU/FI/Helsinki"), ("S3", "/EU/FINNMARK")):
        retailer.channel(channel, "shared", org_path=path)
    retailer.programme["schemes"][0]["channels"] = channels
    made = retailer.view(tmp_path)["shared"]
    for dataset in ("earning_rules", "redemption_rules"):
        assert [line.split(",")[0] for line in made.get(dataset, [])] == reached


def test_rules_are_sent_within_the_dates_of_their_scheme(retailer: Retailer, tmp_path: Path) -> None:
    scheme = retailer.programme["schemes"][0]
    scheme |= {"valid_from": "2026-01-01", "valid_to": "2026-12-31"}
    scheme["earning"][0] |= {"valid_from": "2025-01-01", "valid_to": "2027-12-31"}
    scheme["redemption"][0] |= {"valid_from": "2026-12-01"}
    made = retailer.view(tmp_path)["S001"]
    assert made["earning_rules"] == [
        "S001,base,everywhere,club,,,,,,1.000,EUR,points,1.00,2026-01-01,2026-12-31,purchase_amount,,proportional,false,"
        "press|staff"
    ]
    assert made["redemption_rules"] == [
        "S001,pay,everywhere,club,,,,,,1.000,EUR,points,100.00,2026-12-01,2026-12-31,payment_by_amount"
    ]


def test_the_programme_in_force_on_the_opening_day_is_sent(
    retailer: Retailer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = retailer.versions()
    retailer.programme["effective_from"] = str(OPENING)
    retailer.programme["programs"][0]["price_groups"] = ["NEW"]
    second = retailer.versions()
    monkeypatch.setattr(retailer, "versions", lambda: first + second)
    assert retailer.view(tmp_path / "1")["S001"]["price_groups"] == ["club,,NEW", "club,gold,GOLD"]
    before = retailer.view(tmp_path / "2", night=NIGHT - DAY)
    assert before["S001"]["price_groups"] == ["club,,CLUB", "club,gold,GOLD"]


def test_all_databases_in_one_pass_are_each_by_itself(empty: Retailer, tmp_path: Path) -> None:
    empty.channels[1]["data_group"] = "south"
    empty.card("K1", customer_id="C7", channel_id="S001")
    empty.card("K2", customer_id="C7", channel_id="S002")
    empty.sale("S002", card="K1")
    empty.holds("K1", ("1.00", BEGINNING, None))
    alone = [empty.view(tmp_path / group, group) for group in ("nordic", "south")]
    assert empty.view(tmp_path / "all") == alone[0] | alone[1]
    assert [len(made["cards"]) for each in alone for made in each.values()] == [2, 2]


def test_the_same_rows_in_any_order_give_the_same_files(retailer: Retailer, tmp_path: Path) -> None:
    for number in range(40):
        retailer.card(f"K{number}x", customer_id=f"C{number % 7}", channel_id=f"S00{number % 3}")
        retailer.holds(f"K{number}x", (f"{number}.00", BEGINNING, None))
        retailer.tier(f"K{number}x", "basic", date(2026, 1, 1))
        retailer.sale("S001", card=f"K{number}x", customer=f"C{number % 5}")
    first = retailer.view(tmp_path / "first")
    shuffle = random.Random(1)  # noqa: S311 - an order, no secret
    for rows in (retailer.channels, retailer.cards, retailer.transactions, retailer.card_tiers, retailer.lots):
        shuffle.shuffle(rows)
    assert retailer.view(tmp_path / "second") == first
    assert len(first["S001"]["cards"]) == 41, first


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    enrolled=st.lists(
        st.tuples(st.integers(0, 6), st.integers(0, 3), st.integers(0, 4)), max_size=8, unique_by=lambda t: t[0]
    ),
    sales=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 7), st.integers(0, 4)), max_size=8),
)
def test_the_involved_cards_are_those_the_words_of_the_specification_give(
    tmp_path_factory: pytest.TempPathFactory, enrolled: list[tuple[int, int, int]], sales: list[tuple[int, int, int]]
) -> None:
    retailer = Retailer()
    for store in range(4):
        retailer.channel(f"S{store}", f"D{store // 2}", data_group=f"G{store // 2}")
    for card, store, customer in enrolled:
        retailer.card(f"K{card}", channel_id=f"S{store}", customer_id=f"C{customer}" if customer else None)
        retailer.holds(f"K{card}", ("1.00", BEGINNING, None))
    for store, card, customer in sales:
        retailer.sale(f"S{store}", card=f"K{card}", customer=f"C{customer}" if customer else None)
    folder = tmp_path_factory.mktemp("views")
    together = retailer.view(folder)
    for number in range(2):
        assert [line.split(",")[0] for line in together[f"D{number}"].get("cards", [])] == expected_cards(
            enrolled, sales, number
        )


def expected_cards(enrolled: list[tuple[int, int, int]], sales: list[tuple[int, int, int]], database: int) -> list[str]:
    """The involved cards, by the words of the specification instead of SQL."""
    owner = {card: customer for card, _, customer in enrolled}
    met = {card for card, store, _ in enrolled if store // 2 == database}
    met |= {card for store, card, _ in sales if store // 2 == database and card in owner}
    customers = {customer for store, _, customer in sales if store // 2 == database}
    customers = (customers | {owner[card] for card in met}) - {0}
    return sorted(f"K{card}" for card in met | {card for card, customer in owner.items() if customer in customers})
