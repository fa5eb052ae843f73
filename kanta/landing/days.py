"""Store-days that did not come, for sources whose trading days ``programme/settings.yaml`` lists."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date

from kanta.home import Home
from kanta.landing.drops import CONTROL

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

#: The feeds on which a source that trades delivers.
TRADING = ("pos", "call_center")


@dataclass(frozen=True)
class MissingDay:
    """A source that should have traded on a day and of which no drop was accepted; ``why`` is for people."""

    business_date: date
    source: str
    why: str


def missing_days(home: Home, days: Iterable[date], taken: Collection[str]) -> list[MissingDay]:
    """The missing drops of these days, by day and source; ``taken`` are the ids of accepted drops, of any day."""
    missing = []
    for day in days:
        for source, trading in sorted(home.settings.trading_days.items()):
            if WEEKDAYS[day.weekday()] in trading and not any(f"{feed}/{day}/{source}" in taken for feed in TRADING):
                folders = [home.landing / feed / day.isoformat() / source for feed in TRADING]
                why = "there is no drop"
                if found := [folder for folder in folders if folder.is_dir()]:
                    refused = any((folder / CONTROL).exists() for folder in found)
                    why = "the drop was refused" if refused else f"the drop has no {CONTROL} yet"
                missing.append(MissingDay(day, source, why))
    return missing
