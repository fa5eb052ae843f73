"""``kanta report``: one self-contained HTML page of a night (spec 1-interfaces section 1).

:func:`of_night` reads the figures, :func:`html` draws them with the template beside this file. The page holds no
personal value and no row as it came, loads nothing and runs no script; the same lake gives the same page.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, TypeVar

import jinja2

from kanta import landing, order_report
from kanta.customers import figures
from kanta.distribution.figures import SILENT, Silent
from kanta.engine import Engine
from kanta.errors import BadArguments, KantaError
from kanta.home import Home
from kanta.lake import Lake, State, write_atomically
from kanta.night import BEGINNING, STAGE_NAMES, Night

TEMPLATE = Path(__file__).with_name("report.html")

#: How many refused rows, failed checks, late drops, missing days and stores are listed; the rest is counted.
LISTED = 12

#: How many days the small charts of points look back.
CHART_DAYS = 42

TABLES = (
    "distribution.session_states", "loyalty.balances", "loyalty.card_tiers", "loyalty.entries", "loyalty.exceptions",
    "ops.checks", "ops.drops", "ops.quarantine", "ops.runs", "rfm.scores", "rfm.segments", "sales.transactions",
    *figures.TABLES,
)  # fmt: skip

#: The tables that go on after a night is published.
PACKAGES = "distribution."

#: The lines of a roll-forward between opening and closing, with the kinds of entry each adds up.
MOVEMENTS = {
    "earned": ("earn",),
    "returned": ("return_earned",),
    "redeemed": ("redeem",),
    "refunded": ("refund",),
    "adjusted": ("adjust",),
    "transferred": ("transfer_in", "transfer_out"),
    "expired": ("expire",),
    "written off": ("write_off",),
    "corrections": ("correction",),
}

Level = Literal["critical", "warning", "note"]


@dataclass(frozen=True)
class Finding:
    """Something to look at: what, which section of the page says more, which command helps."""

    level: Level
    text: str
    section: str
    command: str = ""


@dataclass(frozen=True)
class FeedDrops:
    """What the night took from one feed. Rows: as the control files state them, taken, refused, known before."""

    feed: str
    drops: int
    refused_drops: int
    late: int
    expected: int
    accepted: int
    refused: int
    repeated: int


@dataclass(frozen=True)
class Drop:
    """A drop of an earlier night that came tonight, for the first time or again."""

    drop_id: str
    revision: int
    rows: int


@dataclass(frozen=True)
class FailedCheck:
    severity: str
    table: str
    check: str
    observed: str


@dataclass(frozen=True)
class Checks:
    """How the night was judged: severity -> (met, asked), and what was not met."""

    asked: dict[str, tuple[int, int]]
    failed: list[FailedCheck]


@dataclass(frozen=True)
class RefusedBy:
    """Rows and files one rule refused: tonight, and all that still wait; ``level`` and ``reason`` of one of them."""

    rule: str
    level: str
    reason: str
    tonight: int
    open: int


@dataclass(frozen=True)
class Refused:
    """One refused row or file: where it stands and why, never what it says."""

    quarantine_id: str
    drop_id: str
    file: str
    line: int | None
    rule: str
    reason: str

    @property
    def place(self) -> str:
        """The file of the drop, and the line where there is one."""
        return f"{self.file}:{self.line}" if self.line else self.file

    @property
    def command(self) -> str:
        return f"kanta quarantine show {shlex.quote(self.quarantine_id)}"


@dataclass(frozen=True)
class Roll:
    """Points from an opening to a closing: each of MOVEMENTS in its order."""

    opening: Decimal
    movements: dict[str, Decimal]
    closing: Decimal

    @property
    def ties(self) -> bool:
        return self.opening + sum(self.movements.values()) == self.closing


@dataclass(frozen=True)
class Held:
    """What cards hold by loyalty.balances: how many cards, their sum, and what it is made of."""

    cards: int = 0
    balance: Decimal = Decimal(0)
    usable: Decimal = Decimal(0)
    unvested: Decimal = Decimal(0)
    deficit: Decimal = Decimal(0)
    expiring: Decimal = Decimal(0)


@dataclass(frozen=True)
class Points:
    """One reward point of a program: the night, the month, what cards hold, and the outstanding points day by day.

    ``entries``: how many were ever posted.
    """

    program_id: str
    reward_point_id: str
    night: Roll
    month: Roll
    entries: int
    held: Held
    outstanding: list[Decimal]

    @property
    def places(self) -> int:
        """Decimals to show: none where there are only whole points."""
        shown = [self.night.opening, self.month.opening, *self.night.movements.values(), *self.month.movements.values()]
        return 2 if any(amount % 1 for amount in shown) else 0

    @property
    def ties(self) -> bool:
        """Opening and movements make the closing; that is the sum of all entries, and of all balances."""
        return self.night.ties and self.month.ties and self.night.closing == self.month.closing == self.held.balance


@dataclass(frozen=True)
class Tier:
    """Cards whose effective tier this is, on the business date and on the opening day after it."""

    tier_id: str
    cards: int
    cards_next: int


@dataclass(frozen=True)
class Program:
    """A program's tiers, the highest first, and how many cards the night moves up, down, in and out."""

    program_id: str
    tiers: list[Tier]
    up: int = 0
    down: int = 0
    joined: int = 0
    left: int = 0


