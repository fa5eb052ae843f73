"""The lot kernel against a second, plain and slow one, written from spec 2-loyalty sections 3 (cap), 4 and 5."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from math import floor
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from kanta import ledger

CARDS, PROGRAMS, DAYS = 3, 2, 12
LAST_DAY = 20


@dataclass
class Lot:
    pool: int
    left: int
    usable: int
    expires: float
    age: int


@dataclass
class Plain:
    """Points as a shop assistant would work them out on paper: one list of lots, nothing clever."""

    party: list[int]
    lots: list[Lot] = field(default_factory=list)
    owed: dict[int, int] = field(default_factory=dict)
    moved: dict[int, int] = field(default_factory=dict)  # by pool: all that was ever added and taken
    expired: int = 0
    written_off: int = 0
    owner: dict[int, int] = field(default_factory=dict)
    taken: dict[int, list[list[Any]]] = field(default_factory=dict)  # by redeem: [what, points still to refund]
    earned: dict[int, int] = field(default_factory=dict)  # by sale line
    budget: dict[int, int] = field(default_factory=dict)
    age: int = 0

    def balance(self, pool: int) -> int:
        return sum(lot.left for lot in self.lots if lot.pool == pool) - self.owed.get(pool, 0)

    def expire(self, today: int) -> None:
        for lot in self.lots:
            if lot.expires < today and lot.left:
                self.expired += lot.left
                lot.left = 0

    def open(self, pool: int, points: int, usable: int, expires: float) -> None:
        covered = min(points, self.owed.get(pool, 0))
        self.owed[pool] = self.owed.get(pool, 0) - covered
        self.age += 1
        self.lots.append(Lot(pool, points - covered, usable, expires, self.age))

    def in_order(self, pools: list[int]) -> list[Lot]:
        return sorted((lot for lot in self.lots if lot.pool in pools and lot.left), key=lambda x: (x.expires, x.age))

    def take(self, lots: list[Lot], points: int) -> tuple[list[list[Any]], int]:
        pieces: list[list[Any]] = []
        for lot in lots:
            piece = min(lot.left, points)
            if piece:
                lot.left -= piece
                points -= piece
                pieces.append([lot, piece])
        return pieces, points

    def short(self, pool: int, points: int, write_off: bool) -> int:
        if write_off:
            self.written_off += points
            return 0
        self.owed[pool] = self.owed.get(pool, 0) + points
        return points

    def redeem(self, step: dict[str, Any]) -> int:
        pool, today = step["pool"], step["day"]
        pools = [pool]
        if step["wide"] and self.party[pool] >= 0:
            pools = [q for q in same_points(pool) if q == pool or self.party[q] == self.party[pool]]
        usable = [lot for lot in self.in_order(pools) if lot.usable <= today]
        pieces, left = self.take(usable, step["points"])
        owed = self.short(pool, left, step["write_off"]) if left else 0
        self.taken[step["source"]] = [*pieces, [pool, owed]]
        return left

    def take_back(self, step: dict[str, Any], usable_only: bool) -> None:
        points = step["points"]
        if "portion" in step:
            before, after, whole = step["portion"]
            earned = self.earned.get(step["source"], 0)
            points = part(earned, after, whole) - part(earned, before, whole)
        lots = self.in_order([step["pool"]])
        unvested = [] if usable_only or step["available_only"] else [x for x in lots if x.usable > step["day"]]
        _, left = self.take(unvested + [x for x in lots if x.usable <= step["day"]], points)
        if left:
            self.short(step["pool"], left, step["write_off"])

    def refund(self, step: dict[str, Any]) -> int:
        left = self.budget.get(step["tender"], step["points"])
        for piece in reversed(self.taken.get(step["source"], [])):
            given = min(left, piece[1])
            if not given:
                continue
            piece[1] -= given
            left -= given
            lot = piece[0] if isinstance(piece[0], Lot) else None
            pool = lot.pool if lot else piece[0]
            owner = pool
            while owner in self.owner:
                owner = self.owner[owner]
            covered = min(given, self.owed.get(owner, 0))
            self.owed[owner] = self.owed.get(owner, 0) - covered
            given -= covered
            if lot and lot.expires >= step["day"] and owner == pool:
                lot.left += given
            elif lot and lot.expires >= step["day"]:
                self.open(owner, given, lot.usable, lot.expires)
            else:
                self.open(owner, given, step["day"], step["expires"])
        self.budget[step["tender"]] = left
        return left

    def transfer(self, step: dict[str, Any]) -> int:
        ways = dict(zip(step["pools"], step["targets"], strict=True))
        usable = [lot for lot in self.in_order(list(ways)) if lot.usable <= step["day"]]
        wanted = step["points"] or sum(lot.left for lot in usable)
        pieces, left = self.take(usable, wanted)
        for lot, points in pieces:
            dates = (step["usable"], step["expires"]) if step["restart"] else (lot.usable, lot.expires)
            self.open(ways[lot.pool], points, *dates)
        return left if step["points"] else 0

    def replace(self, step: dict[str, Any]) -> None:
        old, new = step["pool"], step["target"]
        if old == new or old in self.owner:
            return
        self.owner[old] = new
        for lot in self.in_order([old]):
            covered = min(lot.left, self.owed.get(new, 0))
            self.owed[new] = self.owed.get(new, 0) - covered
            self.lots.append(Lot(new, lot.left - covered, lot.usable, lot.expires, lot.age))
            lot.left = 0
        self.owed[new] = self.owed.get(new, 0) + self.owed.pop(old, 0)


def part(earned: int, quantity: int, whole: int) -> int:
    """Rounded half up to whole points (100)."""
    return floor(Fraction(earned * quantity, whole * 100) + Fraction(1, 2)) * 100


def same_points(pool: int) -> list[int]:
    """The pools of all cards in one program: pools are numbered program by program."""
    return [q for q in range(CARDS * PROGRAMS) if q // CARDS == pool // CARDS]


def work(steps: list[dict[str, Any]], party: list[int]) -> tuple[Plain, list[int]]:
    plain, uncovered = Plain(list(party)), []
    for step in steps:
        plain.expire(step["day"])
        short = 0
        match step["kind"]:
            case ledger.CREDIT:
                points = step["points"]
                if step["ceiling"]:
                    points = max(min(points, step["ceiling"] - plain.balance(step["pool"])), 0)
                plain.earned[step["source"]] = plain.earned.get(step["source"], 0) + points
                plain.open(step["pool"], points, step["usable"], step["expires"])
            case ledger.REDEEM:
                short = plain.redeem(step)
            case ledger.TAKE_BACK | ledger.TAKE_USABLE:
                plain.take_back(step, step["kind"] == ledger.TAKE_USABLE)
            case ledger.REFUND:
                short = plain.refund(step)
            case ledger.TRANSFER:
                short = plain.transfer(step)
            case ledger.REPLACE:
                plain.replace(step)
            case ledger.JOIN:
                plain.party[step["pool"]] = step["party"]
        uncovered.append(short)
    plain.expire(LAST_DAY)
    return plain, uncovered


def folded(steps: list[dict[str, Any]], party: list[int]) -> tuple[ledger.Folded, list[int]]:
    """The same steps through the kernel; the number of each step's first event."""
    rows: list[tuple[int, ...]] = []
    portions: list[tuple[int, int, int, int]] = []
    first = []
    for step in steps:
        first.append(len(rows))
        kind, day = step["kind"], step["day"]
        expires = ledger.NEVER if step.get("expires", 0) == float("inf") else step.get("expires", 0)
        flags = ledger.WRITE_OFF * step.get("write_off", False) + ledger.WIDE * step.get("wide", False)
        flags += ledger.AVAILABLE_ONLY * step.get("available_only", False) + ledger.RESTART * step.get("restart", False)
        dates = (step.get("usable", day), expires)
        partner = {ledger.REFUND: step.get("tender", -1), ledger.REPLACE: step.get("target", -1)}.get(kind, -1)
        if kind == ledger.JOIN:
            partner = step["party"]
        if "portion" in step:
            partner = len(portions)
            portions.append((*step["portion"], 100))
        if kind == ledger.TRANSFER:
            for pool, target in zip(step["pools"], step["targets"], strict=True):
                rows.append((kind, flags, pool, day, step["points"], *dates, 0, step["source"], target))
            continue
        rows.append((kind, flags, step["pool"], day, step["points"], *dates, step["ceiling"], step["source"], partner))
    columns = [np.array(column, np.int64) for column in zip(*rows, strict=True)]
    pools = range(CARDS * PROGRAMS)
    group = [min(same_points(q)) for q in pools], [max(same_points(q)) for q in pools]
    shares = [np.array([row[n] for row in portions], np.int64) for n in range(4)]
    result, compiled = (
        ledger.fold(
            ledger.Events(*columns),
            ledger.Pools(np.array(group[0]), np.array(group[1]), np.array(party, np.int64)),
            ledger.Portions(*shares),
            LAST_DAY,
            as_python=as_python,
        )
        for as_python in (True, False)
    )
    for name, rows in vars(result).items():
        assert rows.tolist() == vars(compiled)[name].tolist(), name
    return result, first


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[int]]:
    """A history of one account: three cards in two programs, every kind of event, in the order of the days."""
    kinds = [
        ledger.CREDIT, ledger.CREDIT, ledger.CREDIT, ledger.REDEEM, ledger.REDEEM, ledger.TAKE_BACK, ledger.TAKE_USABLE,
        ledger.REFUND, ledger.REFUND, ledger.TRANSFER, ledger.REPLACE, ledger.JOIN,
    ]  # fmt: skip
    steps: list[dict[str, Any]] = []
    redeems: list[tuple[int, int]] = []
    replaced: set[int] = set()
    sources = 0
    whole = st.integers(1, 40).map(lambda n: n * 100)
    for day in sorted(draw(st.lists(st.integers(0, DAYS), min_size=1, max_size=25))):
        kind = draw(st.sampled_from(kinds))
        pool = draw(st.integers(0, CARDS * PROGRAMS - 1))
        step: dict[str, Any] = {"kind": kind, "pool": pool, "day": day, "points": draw(whole), "ceiling": 0}
        step |= {"source": -1, "usable": day + draw(st.sampled_from([0, 0, 3])), "write_off": draw(st.booleans())}
        step |= {
            "expires": draw(st.sampled_from([float("inf"), day + 2, day + 6])),
            "available_only": draw(st.booleans()),
        }
        if kind == ledger.CREDIT:
            step |= {"source": sources, "ceiling": draw(st.sampled_from([0, 0, 3000]))}
            steps.append(step)
            sources += 1
            if draw(st.booleans()):  # its goods come back in two parts
                back = step | {"kind": ledger.TAKE_BACK, "source": sources - 1, "ceiling": 0}
                quantity = draw(st.integers(1, 2))
                steps += [back | {"portion": (0, quantity, 3)}, back | {"portion": (quantity, 3, 3)}]
            continue
        if kind == ledger.REDEEM:
            step |= {"source": sources, "wide": draw(st.booleans())}
            redeems.append((sources, pool))
            sources += 1
        elif kind == ledger.REFUND:
            if not redeems:
                continue
            source, paying = draw(st.sampled_from(redeems))
            step |= {"source": source, "pool": paying, "tender": len(steps), "usable": day}
        elif kind == ledger.TRANSFER:
            card, other = draw(st.permutations(range(CARDS)))[:2]
            step |= {"pools": [card, card + CARDS], "targets": [other, other + CARDS], "source": sources}
            step |= {"restart": draw(st.booleans()), "points": draw(st.sampled_from([0, 700, 2000]))}
            sources += 1
        elif kind == ledger.REPLACE:
            target = draw(st.sampled_from(same_points(pool)))
            if {pool, target} & replaced or pool == target:
                continue
            replaced.add(pool)
            step["target"] = target
        elif kind == ledger.JOIN:
            step["party"] = draw(st.sampled_from([-1, 1, 2]))
        steps.append(step)
    party = draw(st.lists(st.sampled_from([-1, 1, 2]), min_size=CARDS * PROGRAMS, max_size=CARDS * PROGRAMS))
    return steps, party


