"""What the DAG files share: the business date, leaps, failures, retries, the stores' cut-off, the pool."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from kanta.errors import BadArguments, BadProgramme, Busy, CheckFailed, KantaError
from kanta.home import Home

DAY = date(2017, 2, 11)
#: 03:30 UTC of the 13th is still the 12th in New York, so the business date that ended is the 11th.
MADE = datetime(2017, 2, 13, 3, 30, tzinfo=UTC)


def context(**changes: Any) -> dict[str, Any]:
    """What a running task can see."""
    return {
        "partition_key": None,
        "params": {"business_date": None},
        "run_id": "run-1",
        "dag_run": SimpleNamespace(run_after=MADE, run_type="asset_triggered"),
        "dag": SimpleNamespace(dag_id="loyalty"),
        "ti": SimpleNamespace(task_id="loyalty", try_number=3),
    } | changes


# ── the business date ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("key", "given", "expected"),
    [
        ("2017-02-08", None, date(2017, 2, 8)),
        (None, "2017-02-09", date(2017, 2, 9)),
        ("2017-02-08", "2017-02-08", date(2017, 2, 8)),
        (None, None, DAY),
    ],
)
def test_the_business_date_is_the_partition_else_the_parameter_else_the_date_that_ended(key, given, expected):
    from kanta.orchestration import business_date

    assert business_date(context(partition_key=key, params={"business_date": given})) == expected


@pytest.mark.parametrize(
    ("key", "given"), [("2017-02-08", "2017-02-09"), ("2017-02-08T00:00:00", None), ("north", None)]
)
def test_a_partition_that_is_no_date_or_not_the_parameters_is_refused(key, given):
    from kanta.orchestration import business_date

    with pytest.raises(BadArguments, match=f"partition {key}, parameter business_date {given}"):
        business_date(context(partition_key=key, params={"business_date": given}))


# ── leaps ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def standing(monkeypatch):
    """Puts the lake's head on a date, and a task of a given context to run."""
    from kanta import lake, orchestration

    def stand(reached: date | None, **changes: Any) -> None:
        state = lake.State(through={"ingest_pos": reached} if reached else {})
        monkeypatch.setattr(lake.Lake, "head", lambda self: state)
        monkeypatch.setattr(orchestration, "get_current_context", lambda: context(**changes))

    return stand


SCHEDULED = SimpleNamespace(run_after=MADE, run_type="scheduled")
MANUAL = SimpleNamespace(run_after=MADE, run_type="manual")


@pytest.mark.parametrize(
    ("why", "changes"),
    [
        ("the timer", {"dag_run": SCHEDULED, "partition_key": "2017-02-11"}),
        ("a click without a date", {"dag_run": MANUAL}),
    ],
)
def test_a_date_that_nobody_chose_is_skipped_when_it_leaps_more_than_a_week_and_says_what_to_do(standing, why, changes):
    from airflow.sdk.exceptions import AirflowSkipException

    from kanta.orchestration import tonight

    standing(DAY - timedelta(days=8), **changes)
    with pytest.raises(AirflowSkipException, match="kanta run --from 2017-02-04 --to 2017-02-11"):
        tonight()


@pytest.mark.parametrize(
    ("why", "reached", "changes"),
    [
        ("the timer, a week on", DAY - timedelta(days=7), {"dag_run": SCHEDULED, "partition_key": "2017-02-11"}),
        ("the timer, an empty lake", None, {"dag_run": SCHEDULED, "partition_key": "2017-02-11"}),
        ("the timer, an old date", DAY + timedelta(days=99), {"dag_run": SCHEDULED, "partition_key": "2017-02-11"}),
        ("a chosen date", date(2016, 1, 1), {"dag_run": MANUAL, "params": {"business_date": "2017-02-11"}}),
        ("a backfill or an upstream asset", date(2016, 1, 1), {"partition_key": "2017-02-11"}),
    ],
)
def test_other_dates_are_run(standing, why, reached, changes):
    from kanta.orchestration import tonight

    standing(reached, **changes)
    assert tonight() == DAY, why


# ── failures ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("dag_id", "task_id", "command"),
    [
        ("loyalty", "loyalty", "kanta run --date 2017-02-11 --stage loyalty"),
        ("rfm", "publish", "kanta run --date 2017-02-11 --stage publish"),
        ("distribution", "data_groups", "kanta run --date 2017-02-11 --stage distribution"),
        ("maintenance", "maintenance", "kanta maintenance"),
    ],
)
def test_a_failure_says_what_where_and_a_command_that_exists(dag_id, task_id, command, capsys):
    from kanta.cli import _parser
    from kanta.orchestration import explain_failure

    error = KantaError("Two lots overlap", where="loyalty.lots", next_step="kanta verify")
    failed = context(
        partition_key="2017-02-11",
        dag=SimpleNamespace(dag_id=dag_id),
        ti=SimpleNamespace(task_id=task_id, try_number=3),
        exception=error,
    )
    explain_failure(failed)
    printed = capsys.readouterr().out
    assert f"{task_id} failed for business date 2017-02-11" in printed
    for part in ("Two lots overlap", "loyalty.lots", "kanta verify", f"DAG {dag_id}, run run-1, try 3", command):
        assert part in printed
    assert _parser().parse_args(command.split()[1:])


