"""One night through the real DAGs, in this process, without a scheduler or a server: for the demo and the tests."""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

from kanta.errors import KantaError
from kanta.home import REPOSITORY, Home

if TYPE_CHECKING:
    from airflow.dag_processing.dagbag import BundleDagBag
    from airflow.models.dagrun import DagRun
    from airflow.sdk import DAG


def run_dags(home: Home, business_date: date, say: Callable[[str], None] = print) -> list[str]:
    """Runs every DAG of the night of ``business_date``, each after those it waits for; returns their ids in that order.

    Airflow's own records of it are thrown away. Raises KantaError naming the first DAG whose run does not succeed.
    """
    with tempfile.TemporaryDirectory(prefix="kanta-airflow-") as folder, _variable("KANTA_HOME", str(home.root)):
        use_airflow(Path(folder))
        order = night_order(dag_bag())
        for dag_id in order:
            begun = time.perf_counter()
            succeed(trial(dag_id, business_date))
            say(f"DAG {dag_id:<20} {time.perf_counter() - begun:6.1f} s")
    return order


def use_airflow(folder: Path) -> None:
    """Sets this process up to use Airflow: the repository's airflow.cfg, and a new database and logs in ``folder``.

    The first call counts: Airflow reads its settings when it is imported.
    """
    if "airflow" in sys.modules:
        return
    os.environ |= {
        "AIRFLOW_HOME": str(REPOSITORY),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{folder}/airflow.db",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(folder / "logs"),
        "AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": str(folder / "logs"),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(64),
    }
    from airflow.utils.db import initdb

    initdb()


def dag_bag() -> BundleDagBag:
    """The repository's DAGs, freshly parsed. Raises KantaError when a file does not import."""
    from airflow.dag_processing.dagbag import BundleDagBag

    bag = BundleDagBag(dag_folder=REPOSITORY, bundle_path=REPOSITORY, bundle_name="kanta")
    if bag.import_errors or not bag.dags:
        raise KantaError("\n".join(["Not all DAG files can be read.", *bag.import_errors.values()]), where="dags/")
    return bag


def night_order(bag: BundleDagBag) -> list[str]:
    """The DAGs of a night, each after those whose assets it waits for: those with partitions; maintenance has none."""
    from airflow.sdk import CronPartitionTimetable, PartitionedAssetTimetable

    makers = {asset.name: dag_id for dag_id, dag in bag.dags.items() for task in dag.tasks for asset in task.outlets}
    waits: dict[str, set[str]] = {}
    for dag_id, dag in sorted(bag.dags.items()):
        if isinstance(dag.timetable, CronPartitionTimetable | PartitionedAssetTimetable):
            waits[dag_id] = {makers[name] for name in waited_for(dag)}
    return list(TopologicalSorter(waits).static_order())


def waited_for(dag: DAG) -> list[str]:
    """The names of the assets that a DAG's schedule waits for, all of them."""
    condition = getattr(dag.timetable, "asset_condition", None)
    assets = getattr(condition, "objects", [condition] if condition else [])
    return sorted(asset.name for asset in assets)


def trial(dag_id: str, business_date: date) -> DagRun:
    """One run of one DAG for a date, to its end; it does not raise when a task fails."""
    dag = dag_bag().dags[dag_id]  # a new one each time: a run's parameters stay in the object
    dag.deadline = None  # Airflow 3.3.2 cannot test a DAG that has one (apache/airflow#73428)
    for task in dag.tasks:
        task.retries = 0  # the delay before a retry would be waited for here
    run: DagRun = dag.test(logical_date=None, run_conf={"business_date": business_date.isoformat()})
    return run


def succeed(run: DagRun) -> None:
    """Raises KantaError when a run did not succeed."""
    if run.state != "success":
        failed = sorted(ti.task_id for ti in run.get_task_instances() if ti.state == "failed")
        raise KantaError(
            f"DAG {run.dag_id} ended as {run.state}; failed: {', '.join(failed) or 'none'}",
            where=f"business date {(run.conf or {}).get('business_date')}",
            next_step="what it printed above says which command to run",
        )


@contextmanager
def _variable(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before
