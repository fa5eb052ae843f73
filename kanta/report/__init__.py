"""``kanta report``: one self-contained HTML page of a night (spec 1-interfaces section 1).

:func:`of_night` reads the figures, :func:`html` draws them. A section of the page is a module here, which reads it,
and a template of the same name. The page holds no personal value and no row as it came, loads nothing and runs no
script; the same lake gives the same page.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

from kanta.engine import Engine
from kanta.home import Home
from kanta.lake import Lake, write_atomically
from kanta.night import BEGINNING, Night
from kanta.report import (
    ahead,
    checks,
    customers,
    drops,
    findings,
    nights,
    orders,
    packages,
    points,
    quarantine,
    segments,
    showing,
    stores,
    tiers,
    times,
)
from kanta.report.ahead import Ahead
from kanta.report.checks import Checks
from kanta.report.customers import Customers
from kanta.report.drops import Drop, FeedDrops
from kanta.report.findings import Finding
from kanta.report.orders import Orders
from kanta.report.packages import Session, Silent
from kanta.report.points import Points
from kanta.report.quarantine import Refused, RefusedBy
from kanta.report.segments import Analysis
from kanta.report.stores import StoreDays
from kanta.report.tiers import Program
from kanta.report.times import Stage

#: The sections in the page's order, by the name of their template.
SECTIONS = (
    "drops", "checks", "quarantine", "stores", "customers", "points", "tiers", "ahead", "segments", "orders",
    "packages", "times",
)  # fmt: skip

TABLES = (
    "distribution.acknowledgements", "distribution.session_states", "loyalty.balances",
    "loyalty.card_tiers", "loyalty.entries", "loyalty.exceptions",
    "ops.checks", "ops.drops", "ops.quarantine", "ops.runs", "ops.store_days", "programme.calendar",
    "programme.reward_points",
    "rfm.lifetime_models", "rfm.scores", "rfm.segments", "sales.transactions", *ahead.TABLES, *customers.TABLES,
)  # fmt: skip


@dataclass(frozen=True)
class Report:
    """All figures of one night's page. ``number`` is the publication's; 0: readers do not see this night."""

    night: date
    previous: date | None
    number: int
    documents: int
    drops: list[FeedDrops]
    late: list[Drop]
    missing: list[tuple[str, date]]
    checks: Checks
    refused_by: list[RefusedBy]
    refused: list[Refused]
    stores: StoreDays
    customers: Customers
    points: list[Points]
    exceptions: list[tuple[str, int, int]]
    programs: list[Program]
    ahead: Ahead
    analyses: list[Analysis]
    orders: Orders
    sessions: list[Session]
    silent: list[Silent]
    doubted: list[tuple[str, str, str]]
    stages: list[Stage]
    pending: list[Finding] = field(default_factory=list)

    @property
    def opening_day(self) -> date:
        """The day stores open on what the night made."""
        return self.night + timedelta(days=1)

    @property
    def findings(self) -> list[Finding]:
        """What needs a look, the gravest first."""
        order = {"critical": 0, "warning": 1, "note": 2}
        return sorted([*self.pending, *findings.of(self)], key=lambda finding: order[finding.level])


def write(home: Home, business_date: date | None = None, output: Path | None = None) -> Path:
    """Writes the page of a night (default: the last published one) whole or not at all; returns its place.

    ``output``: the file (default: ``<home>/reports/<business date>.html``). Raises as :func:`of_night`.
    """
    report = of_night(home, business_date)
    path = output or home.reports / f"{report.night}.html"
    write_atomically(path, html(report))
    return path


def html(report: Report) -> str:
    """The page; whatever text the data holds is shown as text."""
    return showing.page("page.html", report=report, sections=SECTIONS)


def of_night(home: Home, business_date: date | None = None) -> Report:
    """The figures of a night (default: the last published one), as the lake stood after it.

    Package states are as stores have acknowledged them since. Raises KantaError when nothing was run, BadArguments
    for a date that no night ended with.
    """
    lake = Lake(home)
    state, day, pending = nights.state_of(lake, business_date)
    with Engine(lake.root / "work", shared=True) as engine:
        night = Night(home, lake, engine, "report", state, day)
        night.attach(*TABLES)
        return _read(night, pending)


def _read(night: Night, pending: list[Finding]) -> Report:
    window = nights.window(night)
    return Report(
        night=night.business_date,
        previous=window.previous if window.previous > BEGINNING else None,
        number=night.state.number,
        documents=window.rows("select count(*) from sales.transactions where business_date = $night")[0][0],
        drops=drops.taken(window),
        late=drops.late(window),
        missing=drops.missing(window),
        checks=checks.read(window),
        refused_by=quarantine.by_rule(window),
        refused=quarantine.first(window),
        stores=stores.read(window),
        customers=customers.of(night),
        points=points.read(window),
        exceptions=points.exceptions(window),
        programs=tiers.read(window),
        ahead=ahead.read(window),
        analyses=segments.read(window),
        orders=orders.read(night, window.previous),
        sessions=packages.read(window),
        silent=packages.silent(window),
        doubted=packages.doubted(window),
        stages=times.read(window),
        pending=pending,
    )