@dataclass(frozen=True)
class Segment:
    name: str
    customers: int
    share: Decimal | None
    revenue: Decimal
    change: int | None


@dataclass(frozen=True)
class Analysis:
    """The newest date of one RFM definition: its segments, best scores first, and customers by (r, f)."""

    definition: str
    as_of: date
    segments: list[Segment]
    grid: dict[tuple[int, int], int]

    @property
    def divisions(self) -> tuple[int, int]:
        return max((r for r, _ in self.grid), default=0), max((f for _, f in self.grid), default=0)


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
class Stage:
    name: str
    rows_in: int | None
    rows_out: int | None
    seconds: Decimal


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
    customers: figures.Customers
    points: list[Points]
    exceptions: list[tuple[str, int, int]]
    programs: list[Program]
    analyses: list[Analysis]
    orders: order_report.Orders
    sessions: list[Session]
    silent: list[Silent]
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
        return sorted([*self.pending, *_findings(self)], key=lambda finding: order[finding.level])


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
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"points": points, "signed": signed, "day": day, "size": size, "line": _chart_line}
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(report=report, listed=LISTED)


def of_night(home: Home, business_date: date | None = None) -> Report:
    """The figures of a night (default: the last published one), as the lake stood after it.

    Package states are as stores have acknowledged them since. Raises KantaError when nothing was run, BadArguments
    for a date that no night ended with.
    """
    lake = Lake(home)
    state, day, pending = _state(lake, business_date)
    with Engine(lake.root / "work", shared=True) as engine:
        night = Night(home, lake, engine, "report", state, day)
        night.attach(*TABLES)
        return _read(night, pending)


def _state(lake: Lake, business_date: date | None) -> tuple[State, date, list[Finding]]:
    """The lake as the night left it, the night, and what is worth saying of the lake's head.

    A state with number 0 is of a night that is not published.
    """
    head, newest = lake.head(), lake.published()
    if not head.through:
        raise KantaError("No night was run here yet", where=str(lake.root), next_step="kanta demo")
    worked = max(head.through.values())
    unpublished = newest.business_date is None or worked > newest.business_date
    night = business_date or newest.business_date or worked
    if unpublished and night == worked:
        return replace(head, number=0), night, []
    state = _publication(lake, night)
    pending = _pending(head, newest, worked) if state.number == newest.number else []
    # Packages go out after the publication, and stores answer later still.
    packages = {name: snapshot for name, snapshot in head.tables.items() if name.startswith(PACKAGES)}
    return replace(state, tables={**state.tables, **packages}), night, pending


