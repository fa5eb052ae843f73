"""``kanta simulate``: another programme over the real history, beside the published one.

Every fact of the published lake is judged by the other programme from the beginning, in memory; nothing of the lake is
written, and what is spilled lies in a folder that goes with the command, however it ends. Points are shown by the date
they belong to, each kind by itself; money at the value each programme gives a point that it lets be redeemed (`value`,
else what its redemption rules pay), and none for points that buy nothing.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa

from kanta import loyalty, programme
from kanta.engine import Engine
from kanta.errors import BadArguments
from kanta.home import Home
from kanta.lake import Lake, write_atomically
from kanta.night import Night
from kanta.programme.relations import point_value
from kanta.programme_diff import Elsewhere
from kanta.reading import as_table
from kanta.report import showing

Row = dict[str, Any]

#: How many of the cards that change most are listed.
SHOWN = 20

#: The figures of a reward point in their order; the last two are money. Outstanding is what was so before the period,
#: and issued, less redeemed and expired, and otherwise: adjusted down, written off, moved or corrected.
FIGURES = ("before", "issued", "redeemed", "expired", "otherwise", "outstanding", "cards", "cost", "owed")
MONEY = ("cost", "owed")


def simulate(
    home: Home,
    folder: Path,
    first: date | None = None,
    last: date | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Row:
    """What the programme in ``folder`` would have made of the facts from ``first`` to ``last`` (default: all of them).

    Points and money are decimals; lists of rows: ``totals``, ``months``, ``tiers``, ``segments``, ``cards``. Raises
    BadArguments when nothing is published or the dates are no period of it, BadProgramme when the programme is wrong.
    """
    lake = Lake(home)
    state = lake.published()
    if state.business_date is None:
        raise BadArguments("Nothing is published here yet", where=str(home.root), next_step="kanta run --date D")
    last = min(last or state.night, state.night)
    if first and first > last:
        raise BadArguments(f"--from {first} is after {last}", next_step="kanta simulate --help")
    workplace = lake.root / "work"
    workplace.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=workplace, prefix="simulate.") as place, Engine(Path(place)) as engine:
        night = Night(home, lake, engine, "loyalty", state, state.night)
        recorded = night.recorded_versions()
        night.progress, steps = progress, progress or (lambda *_: None)
        steps("simulation", 0, 2)
        night.versions = programme.versions(Elsewhere(home.root, folder.resolve()), [], state.night)
        _refuse_other_placeholders(recorded, night.versions, folder)
        for _ in loyalty.derive(night, everything=True, keep=("loyalty._folded_entries", "loyalty._new_stays")):
            pass
        steps("simulation", 1, 2)
        first = first or engine.value("select min(entry_date) from loyalty.entries") or last
        _lay_out(night, recorded, first, last)
        currencies = [_of_day(versions, last).accounting_currency for versions in (recorded, night.versions)]
        found = {
            name: _rows(engine, sql, {"first": first, "last": last, "shown": SHOWN}) for name, sql in _ASKED.items()
        }
        steps("simulation", 2, 2)
    return {
        "programme": str(folder), "from": first, "to": last, "published_currency": currencies[0],
        "simulated_currency": currencies[1], **found, "totals": _totals(found["totals"]),
    }  # fmt: skip


def _refuse_other_placeholders(
    recorded: list[programme.Version], versions: list[programme.Version], folder: Path
) -> None:
    """Who is nobody is settled before points are: receipts and cards are as the published programme sees them."""
    known, simulated = (
        {customer.lower() for version in of for customer in version.programme.placeholder_customers}
        for of in (recorded, versions)
    )
    if different := sorted(simulated ^ known):
        raise BadArguments(
            f"Another placeholder_customers ({', '.join(different[:5])}) is no rule that can be simulated",
            where=str(folder),
            next_step="say there what the published programme says; a night with another list works receipts out again",
        )


def _of_day(versions: list[programme.Version], day: date) -> programme.Programme:
    return programme.in_force(programme.spans(versions), day).version.programme


def _lay_out(night: Night, recorded: list[programme.Version], first: date, last: date) -> None:
    """Both worlds as the same relations: entries, stays, what a point is worth, and the segment of each card.

    Published entries and what corrected them are one: what came to nothing is not there.
    """
    engine = night.engine
    night.attach("loyalty.entries", "loyalty.card_tiers", "rfm.segments", "analysts._cards")
    columns = "card_id, program_id, reward_point_id, side, cast(sum(points) as decimal(18, 2)) as points, entry_date"
    types = "coalesce(corrected_type, entry_type) as entry_type"
    engine.view(
        "simulation._entries",
        f"select 'published' as world, {columns}, {types} from loyalty.entries where entry_date <= $last group by all"
        f" having points <> 0 union all select 'simulated', {columns}, entry_type from loyalty._folded_entries"
        " where entry_date <= $last group by all having points <> 0",
        {"last": last},
    )
    stays = "card_id, program_id, tier_id, level, valid_from, valid_to"
    engine.view(
        "simulation._tiers",
        "select world, card_id, program_id, max_by(tier_id, level) as tier_id, max(level) as level from ("
        f"select 'published' as world, {stays} from loyalty.card_tiers"
        f" union all select 'simulated', {stays} from loyalty._new_stays) as stays"
        " where valid_from <= $last and (valid_to is null or valid_to >= $last) group by all",
        {"last": last},
    )
    worth = [
        {"world": world, "reward_point_id": point.id, "worth": point_value(rules, point) if point.redeemable else None}
        for world, versions in (("published", recorded), ("simulated", night.versions))
        for rules in [_of_day(versions, last)]
        for point in rules.reward_points
    ]
    schema = pa.schema([("world", pa.string()), ("reward_point_id", pa.string()), ("worth", pa.decimal128(18, 6))])
    engine.register("simulation._worth", pa.Table.from_pylist(worth, schema))
    engine.define(
        "simulation._segments",
        "select card_id, segment from analysts._cards where definition = (select min(definition) from rfm.segments)",
    )
    engine.define("simulation._cards", _CARDS, {"first": first, "last": last})


def _rows(engine: Engine, sql: str, parameters: Row) -> list[Row]:
    result = engine.execute(sql, parameters)
    names = [column[0] for column in result.description or []]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def _totals(rows: list[Row]) -> list[Row]:
    """One row for each program, reward point and figure, with both worlds side by side; money where it is known."""
    worlds = {(row["program_id"], row["reward_point_id"], row["world"]): row for row in rows}
    made = []
    for program, point in sorted({key[:2] for key in worlds}):
        published, simulated = (worlds.get((program, point, world), {}) for world in ("published", "simulated"))
        for figure in FIGURES:
            before, after = (_figure(world, figure) for world in (published, simulated))
            made.append(
                {
                    "program_id": program,
                    "reward_point_id": point,
                    "figure": figure,
                    "published": before,
                    "simulated": after,
                    "change": None if before is None or after is None else after - before,
                }
            )
    return made


def _figure(world: Row, figure: str) -> Decimal | None:
    """A figure of one world: nothing where it has none of the points, unknown where it gives them no money."""
    found: Decimal | None = world.get(figure)
    if found is None and world and world["worth"] is None and figure in MONEY:
        return None
    return found or Decimal(0)


#: What was issued, as tiers and balances mean it: without what only went from card to card.
_ISSUED = "side = 'issued' and entry_type in ('earn', 'adjust', 'return_earned')"
_REDEEMED = "entry_type in ('redeem', 'refund')"

#: Each card of a program with what it was issued of each kind in the period, and the worth of that, in both worlds.
_CARDS = f"""
select
    entries.card_id,
    entries.program_id,
    entries.reward_point_id,
    coalesce(sum(points) filter (where world = 'published' and {_ISSUED}), 0) as issued_published,
    coalesce(sum(points) filter (where world = 'simulated' and {_ISSUED}), 0) as issued_simulated,
    cast(round(coalesce(sum(points * worth) filter (where world = 'published' and {_ISSUED}), 0), 2) as decimal(18, 2))
        as worth_published,
    cast(round(coalesce(sum(points * worth) filter (where world = 'simulated' and {_ISSUED}), 0), 2) as decimal(18, 2))
        as worth_simulated
