"""Column to column: what the data dictionary says a value is made from."""

from __future__ import annotations

import pytest

from kanta import contracts, lineage, models


def made_from(table: str, column: str) -> set[str]:
    return {f"{source}.{name}" for source, name in lineage.of_table(table)[column]}


@pytest.mark.parametrize(
    ("table", "column", "sources"),
    [
        ("rfm.scores", "customer_id", {"customers.receipts.customer_id", "reference.loyalty_cards.customer_id"}),
        ("rfm.scores", "segment", {"programme.rfm_segments.segment"}),
        ("rfm.cohorts", "definition", {"programme.rfm_due.definition"}),
        (
            "loyalty.balances",
            "available",
            {
                *(f"loyalty.open_lots.{name}" for name in ("points", "taken", "usable_from")),
                *(f"loyalty.entries.{name}" for name in ("points", "side")),
                *(f"loyalty.total_states.{name}" for name in ("issued", "used", "expired", "written_off")),
            },
        ),
    ],
)
def test_a_column_is_followed_through_private_steps(table: str, column: str, sources: set[str]) -> None:
    assert made_from(table, column) == sources


def test_money_comes_from_the_receipts_and_their_rates() -> None:
    found = made_from("rfm.scores", "monetary_total")
    assert found >= {"customers.receipts.net_amount", "customers.receipts.tax_amount", "reference.exchange_rates.rate"}


@pytest.mark.parametrize("table", [name for name, model in models.models().items() if not model.private])
def test_what_is_named_exists(table: str) -> None:
    columns = lineage.of_table(table)
    assert columns.keys() >= set(contracts.lake()[table].names)
    assert any(columns.values())
    for sources in columns.values():
        for source, name in sources:
            known = contracts.lake().get(source) or contracts.landed().get(source)
            if known:
                assert name in known.names, (table, source, name)