def _pending(head: State, newest: State, worked: date) -> list[Finding]:
    """What the lake's head holds that readers do not see yet."""
    if newest.business_date is None or worked > newest.business_date:
        text = f"The night of {worked} is not published; readers still see this one."
        return [Finding("critical", text, "checks", f"kanta report --date {worked}")]
    changed = [name for name in sorted(head.tables) if head.tables[name] != newest.tables.get(name)]
    if unseen := [name for name in changed if not name.startswith(PACKAGES)]:
        text = f"The lake holds changes that are not published: {_few(unseen)}."
        return [Finding("warning", text, "checks", f"kanta run --date {worked}")]
    return []


def _publication(lake: Lake, night: date) -> State:
    """The newest publication of a night. Raises BadArguments when there is none."""
    next_step = f"kanta run --date {night}"
    for path in reversed(lake.publications()):
        state = State.from_json(path.read_text(encoding="utf-8"))
        if state.business_date == night:
            return state
        if state.business_date and state.business_date > night:
            next_step = f"kanta report --date {state.business_date}   is the night that took it in"
    raise BadArguments(f"No night ended with {night}", where=str(lake.root / "published"), next_step=next_step)


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────

Row = TypeVar("Row")


@dataclass(frozen=True)
class _Window:
    """The night between two nights: after ``previous``, and after the change ``seq`` of the lake."""

    night: Night
    previous: date
    seq: int

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        parameters = {"night": self.night.business_date, "previous": self.previous, "seq": self.seq}
        return self.night.engine.rows(sql, parameters)

    def each(self, made: type[Row], sql: str) -> list[Row]:
        return [made(*row) for row in self.rows(sql)]


def _read(night: Night, pending: list[Finding]) -> Report:
    window = _window(night)
    state = night.state
    return Report(
        night=night.business_date,
        previous=window.previous if window.previous > BEGINNING else None,
        number=state.number,
        documents=window.rows("select count(*) from sales.transactions where business_date = $night")[0][0],
        drops=window.each(FeedDrops, _DROPS),
        late=window.each(Drop, _LATE),
        missing=_missing(window),
        checks=_checks(window),
        refused_by=window.each(RefusedBy, _REFUSED_BY),
        refused=window.each(Refused, _REFUSED + f" limit {LISTED}"),
        customers=figures.of(night),
        points=_points(window),
        exceptions=window.rows(_EXCEPTIONS),
        programs=_tiers(window),
        analyses=_analyses(window),
        orders=order_report.read(night, window.previous),
        sessions=window.each(Session, _SESSIONS),
        silent=window.each(Silent, SILENT),
        stages=sorted(window.each(Stage, _STAGES), key=lambda stage: _rank(stage.name)),
        pending=pending,
    )


def _window(night: Night) -> _Window:
    """From the last night that came through: one with runs, and without a critical check that failed."""
    ((previous, seq),) = night.engine.rows(
        """
        select
            coalesce(max(business_date), date '0001-01-01'),
            coalesce(max(seq), 0)
        from ops.runs
        where
            business_date < $night
            and business_date not in (
                select business_date from ops.checks where severity = 'critical' and not success
            )
        """,
        {"night": night.business_date},
    )
    return _Window(night, previous, seq)


def _rank(stage: str) -> int:
    return STAGE_NAMES.index(stage) if stage in STAGE_NAMES else len(STAGE_NAMES)


_DROPS = """
with

drops as (
    select
        feed,
        status,
        rows,
        refused,
        business_date <= $previous as late,
        coalesce(list_sum(cast(json_extract(files, '$[*].rows') as bigint[])), 0) as stated
    from ops.drops
    where seq > $seq
)

select
    feed,
    count(*),
    count(*) filter (where status = 'quarantined'),
    count(*) filter (where late),
    cast(sum(stated) as bigint),
    cast(sum(rows) as bigint),
    cast(sum(refused) as bigint),
    cast(sum(greatest(stated - rows - refused, 0)) as bigint)
from drops
group by feed
order by feed desc
"""

_LATE = """
select drop_id, coalesce(revision, 0), rows
from ops.drops
where seq > $seq and business_date <= $previous
order by business_date, drop_id
"""


