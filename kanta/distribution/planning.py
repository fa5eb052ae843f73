"""What each database's next session of a job is to be: nothing, no data, a package full or delta (spec 6-distribution).

Pure: from what the sessions, the acknowledgements, the places and tonight's view say, to a decision.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from kanta.distribution.held import Content
from kanta.distribution.protocol import LAST_SEQUENCE
from kanta.distribution.sessions import BREAKS, UNSENT, Heard, Line, Package, Session
from kanta.distribution.view import Database


@dataclass
class Work:
    """One database and job, and all that decides what comes next.

    ``sessions``: those that matter (``Book.sessions``); ``packages``: those kept, in order; ``seen``: the highest
    sequence that outbox and inbox know; ``there``: those whose packages are in the outbox; ``asked``: someone wants a
    package, "full" for a full one; ``excluded``: an offline database that does not get the job; ``waits_for``: the
    suspended session that holds this database up.
    """

    database: Database
    job: str
    datasets: tuple[str, ...]
    sessions: list[Session] = field(default_factory=list)
    heard: Heard = field(default_factory=Heard)
    packages: list[Package] = field(default_factory=list)
    content: Content = field(default_factory=Content)
    seen: int = 0
    there: frozenset[int] = frozenset()
    asked: Literal["", "again", "full"] = ""
    excluded: bool = False
    waits_for: str = ""
    problem: str = ""

    @property
    def line(self) -> Line:
        return self.database.name, self.job

    @property
    def highest(self) -> int:
        """The highest sequence its sessions know."""
        return self.sessions[-1].sequence if self.sessions else 0

    @property
    def top(self) -> int:
        """The highest sequence anybody knows: the next one is after it."""
        return max(self.highest, self.seen, self.heard.beyond)

    @property
    def last(self) -> Session | None:
        """The last session whose package was ever up."""
        return next((session for session in reversed(self.sessions) if session.was_available), None)

    @property
    def lost(self) -> Session | None:
        """The last session whose package was up, if its store can no longer take it and never said that it had.

        Nothing takes an unacknowledged latest out of the outbox, so something else did (docs/decisions/0033).
        """
        last = self.last
        waits = last is not None and last.state in ("available", "download_failed", "apply_failed")
        return last if last and waits and not self.problem and last.sequence not in self.there else None

    @property
    def broken(self) -> int:
        """The last sequence that ended so that nothing before it can be built upon."""
        return max((s.sequence for s in self.sessions if s.state == "canceled" and s.reason in BREAKS), default=0)


@dataclass(frozen=True)
class Decision:
    """``kind``: what is to be done; ``sequence``: under which number; ``base``: what a delta starts from, None for a
    full package; ``applies_to``: the manifests' hashes of the sequences a delta fits on."""

    kind: Literal["nothing", "no_data", "failed", "waits", "package"]
    sequence: int = 0
    base: Package | None = None
    applies_to: dict[str, str] = field(default_factory=dict)


def decide(work: Work, business_date: date, kept_from: date) -> Decision:
    """What comes next for one line. ``kept_from``: the first night whose packages can be a base (retention)."""
    if work.sessions and business_date < work.sessions[-1].business_date:
        return Decision("nothing")  # dates never go back
    if work.problem or work.top >= LAST_SEQUENCE:
        # It gets the sessions' own next number: what stands in the way may go, and no package bears it till then.
        failed = unsent_of(work, business_date, work.highest)
        return Decision("failed", failed.sequence if failed else work.highest + 1)
    same = unsent_of(work, business_date)
    sequence = same.sequence if same else work.top + 1
    if not work.asked and _unchanged(work):
        told = any(s.business_date == business_date for s in work.sessions if s.state not in UNSENT)
        return Decision("nothing" if told else "no_data", work.top + 1)
    if work.waits_for:
        return Decision("waits", sequence)
    base = None if _must_be_full(work, same, kept_from) else base_of(work)
    if base is None:
        return Decision("package", sequence)
    fits = {str(p.sequence): p.manifest_sha256 for p in work.packages if base.sequence <= p.sequence < sequence}
    return Decision("package", sequence, base, fits)


def unsent_of(work: Work, business_date: date, newest: int | None = None) -> Session | None:
    """The session of this night that did not come to be sent, if none is newer: the next try is its own."""
    newest = work.top if newest is None else newest
    unsent = (session for session in work.sessions if session.state in UNSENT)
    return next((s for s in unsent if s.sequence == newest and s.business_date == business_date), None)


def base_of(work: Work) -> Package | None:
    """The package a store stands at by the last acknowledgement believed; None for a position never built."""
    return next((p for p in work.packages if (p.sequence, p.manifest_sha256) == work.heard.base), None)


def _unchanged(work: Work) -> bool:
    """Unchanged since the last package, unless that was canceled or is no base any more."""
    last = work.last
    if last is None:
        return work.excluded  # it never got a row, and is to get none
    if last.state == "canceled" or work.broken > last.sequence:
        return False
    # A sequence that sessions do not know is of a lake that was restored: what the store has is not known.
    return last.view_sha256 == work.content.sha256 and work.top == work.highest


def _must_be_full(work: Work, same: Session | None, kept_from: date) -> bool:
    base = base_of(work)
    return (
        base is None
        or work.asked == "full"
        or work.excluded
        or (same is not None and same.mode == "full")  # someone asked for it, and it did not go out
        or work.top > work.highest
        or work.broken > base.sequence
        or base.business_date < kept_from
        or base.seq < work.content.since  # columns or format changed, or what changed since is not known
    )
