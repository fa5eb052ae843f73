"""How figures are written and drawn on a page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Literal

import jinja2

#: How many refused rows, failed checks, late drops, missing days and stores are listed; the rest is counted.
LISTED = 12


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


def line(values: Sequence[Decimal], among: Sequence[Decimal] = ()) -> str:
    """Points of a polyline through the values, from left to right, in a box of 100 by 100.

    ``among``: what else is drawn in the same box, so that both go by one scale.
    """
    low, high = min(*values, *among, Decimal(0)), max(*values, *among, Decimal(0))
    high = high if high > low else low + 1  # nothing but zeros lies on the ground
    span, last = high - low, max(len(values) - 1, 1)
    return " ".join(f"{100 * n / last:.2f},{100 * (high - value) / span:.2f}" for n, value in enumerate(values))


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"points": points, "signed": signed, "day": day, "size": size, "line": line}
    return environment


def page(template: str, **values: Any) -> str:
    """A page made of a template beside this file; whatever text the values hold is shown as text."""
    return _environment().get_template(template).render(**values, listed=LISTED)
