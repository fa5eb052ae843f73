"""Loyalty tonight: which accounts are touched, what changes their points, the fold over their lots, the postings.

Rules are SQL (``transforms/loyalty``), order is the kernel (``kanta/ledger.py``); this module is what ties them.
An account whose facts all come in their place goes on from its open lots; any other is worked out again from its first
fact, and only the difference is posted (spec 2-loyalty section 8). Both take the same way through.
"""

from __future__ import annotations

from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kanta import ledger
from kanta.errors import KantaError
from kanta.night import Night

#: Tiers feed on points and points on tiers; each pass settles at least one more tier change of every card.
MOST_PASSES = 200

#: How many steps the kernel takes in at once; a batch ends where an account ends.
BATCH = 4_000_000

EPOCH = date(1970, 1, 1).toordinal()

_SCOPE = (
    "loyalty._accounts",
    "loyalty._card_changes",
    "loyalty._changed_documents",
    "loyalty._adjustments",
    "loyalty._return_links",
    "loyalty._due_lots",
    "loyalty._touched_accounts",
    "loyalty._scope_cards",
)
FACTS = (
    "loyalty._documents",
    "loyalty._lines",
    "loyalty._tenders",
    "loyalty._enrolments",
    "loyalty._channel_schemes",
    "loyalty._affiliated",
    "loyalty._rates",
    "loyalty._category_paths",
    "loyalty._rules",
    "loyalty._rule_categories",
    "loyalty._overrides",
)
POINTS = (
    "loyalty._tier_of_day",
    "loyalty._applicable_rules",
    "loyalty._matching_lines",
    "loyalty._rule_points",
    "loyalty._earned_lines",
    "loyalty._line_earnings",
    "loyalty._linked_returns",
    "loyalty._redemption_candidates",
    "loyalty._redemptions",
    "loyalty._events",
    "loyalty._issued_days",
    "loyalty._new_stays",
)

#: What each posting table gains.
POSTINGS = {
    "loyalty.events": "loyalty._event_postings",
    "loyalty.entries": "loyalty._entry_postings",
    "loyalty.lot_postings": "loyalty._lot_postings",
    "loyalty.allocations": "loyalty._allocation_postings",
}


def work_out(night: Night) -> None:
    """Brings events, entries, lots, allocations, stays and exceptions to the end of the night's business date."""
    derive(night)
    post(night)


def derive(night: Night, *, everything: bool = False) -> None:
    """Works out what tonight's accounts should hold; ``everything``: all accounts, from their first fact."""
    night.define(*_SCOPE)
    if everything:
        night.engine.define(
            "loyalty._touched_accounts", "select distinct account_id, true as again from loyalty._accounts"
        )
        night.define("loyalty._scope_cards")
    documents, accounts, again = night.engine.rows(
        "select (select count(*) from loyalty._changed_documents), count(*), count(*) filter (where again)"
        " from loyalty._touched_accounts"
    )[0]
    night.log |= {"documents": documents, "accounts": accounts, "accounts_again": again}
    night.programme_relations(_first_day(night))
    night.define(*FACTS)
    _settle_tiers(night)
    night.define("loyalty._open_lots", "loyalty._open_deficits", "loyalty._pools", "loyalty._steps")
    _fold(night)
    night.define("loyalty._entries_now", "loyalty._exceptions", *POSTINGS.values())


def _first_day(night: Night) -> date:
    """The first day any fact, adjustment or lot of tonight's scope can fall on."""
    night.attach("sales.documents")
    first = night.engine.value(
        "select least((select min(business_date) from sales.documents),"
        " (select min(business_date) from loyalty._adjustments))"
    )
    return first if first and first <= night.business_date else night.business_date