def _missing(window: _Window) -> list[tuple[str, date]]:
    """Store-days of the night that settings.yaml expects and no accepted drop brought: source and date."""
    home, night = window.night.home, window.night.business_date
    taken = {drop for (drop,) in window.rows("select drop_id from ops.drops where accepted_revision > 0")}
    nights = (night - window.previous).days if window.previous > BEGINNING else 1
    days = [night - timedelta(days=back) for back in reversed(range(nights))]
    return [(found.source, found.business_date) for found in landing.missing_days(home, days, taken)]


def _checks(window: _Window) -> Checks:
    asked = window.rows(
        "select severity, count(*) filter (where success), count(*) from ops.checks where business_date = $night"
        " group by severity order by severity"
    )
    failed = window.each(
        FailedCheck,
        "select severity, table_name, check_name, coalesce(observed, '') from ops.checks"
        " where business_date = $night and not success order by severity, table_name, check_name",
    )
    order = ("critical", "warning", "info")
    return Checks(
        {severity: (met, of) for severity, met, of in sorted(asked, key=lambda row: order.index(row[0]))},
        sorted(failed, key=lambda check: order.index(check.severity)),
    )


# A companion was refused only because another row of its record was: that one says why, so companions come last.
_REFUSED_BY = """
select rule, min(level), min(reason), count(*) filter (where seq > $seq), count(*)
from ops.quarantine
where status = 'open'
group by rule
order by rule = 'companion', count(*) desc, rule
"""

_REFUSED = """
select quarantine_id, drop_id, coalesce(file, ''), line, rule, reason
from ops.quarantine
where status = 'open'
order by seq > $seq desc, rule = 'companion', business_date desc, drop_id, file, line, quarantine_id
"""

_EXCEPTIONS = """
select reason, count(*) filter (where business_date > $previous), count(*)
from loyalty.exceptions
group by reason
order by count(*) desc, reason
"""


def _points(window: _Window) -> list[Points]:
    night = window.night.business_date
    posted: dict[tuple[str, str], list[tuple[str, date, Decimal, int]]] = {}
    for program, point, kind, day, amount, entries in window.rows(
        "select program_id, reward_point_id, entry_type, posted_date, sum(points), count(*) from loyalty.entries"
        " group by all order by all"
    ):
        posted.setdefault((program, point), []).append((kind, day, amount, entries))
    held = {row[:2]: Held(*row[2:]) for row in window.rows(_HELD)}
    return [
        Points(
            *key,
            night=_roll(movements, window.previous),
            month=_roll(movements, night.replace(day=1) - timedelta(days=1)),
            entries=sum(entries for *_, entries in movements),
            held=held.get(key, Held()),
            outstanding=_outstanding(movements, night),
        )
        for key, movements in posted.items()
    ]


_HELD = """
select
    program_id,
    reward_point_id,
    count(*),
    sum(available + unvested),
    sum(available + deficit),
    sum(unvested),
    sum(deficit),
    sum(expiring_30d)
from loyalty.balances
group by program_id, reward_point_id
"""


def _roll(movements: Sequence[tuple[str, date, Decimal, int]], before: date) -> Roll:
    """The roll-forward of what was posted after ``before``. A kind of entry no line knows would break the tie."""
    nothing = Decimal(0)
    moved = {
        name: sum((amount for kind, day, amount, _ in movements if day > before and kind in kinds), nothing)
        for name, kinds in MOVEMENTS.items()
    }
    opening = sum((amount for _, day, amount, _ in movements if day <= before), nothing)
    return Roll(opening, moved, sum((amount for _, _, amount, _ in movements), nothing))


def _outstanding(movements: Iterable[tuple[str, date, Decimal, int]], night: date) -> list[Decimal]:
    """The points outstanding after each of the last days, the night's last."""
    by_day: Counter[date] = Counter()
    for _, day, amount, _ in movements:
        by_day[max(day, night - timedelta(days=CHART_DAYS - 1))] += amount  # type: ignore[assignment]
    total, line = Decimal(0), []
    for back in reversed(range(CHART_DAYS)):
        total += by_day[night - timedelta(days=back)]
        line.append(total)
    return line