@settings(max_examples=60, deadline=None, derandomize=True)
@given(histories())
def test_the_kernel_gives_what_paper_gives_and_keeps_its_own_books(history):
    steps, party = history
    if not steps:
        return
    plain, uncovered = work(steps, party)
    result, first = folded(steps, party)
    lots = result.lots
    never = np.where(lots["expires"] == ledger.NEVER, -1, lots["expires"])
    got = sorted(
        (int(row["pool"]), int(row["usable"]), int(ends), int(row["remaining"]))
        for row, ends in zip(lots, never, strict=True)
        if row["remaining"]
    )
    wanted = sorted((x.pool, x.usable, -1 if x.expires == float("inf") else int(x.expires), x.left)
                    for x in plain.lots if x.left)  # fmt: skip
    assert merged(got) == merged(wanted)
    assert [int(owed) for owed in result.deficit] == [plain.owed.get(q, 0) for q in range(CARDS * PROGRAMS)]
    for step, short, event in zip(steps, uncovered, first, strict=True):
        if step["kind"] in (ledger.REDEEM, ledger.REFUND, ledger.TRANSFER):
            assert result.uncovered[event] == short, step
    books(result)


def merged(lots: list[tuple[int, int, int, int]]) -> dict[tuple[int, int, int], int]:
    """Lots of equal dates are as good as one."""
    found: dict[tuple[int, int, int], int] = {}
    for *dates, left in lots:
        key = (dates[0], dates[1], dates[2])
        found[key] = found.get(key, 0) + left
    return found


