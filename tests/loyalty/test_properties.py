"""What holds of any programme and history (spec/2-loyalty.md §9), drawn by hypothesis and shrunk where it does not.

Few examples each time, and always the same ones; ``KANTA_EXAMPLES=300`` tries as many new ones.
"""

from __future__ import annotations

import os
import random
import tempfile
from dataclasses import fields, is_dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from kanta import loyalty, slices, verify
from kanta.home import Home
from tests.loyalty.histories import World, guid, world
from tests.loyalty.oracle import Account, Document, Line, Tender
from tests.loyalty.test_cases import work_night
from tests.loyalty.test_oracle import agree, in_nights, of_the_engine
from tests.night.test_nights import Killed, killed_at

EXAMPLES = os.environ.get("KANTA_EXAMPLES")
SETTINGS = settings(
    max_examples=int(EXAMPLES or 3),
    derandomize=EXAMPLES is None,
    database=None,
    deadline=None,
    phases=[Phase.generate, *([Phase.shrink] if EXAMPLES else [])],
    suppress_health_check=list(HealthCheck),
)


def renamed(one: Any, old: str, new: str) -> Any:
    """The same with another name in every text."""
    if isinstance(one, str):
        return one.replace(old, new)
    if isinstance(one, list | tuple):
        return type(one)(renamed(item, old, new) for item in one)
    if isinstance(one, dict):
        return {renamed(key, old, new): renamed(value, old, new) for key, value in one.items()}
    if is_dataclass(one) and not isinstance(one, type):
        return replace(one, **{each.name: renamed(getattr(one, each.name), old, new) for each in fields(one)})
    return one


def bought_and_returned(it: World, account: Account, name: str) -> Account:
    """The account once more under another name, who on the last day buys, pays with points and returns everything."""
    other = name.replace("N0", "N1")
    twin: Account = renamed(renamed(account, name, other), guid(name), guid(other))
    day, card = it.days[-1], twin.cards[-1].id
    for n, (kind, sign) in enumerate([("sale", 1), ("return", -1)]):
        lines = [
            Line(1, kind, "P", Decimal(sign), Decimal("37.50") * sign, Decimal("7.87") * sign),
            Line(2, kind, "LATTE", Decimal(2 * sign), Decimal("12.25") * sign, Decimal("0.00")),
        ]
        for line in lines if kind == "return" else []:
            line.original = f"T{name}x0", line.no
        at = f"{day + timedelta(days=1)}T2{n}:00:00+00:00"  # of a clock that runs ahead: after all else of the day
        tender = Tender(card, "points", Decimal("2.00") * sign, Decimal(20) * sign)
        twin.documents.append(
            Document(f"T{name}x{n}", day, at, card, f"S{n + 1}", kind, lines, tender, comes=[(day, "")])
        )
    return twin


def with_twins(it: World) -> World:
    twins = [bought_and_returned(it, account, f"N{n:04d}") for n, account in enumerate(it.accounts)]
    return replace(it, accounts=[*it.accounts, *twins], drops={})


@pytest.mark.slow
@SETTINGS
@given(rng=st.randoms(use_true_random=False))
def test_any_nights_in_any_order_and_deaths_between_give_what_paper_gives_and_a_full_return_nothing(
    rng: random.Random,
) -> None:
    """Drops late, wrong and revised, versions that begin in the past, a death at any step, slices and states of any
    size, nights that end on any date: always the oracle's points and tiers, no invariant broken (a replay among them),
    and who returned all has what the twin has who bought none."""
    it = with_twins(world(rng, accounts=3, dates=12, programs=2, most=7))
    step = rng.randrange(1, 40)
    documents, checkpoint = rng.choice([1, 4, 120_000]), rng.choice([0, 30, 100_000])

    def work(home: Home, night: date) -> None:
        nonlocal step
        with pytest.MonkeyPatch.context() as patch:
            try:
                with killed_at(patch, step):
                    work_night(home, night)
            except Killed:
                step = 0  # once
                work_night(home, night)

    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as sizes:
        sizes.setattr(slices, "DOCUMENTS", documents)
        sizes.setattr(loyalty, "CHECKPOINT_AT_LEAST", checkpoint)
        home = Home(Path(folder))
        in_nights(it, home, rng, nights=2, work=work)
        agree(it, home)
        assert [(r.about, r.examples) for r in verify.verify(home, everything=True) if r.breaches] == []
        if it.programmes[-1]["parameters"]["post_per_sales_line"]:
            assert held(home, "N1") == held(home, "N0")


def held(home: Home, name: str) -> dict[tuple[str, str], Decimal]:
    """What each card of that name has, usable or not, by the card and reward point."""
    found: dict[tuple[str, str], Decimal] = {}
    for rows in of_the_engine(home).values():
        for (card, point, what, *_), amount in rows.items():
            if name in card and what in ("available", "unvested"):
                key = card.replace("N1", "N0"), point
                found[key] = found.get(key, Decimal(0)) + amount
    return {key: amount for key, amount in found.items() if amount}