_EFFECTIVE = """
with

stays as (
    select
        program_id,
        card_id,
        tier_id,
        level,
        $night between valid_from and coalesce(valid_to, $night) as now,
        $night + 1 between valid_from and coalesce(valid_to, $night + 1) as next
    from loyalty.card_tiers
),

effective as (
    select
        program_id,
        card_id,
        max_by(tier_id, level) filter (where now) as tier,
        max(level) filter (where now) as level,
        max_by(tier_id, level) filter (where next) as tier_next,
        max(level) filter (where next) as level_next
    from stays
    group by program_id, card_id
)

select program_id, coalesce(level, 0), tier, coalesce(level_next, 0), tier_next, count(*)
from effective
where level is not null or level_next is not null
group by all
order by all
"""


def _tiers(window: _Window) -> list[Program]:
    """Each program's tiers, the highest first, and how cards move between them (level 0: none)."""
    found: dict[str, list[tuple[int, str, int, str, int]]] = {}
    for program, *rest in window.rows(_EFFECTIVE):
        found.setdefault(program, []).append(tuple(rest))
    return [_program(name, cards) for name, cards in found.items()]


def _program(name: str, cards: list[tuple[int, str, int, str, int]]) -> Program:
    now, after = Counter[tuple[int, str]](), Counter[tuple[int, str]]()
    moves = Counter[str]()
    for level, tier, level_next, tier_next, count in cards:
        now[level, tier] += count
        after[level_next, tier_next] += count
        if level != level_next:
            moves["joined" if not level else "left" if not level_next else "up" if level < level_next else "down"] += (
                count
            )
    tiers = sorted((place for place in {*now, *after} if place[0]), reverse=True)
    return Program(name, [Tier(place[1], now[place], after[place]) for place in tiers], **moves)


def _analyses(window: _Window) -> list[Analysis]:
    found = window.rows("select definition, max(as_of) from rfm.segments where as_of <= $night group by 1 order by 1")
    segments = window.rows(_SEGMENTS)
    grid = window.rows("select definition, as_of, r, f, count(*) from rfm.scores group by all order by all")
    return [
        Analysis(
            definition,
            as_of,
            [Segment(*row[2:]) for row in segments if row[:2] == (definition, as_of)],
            {(r, f): customers for of, on, r, f, customers in grid if (of, on) == (definition, as_of)},
        )
        for definition, as_of in found
    ]


# The best scores first, so that the order tells something and hardly moves from night to night.
_SEGMENTS = """
with

scored as (
    select
        definition,
        as_of,
        segment,
        cast(sum(r + f + m) as decimal(18, 6)) / count(*) as score
    from rfm.scores
    group by definition, as_of, segment
)

select
    segments.definition,
    segments.as_of,
    segments.segment,
    segments.customers,
    segments.share,
    segments.revenue,
    segments.customers_change
from rfm.segments as segments
left join scored
    on segments.definition = scored.definition
    and segments.as_of = scored.as_of
    and segments.segment = scored.segment
order by segments.definition, segments.as_of, scored.score desc nulls last, segments.segment
"""

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

_STAGES = """
select stage, rows_in, rows_out, coalesce(seconds, 0)
from ops.runs
where business_date = $night
"""


# ── what needs a look ────────────────────────────────────────────────────────────────────────────────────────────