def books(result: ledger.Folded) -> None:
    """Section 9, 1 to 3: balances are entries are lots less deficits; a lot is what was opened less its pieces."""
    lots, pieces, entries = result.lots, result.pieces, result.entries
    for pool, deficit in enumerate(result.deficit):
        of_entries = entries[entries["pool"] == pool]["points"].sum()
        assert of_entries == lots[lots["pool"] == pool]["remaining"].sum() - deficit
    for number, lot in enumerate(lots):
        taken = pieces[pieces["lot"] == number]["points"].sum()
        assert lot["remaining"] == lot["points"] - taken
        assert 0 <= lot["remaining"] <= lot["points"]
    assert not np.any(entries[entries["kind"] == ledger.EXPIRED]["points"] >= 0)


def test_an_account_that_goes_on_from_its_open_lots_ends_as_one_that_was_folded_whole():
    never = float("inf")
    base = {"pool": 0, "write_off": False, "available_only": False, "ceiling": 0, "source": -1, "expires": never}
    steps = [
        base | {"kind": ledger.CREDIT, "day": 1, "points": 5000, "usable": 1, "expires": 9},
        base | {"kind": ledger.REDEEM, "day": 2, "points": 7000, "wide": False},
        base | {"kind": ledger.CREDIT, "day": 3, "points": 3000, "usable": 3},
        base | {"kind": ledger.TAKE_BACK, "day": 4, "points": 1500},
        base | {"kind": ledger.CREDIT, "day": 5, "points": 2000, "usable": 8, "ceiling": 1000},
    ]
    nobody = [-1] * (CARDS * PROGRAMS)
    whole, _ = folded(steps, nobody)
    before, _ = folded(steps[:3], nobody)
    carried = [
        base | {"kind": ledger.CARRIED_LOT, "day": int(lot["earned"]), "points": int(lot["remaining"]),
                "usable": int(lot["usable"])}
        for lot in before.lots if lot["remaining"]
    ]  # fmt: skip
    carried += [base | {"kind": ledger.CARRIED_DEFICIT, "day": 0, "points": int(o)} for o in before.deficit if o]
    assert carried
    after, _ = folded([*carried, *steps[3:]], nobody)
    open_lots = [sorted(lot["remaining"] for lot in r.lots if lot["remaining"]) for r in (whole, after)]
    assert open_lots[0] == open_lots[1] == [1000]
    assert list(whole.deficit) == list(after.deficit)