def _settle_tiers(night: Night) -> None:
    """Works points and tiers out until neither changes: a tier won on a day counts from the day after."""
    night.attach("loyalty.card_tiers")
    columns = "card_id, program_id, tier_id, level, valid_from, valid_to"
    night.engine.define("loyalty._stays", f"select {columns} from loyalty.card_tiers")
    tiers_matter = night.engine.value(
        "select (select count(*) from programme.earning_rules where tier_id is not null)"
        " + (select count(*) from programme.redemption_rules where tier_id is not null) > 0"
    )
    for passes in range(1, MOST_PASSES + 1):
        night.define(*POINTS)
        night.log["tier_passes"] = passes
        if not tiers_matter:
            return
        differ = night.engine.value(
            f"with known as (select {columns} from loyalty._stays"
            " where card_id in (select card_id from loyalty._scope_cards)),"
            f" new as (select {columns} from loyalty._new_stays)"
            " select count(*) from ((table known except table new) union all (table new except table known)) as changed"
        )
        if not differ:
            return
        night.engine.define(
            "loyalty._stays",
            f"select {columns} from loyalty.card_tiers where card_id not in (select card_id from loyalty._scope_cards)"
            f" union all select {columns} from loyalty._new_stays",
        )
    raise KantaError(
        f"Tiers and points do not settle in {MOST_PASSES} passes",
        where=f"loyalty, business date {night.business_date}",
        next_step="kanta programme check: does a tier feed itself?",
    )


def _fold(night: Night) -> None:
    """Runs the kernel over the steps, a batch of whole accounts at a time, and keeps what comes out as tables."""
    engine = night.engine
    pools = engine.arrow("select card_id, group_first, group_last from loyalty._pools order by pool")
    sizes = engine.rows("select account_no, count(*) from loyalty._steps group by account_no order by account_no")
    parts: dict[str, list[pa.Table]] = {"entries": [], "lots": [], "pieces": [], "overdrawn": []}
    begin, size = 0, 0
    for position, (account, steps) in enumerate(sizes):
        size += steps
        if size < BATCH and position < len(sizes) - 1:
            continue
        batch = engine.arrow(
            "select * from loyalty._steps where account_no > $from_account and account_no <= $to_account"
            " order by account_no, phase, business_date, order_at nulls first, order_document nulls first, rank,"
            " document_id, line_no nulls first, rule_id nulls first, event_id",
            {"from_account": begin, "to_account": account},
        )
        for name, table in _fold_batch(batch, pools, night.business_date).items():
            parts[name].append(table)
        begin, size = account, 0
    empty = _fold_batch(engine.arrow("select * from loyalty._steps limit 0"), pools, night.business_date)
    for name, target in (
        ("entries", "loyalty._folded_entries"),
        ("lots", "loyalty._folded_lots"),
        ("pieces", "loyalty._folded_pieces"),
        ("overdrawn", "loyalty._overdrawn"),
    ):
        engine.register(target, pa.concat_tables([empty[name], *parts[name]]))


def _ints(column: pa.ChunkedArray) -> ledger.Ints:
    numbers: ledger.Ints = column.cast(pa.int64()).to_numpy()
    return numbers


def _days(column: pa.ChunkedArray, empty: int) -> ledger.Ints:
    return _ints(pc.fill_null(column.cast(pa.int32()).cast(pa.int64()), empty))


def _dates(days: ledger.Ints) -> pa.Array:
    """Days since 1970 as dates; NEVER is null."""
    return (
        pa.array(np.where(days == ledger.NEVER, 0, days), pa.int64(), mask=days == ledger.NEVER)
        .cast(pa.int32())
        .cast(pa.date32())
    )