def _findings(report: Report) -> list[Finding]:
    """What the figures say needs a look, in the order of the page's sections."""
    found = []
    if not report.number:
        text = "This night is not published: readers see the night before it."
        found.append(Finding("critical", text, "checks", f"kanta run --date {report.night}"))
    failed = Counter(check.severity for check in report.checks.failed)
    if failed["critical"]:
        found.append(Finding("critical", f"{_count(failed['critical'], 'critical check')} failed.", "checks"))
    if broken := [item for item in report.points if not item.ties]:
        text = f"The points do not tie: {_few(f'{item.program_id} {item.reward_point_id}' for item in broken)}."
        found.append(Finding("critical", text, "points", "kanta verify"))
    if stores := [session for session in report.sessions if session.failed]:
        text = f"{_count(len(stores), 'store package')} failed: {_few(session.database for session in stores)}."
        found.append(Finding("critical", text, "packages", "kanta distribution status"))
    if report.silent:
        longest, silent = report.silent[0], {each.database for each in report.silent}
        text = f"{_count(len(silent), 'store')} silent, {longest.database} for {_count(longest.nights, 'night')}."
        found.append(Finding("warning", text, "packages", "kanta distribution status"))
    if report.missing:
        days = _few(f"{source} on {day_}" for source, day_ in report.missing)
        found.append(Finding("warning", f"{_count(len(report.missing), 'store-day')} missing: {days}.", "drops"))
    if tonight := sum(rule.tonight for rule in report.refused_by):
        text = f"{_count(tonight, 'row or file', 'rows or files')} set aside tonight."
        found.append(Finding("warning", text, "quarantine", "kanta quarantine list"))
    if report.customers.channels:
        names = _few(channel for channel, _ in report.customers.channels)
        text = f"{_count(len(report.customers.channels), 'channel')} with a default customer to look at: {names}."
        found.append(Finding("warning", text, "customers"))
    if waiting := sum(count for _, count, _ in report.exceptions):
        text = f"{_count(waiting, 'sale')} tonight whose points wait."
        found.append(Finding("warning", text, "points", 'kanta query "select * from loyalty.exceptions"'))
    if old := sum(held.old for held in report.orders.held):
        text = f"{_count(old, 'order')} held for a week or longer."
        found.append(Finding("warning", text, "orders", 'kanta query "select * from call_center.order_holds"'))
    if failed["warning"]:
        found.append(Finding("warning", f"{_count(failed['warning'], 'check')} gave a warning.", "checks"))
    if not report.checks.asked:
        found.append(Finding("note", "No check was made.", "checks"))
    if older := sum(rule.open for rule in report.refused_by) - tonight:
        text = f"{_count(older, 'row or file', 'rows or files')} of earlier nights still set aside."
        found.append(Finding("note", text, "quarantine", "kanta quarantine list"))
    if report.late:
        text = f"{_count(len(report.late), 'drop')} of earlier nights came tonight."
        found.append(Finding("note", text, "drops"))
    return found


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _few(names: Iterable[str]) -> str:
    """The first names, and how many more."""
    listed = list(names)
    more = f" and {len(listed) - 3:,} more" if len(listed) > 3 else ""
    return ", ".join(listed[:3]) + more


# ── showing ──────────────────────────────────────────────────────────────────────────────────────────────────────


def points(value: Decimal | int, places: int = 0) -> str:
    """An amount with so many decimals and a real minus sign."""
    return f"{value:,.{places}f}".replace("-", "−")


def signed(value: Decimal | int, places: int = 0) -> str:
    """An amount with its sign; a dash for nothing."""
    return "–" if not value else ("+" if value > 0 else "") + points(value, places)


_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip


def day(value: date, form: Literal["long", "short"] = "short") -> str:
    """A date in words: Sunday 10 December 2017, or Sun 10 Dec."""
    weekday, month = _WEEKDAYS[value.weekday()], _MONTHS[value.month - 1]
    return f"{weekday} {value.day} {month} {value.year}" if form == "long" else f"{weekday[:3]} {value.day} {month[:3]}"


def size(value: int | None) -> str:
    """Bytes in a unit people read."""
    number, unit = Decimal(value or 0), "B"
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000 or unit == "GB":
            break
        number /= 1000
    return f"{number:,.0f} {unit}" if number >= 10 or unit == "B" else f"{number:,.1f} {unit}"


def _chart_line(values: Sequence[Decimal]) -> str:
    """Points of a polyline through the values, from left to right, in a box of 100 by 100."""
    low, high = min(*values, Decimal(0)), max(*values, Decimal(0))
    span, last = high - low or 1, max(len(values) - 1, 1)
    return " ".join(f"{100 * n / last:.2f},{100 * (high - value) / span:.2f}" for n, value in enumerate(values))
