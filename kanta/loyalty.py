"""Loyalty tonight: which accounts are touched, what changes their points, the fold over their lots, the postings.

Rules are SQL (``transforms/loyalty``), order is the kernel (``kanta/ledger.py``); this module is what ties them.
An account whose facts all come in their place goes on from its open lots; any other is worked out again from its first
fact, and only the difference is posted (spec 2-loyalty section 8). Both take the same way through.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date

from kanta import accounts, folding, postings, slices
from kanta.contracts import contract_of
from kanta.errors import KantaError
from kanta.models import models
from kanta.night import Night, renamed_in

#: Tiers feed on points and points on tiers; each pass settles at least one more tier change of every card.
MOST_PASSES = 200

#: Cards, their customers and what links them.
_CARDS = (
    "loyalty._cards",
    "loyalty._account_nodes",
    "loyalty._replacement_claims",
    "loyalty._transfers",
    "loyalty._return_links",
    "loyalty._account_links",
)
_SCOPE = (
    "loyalty._accounts",
    "sales._changed_placeholders",
    "loyalty._card_changes",
    "loyalty._changed_customers",
    "loyalty._category_paths",
    "loyalty._changed_channels",
    "loyalty._changed_categories",
    "loyalty._changed_rates",
    "loyalty._redone_documents",
    "loyalty._changed_documents",
    "loyalty._adjustments",
    "loyalty._activities",
    "loyalty._overrides",
    "loyalty._releases",
    "loyalty._dismissals",
    "loyalty._reevaluations",
    "loyalty._new_versions",
    "loyalty._withdrawn_cards",
    "loyalty._withdrawn_documents",
    "loyalty._due_lots",
)
#: Which accounts all that touches.
_TOUCHED = ("loyalty._touched_accounts", "loyalty._scope_cards")
FACTS = (
    "loyalty._documents",
    "loyalty._lines",
    "loyalty._returned_lines",
    "loyalty._tenders",
    "loyalty._tender_worth",
    "loyalty._enrolments",
    "loyalty._channel_schemes",
    "loyalty._affiliated",
    "loyalty._rates",
    "loyalty._rules",
    "loyalty._rule_categories",
    "loyalty._judged_transfers",
    "loyalty._memberships",
)
#: What each document earns, rule by rule; POSTED brings it together with all else that changes points.
EARNED = (
    "loyalty._applicable_rules",
    "loyalty._matching_lines",
    "loyalty._rule_points",
    "loyalty._earned_lines",
)
POSTED = (
    "loyalty._line_earnings",
    "loyalty._linked_returns",
    "loyalty._redemption_candidates",
    "loyalty._redemptions",
)
_FOLD = (
    "loyalty._moves",
    "loyalty._parties",
    "loyalty._open_lots",
    "loyalty._open_deficits",
    "loyalty._pools",
    "loyalty._portions",
    "loyalty._references",
    "loyalty._tender_numbers",
)
TIERS = (
    "loyalty._issued_days",
    "loyalty._qualified",
    "loyalty._new_stays",
)

#: What each posting table gains.
POSTINGS = {
    "loyalty.events": "loyalty._event_postings",
    "loyalty.entries": "loyalty._entry_postings",
    "loyalty.lot_postings": "loyalty._lot_postings",
    "loyalty.allocations": "loyalty._allocation_postings",
}


#: The states of cards, and how a checkpoint makes those of all cards.
STATES = {
    "loyalty.total_states": "select *, $seq as seq from loyalty.balances",
    "loyalty.lot_states": "select *, $seq as seq from loyalty.open_lots"
    " union all by name select distinct card_id, $seq as seq from loyalty.balances",
}

#: Fewer postings than this are no reason to write the state of every card.
CHECKPOINT_AT_LEAST = 100_000


#: What stays and exceptions are brought up to date from, once the last slice is worked out.
TO_FINISH = ("loyalty._new_stays", "loyalty._exceptions", "loyalty._worked_out")


def work_out(night: Night) -> None:
    """Brings events, entries, lots, allocations, stays and exceptions to the end of the night's business date."""
    for _ in derive(night, keep=TO_FINISH):
        post(night)
    finish(night)


