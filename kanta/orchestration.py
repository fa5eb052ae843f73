"""What the DAG files share: assets, the schedule, the business date, failures, the stores' cut-off.

A DAG file says when and in what order; what its tasks do is ``kanta.night``. DAG files are parsed again and again,
so nothing here imports the engine, the lake or the checks: that happens inside a running task.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from airflow.sdk import (
    Asset,
    CronPartitionTimetable,
    ExceptionRetryPolicy,
    Param,
    RetryAction,
    RetryRule,
    get_current_context,
)
from airflow.sdk.definitions.callback import SyncCallback
from airflow.sdk.definitions.deadline import BaseDeadlineReference, DeadlineAlert

from kanta import programme
from kanta.errors import BadArguments, BadProgramme
from kanta.home import PRIVATE, Home
from kanta.programme.model import Distribution

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

# ── what ties the DAGs together ──────────────────────────────────────────────────────────────────────────────────

#: Each asset is made by one task; its partitions are business dates.
POS_DROPS = Asset("pos_drops", uri="x-kanta://landing/pos")
CALL_CENTER_DROPS = Asset("call_center_drops", uri="x-kanta://landing/call_center")
HQ_DROPS = Asset("hq_drops", uri="x-kanta://landing/hq")
CUSTOMERS = Asset("customers", uri="x-kanta://lake/customers")
ORDERS = Asset("orders", uri="x-kanta://lake/call_center")
LEDGER = Asset("ledger", uri="x-kanta://lake/loyalty")
NIGHT = Asset("night", uri="x-kanta://lake/published")

#: The pool of all tasks that write to the lake. It has one slot (kanta/airflow_plugin.py makes it).
LAKE = "lake"


def time_zone(home: Home) -> str:
    """The zone whose midnight ends a business day and starts its night (settings.yaml).

    A file with problems reads as its defaults here, as in :func:`deliver_by`: it must not take the DAGs off the page.
    What is wrong with it, the first task says.
    """
    try:
        return home.settings.time_zone
    except BadProgramme:
        return programme.Settings().time_zone


def nightly() -> CronPartitionTimetable:
    """Every midnight, for the business date that just ended; the partition key is that date.

    The tick is midnight also because a backfill takes the ticks between its two dates: a tick at 02:00 would lose
    the last of them.
    """
    return CronPartitionTimetable("0 0 * * *", timezone=time_zone(Home.default()), run_offset=-1, key_format="%Y-%m-%d")


# ── the business date ────────────────────────────────────────────────────────────────────────────────────────────

#: The parameter by which a run is started by hand for one date.
BUSINESS_DATE = {
    "business_date": Param(
        None,
        type=["null", "string"],
        format="date",
        title="Business date",
        description="Empty: the partition's date, else the business date that ended before the run.",
    )
}


def business_date(context: Mapping[str, Any]) -> date:
    """The date a run is for: its partition, else its parameter, else the business date that ended before it.

    The only place that knows how Airflow names dates. Raises BadArguments for a partition that is no date, and when
    partition and parameter differ.
    """
    key, given = context.get("partition_key"), context["params"].get("business_date")
    if not key and not given:
        made: datetime = context["dag_run"].run_after
        return made.astimezone(ZoneInfo(time_zone(Home.default()))).date() - timedelta(days=1)
    try:
        (day,) = {date.fromisoformat(text) for text in (key, given) if text}
    except ValueError:
        raise BadArguments(
            f"Not one business date: partition {key}, parameter business_date {given}",
            where=f"run {context['run_id']}",
            next_step="trigger it again with one of the two, written as 2026-11-20",
        ) from None
    return day


# ── a task ───────────────────────────────────────────────────────────────────────────────────────────────────────


def run_stage(stage: str) -> dict[str, Any]:
    """Carries out one stage of the night (``kanta.night``) in the running task; returns what it counted."""
    from kanta import night

    day = tonight()
    return announce(day, night.run_stage(Home.default(), stage, day))


def tonight() -> date:
    """The business date of the running task. Where nobody chose it, the task is skipped rather than :func:`leaps`."""
    from airflow.sdk.exceptions import AirflowSkipException

    from kanta.lake import Lake

    os.umask(PRIVATE)
    context = get_current_context()
    day = business_date(context)
    chosen = context["params"].get("business_date") or context.get("partition_key")
    reached = max(Lake(Home.default()).head().through.values(), default=day)
    if (context["dag_run"].run_type == "scheduled" or not chosen) and leaps(reached, day):
        raise AirflowSkipException(
            f"The lake stands at {reached}; without being told to, it does not leap to {day}.\n"
            f"  next:  kanta run --from {reached + timedelta(days=1)} --to {day}, or trigger it with a business date"
        )
    return day


def leaps(reached: date, day: date) -> bool:
    """Whether more than a week lies between what the lake has worked through and ``day``.

    After a backfill of old dates Airflow makes up for its own last midnight, too. On a lake of old nights that one
    run would expire every point; on a living one, a week without nights is for a person to look at.
    """
    return day - reached > timedelta(days=7)


def announce(day: date, outcome: Mapping[str, Any]) -> dict[str, Any]:
    """Says of the task's assets which business date is there now and what was counted; returns the same.

    The partition is named here, and not left to the run, so that a run started by hand with a parameter goes on
    downstream like any other.
    """
    context = get_current_context()
    facts = {"business_date": day.isoformat(), **json.loads(json.dumps(outcome, default=str))}
    for asset in context["task"].outlets:
        event = context["outlet_events"][asset]
        event.add_partitions(day.isoformat())
        event.extra = facts
    return facts


def explain_failure(context: Mapping[str, Any]) -> None:
    """Prints what happened, where, and the next command: the last lines of a failed task's log."""
    print(failure(context), flush=True)


