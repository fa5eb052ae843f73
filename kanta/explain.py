"""``kanta explain``: where every point of a card, a transaction or an entry comes from, back to file and line."""

from __future__ import annotations

from datetime import date
from typing import Any

from kanta import accounts, loyalty
from kanta.engine import Engine
from kanta.errors import BadArguments
from kanta.home import Home
from kanta.lake import Lake
from kanta.night import Night
from kanta.reading import say_which

Row = dict[str, Any]


def explain(
    home: Home, kind: str, identifier: str, *, as_of: date | None = None, nearest: bool = False, quiet: bool = False
) -> Row:
    """The derivation as a document: ``kind`` is card, transaction or entry. Raises BadArguments for an unknown id.

    ``nearest``: of the last kept night before ``as_of``, where itself is not kept. Says which night it read, unless
    ``quiet``.
    """
    lake = Lake(home)
    state = lake.published(as_of, nearest=nearest)
    if not state.business_date:
        raise BadArguments("Nothing is published here yet", where=str(home.root), next_step="kanta run --date D")
    with Engine(lake.root / "work", shared=True) as engine:
        night = Night(home, lake, engine, "explain", state, state.business_date)
        night.attach("loyalty.events", "loyalty.entries", "loyalty.lot_postings", "loyalty.allocations")
        found = {"card": _card, "transaction": _transaction, "entry": _entry}[kind](night, identifier)
    if not quiet:
        say_which(state)
    return found


def _rows(night: Night, sql: str, **parameters: Any) -> list[Row]:
    result = night.engine.execute(sql, parameters)
    columns = [column[0] for column in result.description or []]
    return [dict(zip(columns, row, strict=True)) for row in result.fetchall()]


_ENTRIES = (
    "select entry_id, card_id, program_id, reward_point_id, entry_type, points, entry_date, posted_date, usable_from,"
    " expires_on, event_id, transaction_id, line_no, rule_id, corrected_entry_id, corrected_type from loyalty.entries"
)
_ORDER = " order by entry_date, posted_date, seq, entry_id"


def _card(night: Night, card: str) -> Row:
    night.attach(
        "loyalty.balances", "loyalty.lots", "loyalty.card_tiers", "reference.loyalty_cards", "loyalty.exceptions"
    )
    known = _rows(
        night,
        "select program_id, card_type, enrolled_from, enrolled_to, valid_from from reference.loyalty_cards"
        " where card_id = $card order by valid_from, program_id",
        card=card,
    )
    entries = _rows(night, _ENTRIES + " where card_id = $card" + _ORDER, card=card)
    if not known and not entries:
        raise BadArguments(
            f"There is no loyalty card {card}",
            where="reference.loyalty_cards, loyalty.entries",
            next_step='kanta query "select card_id from reference.loyalty_cards limit 10"',
        )
    order = " order by program_id, reward_point_id"
    return {
        "card": card,
        "as_of": night.business_date,
        "enrolments": known,
        "balances": _rows(night, "select * from loyalty.balances where card_id = $card" + order, card=card),
        "tiers": _rows(
            night,
            "select program_id, tier_id, valid_from, valid_to, qualified_on, reason from loyalty.card_tiers"
            " where card_id = $card order by valid_from, tier_id",
            card=card,
        ),
        "lots": _rows(
            night,
            "select * from loyalty.lots where card_id = $card and remaining > 0"
            " order by expires_on nulls last, earned_on, lot_id",
            card=card,
        ),
        "entries": entries,
        "exceptions": _rows(
            night,
            "select * from loyalty.exceptions where card_id = $card order by business_date, transaction_id, reason",
            card=card,
        ),
    }


def _entry(night: Night, entry: str) -> Row:
    found = _rows(night, _ENTRIES + " where $entry in (entry_id, corrected_entry_id)" + _ORDER, entry=entry)
    if not found:
        raise BadArguments(
            f"There is no entry {entry}",
            where="loyalty.entries",
            next_step="kanta explain card ID lists a card's entries",
        )
    first = found[0]
    night.attach("loyalty.lots")
    opened = "select lot_id from loyalty.lots where entry_id = $entry"
    pieces = "select debit_entry_id, lot_id, allocated_on, sum(points) as points from loyalty.allocations"
    grouped = " group by all having sum(points) <> 0 order by allocated_on, debit_entry_id, lot_id"
    document = first["transaction_id"]
    return {
        "entry": found,
        "event": _rows(
            night, "select * from loyalty.events where event_id = $event order by seq, points", event=first["event_id"]
        ),
        "lot": _rows(night, "select * from loyalty.lots where entry_id = $entry", entry=entry),
        "taken_by": _rows(night, pieces + f" where lot_id in ({opened})" + grouped, entry=entry),
        "taken_from": _rows(night, pieces + " where debit_entry_id = $entry" + grouped, entry=entry),
        "transaction": _transaction(night, document) if document else None,
    }