def _fold_batch(steps: pa.Table, pools: pa.Table, through: date) -> dict[str, pa.Table]:
    events = ledger.Events(
        kind=_ints(steps["kind"]),
        flags=_ints(steps["flags"]),
        pool=_ints(steps["pool"]),
        day=_days(steps["business_date"], 0),
        points=_ints(steps["points_h"]),
        usable_from=_days(steps["usable_from"], 0),
        expires_on=_days(steps["expires_on"], ledger.NEVER),
    )
    # Only the pools of this batch are closed; the kernel numbers them from 0.
    offset = int(events.pool.min()) if len(events.pool) else 0
    size = int(events.pool.max()) - offset + 1 if len(events.pool) else 0
    local = ledger.Events(
        events.kind,
        events.flags,
        events.pool - offset,
        events.day,
        events.points,
        events.usable_from,
        events.expires_on,
    )
    folded = ledger.fold(
        local,
        _ints(pools["group_first"])[offset : offset + size] - offset,
        _ints(pools["group_last"])[offset : offset + size] - offset,
        through.toordinal() - EPOCH,
    )
    names = steps.select(
        ["event_id", "lot_id", "event_type", "document_id", "line_no", "rule_id", "posted_date"]
    ).combine_chunks()
    carried = events.kind[folded.lot_event] == ledger.CARRIED_LOT
    of_lot = names.take(pa.array(folded.lot_event))
    lot_ids = pc.if_else(pa.array(carried), of_lot["lot_id"], of_lot["event_id"])
    lots = pa.table(
        {
            "lot_id": lot_ids,
            "pool": pa.array(folded.lot_pool + offset),
            "carried": pa.array(carried),
            "event_id": of_lot["event_id"],
            "points_h": pa.array(folded.lot_points),
            "remaining_h": pa.array(folded.lot_remaining),
            "earned_on": _dates(folded.lot_earned),
            "usable_from": _dates(folded.lot_usable),
            "expires_on": _dates(folded.lot_expires),
            "posted_date": of_lot["posted_date"],
        }
    )
    of_entry = names.take(pa.array(folded.entry_event))
    expired = folded.entry_kind == ledger.EXPIRED
    lot_of_entry = pc.take(lot_ids, pa.array(np.where(expired, folded.entry_lot, 0), mask=~expired))
    elsewhere = (folded.entry_kind == ledger.POSTED) & (folded.entry_pool != local.pool[folded.entry_event])
    prefixed = pc.if_else(
        pa.array(expired),
        pc.binary_join_element_wise(pa.scalar("expire:"), lot_of_entry, ""),
        pc.if_else(
            pa.array(folded.entry_kind == ledger.WRITTEN_OFF),
            pc.binary_join_element_wise(pa.scalar("write_off:"), of_entry["event_id"], ""),
            of_entry["event_id"],
        ),
    )
    entry_ids = pc.if_else(
        pa.array(elsewhere),
        pc.binary_join_element_wise(prefixed, pools["card_id"].take(pa.array(folded.entry_pool + offset)), "@"),
        prefixed,
    )
    entry_dates = _dates(folded.entry_day)
    posted = pc.if_else(pa.array(expired), entry_dates, of_entry["posted_date"])
    credit = local.kind[folded.entry_event] == ledger.CREDIT
    entries = pa.table(
        {
            "entry_id": entry_ids,
            "pool": pa.array(folded.entry_pool + offset),
            "kind": pa.array(folded.entry_kind),
            "event_type": of_entry["event_type"],
            "points_h": pa.array(folded.entry_points),
            "entry_date": entry_dates,
            "posted_date": posted,
            "usable_from": _dates(np.where(credit, local.usable_from[folded.entry_event], ledger.NEVER)),
            "expires_on": _dates(np.where(credit, local.expires_on[folded.entry_event], ledger.NEVER)),
            "event_id": of_entry["event_id"],
            "document_id": of_entry["document_id"],
            "line_no": of_entry["line_no"],
            "rule_id": of_entry["rule_id"],
        }
    )
    pieces = pa.table(
        {
            "debit_entry_id": pc.take(entry_ids, pa.array(folded.piece_entry)),
            "lot_id": pc.take(lot_ids, pa.array(folded.piece_lot)),
            "pool": pa.array(folded.lot_pool[folded.piece_lot] + offset),
            "points_h": pa.array(folded.piece_points),
            "allocated_on": _dates(folded.piece_day),
            "posted_date": pc.take(posted, pa.array(folded.piece_entry)),
        }
    )
    short = np.flatnonzero((folded.uncovered > 0) & (local.kind == ledger.REDEEM))
    of_short = steps.select(["document_id", "pool", "business_date"]).combine_chunks().take(pa.array(short))
    overdrawn = pa.table(
        {
            "document_id": of_short["document_id"],
            "pool": of_short["pool"].cast(pa.int64()),
            "uncovered_h": pa.array(folded.uncovered[short]),
            "business_date": of_short["business_date"],
        }
    )
    return {"entries": entries, "lots": lots, "pieces": pieces, "overdrawn": overdrawn}


def post(night: Night) -> None:
    """Writes tonight's postings, and replaces the stays and exceptions of the accounts that were worked out."""
    for table, postings in POSTINGS.items():
        night.append(table, f"select * from {postings}")
    for table, affected, steps in (
        ("loyalty.card_tiers", "loyalty._affected_buckets", ("loyalty._stays_now",)),
        ("loyalty.exceptions", "loyalty._affected_exception_days", ("loyalty._worked_out",)),
    ):
        night.define(*steps, affected)
        partitions = [value for (value,) in night.engine.rows(f"select * from {affected} order by 1")]
        if partitions:
            night.rebuild(table, partitions)
