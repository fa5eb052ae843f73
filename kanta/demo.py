"""``kanta demo``: builds a home from the sample feed, runs every night of it, and prints what came out.

The home is built anew each time, so that running it twice gives the same. Only what the demo itself made is removed:
its folders, in a home that holds its marker. The programme stays as it is.
"""

from __future__ import annotations

import json
import shlex
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from kanta import distribution, night, quality, reading, report, store
from kanta.engine import Engine
from kanta.errors import BadArguments
from kanta.home import REPOSITORY, Home
from kanta.report import quarantine

SAMPLE = REPOSITORY / "data" / "sample"
PROGRAMME = REPOSITORY / "data" / "programme"

#: In a home that the demo built; without it nothing there is removed.
MARKER = ".kanta-demo"

#: What the demo makes in a home, and removes to make it anew.
FOLDERS = ("landing", "lake", "outbox", "inbox", "reports", "stores")

#: How many nights at the end are worked one by one, so that there are nights to compare and to look back at.
SINGLE_NIGHTS = 2

#: How many stores apply their packages; the packages of the others stay in the outbox.
STORES = 3

#: How long the summary's longest bar is.
BAR = 32


@dataclass(frozen=True)
class Leg:
    """Nights that are worked as one run: ``first`` to ``last``, both included."""

    first: date
    last: date

    def holds(self, day: date) -> bool:
        return self.first <= day <= self.last

    def __str__(self) -> str:
        return f"night of {self.last}" if self.first == self.last else f"nights to {self.last}"


@dataclass(frozen=True)
class Outcome:
    """What the demo made, as it stands in the lake. Counts are by what they count: reason, tier, segment, state.

    ``rows``: came in, accepted, set aside, known before; ``made``: documents, lines, ledger entries; ``points``: for
    each reward point issued, used, expired, outstanding; ``to_try``: commands, and what each shows.
    """

    home: Path
    report: Path
    first: date
    last: date
    runs: int
    dags: list[str]
    seconds: float
    rows: tuple[int, int, int, int]
    made: tuple[int, int, int]
    quarantine: dict[str, int]
    exceptions: dict[str, int]
    points: dict[str, tuple[Decimal, Decimal, Decimal, Decimal]]
    tiers: dict[str, dict[str, int]]
    segments: dict[str, dict[str, int]]
    packages: dict[str, int]
    to_try: list[tuple[str, str]]

    @property
    def nights(self) -> int:
        return (self.last - self.first).days + 1


def run(home: Home, *, quiet: bool = False, as_json: bool = False, airflow: bool = False) -> int:
    """Builds the home, runs its nights, applies packages of some stores, writes the report; returns the exit code 0.

    What is set aside is set aside on purpose, so the exit code is not 3. ``airflow``: the last night goes through the
    real DAGs, each of which must succeed. Raises BadArguments for a home with something in it that the demo did not
    make, and as ``kanta.night.run`` does.
    """
    begun = time.perf_counter()
    home = _fresh(home)
    first, last = _span(SAMPLE / "landing")
    legs = plan(first, last, _dates(SAMPLE / "late"))
    progress = _Progress(night.Reporter(quiet=quiet or as_json), of=len(legs) + 1)
    _work(home, legs[:-1] if airflow else legs, progress)
    dags = progress.step(f"{legs[-1]}, DAGs", partial(_work_by_dags, home, legs[-1], progress)) if airflow else []
    progress.step("stores", partial(_open_stores, home, last))
    outcome = Outcome(
        home=home.root, report=report.write(home), first=first, last=last, runs=len(legs), dags=dags,
        seconds=round(time.perf_counter() - begun, 1), **_figures(home),
    )  # fmt: skip
    if as_json:
        print(json.dumps(asdict(outcome), default=str))
    elif not quiet:
        print(text(outcome))
    return 0


# ── the home ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _fresh(home: Home) -> Home:
    """The home with a programme, the demo's marker, and nothing else of the demo."""
    moved = [name for name in FOLDERS if getattr(home, name, home.root / name) != home.root / name]
    if moved:
        raise BadArguments(
            f"settings.yaml puts {', '.join(moved)} elsewhere; the demo builds inside its home only",
            where=str(home.programme / "settings.yaml"),
            next_step="kanta demo --home DIR",
        )
    there = [name for name in FOLDERS if (home.root / name).exists()]
    own = (home.root / MARKER).is_file()
    if foreign := [name for name in there if not own or (home.root / name).is_symlink()]:
        raise BadArguments(
            f"This home holds {', '.join(foreign)}, which the demo did not make",
            where=str(home.root),
            next_step="kanta demo --home DIR   builds one elsewhere",
        )
    home.make_private()
    (home.root / MARKER).write_text("kanta demo built this home and may build it anew.\n", encoding="utf-8")
    for name in there:
        shutil.rmtree(home.root / name)
    if not home.programme.exists():
        shutil.copytree(PROGRAMME, home.programme)
    return Home(home.root)


