"""The DAG files as they stand: which there are, what each promises, and how they hang together."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from kanta.dag_runs import night_order, waited_for
from kanta.home import REPOSITORY

#: dag -> (assets it waits for, {task: (tasks after it, assets it makes)})
WIRING = {
    "ingest_pos": ([], {"ingest_pos": ([], ["pos_drops"])}),
    "ingest_call_center": ([], {"ingest_call_center": ([], ["call_center_drops"])}),
    "ingest_hq": ([], {"ingest_hq": ([], ["hq_drops"])}),
    "customers": (
        ["call_center_drops", "hq_drops", "pos_drops"],
        {"customers": (["sales"], []), "sales": ([], ["customers"])},
    ),
    "call_center_orders": (["customers"], {"call_center": ([], ["orders"])}),
    "loyalty": (["customers", "orders"], {"loyalty": ([], ["ledger"])}),
    "rfm": (["ledger"], {"rfm": (["publish"], []), "publish": (["analysts"], ["night"]), "analysts": ([], [])}),
    "distribution": (["ledger", "night"], {"data_groups": (["distribution"], []), "distribution": ([], [])}),
    "maintenance": ([], {"maintenance": ([], [])}),
}
TAGS = {"ingest", "customers", "loyalty", "stores", "upkeep"}
HEAVY = {"duckdb", "great_expectations", "numba", "numpy", "pandas", "pyarrow", "pyiceberg", "sqlglot"}


def test_there_is_one_dag_for_each_file_and_none_besides(bag):
    files = {file.stem for file in (REPOSITORY / "dags").glob("*.py")}
    assert set(bag.dags) == files == set(WIRING)


def test_tasks_and_assets_are_wired_as_the_table_says(bag):
    found = {
        dag_id: (
            waited_for(dag),
            {
                task.task_id: (sorted(task.downstream_task_ids), sorted(asset.name for asset in task.outlets))
                for task in dag.tasks
            },
        )
        for dag_id, dag in bag.dags.items()
    }
    assert found == WIRING


def test_every_asset_that_is_waited_for_is_made_by_exactly_one_task(bag):
    makers = Counter(asset.name for dag in bag.dags.values() for task in dag.tasks for asset in task.outlets)
    waited = {name for dag in bag.dags.values() for name in waited_for(dag)}
    assert waited
    assert {name: makers[name] for name in waited} == dict.fromkeys(waited, 1)
    assert max(makers.values()) == 1, makers


def test_a_schedule_waits_for_all_of_its_assets_and_not_for_any(bag):
    from airflow.sdk import Asset
    from airflow.sdk.definitions.asset import AssetAll

    conditions = {dag_id: dag.timetable.asset_condition for dag_id, dag in bag.dags.items() if waited_for(dag)}
    assert sorted(conditions) == ["call_center_orders", "customers", "distribution", "loyalty", "rfm"]
    assert {dag_id for dag_id, found in conditions.items() if not isinstance(found, Asset | AssetAll)} == set()


def test_every_stage_of_the_night_is_run_by_exactly_one_task_in_the_order_of_the_night(bag):
    from kanta.night import STAGE_NAMES

    tasks = [task.task_id for dag_id in night_order(bag) for task in bag.dags[dag_id].topological_sort()]
    tasks.remove("data_groups")
    assert sorted(tasks) == sorted(STAGE_NAMES)
    feeds = {name for name in STAGE_NAMES if name.startswith("ingest_")}
    assert set(tasks[:3]) == feeds
    assert tasks[3:] == [name for name in STAGE_NAMES if name not in feeds]


@pytest.mark.parametrize("dag_id", sorted(WIRING))
def test_policy(bag, dag_id):
    from kanta.orchestration import explain_failure

    dag = bag.dags[dag_id]
    source = ast.parse((REPOSITORY / "dags" / f"{dag_id}.py").read_text())
    assert dag.doc_md == ast.get_docstring(source, clean=False), "the docstring is the documentation"
    for promise in ("**Runs**", "**By hand**", "**When it fails**"):
        assert promise in dag.doc_md
    assert dag.tags
    assert set(dag.tags) <= TAGS
    assert dag.catchup is False
    assert dag.max_active_runs == 1
    assert dag.timetable.can_be_scheduled
    assert dag.params["business_date"] is None
    for task in dag.tasks:
        assert task.owner == "loyalty"
        assert task.pool == "lake"
        assert task.retries >= 1
        assert timedelta(minutes=1) <= task.retry_delay <= timedelta(hours=1)
        assert timedelta(0) < task.execution_timeout <= timedelta(hours=2)
        callbacks = task.on_failure_callback
        assert explain_failure in (callbacks if isinstance(callbacks, list | tuple) else [callbacks])


def test_reading_a_dag_file_imports_nothing_heavy():
    script = "import runpy, sys\nfor file in sys.argv[1:]:\n    runpy.run_path(file)\nprint(*sorted(sys.modules))"
    files = sorted(str(file) for file in (REPOSITORY / "dags").glob("*.py"))
    done = subprocess.run([sys.executable, "-c", script, *files], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert "airflow.sdk" in loaded
    assert loaded & HEAVY == set()


def test_a_backfill_of_five_dates_has_five_partitions_also_where_the_night_is_not_utc(bag):
    from airflow.serialization.encoders import coerce_to_core_timetable

    first, last = datetime(2017, 2, 1, tzinfo=UTC), datetime(2017, 2, 5, tzinfo=UTC)
    for dag_id in ("ingest_pos", "ingest_call_center", "ingest_hq"):
        timetable = coerce_to_core_timetable(bag.dags[dag_id].timetable)
        assert str(timetable._timezone) == "America/New_York"
        runs = timetable.iter_partition_dagrun_infos(earliest=first, latest=last)
        assert [run.partition_key for run in runs] == [f"2017-02-0{day}" for day in range(1, 6)]


def test_the_nightly_run_starts_at_midnight_for_the_date_that_ended(bag):
    from airflow.serialization.encoders import coerce_to_core_timetable
    from airflow.timetables.base import DagRunInfo, TimeRestriction

    timetable = coerce_to_core_timetable(bag.dags["ingest_pos"].timetable)
    before = datetime(2017, 2, 5, 5, tzinfo=UTC)
    last = DagRunInfo(run_after=before, data_interval=None, partition_date=None, partition_key=None)
    found = timetable.next_dagrun_info_v2(last_dagrun_info=last, restriction=TimeRestriction(None, None, catchup=True))
    assert (found.run_after, found.partition_key) == (datetime(2017, 2, 6, 5, tzinfo=UTC), "2017-02-05")


def test_airflow_finds_the_plugin_that_makes_the_pool():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["airflow.plugins"] == {"kanta": "kanta.airflow_plugin:KantaPlugin"}
