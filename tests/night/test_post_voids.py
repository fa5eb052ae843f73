"""A receipt voided after it was completed counts no more, whichever comes first, for as long as the void is there."""

from __future__ import annotations

from datetime import date

import pytest

from kanta import night
from kanta.engine import Engine
from kanta.home import Home
from kanta.lake import Lake
from tests.feed import Row, rows, sale, write_drop

FIRST, SECOND, THIRD = (date(2026, 1, day) for day in (5, 6, 7))


def receipt(identifier: str, **header: str) -> dict[str, list[dict[str, str]]]:
    return sale(identifier, store_id="S1", business_date=FIRST.isoformat(), **header)


def void(identifier: str, of: str, **header: str) -> dict[str, list[dict[str, str]]]:
    """A control transaction that voids another."""
    nothing = {"type": "control", "net_amount": "0.00", "total_amount": "0.00"}
    own = {"transaction_id": identifier, "store_id": "S1", "voids_transaction_id": of}
    return {"transactions": rows("transactions", own | nothing | header)}


def counted(home: Home, day: date) -> list[tuple[str, str]]:
    """Takes in what came and works sales out: what counts, and the night that said so."""
    for stage in ("ingest_pos", "sales"):
        night.run_stage(home, stage, day)
    lake = Lake(home)
    with Engine(lake.root / "work") as engine:
        reader = night.Night(home, lake, engine, "test", lake.head(), day)
        reader.attach("ops.quarantine", "sales.transactions", "sales.lines", "sales.tenders")
        assert engine.rows("select * from ops.quarantine where status = 'open'") == []
        for table in ("lines", "tenders"):
            assert engine.rows(f"select distinct transaction_id from sales.{table} order by 1") == engine.rows(
                "select transaction_id from sales.transactions order by 1"
            )
        found = engine.rows("select transaction_id, posted_date::varchar from sales.transactions order by 1")
    return [(identifier, day) for identifier, day in found]


@pytest.mark.parametrize("first", ["receipt", "void", "together"])
@pytest.mark.parametrize("kind", ["status", "document"])
def test_a_void_takes_its_receipt_out_whichever_comes_first(kind: str, first: str, home: Home) -> None:
    voiding: dict[str, list[dict[str, str]]] = (
        receipt("T1", status="voided") if kind == "status" else void("V", "T1", business_date=FIRST.isoformat())
    )
    order = [("T", receipt("T1")), ("V", voiding)]
    days = (FIRST, SECOND)
    for day, (source, content) in zip(days, order if first != "void" else order[::-1], strict=True):
        write_drop(home, "pos", day, source, content)
        if first == "receipt" and day == FIRST:
            assert counted(home, FIRST) == [("T1", "2026-01-05")]
        elif first == "void" and day == FIRST:
            assert counted(home, FIRST) == []
    if first == "void" and kind == "status":  # the void holds; the receipt is a copy that says something else
        return
    assert counted(home, SECOND) == []


def test_a_receipt_counts_again_when_the_drop_that_voids_it_no_longer_does(home: Home) -> None:
    write_drop(home, "pos", FIRST, "S1", receipt("T1"))
    write_drop(home, "pos", SECOND, "S1", void("V", "T1"))
    assert counted(home, SECOND) == []
    write_drop(home, "pos", SECOND, "S1", receipt("T2"), revision=2)
    assert counted(home, SECOND) == [("T1", "2026-01-05"), ("T2", "2026-01-06")]


@pytest.mark.parametrize(
    ("header", "stands"),
    [
        ({"store_id": "S2"}, True),
        ({"status": "voided"}, True),
        ({"status": "training"}, True),
        ({"type": "sale"}, False),
    ],
    ids=lambda value: str(value),
)
def test_only_a_completed_document_of_the_same_store_voids(header: dict[str, str], stands: bool, home: Home) -> None:
    write_drop(home, "pos", FIRST, "S1", receipt("T1"))
    write_drop(home, "pos", SECOND, "S1", void("V", "T1", **header))
    assert counted(home, SECOND) == ([("T1", "2026-01-05")] if stands else [])


def test_a_void_of_a_void_changes_nothing(home: Home) -> None:
    write_drop(home, "pos", FIRST, "S1", receipt("T1"))
    write_drop(home, "pos", SECOND, "S1", void("V", "T1"))
    write_drop(home, "pos", THIRD, "S1", void("W", "V"))
    assert counted(home, THIRD) == []
    voided: dict[str, list[Row]] = {"transactions": [dict(void("V", "T1", status="voided")["transactions"][0])]}
    write_drop(home, "pos", THIRD, "again", voided)
    assert counted(home, THIRD) == []


def test_a_void_of_a_receipt_that_nobody_knows_is_nothing(home: Home) -> None:
    write_drop(home, "pos", FIRST, "S1", receipt("T1"))
    write_drop(home, "pos", FIRST, "S2", void("V", "T9"))
    assert counted(home, FIRST) == [("T1", "2026-01-05")]