def derive(night: Night, *, everything: bool = False, keep: Sequence[str] = ()) -> Iterator[None]:
    """Works out what tonight's accounts should hold, slice by slice.

    ``everything``: all accounts, from their first fact.
    At each step the relations stand for one slice; when there is none left, those of ``keep`` stand for all.
    """
    seen = len(night.versions)  # a version seen for the first time is recorded before anything asks for it
    night.define(*_CARDS)
    accounts.join(night.engine)
    accounts.replace(night.engine)
    night.define(*_SCOPE)
    if night.engine.value("select count(*) from loyalty._new_versions"):
        night.define("loyalty._judged_anew")
    else:
        night.substitute("loyalty._judged_anew", "select '' as account_id limit 0")
    night.define(*_TOUCHED)
    if everything:
        night.engine.define(
            "loyalty._touched_accounts",
            "select distinct account_id, true as again, false as only_due from loyalty._accounts",
        )
        night.define("loyalty._scope_cards", "loyalty._stated")
    documents, touched, again = night.engine.rows(
        "select (select count(*) from loyalty._changed_documents), count(*), count(*) filter (where again)"
        " from loyalty._touched_accounts"
    )[0]
    night.log |= {"documents": documents, "accounts": touched, "accounts_again": again, "versions": seen}
    night.programme_relations(_first_day(night))
    for _ in slices.each(night, keep):
        night.define(*FACTS)
        _carry(night)
        _settle_tiers(night)
        night.define("loyalty._worked_out", "loyalty._exceptions")
        if everything or night.engine.value("select count(*) from loyalty._scope_cards where again"):
            night.define(*POSTINGS.values())
            if everything:
                night.define("loyalty._misstated_cards")
            else:
                night.substitute("loyalty._misstated_cards", "select '' as card_id limit 0")
        else:  # there is nothing to compare with (kanta/postings.py)
            night.unworked("loyalty._event_postings")
        yield


def _first_day(night: Night) -> date:
    """The first day any fact or lot of tonight's scope can fall on."""
    night.attach("sales.documents")
    first = night.engine.value(
        "select least((select min(business_date) from sales.documents),"
        " (select min(business_date) from loyalty._adjustments),"
        " (select min(business_date) from loyalty._transfers),"
        " (select min(business_date) from loyalty._reevaluations),"
        " (select min(business_date) from loyalty._activities))"
    )
    return first if first and first <= night.business_date else night.business_date


def _settle_tiers(night: Night) -> None:
    """Works points and tiers out until neither changes: a tier won on a day counts from the day after.

    A pass after the first works out only the documents whose tier of the day changed, where a rule names either.
    The fold is part of a pass only where a tier goes by points that a cap may cut; else once, after the last.
    """
    engine = night.engine
    night.attach("loyalty.card_tiers")
    columns = "card_id, program_id, tier_id, level, valid_from, valid_to"
    engine.define("loyalty._stays", f"select {columns} from loyalty.card_tiers")
    engine.define(
        "loyalty._capped_tier_points",
        "select distinct points.reward_point_id from programme.reward_points as points"
        " inner join programme.tier_rules as rules on points.reward_point_id = rules.reward_point_id"
        " where points.maximum_h is not null",
    )
    caps_matter = bool(engine.value("select count(*) from loyalty._capped_tier_points"))
    night.define("loyalty._tier_of_day", "loyalty._issued_before", *EARNED)
    for passes in range(1, MOST_PASSES + 1):
        night.define(*POSTED)
        if caps_matter:
            night.define("loyalty._events")
            _fold(night)
        else:  # a pass asks what each document came to, not each line
            engine.define("loyalty._earned_sums", _EARNED_SUMS)
            night.unworked("loyalty._events", **{"loyalty._earned_lines": "loyalty._earned_sums"})
        engine.define("loyalty._credited", _CREDITED if caps_matter else f"select * from ({_NOTHING_CREDITED}) limit 0")
        night.define(*TIERS)
        night.log["tier_passes"] = max(passes, night.log.get("tier_passes", 0))
        engine.define(
            "loyalty._stays",
            f"select {columns} from loyalty.card_tiers where card_id not in"
            f" (select card_id from loyalty._scope_cards where not only_due)"
            f" union all select {columns} from loyalty._new_stays",
        )
        engine.define("loyalty._tier_of_day_before", "select * from loyalty._tier_of_day")
        night.define("loyalty._tier_of_day")
        engine.define("loyalty._documents_again", _OF_ANOTHER_TIER)
        if not engine.value("select count(*) from loyalty._documents_again"):
            break
        _earn_again(night)
    else:
        raise KantaError(
            f"Tiers and points do not settle in {MOST_PASSES} passes",
            where=f"loyalty, business date {night.business_date}",
            next_step="kanta programme check: does a tier feed itself?",
        )
    if not caps_matter:
        night.define("loyalty._events")
        _fold(night)