def failure(context: Mapping[str, Any]) -> str:
    """The message of a failed task: what, where, and what to do next."""
    dag_id, task_id = context["dag"].dag_id, context["ti"].task_id
    try:
        day = business_date(context).isoformat()
    except BadArguments:
        day = "DATE"
    stage = {"data_groups": "distribution"}.get(task_id, task_id)
    command = "kanta maintenance" if task_id == "maintenance" else f"kanta run --date {day} --stage {stage}"
    error = str(context.get("exception") or "It was stopped, or its process died.").replace("\n", "\n         ")
    return (
        f"{task_id} failed for business date {day}.\n"
        f"  what:  {error}\n"
        f"  where: DAG {dag_id}, run {context['run_id']}, try {context['ti'].try_number}\n"
        f"  next:  {command}\n"
        "         does the same outside Airflow; once it is mended, clear the task here and the night goes on from it."
    )


#: What a second try would only repeat.
_FINAL: list[type[BaseException] | str] = [
    "kanta.errors.BadProgramme",
    "kanta.errors.BadArguments",
    "kanta.errors.CheckFailed",
]

#: What every DAG and each of its tasks has in common.
DEFAULTS: dict[str, Any] = {
    "catchup": False,
    "max_active_runs": 1,
    "params": BUSINESS_DATE,
    "default_args": {
        "owner": "loyalty",
        "pool": LAKE,
        "retries": 2,
        "retry_delay": timedelta(minutes=5),
        "retry_policy": ExceptionRetryPolicy(rules=[RetryRule(exception=_FINAL, action=RetryAction.FAIL)]),
        "execution_timeout": timedelta(hours=2),
        "on_failure_callback": explain_failure,
    },
}

# ── the stores' cut-off ──────────────────────────────────────────────────────────────────────────────────────────


def cut_off() -> DeadlineAlert | None:
    """The programme's ``deliver_by`` on the opening day, the day after the business date (spec 6-distribution).

    None where Kanta is not installed beside Airflow (``make setup`` does): a reference that its scheduler does not
    know would stop it.
    """
    if not entry_points(group="airflow.plugins", name="kanta"):
        return None
    home = Home.default()
    by = deliver_by(home)
    return DeadlineAlert(
        name="stores' cut-off",
        reference=OpeningDay(time_zone(home)),
        interval=timedelta(hours=by.hour, minutes=by.minute),
        callback=SyncCallback(alert_cut_off),
    )


def deliver_by(home: Home) -> time:
    """The local time of the opening day by which packages are to be there (``distribution.deliver_by``)."""
    try:
        rules = programme.load(home.programme, conditions=False).distribution
    except BadProgramme:
        rules = Distribution()
    return time.fromisoformat(rules.deliver_by)


@dataclass
class OpeningDay(BaseDeadlineReference):
    """Counts a deadline from the midnight that starts the opening day.

    Airflow's own references do not fit: a partitioned run has no logical date, and a run that is queued late would
    only push the deadline back. Runs made later than that day (backfills) have no deadline.
    """

    time_zone: str = "UTC"
    required_kwargs = frozenset({"dag_id", "run_id"})

    def serialize_reference(self) -> dict[str, Any]:
        return {**super().serialize_reference(), "time_zone": self.time_zone}

    @classmethod
    def deserialize_reference(cls, reference_data: dict[str, Any]) -> OpeningDay:
        return cls(reference_data["time_zone"])

    def _evaluate_with(self, *, session: Session, dag_id: str, run_id: str) -> datetime | None:
        from airflow.models import DagRun
        from sqlalchemy import select

        run = select(DagRun.partition_key, DagRun.run_after).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id)
        key, made = session.execute(run).one()
        try:
            return opening(date.fromisoformat(key or ""), made, self.time_zone)
        except ValueError:  # no partition, or one that the first task will refuse; raised here, it stops the scheduler
            return None


def opening(day: date, made: datetime, zone: str) -> datetime | None:
    """The midnight before the stores open after business date ``day``; None for a run made after that day."""
    midnight = datetime.combine(day + timedelta(days=1), time(), ZoneInfo(zone))
    return midnight if made < midnight + timedelta(days=1) else None


def alert_cut_off(context: Mapping[str, Any]) -> None:
    """Prints which stores may open without tonight's packages, and what to do."""
    run, due = context["dag_run"], context["deadline"]["deadline_time"]
    print(
        f"Packages of business date {run['partition_key']} are not all available at the stores' cut-off.\n"
        f"  stores: {_late(run['partition_key'])}\n"
        f"  where:  DAG {run['dag_id']}, run {run['dag_run_id']}, due {due}\n"
        "  next:   kanta distribution status",
        flush=True,
    )


def _late(key: str) -> str:
    """The stores without packages; an alert is given whatever is wrong with finding them."""
    from kanta.distribution import figures

    try:
        late = figures.late(Home.default(), date.fromisoformat(key))
    except Exception as error:
        return f"all ({str(error).splitlines()[0]})"
    return f"{len(late)}: {', '.join(late[:20])}{' …' if len(late) > 20 else ''}" if late else "none any more"
