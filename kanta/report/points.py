"""The roll-forward of points: the night, the month, what cards hold, and that all of it ties."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal

from kanta.report.nights import Window

#: How many days the small charts of points look back.
CHART_DAYS = 42

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
    """What cards hold by loyalty.balances: how many cards, their sum, and what it is made of.

    ``expiring``: usable points that go within 30 days, but for those that are gone when stores open.
    """

    cards: int = 0
    balance: Decimal = Decimal(0)
    usable: Decimal = Decimal(0)
    unvested: Decimal = Decimal(0)
    deficit: Decimal = Decimal(0)
    expiring: Decimal = Decimal(0)


@dataclass(frozen=True)
class Points:
    """One reward point of a program: the night, the month, what cards hold, and the outstanding points day by day.

    ``entries``: how many were ever posted. ``redeemable``: whether they can pay; ``value``: money each is worth, by
    the programme in force; None: it does not say.
    """

    program_id: str
    reward_point_id: str
    night: Roll
    month: Roll
    entries: int
    held: Held
    outstanding: list[Decimal]
    redeemable: bool
    value: Decimal | None

    @property
    def places(self) -> int:
        """Decimals to show: none where there are only whole points."""
        shown = [self.night.opening, self.month.opening, *self.night.movements.values(), *self.month.movements.values()]
        return 2 if any(amount % 1 for amount in shown) else 0

    @property
    def worth(self) -> Decimal | None:
        """Money that what can be used now is worth, to the cent."""
        return None if self.value is None else (self.held.usable * self.value).quantize(Decimal("0.01"), ROUND_HALF_UP)

    @property
    def ties(self) -> bool:
        """Opening and movements make the closing; that is the sum of all entries, and of all balances."""
        return self.night.ties and self.month.ties and self.night.closing == self.month.closing == self.held.balance


_EXCEPTIONS = """
select reason, count(*) filter (where business_date > $previous), count(*)
from loyalty.exceptions
where status is distinct from 'dismissed'
group by reason
order by count(*) desc, reason
"""


def read(window: Window) -> list[Points]:
    """One for each reward point of a program that was ever posted."""
    night = window.night.business_date
    posted: dict[tuple[str, str], list[tuple[str, date, Decimal, int]]] = {}
    for program, point, kind, day, amount, entries in window.rows(
        "select program_id, reward_point_id, entry_type, posted_date, sum(points), count(*) from loyalty.entries"
        " group by all order by all"
    ):
        posted.setdefault((program, point), []).append((kind, day, amount, entries))
    held = {row[:2]: Held(*row[2:]) for row in window.rows(_HELD)}
    redeemable = dict(window.rows(_REDEEMABLE))
    return [
        Points(
            *key,
            night=roll(movements, window.previous),
            month=roll(movements, night.replace(day=1) - timedelta(days=1)),
            entries=sum(entries for *_, entries in movements),
            held=held.get(key, Held()),
            outstanding=_outstanding(movements, night),
            redeemable=key[1] in redeemable,
            value=redeemable.get(key[1]),
        )
        for key, movements in posted.items()
    ]


_HELD = """
select
    balances.program_id,
    balances.reward_point_id,
    count(*),
    sum(available + balances.unvested),
    sum(available + deficit),
    sum(balances.unvested),
    sum(deficit),
    coalesce(sum(expiring.expiring_30d), 0)
from loyalty.balances as balances
left join loyalty.expiring_soon as expiring using (card_id, program_id, reward_point_id)
group by balances.program_id, balances.reward_point_id
"""

#: What can pay by the programme in force on the night, and what each point of it is worth.
_REDEEMABLE = """
select points.reward_point_id, points.value
from programme.reward_points as points
inner join programme.calendar as calendar using (version)
where calendar.business_date = $night and points.redeemable
"""


def roll(movements: Sequence[tuple[str, date, Decimal, int]], before: date) -> Roll:
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


def exceptions(window: Window) -> list[tuple[str, int, int]]:
    """Facts whose points wait, by reason: tonight's, and all."""
    return window.rows(_EXCEPTIONS)