# ── the nights ───────────────────────────────────────────────────────────────────────────────────────────────────


def plan(first: date, last: date, arrivals: Iterable[date]) -> list[Leg]:
    """The nights as few runs: a new one where something comes late, and one for each of the last nights.

    What comes late must find the nights before it worked: only then are there late facts, and corrections.
    """
    single = (last - timedelta(days=back) for back in range(SINGLE_NIGHTS))
    starts = sorted({first, *(day for day in (*arrivals, *single) if first < day <= last)})
    ends = [*(start - timedelta(days=1) for start in starts[1:]), last]
    return [Leg(start, end) for start, end in zip(starts, ends, strict=True)]


def _work(home: Home, legs: Sequence[Leg], progress: _Progress) -> None:
    with quality.Judge() as judge:
        for leg in legs:
            progress.step(str(leg), partial(_work_one, home, leg, judge))


def _work_one(home: Home, leg: Leg, judge: quality.Judge) -> None:
    _deliver(home, leg)
    night.run(home, leg.first, leg.last, judge=judge)


def _work_by_dags(home: Home, leg: Leg, progress: _Progress) -> list[str]:
    from kanta import dag_runs

    _deliver(home, leg)
    return dag_runs.run_dags(home, leg.last, say=progress.say)


def _deliver(home: Home, leg: Leg) -> None:
    """Copies what comes in these nights into landing: their own drops, then what comes late or again."""
    on_time = [drop for drop in (SAMPLE / "landing").glob("*/*/*") if leg.holds(date.fromisoformat(drop.parent.name))]
    late = [
        drop for day in _dates(SAMPLE / "late") if leg.holds(day) for drop in (SAMPLE / "late" / str(day)).glob("*/*/*")
    ]
    for drop in (*on_time, *late):
        place = home.landing.joinpath(*drop.parts[-3:])
        shutil.rmtree(place, ignore_errors=True)
        # A new time for each file: a drop that comes again is known by it.
        shutil.copytree(drop, place, copy_function=shutil.copyfile)


def _span(landing: Path) -> tuple[date, date]:
    days = sorted(day for feed in landing.iterdir() for day in _dates(feed))
    return days[0], days[-1]


def _dates(folder: Path) -> list[date]:
    return sorted(date.fromisoformat(path.name) for path in folder.iterdir())


def _open_stores(home: Home, business_date: date) -> None:
    """Some stores bring their own databases up to date and answer; head office takes the answers in."""
    engine, _ = reading.open_lake(home, ["reference.channels"])
    with engine:
        databases = engine.rows(
            "select distinct database from reference.channels where kind = 'store' order by database limit $stores",
            {"stores": STORES},
        )
    (home.root / "stores").mkdir(exist_ok=True)
    for (database,) in databases:
        store.apply([home.outbox / database], home.root / "stores" / f"{database}.duckdb", home.inbox)
    distribution.acknowledge(home, business_date)


Made = TypeVar("Made")


@dataclass
class _Progress:
    """Steps of the demo: a bar on a terminal, a line for each elsewhere."""

    reporter: night.Reporter
    of: int
    done: int = 0

    def say(self, line: str) -> None:
        """A line, where no bar is drawn."""
        if not sys.stderr.isatty():
            self.reporter.say(line)

    def step(self, what: str, work: Callable[[], Made]) -> Made:
        """Does one step; returns what it made."""
        self.reporter.progress(what, self.done, self.of)
        begun = time.perf_counter()
        made = work()
        self.done += 1
        self.say(f"{what:<28} {time.perf_counter() - begun:6.1f} s")
        if self.done == self.of:
            self.reporter.progress(what, self.done, self.of)
        return made


# ── what came out ────────────────────────────────────────────────────────────────────────────────────────────────


def _figures(home: Home) -> dict[str, Any]:
    """The figures of the outcome, read from what is published."""
    page = report.of_night(home)
    tables = ["loyalty.balances", "loyalty.entries", "ops.runs", "sales.lines", "sales.transactions"]
    engine, _ = reading.open_lake(home, tables)
    with engine:
        return {
            "rows": engine.rows(_ROWS)[0],
            "made": engine.rows(_MADE)[0],
            "quarantine": _refused(page.refused_by),
            "exceptions": {reason.replace("_", " "): count for reason, _, count in page.exceptions},
            "points": {name: tuple(amounts) for name, *amounts in engine.rows(_POINTS)},
            "tiers": {
                program.program_id: {tier.tier_id: tier.cards_next for tier in program.tiers}
                for program in page.programs
            },
            "segments": {
                analysis.definition: {segment.name: segment.customers for segment in analysis.segments}
                for analysis in page.analyses
            },
            "packages": dict(sorted(Counter(session.state.replace("_", " ") for session in page.sessions).items())),
            "to_try": _commands(home, engine, page),
        }