#: What each document earned, as of one line; what earned and what cost points are kept apart.
_EARNED_SUMS = """
select application_no, direction, 0 as line_no, cast(sum(points_h) as bigint) as points_h
from loyalty._earned_lines
group by application_no, direction, points_h > 0
"""


#: Documents for which a rule that names a tier may say something else than in the last pass.
_OF_ANOTHER_TIER = """
select documents.*
from loyalty._documents as documents
where documents.document_no in (
    select coalesce(tiers.document_no, before.document_no)
    from loyalty._tier_of_day as tiers
    full outer join loyalty._tier_of_day_before as before
        on tiers.document_no = before.document_no
        and tiers.card_id = before.card_id
        and tiers.program_id = before.program_id
    inner join (
        select program_id, tier_id from programme.earning_rules
        union
        select program_id, tier_id from programme.redemption_rules
    ) as named
        on coalesce(tiers.program_id, before.program_id) = named.program_id
        and (tiers.tier_id = named.tier_id or before.tier_id = named.tier_id)
    where tiers.tier_id is distinct from before.tier_id
)
"""


def _earn_again(night: Night) -> None:
    """Works out again what ``loyalty._documents_again`` earn; all others stand."""
    engine = night.engine
    renamed = {"loyalty._documents": "loyalty._documents_again"} | {step: f"{step}_again" for step in EARNED}
    for step in EARNED:
        engine.define(renamed[step], renamed_in(models()[step].sql, renamed))
    engine.define(
        "loyalty._applications_before",
        "select application_no from loyalty._applicable_rules"
        " where document_no in (select document_no from loyalty._documents_again)",
    )
    for step in EARNED:
        engine.execute(
            f"delete from {step} where application_no in (select application_no from loyalty._applications_before)"
        )
        engine.execute(f"insert into {step} by name select * from {renamed[step]}")
        engine.execute(f"drop table {renamed[step]}")


#: What the fold credited of points that a cap may cut and a tier goes by.
_CREDITED = (
    "select card_id, program_id, reward_point_id, entry_date as business_date,"
    " cast(points * 100 as bigint) as points_h from loyalty._folded_entries"
    " where reward_point_id in (select reward_point_id from loyalty._capped_tier_points)"
    " and (entry_type in ('earn', 'return_earned') or entry_type = 'adjust' and points > 0)"
)
_NOTHING_CREDITED = (
    "select '' as card_id, '' as program_id, '' as reward_point_id, date '0001-01-01' as business_date,"
    " cast(0 as bigint) as points_h"
)


