"""``kanta programme diff``: how many points a changed programme would move, card by card, before it does.

The published facts are judged by the recorded versions and the one that is not recorded yet, in memory; nothing is
written. A version whose ``effective_from`` lies in the past moves what was posted since (spec 2-loyalty section 8).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kanta import loyalty, programme
from kanta.engine import Engine
from kanta.errors import BadArguments
from kanta.home import Home
from kanta.lake import Lake
from kanta.night import Night
from kanta.reading import as_table

Row = dict[str, Any]

#: How many cards the text shows.
SHOWN = 20


@dataclass(frozen=True)
class Elsewhere(Home):
    """A home whose programme lies in another folder."""

    folder: Path

    @property
    def programme(self) -> Path:
        return self.folder


def diff(home: Home, folder: Path | None = None) -> Row:
    """What the programme in ``folder`` (default: the home's) would move: versions, totals, cards and tiers.

    Raises BadArguments when nothing is published, BadProgramme when the programme is wrong.
    """
    lake = Lake(home)
    with lake.writing():
        state = lake.published()
        if state.business_date is None:
            raise BadArguments("Nothing is published here yet", where=str(home.root), next_step="kanta run --date D")
        with Engine(lake.root / "work") as engine:
            night = Night(home, lake, engine, "loyalty", state, state.night)
            recorded = night.recorded_versions()
            place = Elsewhere(home.root, folder.resolve()) if folder else home
            night.versions = programme.versions(place, recorded, state.night)
            new = [version.effective_from for version in night.versions[len(recorded) :]]
            if not new or min(new) > state.night:
                return {"through": state.night, "new_versions": new, "totals": [], "cards": [], "tiers": []}
            for _ in loyalty.derive(night, everything=True, keep=("loyalty._entry_postings", "loyalty._new_stays")):
                pass
            return {"through": state.night, "new_versions": new, **_moved(night)}


def _moved(night: Night) -> Row:
    night.engine.define(
        "loyalty._moved",
        "select card_id, program_id, reward_point_id, sum(points) as points from loyalty._entry_postings"
        " group by all having sum(points) <> 0",
    )
    stays = "select card_id, program_id, tier_id, valid_from, valid_to from"
    return {
        "totals": _rows(
            night,
            "select program_id, reward_point_id, count(*) as cards,"
            " coalesce(sum(points) filter (where points > 0), 0) as gained,"
            " coalesce(-sum(points) filter (where points < 0), 0) as lost, sum(points) as net"
            " from loyalty._moved group by all order by all",
        ),
        "cards": _rows(
            night, "select * from loyalty._moved order by abs(points) desc, card_id, program_id, reward_point_id"
        ),
        "tiers": _rows(
            night,
            "select program_id, tier_id, count(distinct card_id) filter (where gone) as lose,"
            " count(distinct card_id) filter (where not gone) as get from ("
            f"select *, false as gone from ({stays} loyalty._new_stays except {stays} loyalty.card_tiers)"
            f" union all select *, true as gone from ({stays} loyalty.card_tiers except {stays} loyalty._new_stays)"
            ") as changed group by all order by all",
        ),
    }


def _rows(night: Night, sql: str) -> list[Row]:
    result = night.engine.execute(sql)
    columns = [column[0] for column in result.description or []]
    return [dict(zip(columns, row, strict=True)) for row in result.fetchall()]


def text(moved: Row) -> str:
    """The result for a person: what each program and reward point gains and loses, and the cards moved most."""
    if not moved["new_versions"]:
        return "The programme is the one recorded: nothing would move."
    dates = ", ".join(str(day) for day in moved["new_versions"])
    head = f"A new version in force from {dates}; facts through {moved['through']} judged by it:"
    if not moved["totals"] and not moved["tiers"]:
        return f"{head}\nno posted point would move."
    parts = [head]
    for name, rows in (("totals", moved["totals"]), ("cards", moved["cards"][:SHOWN]), ("tiers", moved["tiers"])):
        if rows:
            parts.append(f"{name}\n" + as_table(list(rows[0]), [tuple(row.values()) for row in rows]))
    parts.append("next: kanta run --date D takes it into force and posts the corrections")
    return "\n".join(parts)
