"""Which stores may open without tonight's packages."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

from kanta.distribution import sending, view
from kanta.engine import Engine
from kanta.home import Home
from kanta.lake import Lake
from kanta.night import Night

_SERVED = """
select
    database,
    job
from distribution.session_states
where
    business_date >= $night
    and (was_available or state = 'no_data')
group by
    database,
    job
"""


def late(home: Home, business_date: date) -> list[str]:
    """The databases for which not all packages of a night are available, by name.

    Raises KantaError when the night is not published: then it is all of them.
    """
    with TemporaryDirectory() as folder, view.published(home, business_date, None, Path(folder)) as published:
        wanted = {
            (database.name, job)
            for database in published.databases()
            for job in sending.jobs_of(published.rules, database.data_group)
            if not (database.offline and job in published.rules.exclude_from_offline)
        }
    with TemporaryDirectory() as folder, Engine(Path(folder)) as engine:
        lake = Lake(home)
        Night(home, lake, engine, "distribution", lake.head(), business_date).attach("distribution.session_states")
        served = set(engine.rows(_SERVED, {"night": business_date}))
    return sorted({database for database, _ in wanted - served})
