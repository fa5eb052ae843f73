"""What people decide about points: tiers evaluated again, exceptions released. Recorded once, replayed for ever.

A decision is a row of ``ops.decisions``; the loyalty stage reads it like any other fact and works out what it changes.
Rules: spec 2-loyalty sections 6 and 7.
"""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pyarrow as pa

from kanta import loyalty
from kanta.errors import BadArguments
from kanta.home import Home
from kanta.lake import Lake
from kanta.night import stage
from kanta.publishing import publish
from kanta.reading import open_lake

Row = dict[str, Any]

#: Exceptions whose effect can be posted all the same. The others wait for a fact: a card, an original, a rate, points.
RELEASABLE = (
    "blocked_card", "no_tender_card", "customer_pending", "enrollment_blocked", "not_redeemable", "no_rule",
    "second_tender", "refund_unmatched",
)  # fmt: skip

_ID = "transaction_id || '/' || coalesce(card_id, '') || '/' || reason"


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
    if card is not None and not _rows(home, "reference.loyalty_cards", "card_id = $value", card):
        raise BadArguments(
            f"There is no loyalty card {card}",
            where="reference.loyalty_cards",
            next_step='kanta query "select card_id from reference.loyalty_cards limit 10"',
        )
    name = f"reevaluation {day} {card or 'everyone'}"
    log = _decide(home, "reevaluation", name, {"date": day.isoformat(), "card_id": card})
    return {"accounts": log["accounts"], "accounts_again": log["accounts_again"]}


def exceptions(home: Home) -> list[Row]:
    """The exceptions a release would post, oldest first, each with the ``exception_id`` that names it."""
    if Lake(home).published().business_date is None:
        return []
    listed = ", ".join(f"'{reason}'" for reason in RELEASABLE)
    return _rows(home, "loyalty.exceptions", f"reason in ({listed}) and $value = ''", "")


def find(home: Home, identifier: str) -> Row | None:
    """The exception of this id (transaction/card/reason), or None."""
    if Lake(home).published().business_date is None:
        return None
    found = _rows(home, "loyalty.exceptions", f"{_ID} = $value", identifier)
    return found[0] if found else None


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
    content = {"transaction_id": exception["transaction_id"], "card_id": exception["card_id"], "reason": reason}
    _decide(home, "release", f"release {identifier}", content)
    left = find(home, identifier)
    if left is not None:
        return f"{identifier} is released, but something else is in its way: {left['detail']}"
    return f"{identifier} is released and posted: kanta explain transaction {exception['transaction_id']}"


def _decide(home: Home, kind: str, name: str, content: dict[str, str | None]) -> dict[str, Any]:
    with stage(home, "loyalty", Lake(home).published().night) as night:
        night.attach("ops.decisions")
        known = night.engine.value(
            "select count(*) from ops.decisions where starts_with(decision_id, $name)", {"name": name}
        )
        row = {
            "decision_id": f"{name} #{known + 1}",
            "kind": kind,
            "recorded_on": night.business_date,
            "content": json.dumps(content),
            "seq": night.seq,
        }
        night.engine.register("ops._decided", pa.Table.from_pylist([row]))
        night.append("ops.decisions", "select * from ops._decided")
        loyalty.work_out(night)
        log = night.log
    publish(home, night.business_date)
    return log


def _published(home: Home) -> None:
    if Lake(home).published().business_date is None:
        raise BadArguments("Nothing is published here yet", where=str(home.root), next_step="kanta run --date D")


def _rows(home: Home, table: str, condition: str, value: str) -> list[Row]:
    engine, _ = open_lake(home, [table])
    with engine:
        name = f"{_ID} as exception_id, * " if table == "loyalty.exceptions" else "* "
        result = engine.execute(f"select {name}from {table} where {condition} order by all", {"value": value})
        columns = [column[0] for column in result.description or []]
        return [dict(zip(columns, row, strict=True)) for row in result.fetchall()]
