"""Which night a page is of, and what came between it and the night before."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import Any, TypeVar

from kanta.errors import BadArguments, KantaError
from kanta.lake import Lake, State
from kanta.night import Night
from kanta.report.findings import Finding, few

#: The tables that go on after a night is published.
PACKAGES = "distribution."


def state_of(lake: Lake, business_date: date | None) -> tuple[State, date, list[Finding]]:
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
        text = f"The lake holds changes that are not published: {few(unseen)}."
        return [Finding("warning", text, "checks", f"kanta run --date {worked}")]
    return []


def _publication(lake: Lake, night: date) -> State:
    """The newest publication of a night. Raises BadArguments when there is none."""
    next_step = f"kanta run --date {night}"
    for path in reversed(lake.publications()):
        state = lake.state_of(path)
        if state.business_date == night:
            return state
        if state.business_date and state.business_date > night:
            next_step = f"kanta report --date {state.business_date}   is the night that took it in"
    raise BadArguments(f"No night ended with {night}", where=str(lake.root / "published"), next_step=next_step)


Row = TypeVar("Row")


@dataclass(frozen=True)
class Window:
    """The night between two nights: after ``previous``, and after the change ``seq`` of the lake."""

    night: Night
    previous: date
    seq: int

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        parameters = {"night": self.night.business_date, "previous": self.previous, "seq": self.seq}
        return self.night.engine.rows(sql, parameters)

    def each(self, made: type[Row], sql: str) -> list[Row]:
        return [made(*row) for row in self.rows(sql)]


def window(night: Night) -> Window:
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
    return Window(night, previous, seq)
