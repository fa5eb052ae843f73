"""The ledger against the oracle (oracle.py), over thousands of histories (histories.py).

A seed draws programmes and a history for each of some hundreds of accounts; one night of the engine works them all, or
some nights, with late and revised drops and versions that begin in the past. ``KANTA_SEEDS=100-140`` tries these seeds.
"""

from __future__ import annotations

import json
import os
import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from kanta import decisions, loyalty
from kanta.home import Home
from kanta.lake import Lake
from kanta.night import stage
from tests.cases import bases, laid_over, write_programme
from tests.feed import write_drop
from tests.loyalty.histories import World, deliver, world
from tests.loyalty.oracle import FIRST, Account, Card, Document, Line, Oracle, Row, Tender
from tests.loyalty.test_cases import table, work_night


def of_the_engine(home: Home) -> dict[str, dict[tuple[str, ...], Any]]:
    """What the lake says, as ``Oracle.result`` says it, by card, exceptions by document."""
    found: dict[str, dict[tuple[str, ...], Any]] = defaultdict(dict)
    for row in table(home, "loyalty.balances"):
        for name in ("issued", "used", "expired", "written_off", "available", "unvested", "deficit"):
            if row[name]:
                found[row["card_id"]][row["card_id"], row["reward_point_id"], name] = Decimal(row[name])
    for row in table(home, "loyalty.lots"):
        if row["remaining"]:
            key = (row["card_id"], row["reward_point_id"], "lots", str(row["usable_from"]), str(row["expires_on"]))
            found[row["card_id"]][key] = found[row["card_id"]].get(key, Decimal(0)) + row["remaining"]
    for row in table(home, "loyalty.exceptions"):
        found[row["transaction_id"]][row["transaction_id"], row["card_id"] or "", row["reason"]] = "exception"
    for row in table(home, "loyalty.card_tiers"):
        key = (row["card_id"], "tier", row["tier_id"], str(row["valid_from"]))
        found[row["card_id"]][key] = str(row["valid_to"] or "open")
    return found


def plain(one: Any) -> str:
    """A record as one can read it: what is as always is left out."""
    if isinstance(one, list | tuple):
        return "[" + " ".join(plain(item) for item in one) + "]"
    if not is_dataclass(one):
        return str(one)
    said = ((each, getattr(one, each.name)) for each in fields(one))
    return " ".join(f"{each.name}={plain(value)}" for each, value in said if value and value != each.default)


def differences(it: World, home: Home) -> list[str]:
    """Each account whose points or tiers differ, with its documents and both answers; the shortest first."""
    engine, found = of_the_engine(home), []
    for account in it.accounts:
        oracle = Oracle(it.programmes, it.rates, account, it.through)
        oracle.run()
        wanted = oracle.result()
        got = {key: value for one in [*account.cards, *account.documents] for key, value in engine[one.id].items()}
        if got != wanted:
            keys = sorted(key for key in got.keys() | wanted.keys() if got.get(key) != wanted.get(key))
            shown = [f"{key}: oracle {wanted.get(key)}, engine {got.get(key)}" for key in keys]
            documents = sorted(account.documents, key=lambda d: d.place)
            told = [plain(one) for one in [*account.cards, *account.overrides, *account.belongs, *documents]]
            found.append("\n".join([f"{len(told)}", *told, *shown]))
    return sorted(found, key=lambda text: int(text.split("\n")[0]))


def write_versions(programmes: list[dict[str, Any]], home: Home) -> None:
    *earlier, last = sorted(programmes, key=lambda one: str(one["effective_from"]))
    write_programme(last, home.programme)
    for one in earlier:
        write_programme(one, home.programme / "history" / one["effective_from"])


def agree(it: World, home: Home) -> None:
    assert table(home, "ops.quarantine") == []
    found = differences(it, home)
    shown = "\n\n".join(found[:3])
    assert not found, f"{len(found)} of {len(it.accounts)} accounts differ\n{it.programmes}\n{it.rates}\n{shown}"


def in_one_night(it: World, home: Home) -> None:
    write_versions(it.programmes, home)
    deliver(it, home, {FIRST, *it.days})
    work_night(home, it.through)


def in_nights(
    it: World, home: Home, rng: random.Random, nights: int = 3, work: Callable[[Home, date], Any] = work_night
) -> None:
    """In nights at random splits: some days' drops come a night late, some drops first come wrong, and each version
    of the programme is seen from a night on that may come after its first day."""
    dates = [FIRST + timedelta(days=n) for n in range((it.through - FIRST).days)]  # also such as bring nothing
    splits = [*sorted(rng.sample(dates, nights - 1)), it.through]
    coming: dict[date, set[date]] = {night: set() for night in splits}
    for day in [FIRST, *it.days]:
        possible = [night for night in splits if night >= day]
        coming[possible[1] if day > FIRST and len(possible) > 1 and rng.random() < 0.2 else possible[0]].add(day)
    wrong: dict[Any, Any] = {}
    known = it.programmes[:1]
    for n, (night, days) in enumerate(sorted(coming.items())):
        for (feed, day, source), content in wrong.items():
            write_drop(home, feed, day, source, content, revision=2)
        known = it.programmes if night == it.through else it.programmes[: max(len(known), rng.choice([1, n + 1]))]
        write_versions(known, home)
        wrong = deliver(it, home, days, rng if night != it.through else None)
        work(home, night)


