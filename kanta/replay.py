"""``kanta replay``: all loyalty state derived again from the stored facts, and compared with what is published."""

from __future__ import annotations

from kanta import loyalty, store_days
from kanta.engine import Engine
from kanta.home import Home
from kanta.lake import Lake
from kanta.night import Night, stage
from kanta.publishing import publish
from kanta.verify import SHOWN, Checked

#: What a difference would be posted to.
_COLUMNS = {
    "loyalty.events": "event_id as id",
    "loyalty.entries": "entry_id as id",
    "loyalty.lot_postings": "lot_id as id",
    "loyalty.allocations": "debit_entry_id || ' / ' || lot_id as id",
}

_KEPT = (*loyalty.POSTINGS.values(), "loyalty._misstated_cards", *loyalty.TO_FINISH)


def replay(home: Home, *, dry_run: bool) -> Checked:
    """Derives everything again; the differences are listed, and posted as corrections unless ``dry_run``.

    The states that the next night goes on from are compared, too, card by card, and written anew where they differ.
    Nothing differs when the ledger is what the facts say (spec 2-loyalty section 9, invariant 6).
    """
    if not dry_run:
        with stage(home, "loyalty", Lake(home).published().night) as night:
            for _ in loyalty.derive(night, everything=True, keep=_KEPT):
                loyalty.post(night)
            result = _differences(night)
            if result.breaches:
                loyalty.finish(night)
                store_days.work_out(night)
        if result.breaches:
            publish(home, night.business_date)
        return result
    lake = Lake(home)
    with lake.writing():
        state = lake.recover()
        with Engine(lake.root / "work", shared=True) as engine:
            only_look = Night(home, lake, engine, "loyalty", state, state.night)
            for _ in loyalty.derive(only_look, everything=True, keep=_KEPT):
                pass
            return _differences(only_look)


def _differences(night: Night) -> Checked:
    parts = [
        f"select '{table}' as would_go_to, {_COLUMNS[table]}, points from {postings}"
        for table, postings in loyalty.POSTINGS.items()
    ]
    parts.append("select 'loyalty.lot_states' as would_go_to, card_id as id, 0 as points from loyalty._misstated_cards")
    stays = "select card_id || ' ' || program_id || ' ' || tier_id || ' ' || valid_from as id, valid_to from"
    parts.append(
        "select 'loyalty.card_tiers' as would_go_to, id, 0 as points from ("
        f"({stays} loyalty._new_stays except {stays} loyalty.card_tiers)"
        f" union all ({stays} loyalty.card_tiers except {stays} loyalty._new_stays)) as differing"
    )
    night.engine.define("loyalty._differences", " union all ".join(parts))
    return Checked(
        "6_replay_gives_the_same",
        "6. A replay of all facts gives the same events, entries, lots, allocations and tiers.",
        night.engine.value("select count(*) from loyalty._differences"),
        ("would_go_to", "id", "points"),
        tuple(night.engine.rows(f"select * from loyalty._differences order by all limit {SHOWN}")),
    )