def test_a_failure_without_an_exception_or_a_date_is_told_too():
    from kanta.orchestration import failure

    text = failure(context(partition_key="2017-02-08", params={"business_date": "2017-02-09"}))
    assert "its process died" in text
    assert "kanta run --date DATE --stage loyalty" in text


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (BadProgramme(["tiers.yaml:3: level: twice"]), "fail"),
        (BadArguments("no"), "fail"),
        (CheckFailed("a breach"), "fail"),
        (Busy("another run"), "default"),
        (OSError("disk full"), "default"),
    ],
)
def test_only_what_can_change_by_itself_is_tried_again(error, expected):
    from kanta.orchestration import DEFAULTS

    assert DEFAULTS["default_args"]["retry_policy"].evaluate(error, 1, 3).action.value == expected


# ── the stores' cut-off ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        ("in time", datetime(2017, 2, 12, 5, tzinfo=UTC)),
        ("late, before the day is over", datetime(2017, 2, 12, 5, tzinfo=UTC)),
        ("by a backfill", None),
    ],
)
def test_the_deadline_counts_from_the_opening_days_midnight_where_the_stores_are(made, expected):
    from kanta.orchestration import opening

    at = {
        "in time": "2017-02-12T05:20",
        "late, before the day is over": "2017-02-13T04:59",
        "by a backfill": "2026-11-21",
    }
    assert opening(DAY, datetime.fromisoformat(at[made]).replace(tzinfo=UTC), "America/New_York") == expected


def test_the_deadline_is_the_programmes_deliver_by_where_the_stores_are(home, monkeypatch):
    from kanta import orchestration

    monkeypatch.setattr(orchestration, "entry_points", lambda **selection: selection["name"] == "kanta")
    file = home / "programme" / "distribution.yaml"
    file.write_text(file.read_text().replace('"05:00"', '"06:30"'))
    deadline = orchestration.cut_off()
    assert deadline.interval == timedelta(hours=6, minutes=30)
    assert deadline.reference == orchestration.OpeningDay("America/New_York")
    again = type(deadline.reference).deserialize_reference(deadline.reference.serialize_reference())
    assert again == deadline.reference


def test_there_is_no_deadline_where_airflow_does_not_know_its_reference(monkeypatch):
    from kanta import orchestration

    monkeypatch.setattr(orchestration, "entry_points", lambda **selection: [])
    assert orchestration.cut_off() is None


def test_airflow_works_the_deadline_out_from_the_runs_partition():
    from airflow.models import DagRun
    from airflow.utils.session import create_session

    from kanta.orchestration import OpeningDay

    day = OpeningDay("America/New_York")
    with create_session() as session:
        keys = {"with": "2017-02-11", "without": None, "strange": "north"}
        for run_id, key in keys.items():
            run = DagRun(dag_id="distribution", run_id=run_id, run_type="manual", run_after=MADE, partition_key=key)
            session.add(run)
        session.flush()
        due = {id_: day._evaluate_with(session=session, dag_id="distribution", run_id=id_) for id_ in keys}
        session.rollback()
    assert due == {"with": datetime(2017, 2, 12, 5, tzinfo=UTC), "without": None, "strange": None}


def test_a_missed_cut_off_says_which_date_where_and_what_next(capsys):
    from kanta.orchestration import alert_cut_off

    run = {"dag_id": "distribution", "dag_run_id": "run-1", "partition_key": "2017-02-11"}
    alert_cut_off({"dag_run": run, "deadline": {"deadline_time": "2017-02-12 10:00:00+00:00"}})
    printed = capsys.readouterr().out
    for part in ("2017-02-11", "DAG distribution, run run-1", "2017-02-12 10:00", "kanta distribution status"):
        assert part in printed


# ── settings ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("content", ["", "time_zone:\n", "time_zone: Nowhere\n", "a: [", "- 1\n", "\x00"])
def test_a_programme_with_problems_does_not_take_the_dags_off_the_page(home, content):
    from kanta.orchestration import deliver_by, time_zone

    for file in (home / "programme").iterdir():
        file.write_text(content)
    assert (time_zone(Home(home)), deliver_by(Home(home))) == ("UTC", time(5))


# ── the pool ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_pool_has_one_slot_and_is_made_when_airflow_starts_but_never_changed():
    from airflow.jobs.job import Job
    from airflow.models import Pool

    from kanta.airflow_plugin import on_starting

    assert Pool.get_pool("lake") is None
    on_starting("a task's process")
    assert Pool.get_pool("lake") is None
    on_starting(Job())
    assert Pool.get_pool("lake").slots == 1
    Pool.create_or_update_pool("lake", slots=3, description="an operator's own", include_deferred=False)
    on_starting(Job())
    assert Pool.get_pool("lake").slots == 3
