"""Date arithmetic of the programme: durations, periods and date intervals (spec 2-loyalty sections 1, 3 and 6)."""

from __future__ import annotations

from calendar import monthrange
from datetime import date, timedelta

from kanta.programme.model import Bound, DateInterval, Duration, Period, RewardPoint, Unit

_MONTHS: dict[str, int] = {"month": 1, "quarter": 3, "year": 12}
_DAYS: dict[str, int] = {"day": 1, "week": 7}

#: The longest time of each unit that a programme may name: a hundred years.
LONGEST: dict[Unit, int] = {"day": 36_525, "week": 5_218, "month": 1_200, "quarter": 400, "year": 100}


def add(day: date, count: int, unit: Unit) -> date:
    """The day moved by so many units; months, quarters and years clamp to the month's end (31 Jan to 28 Feb)."""
    if unit in _DAYS:
        return day + timedelta(days=count * _DAYS[unit])
    months = day.year * 12 + day.month - 1 + count * _MONTHS[unit]
    year, month = divmod(months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def period_start(day: date, period: Period) -> date:
    """First day of the calendar month, quarter or year a day is in."""
    months = _MONTHS[period]
    return date(day.year, (day.month - 1) // months * months + 1, 1)


def period_end(day: date, period: Period) -> date:
    """Last day of the calendar month, quarter or year a day is in."""
    return add(period_start(day, period), 1, period) - timedelta(days=1)


def is_month_end(day: date) -> bool:
    """Whether a day is the last of its month."""
    return day == period_end(day, "month")


def bound(end: Bound, day: date) -> date:
    """One end of an interval, seen from an evaluation date."""
    start = day
    if end.from_ == "fixed" and end.date is not None:
        start = end.date
    elif end.from_ == "period_start" and end.period is not None:
        start = period_start(day, end.period)
    elif end.from_ == "period_end" and end.period is not None:
        start = period_end(day, end.period)
    return add(start, end.offset, end.unit) if end.unit is not None else start


def interval(dates: DateInterval, day: date) -> tuple[date, date]:
    """First and last day of an interval, seen from an evaluation date."""
    return bound(dates.start, day), bound(dates.end, day)


def usable_from(point: RewardPoint, day: date) -> date:
    """First usable day of points earned on a day."""
    return _after(point.vesting, day) or day


def expires_on(point: RewardPoint, day: date) -> date | None:
    """Last usable day of points earned on a day; None: never. Counted from the earning, not from vesting."""
    return _after(point.expiration, day)


def _after(duration: Duration, day: date) -> date | None:
    return add(day, duration.value, duration.unit) if duration.value and duration.unit else None
