"""What people decide about points: tiers evaluated again, exceptions released or dismissed. Recorded once, replayed
for ever.

A decision is a row of ``ops.decisions``; the loyalty stage reads it like any other fact and works out what it changes.
Rules: spec 2-loyalty sections 6 and 7.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import pyarrow as pa

from kanta import loyalty
from kanta.errors import BadArguments
from kanta.home import Home
from kanta.lake import Lake
from kanta.night import Night, stage
from kanta.publishing import publish
from kanta.reading import rows_of

Row = dict[str, Any]

#: Exceptions whose effect can be posted all the same. The others wait for a fact: a card, an original, a rate, points.
RELEASABLE = (
    "blocked_card", "no_tender_card", "card_number", "no_loyalty_tender", "customer_pending",
    "enrollment_blocked", "not_redeemable", "no_rule", "second_tender", "refund_unmatched",
)  # fmt: skip

#: A transfer, adjustment or activity is no document of sales; head office is its source.
_EXCEPTIONS = """
select
    exceptions.transaction_id || '/' || coalesce(exceptions.card_id, '') || '/' || exceptions.reason as exception_id,
    exceptions.* replace (coalesce(exceptions.status, 'open') as status),
    coalesce(split_part(documents.drop_id, '/', 3), 'hq') as source
from loyalty.exceptions as exceptions
left join sales.transactions as documents
    on exceptions.transaction_id = documents.transaction_id
where coalesce($id = exception_id, true)
order by exceptions.business_date, exception_id
"""


def reevaluate(home: Home, day: date, card: str | None = None) -> dict[str, int]:
    """Evaluates tiers as if points had changed on ``day``, for everyone or one card; publishes what comes of it.

    Returns how many accounts were looked at and how many worked out again. Raises BadArguments for a day that is not
    published yet or a card nobody knows.
    """
    _published(home)
    last = Lake(home).published().business_date
    if last is None or day > last:
        raise BadArguments(
            f"{day} is not published yet", where=f"published through {last}", next_step=f"kanta run --date {day}"
        )
    if card is not None and not rows_of(
        home, ["reference.loyalty_cards"], "select 1 from reference.loyalty_cards where card_id = $card", {"card": card}
    ):
        raise BadArguments(
            f"There is no loyalty card {card}",
            where="reference.loyalty_cards",
            next_step='kanta query "select card_id from reference.loyalty_cards limit 10"',
        )
    name = f"reevaluation {day} {card or 'everyone'}"
    log = _decide(home, "reevaluation", {name: {"date": day.isoformat(), "card_id": card}})
    return {"accounts": log["accounts"], "accounts_again": log["accounts_again"]}


def exceptions(home: Home, identifier: str | None = None) -> list[Row]:
    """All exceptions, oldest first, each with its ``exception_id`` (transaction/card/reason) and the ``source`` of its
    document; or that of ``identifier``."""
    if Lake(home).published().business_date is None:
        return []
    return rows_of(home, ["loyalty.exceptions", "sales.transactions"], _EXCEPTIONS, {"id": identifier})


def release(home: Home, exception: Row) -> str:
    """Posts the effect of an exception all the same, dated as its fact is; publishes it and says what was done.

    Raises BadArguments for a reason that only another fact can mend.
    """
    reason, identifier = exception["reason"], exception["exception_id"]
    if reason not in RELEASABLE:
        raise BadArguments(
            f"{reason} is not released: it goes away when what is missing comes",
            where=f"loyalty.exceptions {identifier}",
            next_step=f"kanta explain transaction {exception['transaction_id']}",
        )
    _decide(home, "release", {f"release {identifier}": _content(exception)})
    if left := exceptions(home, identifier):
        return f"{identifier} is released, but something else is in its way: {left[0]['detail']}"
    return f"{identifier} is released and posted: kanta explain transaction {exception['transaction_id']}"


def dismiss(home: Home, dismissed: Sequence[Row], why: str) -> None:
    """Closes exceptions whose effect will not be posted: they stand, ``dismissed``; no points move. Publishes it."""
    if dismissed:
        contents = {f"dismiss {found['exception_id']}": _content(found) | {"why": why} for found in dismissed}
        _decide(home, "dismissal", contents)


def record(night: Night, kind: str, contents: Mapping[str, Mapping[str, Any]]) -> None:
    """Adds decisions, each under its name and how often that was decided before."""
    night.attach("ops.decisions")
    before = "select regexp_replace(decision_id, ' #[0-9]+$', '') from ops.decisions where kind = $kind"
    known = Counter(name for (name,) in night.engine.rows(before, {"kind": kind}))
    rows = [
        {
            "decision_id": f"{name} #{known[name] + 1}",
            "kind": kind,
            "recorded_on": night.business_date,
            "content": json.dumps(content),
            "seq": night.seq,
        }
        for name, content in contents.items()
    ]
    night.engine.register("ops._decided", pa.Table.from_pylist(rows))
    night.append("ops.decisions", "select * from ops._decided")


def _content(exception: Row) -> dict[str, str | None]:
    return {name: exception[name] for name in ("transaction_id", "card_id", "reason")}


def _decide(home: Home, kind: str, contents: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    with stage(home, "loyalty", Lake(home).published().night) as night:
        record(night, kind, contents)
        loyalty.work_out(night)
        log = night.log
    publish(home, night.business_date)
    return log


def _published(home: Home) -> None:
    if Lake(home).published().business_date is None:
        raise BadArguments("Nothing is published here yet", where=str(home.root), next_step="kanta run --date D")