def _transaction(night: Night, document: str) -> Row:
    night.attach(
        "sales.transactions",
        "customers.receipts",
        "sales.lines",
        "sales.tenders",
        "sales.documents",
        "loyalty.exceptions",
    )
    header = _rows(night, "select * from sales.transactions where transaction_id = $document", document=document)
    history = _rows(
        night, "select * from sales.documents where document_id = $document order by seq", document=document
    )
    if not header and not history:
        records = _records(night, document)
        if records:
            return records
        raise BadArguments(
            f"There is no transaction {document}",
            where="sales.documents",
            next_step="kanta quarantine list shows what was set aside",
        )
    result: Row = {"transaction": header[0] if header else None, "history": history}
    if header:
        result |= {
            "source": _source(night, document, header[0]["drop_id"]),
            "rules": _rules(night, document),
        }
    entries = " where transaction_id = $document and entry_type not in ('expire')"
    result["entries"] = _rows(night, _ENTRIES + entries + _ORDER, document=document)
    result["exceptions"] = _rows(
        night, "select * from loyalty.exceptions where transaction_id = $document order by reason", document=document
    )
    return result


def _source(night: Night, document: str, drop: str) -> list[Row]:
    """The file and line of the header and of each line of the copy that counts."""
    found: list[Row] = []
    for dataset, key in (
        ("transactions", "transaction_id"),
        ("lines", "transaction_id"),
        ("orders", "order_id"),
        ("order_lines", "order_id"),
    ):
        night.attach(f"landed.{dataset}")
        number = "line_no" if dataset.endswith("lines") else "null"
        found += _rows(
            night,
            f"select '{dataset}' as dataset, {number} as line_no, 'landing/' || drop_id || '/' || file as file, line"
            f" from landed.{dataset} where {key} = $document and drop_id = $drop order by line_no, line",
            document=document,
            drop=drop,
        )
    return found


def _records(night: Night, document: str) -> Row | None:
    """An adjustment, a transfer, an activity or a replaced card, with what came of it."""
    found: Row = {}
    for dataset, key in (
        ("loyalty_adjustments", "adjustment_id"),
        ("loyalty_transfers", "transfer_id"),
        ("other_activities", "activity_id"),
        ("loyalty_cards", "replaces_card_id"),
    ):
        night.attach(f"landed.{dataset}")
        rows = _rows(
            night,
            f"select * exclude (drop_id, file), 'landing/' || drop_id || '/' || file as file from landed.{dataset}"
            f" where {key} = $document and drop_date <= $day order by drop_date, drop_id, line",
            document=document,
            day=night.business_date,
        )
        if rows:
            found[dataset] = rows
    if not found:
        return None
    night.attach("loyalty.exceptions")
    if "other_activities" in found:
        found["rules"] = _rules(night, document)
    found["entries"] = _rows(night, _ENTRIES + " where transaction_id = $document" + _ORDER, document=document)
    found["exceptions"] = _rows(
        night, "select * from loyalty.exceptions where transaction_id = $document order by reason", document=document
    )
    return found


#: The sale or the activity of this id, as the loyalty models know documents.
_ONE = (
    "select transaction_id as document_id, cast(null as varchar) as activity_type, channel_id, business_date,"
    " occurred_at, currency, loyalty_tender_amount, loyalty_card_id as card_id, customer_id, posted_date"
    " from customers.receipts where transaction_id = $document"
    " union all select activity_id, activity_type, channel_id, business_date, occurred_at, null, 0, card_id, null,"
    " posted_date from loyalty._activities where activity_id = $document"
    " and not exists (select 1 from customers.receipts where transaction_id = $document)"
)


def _rules(night: Night, document: str) -> list[Row]:
    """Every earning rule of the version in force that day, with what it paid for each line, or why it did not."""
    engine = night.engine
    night.define("loyalty._activities")
    day = engine.value(f"select min(business_date) from ({_ONE})", {"document": document})
    if day is None:
        return []
    night.programme_relations(day)
    night.attach("loyalty.card_tiers")
    engine.define(
        "loyalty._documents",
        "select 1 as document_no, one.*, true as changed, calendar.version"
        f" from ({_ONE}) as one"
        " inner join programme.calendar as calendar on one.business_date = calendar.business_date",
        {"document": document},
    )
    night.define("loyalty._cards", "loyalty._replacement_claims", "loyalty._releases", "loyalty._category_paths")
    accounts.replace(engine)
    engine.define(
        "loyalty._stays", "select card_id, program_id, tier_id, level, valid_from, valid_to from loyalty.card_tiers"
    )
    without = ("loyalty._documents", "loyalty._judged_transfers", "loyalty._memberships")
    night.define(*(name for name in loyalty.FACTS if name not in without))
    night.define("loyalty._tier_of_day", *loyalty.EARNED, "loyalty._explained_rules")
    return _rows(night, "select * from loyalty._explained_rules order by rule_id")


def text(explained: Row) -> str:
    """The derivation as lines for a person."""
    lines: list[str] = []
    for title, value in explained.items():
        if isinstance(value, dict):
            lines.append(f"{title}")
            lines.extend("  " + line for line in text(value).splitlines())
        elif isinstance(value, list):
            lines.append(f"{title}: {len(value)}" if value else f"{title}: none")
            lines.extend("  " + _line(row) for row in value)
        elif value is not None:
            lines.append(f"{title}: {value}")
    return "\n".join(lines)


def _line(row: Row) -> str:
    return "  ".join(f"{name}={value}" for name, value in row.items() if value is not None)
