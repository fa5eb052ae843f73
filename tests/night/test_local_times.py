"""Times without offset are the clock of their channel, summer time included, whichever drop tells its zone when."""

from __future__ import annotations

from datetime import date

import pytest

from kanta import night
from kanta.engine import Engine
from kanta.home import Home
from kanta.lake import Lake
from tests.feed import Row, rows, sale, write_drop
from tests.landing.test_poslog import deliver, document, item, tender

BEGAN = date(2026, 1, 1)
CHANNEL = {
    "kind": "store", "name": "S", "legal_entity": "L", "currency": "USD", "country": "FI", "org_path": "/",
    "database": "D", "data_group": "G", "customer_mode": "sync",
}  # fmt: skip


def channels(home: Home, day: date, **zones: str) -> None:
    items: list[Row] = [{"channel_id": one, "time_zone": zone, **CHANNEL} for one, zone in zones.items()]
    write_drop(home, "hq", day, "hq", {"channels": items})


def happened(home: Home, day: date) -> list[tuple[str, str, str]]:
    """Works landing and sales: each document that counts, its date, when it was."""
    for stage in ("ingest_hq", "ingest_pos", "ingest_call_center", "customers", "sales"):
        night.run_stage(home, stage, day)
    lake = Lake(home)
    with Engine(lake.root / "work") as engine:
        reader = night.Night(home, lake, engine, "test", lake.head(), day)
        reader.attach("sales.transactions", "ops.quarantine")
        assert engine.rows("select rule, reason from ops.quarantine") == []
        found = engine.rows(
            "select transaction_id, business_date::varchar, strftime(occurred_at, '%Y-%m-%dT%H:%MZ')"
            " from sales.transactions order by 1"
        )
    return [(document, day, at) for document, day, at in found]


@pytest.mark.parametrize("form", ["csv", "ndjson", "parquet"])
def test_a_time_without_offset_is_the_channels_clock_and_summer_time_counts(form: str, home: Home) -> None:
    channels(home, BEGAN, HEL="Europe/Helsinki", LA="America/Los_Angeles")
    clocks = [
        ("1 winter", "2026-01-10T00:30:00", "2026-01-09T22:30Z"),
        ("2 summer", "2026-07-01 09:00:00", "2026-07-01T06:00Z"),
        ("3 skipped", "2026-03-29T03:30", "2026-03-29T01:30Z"),  # 04:30
        ("4 twice", "2026-10-25T03:30:00.5", "2026-10-25T00:30Z"),  # the first
        ("5 with offset", "2026-07-02T09:00:00+01:00", "2026-07-02T08:00Z"),
    ]
    for identifier, at, _ in clocks:
        day = date.fromisoformat(at[:10])
        write_drop(home, "pos", day, "HEL", sale(identifier, started_at=at, ended_at=at), form)
    at = "2026-03-02T09:00:00"
    write_drop(home, "pos", date(2026, 3, 2), "LA", sale("6 LA", started_at=at, ended_at=at), form)
    wanted = [(identifier, at[:10], moment) for identifier, at, moment in clocks]
    assert happened(home, date(2026, 12, 1)) == [*wanted, ("6 LA", "2026-03-02", "2026-03-02T17:00Z")]


def test_a_receipt_without_business_date_is_of_the_local_date_on_which_it_began(home: Home) -> None:
    channels(home, BEGAN, HEL="Europe/Helsinki")
    day = date(2026, 1, 10)
    for identifier, at in (
        ("T1", "2026-01-10T00:30:00"), ("T2", "2026-01-09T22:30:00Z"), ("T3", "2026-01-09T21:59:00Z"),
        ("T4", "2026-01-10T22:30:00Z"),
    ):  # fmt: skip
        write_drop(home, "pos", day, f"HEL {identifier}", sale(
            identifier, store_id="HEL", business_date="", started_at=at, ended_at=at
        ))  # fmt: skip
    dates = {document: when for document, when, _ in happened(home, day)}
    assert dates == {"T1": "2026-01-10", "T2": "2026-01-10", "T3": "2026-01-09", "T4": "2026-01-10"}


def test_a_poslog_without_business_date_is_of_the_channels_local_date_and_keeps_its_id(home: Home) -> None:
    channels(home, BEGAN, S1="Europe/Helsinki")
    content = (item(1, "10.00"), tender(2, "10.00"))
    data = document(*content, head="").replace(b"2026-01-05T09:0", b"2026-01-09T22:3")
    deliver(home, "S1", data, day=date(2026, 1, 10))
    assert happened(home, date(2026, 1, 10)) == [("S1-R1-2026-01-09-1", "2026-01-10", "2026-01-09T22:35Z")]


def test_orders_too_and_a_zone_that_comes_late_or_changes_reads_them_anew(home: Home) -> None:
    day = date(2026, 3, 2)
    order: dict[str, list[Row]] = {
        "orders": rows(
            "orders",
            {"status": "invoiced", "invoiced_date": day.isoformat(), "ordered_at": "2026-03-01T20:00:00"},
        ),
        "order_lines": rows("order_lines", {}),
    }
    write_drop(home, "call_center", day, "CC1", order)
    write_drop(home, "pos", day, "HEL", sale("T1", started_at="2026-03-02T09:00:00", ended_at="2026-03-02T09:00:00"))
    assert [at for *_, at in happened(home, day)] == ["2026-03-01T20:00Z", "2026-03-02T09:00Z"], "no zone: UTC"
    channels(home, date(2026, 3, 3), CC1="America/New_York", HEL="Europe/Helsinki")
    assert [at for *_, at in happened(home, date(2026, 3, 3))] == ["2026-03-02T01:00Z", "2026-03-02T07:00Z"]
    channels(home, date(2026, 3, 1), CC1="UTC", HEL="Europe/Paris")
    assert [at for *_, at in happened(home, date(2026, 3, 4))] == ["2026-03-01T20:00Z", "2026-03-02T08:00Z"]
    channels(home, date(2026, 3, 5), CC1="Nowhere/At_All", HEL="Europe/Paris")
    assert len(happened(home, date(2026, 3, 5))) == 2, "a zone that nobody knows stops nothing"