def _carry(night: Night) -> None:
    """Makes the open lots and balances readable of the accounts that go on from them; where no more happens than that
    a lot runs out, just those lots."""
    night.engine.define(
        "loyalty._carried",
        "select card_id, case when only_due then $business_date else date '9999-12-31' end as until"
        " from loyalty._scope_cards where not again",
        night.parameters,
    )
    night.engine.define("loyalty._carried_whole", "select * from loyalty._carried where until = date '9999-12-31'")
    lots = "loyalty._lots_carried"
    night.narrow("loyalty.open_lots", lots, "loyalty._carried")
    night.narrow("loyalty.balances", "loyalty._balances_carried", "loyalty._carried_whole", open_lots=lots)


def _fold(night: Night) -> None:
    night.define(*_FOLD)
    night.unworked("loyalty._steps")
    folding.fold(night.engine, night.business_date, night.last_published)


def post(night: Night) -> None:
    """Writes the postings of the accounts just worked out, and their states where older ones no longer hold."""
    first = _is_first(night)
    if first:  # the states are a checkpoint, which must hold every card
        night.substitute("loyalty._restated_cards", "select distinct card_id from loyalty._pools")
    if not night.engine.value("select count(*) from loyalty._scope_cards where again"):
        _post_as_folded(night, states=first)
        return
    for table, found in POSTINGS.items():
        night.append(table, f"select * from {found}", unseen=True)
    if not first:
        night.define("loyalty._restated_cards")
    if night.engine.value("select count(*) from loyalty._restated_cards"):
        for table in STATES:
            night.append(table, models()[table].sql, unseen=True)


def _post_as_folded(night: Night, *, states: bool) -> None:
    """Nothing was posted before of what is new: the rows are written as the fold left them."""
    gained = {table: postings.of(night.engine, contract_of(table), night.parameters) for table in POSTINGS}
    if states:
        gained["loyalty.lot_states"] = postings.states(
            night.engine, contract_of("loyalty.lot_states"), night.parameters
        )
    night.append_rows(gained)
    if states and len(gained["loyalty.lot_states"]):
        night.append("loyalty.total_states", models()["loyalty.total_states"].sql, unseen=True)


def _is_first(night: Night) -> bool:
    """Whether nothing was worked out before, and so much is now that the states of all cards are worth keeping."""
    return night.mark == 0 and night.log["documents"] >= CHECKPOINT_AT_LEAST


def finish(night: Night) -> None:
    """Replaces the stays and exceptions of the accounts that were worked out."""
    night.attach_anew(*POSTINGS, *STATES)
    for table, affected, steps in (
        ("loyalty.card_tiers", "loyalty._affected_buckets", ("loyalty._stays_now",)),
        ("loyalty.exceptions", "loyalty._affected_exception_days", ()),
    ):
        night.define(*steps, affected)
        partitions = [value for (value,) in night.engine.rows(f"select * from {affected} order by 1")]
        if partitions:
            night.rebuild(table, partitions)
    _keep_checkpoint(night)


def _keep_checkpoint(night: Night) -> None:
    """Writes the state of every card once enough was posted since the last time to make it worth while.

    Nothing but the work of later nights depends on it: a state is what the postings before it come to.
    """
    if _is_first(night):
        night.state = replace(night.state, marks={**night.state.marks, "checkpoint": night.seq})
        return
    since = night.state.marks.get("checkpoint", 0)
    night.attach("loyalty.lot_postings", "loyalty.allocations", *STATES, "loyalty.open_lots", "loyalty.balances")
    engine = night.engine
    kept, posted = engine.rows(
        "select (select count(*) from loyalty.lot_states),"
        " (select count(*) from loyalty.lot_postings where seq > $since)"
        " + (select count(*) from loyalty.allocations where seq > $since)",
        {"since": since},
    )[0]
    if posted < max(CHECKPOINT_AT_LEAST, kept):
        return
    for table, select in STATES.items():
        earlier = [seq for (seq,) in engine.rows(f"select distinct seq from {table} order by 1")]
        engine.define("loyalty._checkpoint", select, {"seq": night.seq})
        night.put(table, "select * from loyalty._checkpoint", earlier)
    night.state = replace(night.state, marks={**night.state.marks, "checkpoint": night.seq})
