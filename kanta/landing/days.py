"""Store-days that did not come, for sources whose trading days ``programme/settings.yaml`` lists.

trading_days:
  pos:
    S001: [mon, tue, wed, thu, fri, sat]
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from kanta.errors import BadProgramme
from kanta.home import Home
from kanta.landing.drops import CONTROL, feeds

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True)
class MissingDay:
    """A source that should have traded on a day and of which no drop was accepted; ``why`` is for people."""

    feed: str
    business_date: date
    source: str
    why: str


def missing_days(
    home: Home, settings: Mapping[str, Any], feed: str, day: date, taken: Collection[str]
) -> list[MissingDay]:
    """The feed's missing drops of a day, by source; ``taken`` are the ids of accepted drops, of any day.

    Raises ``BadProgramme`` when ``trading_days`` of the settings is not as described above.
    """
    missing = []
    for source, days in sorted(_trading_days(settings).get(feed, {}).items()):
        drop_id = f"{feed}/{day}/{source}"
        if WEEKDAYS[day.weekday()] in days and drop_id not in taken:
            folder = home.landing / feed / day.isoformat() / source
            why = "there is no drop"
            if folder.is_dir():
                why = "the drop was refused" if (folder / CONTROL).exists() else f"the drop has no {CONTROL} yet"
            missing.append(MissingDay(feed, day, source, why))
    return missing


def _trading_days(settings: Mapping[str, Any]) -> dict[str, dict[str, list[str]]]:
    stated = settings.get("trading_days") or {}
    problems = []
    if not isinstance(stated, dict):
        problems.append("trading_days: must name feeds, each with its sources")
        stated = {}
    for feed, sources in stated.items():
        if feed not in feeds() or not isinstance(sources, dict):
            problems.append(f"trading_days.{feed}: must be one of {', '.join(feeds())}, with its sources")
            continue
        for source, days in sources.items():
            if not isinstance(days, list) or not set(map(str, days)) <= set(WEEKDAYS):
                problems.append(f"trading_days.{feed}.{source}: must be a list of {', '.join(WEEKDAYS)}")
    if problems:
        raise BadProgramme(problems, where="programme/settings.yaml", next_step="Correct trading_days and run again.")
    return {feed: {str(source): days for source, days in sources.items()} for feed, sources in stated.items()}
