"""What Airflow itself must know of Kanta: the lake's pool and the cut-off's reference (entry point airflow.plugins)."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Any

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

from kanta.errors import KantaError
from kanta.home import Home
from kanta.orchestration import LAKE, OpeningDay


@hookimpl
def on_starting(component: Any) -> None:
    """Makes the pool when Airflow starts: tasks of a pool that is not there wait for ever, and nobody is told."""
    from airflow.jobs.job import Job
    from airflow.models import Pool
    from sqlalchemy.exc import IntegrityError

    if isinstance(component, Job) and Pool.get_pool(LAKE) is None:
        with suppress(IntegrityError):  # Airflow's processes start together: another one was first
            Pool.create_or_update_pool(LAKE, slots=1, description="The lake has one writer.", include_deferred=False)


def _analysts_page() -> str:
    """Where the analysts' page is, as settings.yaml says; a wrong one must not keep Airflow from starting."""
    with suppress(KantaError):
        return Home.default().settings.analysts_url or "http://localhost:2718"
    return "http://localhost:2718"


class KantaPlugin(AirflowPlugin):
    """Found by Airflow because Kanta is installed beside it."""

    name = "kanta"
    listeners = [sys.modules[__name__]]  # noqa: RUF012
    deadline_references = [OpeningDay]  # noqa: RUF012
    external_views = [  # noqa: RUF012
        {"name": "Analysts' page", "href": _analysts_page(), "destination": "nav", "category": "browse"}
    ]
