"""How long each stage took."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from kanta.night import STAGE_NAMES
from kanta.report.nights import Window


@dataclass(frozen=True)
class Stage:
    name: str
    rows_in: int | None
    rows_out: int | None
    seconds: Decimal


_STAGES = """
select stage, rows_in, rows_out, coalesce(seconds, 0)
from ops.runs
where business_date = $night
"""


def _rank(stage: str) -> int:
    return STAGE_NAMES.index(stage) if stage in STAGE_NAMES else len(STAGE_NAMES)


def read(window: Window) -> list[Stage]:
    """The stages of the night in the order they ran."""
    return sorted(window.each(Stage, _STAGES), key=lambda stage: _rank(stage.name))
