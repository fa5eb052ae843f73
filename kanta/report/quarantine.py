"""What was set aside, tonight and before."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from kanta.report.nights import Window
from kanta.report.showing import LISTED


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


def by_rule(window: Window) -> list[RefusedBy]:
    """All that waits, by the rule that refused it."""
    return window.each(RefusedBy, _REFUSED_BY)


def first(window: Window) -> list[Refused]:
    """The rows to look at first: tonight's."""
    return window.each(Refused, _REFUSED + f" limit {LISTED}")