from simulation._entries as entries
left join simulation._worth as worth using (world, reward_point_id)
where entry_date between $first and $last
group by all
"""

_ASKED = {
    "totals": f"""
        select
            entries.world,
            entries.program_id,
            entries.reward_point_id,
            sum(points) filter (where entry_date < $first) as before,
            sum(points) filter (where entry_date >= $first and {_ISSUED}) as issued,
            -sum(points) filter (where entry_date >= $first and {_REDEEMED}) as redeemed,
            -sum(points) filter (where entry_date >= $first and entry_type = 'expire') as expired,
            sum(points) filter (
                where entry_date >= $first and ({_ISSUED} or {_REDEEMED} or entry_type = 'expire') is not true
            ) as otherwise,
            sum(points) as outstanding,
            count(distinct card_id) as cards,
            any_value(worth) as worth,
            cast(round(-sum(points) filter (where entry_date >= $first and {_REDEEMED}) * any_value(worth), 2)
                as decimal(18, 2)) as cost,
            cast(round(sum(points) * any_value(worth), 2) as decimal(18, 2)) as owed
        from simulation._entries as entries
        left join simulation._worth as worth using (world, reward_point_id)
        group by all
        order by all
    """,
    "months": f"""
        with moved as (
            select
                world,
                program_id,
                reward_point_id,
                cast(date_trunc('month', entry_date) as date) as month,
                coalesce(sum(points) filter (where entry_date >= $first and {_ISSUED}), 0) as issued,
                coalesce(-sum(points) filter (where entry_date >= $first and {_REDEEMED}), 0) as redeemed,
                coalesce(-sum(points) filter (where entry_date >= $first and entry_type = 'expire'), 0) as expired,
                sum(points) as points
            from simulation._entries
            group by all
        ),

        listed as (
            select
                program_id,
                reward_point_id,
                cast(unnest(generate_series(min(month), date_trunc('month', $last), interval (1) month)) as date)
                    as month
            from moved
            group by program_id, reward_point_id
        ),

        spread as (
            select
                worlds.world,
                listed.program_id,
                listed.reward_point_id,
                listed.month,
                coalesce(moved.issued, 0) as issued,
                coalesce(moved.redeemed, 0) as redeemed,
                coalesce(moved.expired, 0) as expired,
                sum(coalesce(moved.points, 0)) over (
                    partition by worlds.world, listed.program_id, listed.reward_point_id
                    order by listed.month
                    rows between unbounded preceding and current row
                ) as outstanding
            from listed
            cross join (values ('published'), ('simulated')) as worlds(world)
            left join moved using (world, program_id, reward_point_id, month)
        )

        select
            program_id,
            reward_point_id,
            month,
            sum(issued) filter (where world = 'published') as issued_published,
            sum(issued) filter (where world = 'simulated') as issued_simulated,
            sum(redeemed) filter (where world = 'published') as redeemed_published,
            sum(redeemed) filter (where world = 'simulated') as redeemed_simulated,
            sum(expired) filter (where world = 'published') as expired_published,
            sum(expired) filter (where world = 'simulated') as expired_simulated,
            sum(outstanding) filter (where world = 'published') as outstanding_published,
            sum(outstanding) filter (where world = 'simulated') as outstanding_simulated
        from spread
        where month >= date_trunc('month', $first)
        group by all
        order by all
    """,
    "tiers": """
        select
            program_id,
            tier_id,
            max(level) as level,
            count(*) filter (where world = 'published') as published,
            count(*) filter (where world = 'simulated') as simulated
        from simulation._tiers
        group by program_id, tier_id
        order by program_id, level desc, tier_id
    """,
    # Kinds of points are never added up: a card wins by the worth of what it was issued or, where that is the same, by
    # more of one kind and less of none.
    "segments": """
        with cards as (
            select
                card_id,
                coalesce(nullif(any_value(segment), ''), 'no segment') as segment,
                sum(worth_published) as worth_published,
                sum(worth_simulated) as worth_simulated,
                bool_or(issued_simulated > issued_published) as more,
                bool_or(issued_simulated < issued_published) as less
            from simulation._cards
            left join simulation._segments using (card_id)
            group by card_id
        )

        select
            segment,
            count(*) as cards,
            count(*) filter (
                where worth_simulated > worth_published or (worth_simulated = worth_published and more and not less)
            ) as winners,
            count(*) filter (
                where worth_simulated < worth_published or (worth_simulated = worth_published and less and not more)
            ) as losers,
            sum(worth_published) as worth_published,
            sum(worth_simulated) as worth_simulated,
            sum(worth_simulated) - sum(worth_published) as change
        from cards
        group by segment
        order by abs(change) desc, segment
    """,
    "cards": """
        select
            cards.card_id,
            cards.program_id,
            coalesce(nullif(segments.segment, ''), 'no segment') as segment,
            before.tier_id as tier_published,
            after.tier_id as tier_simulated,
            cards.reward_point_id,
            issued_published,
            issued_simulated,
            worth_published,
            worth_simulated,
            worth_simulated - worth_published as change
        from simulation._cards as cards
        left join simulation._segments as segments using (card_id)
        left join simulation._tiers as before
            on cards.card_id = before.card_id
            and cards.program_id = before.program_id
            and before.world = 'published'
        left join simulation._tiers as after
            on cards.card_id = after.card_id
            and cards.program_id = after.program_id
            and after.world = 'simulated'
        where
            worth_simulated <> worth_published
            or issued_simulated <> issued_published
            or before.tier_id is distinct from after.tier_id
        order by
            abs(worth_simulated - worth_published) desc,
            abs(issued_simulated - issued_published) desc,
            cards.card_id,
            cards.program_id,
            cards.reward_point_id
        limit $shown
    """,
}


def text(found: Row) -> str:
    """The result for a person, as tables."""
    parts = [_headline(found)]
    for name in ("totals", "tiers", "segments", "cards"):
        if rows := found[name]:
            parts.append(f"{name}\n" + as_table(list(rows[0]), [tuple(row.values()) for row in rows]))
    if not found["cards"]:
        parts.append("No card would have been issued anything else.")
    return "\n".join(parts)


def _headline(found: Row) -> str:
    return f"{found['programme']} over the facts from {found['from']} to {found['to']}; nothing of the lake is changed."


def write(home: Home, found: Row, output: Path | None = None) -> Path:
    """Writes the page (default: ``<home>/reports/simulation.html``) whole or not at all; returns its place."""
    path = output or home.reports / "simulation.html"
    write_atomically(path, html(found))
    return path


def html(found: Row) -> str:
    """One self-contained page with charts; whatever text the data holds is shown as text."""
    kinds: dict[tuple[str, str], Row] = {}
    for name in ("totals", "months"):
        for row in found[name]:
            key = (row["program_id"], row["reward_point_id"])
            kinds.setdefault(key, {"program_id": key[0], "reward_point_id": key[1], "totals": [], "months": []})
            kinds[key][name].append(row)
    return showing.page("simulation.html", found=found, kinds=list(kinds.values()), headline=_headline(found))
