"""What people are told of the stores: who is silent for how long, who may open without tonight's packages."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

from kanta.distribution import sending, view
from kanta.engine import Engine
from kanta.home import Home
from kanta.lake import Lake
from kanta.night import Night

#: The lines with packages of earlier nights that their store has not taken, the longest silent first.
SILENT = """
select
    database,
    job,
    min(business_date) as since,
    count(*) as packages,
    max_by(state, sequence) as state,
    $night - min(business_date) as nights
from distribution.session_states
where
    state in ('available', 'requested', 'downloaded', 'download_failed', 'apply_failed', 'suspended')
    and business_date <= $night
group by
    database,
    job
having min(business_date) < $night
order by since, database, job
"""

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


@dataclass(frozen=True)
class Silent:
    """A store database that has not taken a job's packages since the night of ``since``, ``nights`` ago."""

    database: str
    job: str
    since: date
    packages: int
    state: str
    nights: int


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