# As the nights counted them: of a drop that came again both deliveries are in it.
_ROWS = """
select
    cast(sum(rows_in) as bigint),
    cast(sum(cast(json_extract(detail, '$.accepted') as bigint)) as bigint),
    cast(sum(cast(json_extract(detail, '$.refused') as bigint)) as bigint),
    cast(sum(cast(json_extract(detail, '$.repeated') as bigint)) as bigint)
from ops.runs
where stage in ('ingest_hq', 'ingest_pos', 'ingest_call_center')
"""

_MADE = """
select
    (select count(*) from sales.transactions),
    (select count(*) from sales.lines),
    (select count(*) from loyalty.entries)
"""

_POINTS = """
select reward_point_id, sum(issued), sum(used), sum(expired), sum(available + unvested)
from loyalty.balances
group by reward_point_id
order by reward_point_id
"""


def _refused(rules: Iterable[quarantine.RefusedBy]) -> dict[str, int]:
    """How often each reason is given; several rules may give the same."""
    counted = Counter[str]()
    for rule in rules:
        counted[rule.reason] += rule.open
    return dict(counted)


def _commands(home: Home, engine: Engine, page: report.Report) -> list[tuple[str, str]]:
    """Commands worth trying, with ids that show something, and what they show."""
    returns = engine.rows(
        "select transaction_id from loyalty.entries where entry_type = 'return_earned'"
        " group by transaction_id order by sum(points), transaction_id limit 1"
    )
    refused = [(row, row.rule.partition(":")[2]) for row in page.refused if row.rule.startswith("type:")][:1]
    balances = "select reward_point_id, sum(available) as available from loyalty.balances group by all order by all"
    found = [
        *(
            (f"kanta explain transaction {shlex.quote(row[0])}", "a return: what it took back, and why")
            for row in returns
        ),
        *(
            (
                row.command,
                f"a row set aside; kanta quarantine release {row.quarantine_id} --set {column}=… puts it right",
            )
            for row, column in refused
        ),
        (f'kanta query "{balances}" --as-of {page.previous or page.night}', "the lake as it stood a night before"),
    ]
    prefix = "" if home == Home.default() else f"KANTA_HOME={shlex.quote(str(home.root))} "
    return [(prefix + command, shows) for command, shows in found]


def text(outcome: Outcome) -> str:
    """The summary for people."""
    came, accepted, refused, repeated = outcome.rows
    documents, lines, entries = outcome.made
    most = max((count for segments in outcome.segments.values() for count in segments.values()), default=0) or 1
    dags = f"The last night went through the DAGs {', '.join(outcome.dags)}; each run succeeded."
    said = [
        "",
        f"Kanta worked {outcome.nights} nights, {outcome.first} to {outcome.last}, in {outcome.runs} runs"
        f" and {outcome.seconds:.0f} s.",
        *([dags] if outcome.dags else []),
        "",
        *_headed(
            "Rows",
            f"{came:,} came in: {accepted:,} accepted, {refused:,} set aside, {repeated:,} known before,"
            f" {came - accepted - refused - repeated:,} lost",
            f"{documents:,} receipts and orders of {lines:,} lines made {entries:,} ledger entries",
        ),
        *_headed(
            "Quarantine",
            f"{sum(outcome.quarantine.values()):,} rows and files are still set aside, all of them on purpose:",
            *(f"{count:>5,}  {reason}" for reason, count in outcome.quarantine.items()),
            f"and {sum(outcome.exceptions.values()):,} sales stand whose points wait:",
            *(f"{count:>5,}  {reason}" for reason, count in outcome.exceptions.items()),
        ),
        *_headed(
            "Points",
            f"{'':<10}{'issued':>12}{'used':>12}{'expired':>12}{'outstanding':>14}",
            *(
                f"{name:<10}{issued:>12,}{used:>12,}{expired:>12,}{outstanding:>14,}"
                for name, (issued, used, expired, outstanding) in outcome.points.items()
            ),
        ),
        *_headed("Tiers", *(f"{program}: {_counts(tiers)}" for program, tiers in outcome.tiers.items())),
        *_headed(
            "Segments",
            *(
                f"{name:<20}{'█' * round(BAR * count / most):<{BAR}}{count:>6,}"
                for segments in outcome.segments.values()
                for name, count in segments.items()
            ),
        ),
        *_headed("Packages", f"the newest of each store and job: {_counts(outcome.packages)}"),
        *_headed("Report", str(outcome.report)),
        "",
        "Try next",
        *(f"  {command}\n      {shows}" for command, shows in outcome.to_try),
    ]
    return "\n".join(said)


def _headed(head: str, *lines: str) -> list[str]:
    return [f"{head if not number else '':<12}{line}" for number, line in enumerate(lines)]


def _counts(counted: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {what}" for what, count in counted.items())
