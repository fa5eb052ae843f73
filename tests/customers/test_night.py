"""The stage among those of a night: references resolved whenever they come, failed operations released."""

from __future__ import annotations

from datetime import date

import pytest

from kanta import night, quarantine, reading
from kanta.home import Home
from kanta.lake import Lake
from tests.feed import Row, sale, write_drop
from tests.night import history
from tests.night.history import DAYS

pytestmark = pytest.mark.slow  # whole nights

GUID = "0a1b2c3d-0000-4000-8000-00000000000a"


def guest(day: date, **other: str) -> dict[str, list[Row]]:
    operation = {
        "operation_id": "g1", "operation": "create", "mode": "async", "operated_at": f"{day}T08:00:00Z",
        "channel_id": "S1", "async_id": GUID, "customer_type": "person", "last_name": "Late", **other,
    }  # fmt: skip
    return {"customers": [operation]}


def _night(home: Home, day: date) -> None:
    """The stages of a night up to sales, and its publication: what comes after them names no customer anew."""
    for stage in ("ingest_hq", "ingest_pos", "ingest_call_center", "customers", "sales"):
        night.run_stage(home, stage, day)
    Lake(home).publish(day)


@pytest.mark.usefixtures("without_iceberg")
def test_a_sale_and_a_card_that_name_a_guid_show_the_account_once_the_customer_comes(home: Home) -> None:
    history.write(home, only=DAYS[0])
    write_drop(home, "pos", DAYS[0], "S7", sale("T70", customer_id=GUID, loyalty_card_id="G"))
    card = {"card_id": "G", "customer_id": GUID, "card_type": "as_card_tender", "program_id": "club",
            "issued_at": f"{DAYS[0]}T08:00:00Z", "enrolled_from": "2026-01-01"}  # fmt: skip
    write_drop(home, "hq", DAYS[0], "hq2", {"loyalty_cards": [card]})
    write_drop(home, "pos", DAYS[0], "S8", guest(DAYS[0], operation_id="g0", last_name=""))
    _night(home, DAYS[0])
    assert _customers(home) == [(GUID, GUID)]
    refused = [row for row in quarantine.listed(home) if row["record_key"] == "g0"]
    assert [(row["rule"], row["file"], row["line"]) for row in refused] == [("no_name", "customers.csv", 2)]
    quarantine.release(home, refused[0]["quarantine_id"], {"last_name": "Late"})
    _night(home, DAYS[1])
    assert _customers(home) == [("C00000001", "C00000001")]
    assert [row["record_key"] for row in quarantine.listed(home) if row["record_key"] == "g0"] == []
    tables = Lake(home).published().tables
    write_drop(home, "pos", DAYS[1], "S8", guest(DAYS[0], operation_id="g0"))  # comes once more, and says the same
    _night(home, DAYS[1])
    assert _customers(home) == [("C00000001", "C00000001")]
    assert Lake(home).published().tables["ops.decisions"] == tables["ops.decisions"]


def _customers(home: Home) -> list[tuple[str, str]]:
    engine, _ = reading.open_lake(home, ["sales.transactions", "reference.loyalty_cards"])
    with engine:
        return engine.rows(
            "select transactions.customer_id, cards.customer_id from sales.transactions as transactions"
            " inner join reference.loyalty_cards as cards on transactions.loyalty_card_id = cards.card_id"
            " where transactions.transaction_id = 'T70'"
        )
