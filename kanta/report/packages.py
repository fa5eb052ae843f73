"""Where the store databases stand."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from kanta.report.nights import Window


@dataclass(frozen=True)
class Session:
    """Where one store database stands with one job: its newest session, and the newest it has applied."""

    database: str
    job: str
    sequence: int
    business_date: date
    mode: str | None
    rows: int | None
    bytes: int | None
    state: str
    reason: str | None
    applied: date | None

    @property
    def failed(self) -> bool:
        return self.state.endswith("_failed") or self.state == "suspended"


@dataclass(frozen=True)
class Silent:
    """A store database that has not taken a job's packages since the night of ``since``, ``nights`` ago."""

    database: str
    job: str
    since: date
    packages: int
    state: str
    nights: int


_SESSIONS = """
with

sessions as (
    select
        *,
        row_number() over (partition by database, job order by sequence desc) as newest,
        max(business_date) filter (where state = 'applied') over (partition by database, job) as applied
    from distribution.session_states
    where business_date <= $night
)

select database, job, sequence, business_date, mode, rows, bytes, state, reason, applied
from sessions
where newest = 1
order by not (state like '%\\_failed' escape '\\' or state = 'suspended'), database, job
"""


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


def read(window: Window) -> list[Session]:
    """One for each store database and job, failed ones first."""
    return window.each(Session, _SESSIONS)


def silent(window: Window) -> list[Silent]:
    """The lines that have not taken packages of earlier nights, the longest silent first."""
    return window.each(Silent, SILENT)


def doubted(window: Window) -> list[tuple[str, str, str]]:
    """Tonight's files of the inbox that are not believed: database, job, and the word that says why."""
    return window.rows(
        "select database, job, disbelief from distribution.acknowledgements"
        " where posted_date = $night and disbelief is not null order by all"
    )