def decide(it: World, home: Home, rng: random.Random) -> None:
    """People let some exceptions through, and have tiers evaluated again, for everyone and for some cards."""
    of = {document.id: account for account in it.accounts for document in account.documents}
    decided: list[tuple[str, dict[str, str | None]]] = []
    for row in sorted(table(home, "loyalty.exceptions"), key=lambda row: sorted(map(str, row.values()))):
        account, card, reason = of[row["transaction_id"]], row["card_id"], row["reason"]
        is_known = any(one.id == card and not replaced_by(one, account) for one in account.cards)
        if reason in decisions.RELEASABLE and is_known and "ghost" not in row["detail"] and rng.random() < 0.6:
            account.released.add((row["transaction_id"], card, reason))
            decided.append(("release", {key: row[key] for key in ("transaction_id", "card_id", "reason")}))
    for everyone in (True, *[False] * 9):
        day = rng.choice([day for day in it.days if day <= it.through])
        one = rng.choice(it.accounts)
        card = "" if everyone else one.cards[0].id
        for account in it.accounts if everyone else [one]:
            account.reevaluated.append((day, card))
        decided.append(("reevaluation", {"date": str(day), "card_id": card or None}))
    with stage(home, "loyalty", Lake(home).published().night) as work:
        work.engine.register(
            "ops._decided",
            pa.Table.from_pylist(
                [
                    {"decision_id": f"{kind} {n}", "kind": kind, "recorded_on": work.business_date}
                    | {"content": json.dumps(content), "seq": work.seq}
                    for n, (kind, content) in enumerate(decided)
                ]
            ),
        )
        work.append("ops.decisions", "select * from ops._decided")
        loyalty.work_out(work)
    Lake(home).publish(work.business_date)


def replaced_by(card: Card, account: Account) -> list[Card]:
    return [other for other in account.cards if any(row.replaces == card.id for row in other.rows)]


def seeds(*usual: int) -> list[Any]:
    """The seeds to try: the first of the usual ones always, the others slow, or those of ``KANTA_SEEDS``."""
    if wanted := os.environ.get("KANTA_SEEDS"):
        first, _, last = wanted.partition("-")
        return list(range(int(first), int(last or first) + 1))
    return [usual[0], *(pytest.param(seed, marks=pytest.mark.slow) for seed in usual[1:])]


@pytest.mark.parametrize("seed", seeds(1, 3))
def test_the_engine_agrees_with_the_oracle(seed: int, home: Home) -> None:
    rng = random.Random(seed)  # noqa: S311
    it = world(rng)
    in_one_night(it, home)
    agree(it, home)
    decide(it, home, rng)
    agree(it, home)


@pytest.mark.slow
@pytest.mark.parametrize("seed", seeds(14))
def test_it_agrees_too_when_worked_in_nights(seed: int, home: Home) -> None:
    rng = random.Random(seed)  # noqa: S311
    it = world(rng)
    in_nights(it, home, rng)
    agree(it, home)
    decide(it, home, rng)
    agree(it, home)


def small_histories(days: list[date]) -> Iterator[Account]:
    """Each went wrong once."""

    def line(kind: str, net: str, of: tuple[str, int] | None = None, no: int = 1) -> Line:
        return Line(no, kind, "P", Decimal(1 if kind == "sale" else -1), Decimal(net), Decimal("0.00"), original=of)

    def at(n: int) -> str:
        return f"{days[n]}T12:00:00+00:00"

    def pays(card: str, points: int) -> Tender:
        return Tender(card, "points", Decimal(points), Decimal(points))

    # A pays 20 as contact tender with nothing there; B's 15 have expired. All was written off: none comes back.
    cards = [
        Card("A", [Row(FIRST, "as_contact_tender", FIRST, "K")]),
        Card("B", [Row(FIRST, "as_card_tender", FIRST, "K")]),
    ]
    bought = Document("T1", days[1], at(1), "A", "S1", "sale", [line("sale", "40.00")], pays("A", 20))
    back = Document("R1", days[2], at(2), "A", "S1", "return", [line("return", "-40.00", ("T1", 1))], pays("A", -20))
    yield Account(cards, [Document("J1", days[0], "", "B", point="points", points=Decimal(15)), bought, back])

    # C pays before D is its customer's: D's 15 are not drawn on, though both are known when the lake begins.
    given = [Row(FIRST, "as_card_tender", FIRST), Row(days[2], "as_card_tender", FIRST, "L")]
    cards = [Card("C", [Row(FIRST, "as_contact_tender", FIRST, "L")]), Card("D", given)]
    bought = Document("T2", days[1], at(1), "C", "S1", "sale", [line("sale", "40.00")], pays("C", 20))
    yield Account(cards, [Document("J2", days[1], "", "D", point="points", points=Decimal(15)), bought])

    # One receipt sells and brings back the same line: that acts after what it earned.
    lines = [line("return", "-9.00", ("T3", 2)), line("sale", "9.00", no=2), line("sale", "5.00", no=3)]
    yield Account(
        [Card("E", [Row(FIRST, "as_card_tender", FIRST)])],
        [Document("T3", days[1], at(1), "E", "S1", "exchange", lines)],
    )


def test_small_histories_that_went_wrong_once(home: Home) -> None:
    days = [FIRST + timedelta(days=n) for n in (3, 20, 30)]
    accounts = list(small_histories(days))
    for one in (document for account in accounts for document in account.documents):
        one.comes = [(one.day, str(one.points))]
    own = {
        "parameters": {"negative_balance": "write_off"},
        "reward_points": [{"id": "points", "expiration": {"value": 10, "unit": "day"}}],
    }
    programme = laid_over(bases()["club"]["programme"], own)
    it = World([programme], days, days[2], {}, {}, accounts)
    in_one_night(it, home)
    agree(it, home)
    assert {row["card_id"] for row in table(home, "loyalty.entries")} >= {"A", "B", "C", "D", "E"}
