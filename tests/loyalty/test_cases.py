"""The worked cases of ../shared/cases/loyalty, each through landing, ledger and publication."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from kanta import folding, night, slices, verify
from kanta.home import Home
from kanta.lake import Lake
from kanta.reading import open_lake
from tests.cases import Case, cases, drops_of, write_programmes
from tests.feed import write_drop

ALL = cases("loyalty")

#: Cases that take many ways through the models; the others are worked by ``make test`` only.
QUICK = {
    "balance-identity", "earn-category-tree", "earn-largest-remainder", "earn-quantity-and-count", "lots-order",
    "redeem-checks", "tier-windows",
}  # fmt: skip

#: Cases that between them take every way in which it matters what a night already knew. Their replay
#: is one night over all.
IN_NIGHTS = (
    "card-given-later", "card-replaced-deficit", "copy-differs", "deficit-carry", "earn-cap", "late-redeem-order",
    "late-sale-makes-gold", "lots-order-transferred", "order-cancelled", "programme-version", "reference-changed",
    "reference-late", "refund-written-off", "return-before-original", "return-everything", "return-parts",
    "tier-fallback", "tier-override", "tier-pool-join",
)  # fmt: skip

#: Cases of several cards that are worked slice by slice, and how many there are: what documents tie together is one.
SLICED = {"card-refused": 2, "card-types": 2, "return-any-card": 1}
POINTS = ("card_id", "program_id", "reward_point_id")


def deliver(case: Case, home: Home, wanted: Iterable[str], fmt: str = "csv", revision: int = 1) -> None:
    """Writes the named drops of a case into the home's landing zone."""
    drops = drops_of(case)
    for drop in wanted:
        feed, day, source = drop.split("/")
        write_drop(home, feed, date.fromisoformat(day), source, drops[drop], fmt, revision)


def work_night(home: Home, day: date, feeds: Collection[str] = night.FEEDS) -> dict[str, Any]:
    """One night as far as points go, published, and what loyalty says of it; scores and packages have other tests."""
    idle = {"rfm", *(f"ingest_{feed}" for feed in night.FEEDS if feed not in feeds)}
    if "call_center" not in feeds:
        idle.add("call_center")
    logs = {stage: night.run_stage(home, stage, day) for stage in night.STAGES if stage not in idle}
    Lake(home).publish(day)
    return logs["loyalty"]


def work(case: Case, home: Home, *, each_night: bool, fmt: str = "csv") -> dict[str, Any]:
    """Delivers and runs a case: all in one night, or its drops night by night; what loyalty says of the last."""
    write_programmes(case, home.programme)
    drops = sorted(drops_of(case))
    feeds = {drop.split("/")[0] for drop in drops}
    if not each_night:
        deliver(case, home, drops, fmt)
        return work_night(home, date.fromisoformat(case["through"]), feeds)
    log = {}
    for day in sorted({drop.split("/")[1] for drop in drops} | {case["through"]}):
        deliver(case, home, [drop for drop in drops if drop.split("/")[1] == day], fmt)
        log = work_night(home, date.fromisoformat(day), feeds)
    return log


def table(home: Home, name: str) -> list[dict[str, Any]]:
    engine, _ = open_lake(home, [name])
    with engine:
        result = engine.execute(f"select * from {name}")
        columns = [column[0] for column in result.description or []]
        return [dict(zip(columns, row, strict=True)) for row in result.fetchall()]


def same(got: Any, wanted: Any) -> bool:
    """Equal as the cases mean it: 5 is 5.00, an empty text is nothing."""
    if got is None or wanted in ("", None):
        return got is None and wanted in ("", None)
    return Decimal(got) == Decimal(wanted) if isinstance(got, Decimal | int) else str(got) == str(wanted)


def problems(home: Home, expect: dict[str, Any]) -> list[str]:
    """Every way in which the lake is not what the case expects, with the rows."""
    found = []
    balances = table(home, "loyalty.balances")
    for wanted in expect.get("balances", []):
        row = next((b for b in balances if all(b[k] == wanted[k] for k in POINTS)), dict.fromkeys(wanted, Decimal(0)))
        if not all(same(row[k], v) for k, v in wanted.items() if k not in POINTS):
            found.append(f"balance {wanted}, got { {k: str(row[k]) for k in wanted} }")
    for name, figure in (("entries", "points"), ("lots", "remaining")):
        rows = [
            row | {"entry_type": row["corrected_type"]} if row.get("corrected_type") else row
            for row in table(home, f"loyalty.{name}")
            if name in expect
        ]
        for wanted in expect.get(name, []):
            fitting = [row[figure] for row in rows if all(same(row[k], v) for k, v in wanted.items() if k != figure)]
            if sum(fitting, Decimal(0)) != Decimal(wanted[figure]):
                found.append(f"{name} {wanted}, got {sum(fitting, Decimal(0))} of {rows}")
    for name in ("card_tiers", "exceptions"):
        if name not in expect:
            continue
        rows = table(home, f"loyalty.{name}")
        columns = sorted({column for wanted in expect[name] for column in wanted})
        got = sorted(tuple("" if row[c] is None else str(row[c]) for c in columns) for row in rows)
        if got != sorted(tuple(str(wanted.get(c, "")) for c in columns) for wanted in expect[name]):
            found.append(f"{name} {expect[name]}, got {got} ({len(rows)} rows)")
    return found


def breaches(home: Home) -> list[str]:
    """What verify finds, a replay from the first day included; there are no stores here."""
    return [f"{result.about} {result.examples}" for result in verify.verify(home, everything=True) if result.breaches]


@pytest.mark.parametrize(
    "name",
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in ALL if name not in IN_NIGHTS],
)
def test_a_case_in_one_night_gives_what_it_expects(name: str, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "DOCUMENTS", 1 if name in SLICED else slices.DOCUMENTS)
    monkeypatch.setattr(folding, "BATCH", 1)  # each account is folded by itself
    log = work(ALL[name], home, each_night=False)
    assert log.get("slices") == SLICED.get(name)
    assert problems(home, ALL[name]["expect"]) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", IN_NIGHTS)
def test_a_case_night_by_night_gives_the_same_and_keeps_every_invariant(name: str, home: Home) -> None:
    work(ALL[name], home, each_night=True)
    assert problems(home, ALL[name]["expect"]) == []
    assert breaches(home) == []


def test_every_case_is_worked() -> None:
    assert set(ALL) >= QUICK | set(IN_NIGHTS)
    assert len(ALL) > 80
