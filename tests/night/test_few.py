"""A night of next to nothing is right, too: what goes over parts goes over none, one and many (kanta.slices)."""

from __future__ import annotations

from datetime import date

import pytest

from kanta import night, reading, slices, verify
from kanta.home import Home
from tests.cases import write_programme
from tests.conftest import NoJudge
from tests.feed import Row, joined, rows, sale, write_drop
from tests.night import history

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("without_iceberg")]

DAY = date(2026, 1, 5)
NEXT = date(2026, 1, 6)
ORDER = {"orders": rows("orders", {"order_id": "O1"}), "order_lines": rows("order_lines", {"order_id": "O1"})}
CARD = rows("loyalty_cards", {"card_id": "A"})
HOMES: dict[str, dict[str, dict[str, list[Row]]]] = {
    "nothing": {},
    "sales of nobody": {"pos": joined(sale("T1"), sale("T2"), sale("T3"))},
    "one sale of a card nobody knows": {"pos": sale("T1", loyalty_card_id="A")},
    "one card and no sale": {"hq": {"loyalty_cards": CARD}},
    "one card beside sales of nobody": {
        "hq": {"loyalty_cards": CARD},
        "pos": joined(sale("T1", loyalty_card_id="A"), sale("T2"), sale("T3")),
    },
    "one order": {"call_center": ORDER},
}


@pytest.mark.parametrize("name", HOMES)
def test_whatever_there_is_none_or_one_of_a_night_comes_to_its_end(
    name: str, home: Home, no_judge: NoJudge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slices, "DOCUMENTS", 1)  # as if it were more than a slice holds
    write_programme(history.programme(), home.programme)
    (home.landing).mkdir(parents=True)
    for feed, content in HOMES[name].items():
        write_drop(home, feed, DAY, {"hq": "hq", "pos": "S1", "call_center": "CC1"}[feed], content)
    night.run(home, DAY, NEXT, judge=no_judge)
    with reading.open_lake(home, ["loyalty.balances", "loyalty.exceptions", "sales.transactions"])[0] as engine:
        assert engine.value("select count(*) from sales.transactions") == len(
            HOMES[name].get("pos", {}).get("lines", [])
        )
        earned = engine.rows("select card_id, reward_point_id, available::varchar from loyalty.balances order by all")
        assert [row for row in earned if row[1] == "points"] == (
            [("A", "points", "10.00")] if name == "one card beside sales of nobody" else []
        ), earned
    assert [(r.about, r.examples) for r in verify.verify(home, everything=True) if r.breaches] == []
