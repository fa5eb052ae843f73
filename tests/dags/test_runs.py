"""Whole DAG runs in this process, with stand-ins for what the tasks call."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from kanta.dag_runs import run_dags, succeed, trial
from kanta.errors import KantaError
from kanta.home import Home

pytestmark = pytest.mark.slow  # whole nights

DAY = date(2017, 2, 11)


@pytest.fixture
def called(monkeypatch) -> list[tuple[Any, ...]]:
    """Stand-ins: they write down what was called, for which home and date."""
    from kanta import distribution, maintenance, night

    calls: list[tuple[Any, ...]] = []

    def run_stage(home: Home, stage: str, business_date: date) -> dict[str, Any]:
        calls.append((home.root.name, stage, business_date))
        return {"rows": 3, "through": business_date}

    def run(home: Home, business_date: date, *, data_group: str) -> dict[str, Any]:
        calls.append((home.root.name, f"send {data_group}", business_date))
        return {"packages": 1, "failed": ["S007"] if data_group == "north" and home.root.name == "broken" else []}

    monkeypatch.setattr(night, "run_stage", run_stage)
    monkeypatch.setattr(distribution, "groups", lambda home, business_date: ["north", "south"])
    monkeypatch.setattr(distribution, "run", run)
    monkeypatch.setattr(maintenance, "run", lambda home: calls.append((home.root.name, "maintenance")) or {"files": 1})
    return calls


def test_a_night_through_the_dags_calls_every_stage_once_in_order_for_its_home_and_date(called, home):
    said: list[str] = []
    order = run_dags(Home(home), DAY, said.append)
    assert len(said) == len(order) == 8
    assert {stage for _, stage, _ in called[:3]} == {"ingest_pos", "ingest_call_center", "ingest_hq"}
    assert called[3:10] == [
        ("home", stage, DAY) for stage in ("customers", "sales", "call_center", "loyalty", "rfm", "publish", "analysts")
    ]
    assert sorted(called[10:]) == [("home", "send north", DAY), ("home", "send south", DAY)]
    assert partitions() == {
        (name, "2017-02-11", 3)
        for name in ("pos_drops", "call_center_drops", "hq_drops", "customers", "orders", "ledger", "night")
    }


def partitions() -> set[tuple[str, str, int]]:
    """Every asset's newest event: its name, its partition and the rows it says."""
    from airflow.models.asset import AssetEvent, AssetModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        newest = select(AssetModel.name, AssetEvent).join(AssetEvent, AssetEvent.asset_id == AssetModel.id)
        events = dict(session.execute(newest.order_by(AssetEvent.id)).tuples().all())
        return {(name, event.partition_key, event.extra["rows"]) for name, event in events.items()}


def test_maintenance_runs_by_itself(called):
    succeed(trial("maintenance", DAY))
    assert called == [("home", "maintenance")]


def test_a_stage_that_fails_makes_its_run_fail_what_follows_does_not_run_and_the_log_says_what_to_do(
    called, monkeypatch, capfd
):
    from kanta import night

    def broken(home: Home, stage: str, business_date: date) -> dict[str, Any]:
        called.append((stage,))
        raise KantaError("Two lots overlap", where="loyalty.lots", next_step="kanta verify")

    monkeypatch.setattr(night, "run_stage", broken)
    run = trial("rfm", DAY)
    assert run.state == "failed"
    assert called == [("rfm",)]
    assert "kanta run --date 2017-02-11 --stage rfm" in capfd.readouterr().out
    with pytest.raises(KantaError, match="DAG rfm ended as failed; failed: rfm"):
        succeed(run)


def test_a_store_that_cannot_be_served_fails_its_groups_task_and_stops_no_other(called, home, monkeypatch):
    monkeypatch.setenv("KANTA_HOME", str(home.rename(home.with_name("broken"))))
    run = trial("distribution", DAY)
    states = {(ti.task_id, ti.rendered_map_index): ti.state for ti in run.get_task_instances()}
    assert states == {
        ("data_groups", None): "success",
        ("distribution", "north"): "failed",
        ("distribution", "south"): "success",
    }
    assert sorted(called) == [("broken", "send north", DAY), ("broken", "send south", DAY)]
