"""Cards by effective tier, and how the night moves them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from kanta.report.nights import Window


@dataclass(frozen=True)
class Tier:
    """Cards whose effective tier this is, on the business date and on the opening day after it."""

    tier_id: str
    cards: int
    cards_next: int


@dataclass(frozen=True)
class Program:
    """A program's tiers, the highest first, and how many cards the night moves up, down, in and out."""

    program_id: str
    tiers: list[Tier]
    up: int = 0
    down: int = 0
    joined: int = 0
    left: int = 0


_EFFECTIVE = """
with

stays as (
    select
        program_id,
        card_id,
        tier_id,
        level,
        $night between valid_from and coalesce(valid_to, $night) as now,
        $night + 1 between valid_from and coalesce(valid_to, $night + 1) as next
    from loyalty.card_tiers
),

effective as (
    select
        program_id,
        card_id,
        max_by(tier_id, level) filter (where now) as tier,
        max(level) filter (where now) as level,
        max_by(tier_id, level) filter (where next) as tier_next,
        max(level) filter (where next) as level_next
    from stays
    group by program_id, card_id
)

select program_id, coalesce(level, 0), tier, coalesce(level_next, 0), tier_next, count(*)
from effective
where level is not null or level_next is not null
group by all
order by all
"""


def read(window: Window) -> list[Program]:
    """Each program's tiers, the highest first, and how cards move between them (level 0: none)."""
    found: dict[str, list[tuple[int, str, int, str, int]]] = {}
    for program, *rest in window.rows(_EFFECTIVE):
        found.setdefault(program, []).append(tuple(rest))
    return [_program(name, cards) for name, cards in found.items()]


def _program(name: str, cards: list[tuple[int, str, int, str, int]]) -> Program:
    now, after = Counter[tuple[int, str]](), Counter[tuple[int, str]]()
    moves = Counter[str]()
    for level, tier, level_next, tier_next, count in cards:
        now[level, tier] += count
        after[level_next, tier_next] += count
        if level != level_next:
            moves["joined" if not level else "left" if not level_next else "up" if level < level_next else "down"] += (
                count
            )
    tiers = sorted((place for place in {*now, *after} if place[0]), reverse=True)
    return Program(name, [Tier(place[1], now[place], after[place]) for place in tiers], **moves)
