"""The stage sales: from landed rows to ``sales.*``, each document counted once.

A copy that the programme refuses (``store_checks``, spec 7-seeds-whole section 9) counts as if it had not come, and
waits in quarantine; so does a copy that differs from the one that counts.
"""

from __future__ import annotations

import hashlib
from datetime import date
from typing import Any, get_args

import pyarrow as pa

from kanta import programme
from kanta.landing import QUARANTINE
from kanta.night import Night
from kanta.programme.model import ReceiptRule

#: The rules by which this stage sets a copy of a receipt aside.
DIFFERS = "copy_differs"
REFUSING = tuple(rule for rule in get_args(ReceiptRule) if rule != "points")

_NOTHING_REFUSED = (
    "select cast(null as varchar) as document_id, cast(null as varchar) as drop_id, cast(null as varchar) as rule,"
    " cast(null as varchar) as expected, cast(null as varchar) as found where false"
)


def work_out(night: Night) -> None:
    """Makes the business dates anew that tonight's drops touch, or that another word on who stands for nobody does; a
    copy that is refused or differs is set aside."""
    night.attach("ops.drops", "ops.quarantine")
    _say_who_is_nobody(night)
    night.define("sales._touched_drops", "sales._changed_placeholders")
    if not night.engine.value(
        "select (select count(*) from sales._touched_drops) + (select count(*) from sales._changed_placeholders)"
    ):
        return
    night.engine.define("sales._time_zones", "select name as time_zone from pg_timezone_names()")
    night.define("sales._documents_now", "sales._product_of_day", "sales._redescribed", "sales._touched")
    refusing = _refusing_rules(night)
    _touch_again(night, refusing)
    night.define("sales._undated", "sales._local_times", "sales._voids")
    _refuse(night, refusing)
    night.define("sales._copies", "sales._holding", "sales._affected_days", "sales._differing_copies")
    days = [day for (day,) in night.engine.rows("select business_date from sales._affected_days order by 1")]
    for table in ("transactions", "lines", "tenders"):
        night.attach(f"sales.{table}")
        night.rebuild(f"sales.{table}", days)
    night.define("sales._new_documents")
    night.append("sales.documents", "select * from sales._new_documents")
    _set_copies_aside(night)


def _say_who_is_nobody(night: Night) -> None:
    """Records the ids that stand for no customer, all of them, where they are others than the newest on record."""
    if night.home.programme.is_dir():
        night.programme_relations(night.business_date)
    else:  # sales can be worked out before there is a programme
        night.attach("programme.placeholder_customers", "programme.versions")
    night.attach("sales._placeholders")
    night.define("sales._placeholders_now")
    ids = "coalesce(exact_id, folded_id), folded_id is not null, valid_from, valid_to from sales._placeholders"
    now = "customer_id, any_case, valid_from, valid_to from sales._placeholders_now"
    if night.engine.value(
        f"select count(*) from ((select {ids} except select {now}) union all (select {now} except select {ids}))"
    ):
        night.append(
            "sales.placeholder_customers",
            "select *, $business_date as recorded_on, $seq as seq from sales._placeholders_now",
        )
        night.attach("sales.placeholder_customers")


def _refusing_rules(night: Night) -> set[str]:
    """The rules that some version of the programme refuses receipts by; none where there is no programme (yet)."""
    versions = night.versions if programme.exists(night.home.programme) else night.recorded_versions()
    return {rule for version in versions for rule in version.programme.store_checks.refuse}


def _touch_again(night: Night, refusing: set[str]) -> None:
    """Has receipts judged again that wait for what other drops may bring: those that were refused, and those of the
    print of a touched one."""
    rules = ", ".join(f"'{rule}'" for rule in REFUSING)
    waiting = (
        f"select record_key as document_id from ops.quarantine where status = 'open' and rule in ({rules})"
        " and level = 'transaction' and feed = 'pos'"
    )
    again = [waiting]
    if "double" in refusing:
        night.define("sales._printed_alike")
        again.append("select document_id from sales._printed_alike")
    night.engine.execute(
        f"insert into sales._touched select distinct 'transaction', document_id from ({' union '.join(again)})"
        " where document_id not in (select document_id from sales._touched where kind = 'transaction')"
    )


def _refuse(night: Night, refusing: set[str]) -> None:
    """Finds the copies that break a rule of ``store_checks.refuse``; what is double is asked among the others."""
    if not refusing:
        night.substitute("sales._refused", _NOTHING_REFUSED)
        return
    night.define("sales._refusable_copies")
    steps = ("ops._receipt_headers", "ops._tendered", "ops._known_customers", "ops._unknown_customers")
    night.substitute("ops._checked_receipts", "select * from sales._refusable_copies")
    night.define(*steps, "ops._receipt_faults", "sales._odd_copies")
    night.substitute(
        "ops._checked_receipts",
        "select copies.* from sales._refusable_copies as copies anti join sales._odd_copies as odd"
        " on copies.transaction_id = odd.document_id and copies.drop_id = odd.drop_id"
        " qualify row_number() over (partition by transaction_id order by split_part(drop_id, '/', 2), drop_id) = 1",
    )
    night.define("ops._receipt_headers", "ops._doubles", "sales._double_copies")
    night.substitute("sales._refused", "select * from sales._odd_copies union all select * from sales._double_copies")


def _set_copies_aside(night: Night) -> None:
    """Sets aside the touched transactions' copies that are refused, where no other counts, and those that differ from
    the one that counts; what is neither any more is settled. What was released or dismissed is not asked for again."""
    rules = ", ".join(f"'{rule}'" for rule in (DIFFERS, *REFUSING))
    before = night.engine.rows(
        "select quarantine_id, rule, reason, business_date, status from ops.quarantine"
        f" where rule in ({rules}) and level = 'transaction' and feed = 'pos'"
        " and record_key in (select document_id from sales._touched where kind = 'transaction')"
    )
    known = {(found[0], found[2]): found[3] for found in before if found[4] in ("open", "dismissed")}
    released = {identifier for identifier, *_, status in before if status == "released"}
    wanted = {(row["quarantine_id"], row["reason"]): row for row in (*_differing(night), *_refused(night))}
    new = [row for key, row in wanted.items() if key not in known and row["quarantine_id"] not in released]
    over = {key: day for key, day in known.items() if key not in wanted}
    if not new and not over:
        return
    night.engine.register("ops._copies", pa.Table.from_pylist(new, QUARANTINE))
    no_more = ", ".join(f"'{identifier}'" for identifier, _ in over) or "null"
    days = sorted({*over.values(), *(row["business_date"] for row in new)})
    listed = ", ".join(f"date '{day}'" for day in days)
    night.put(
        "ops.quarantine",
        f"select * replace (case when quarantine_id in ({no_more}) then 'superseded' else status end as status)"
        f" from ops.quarantine where business_date in ({listed})"
        " and quarantine_id not in (select quarantine_id from ops._copies)"
        " union all by name select * from ops._copies",
        days,
    )


def _differing(night: Night) -> list[dict[str, Any]]:
    return [
        _set_aside(
            *(drop, file, line, document, DIFFERS, f"says something else than the copy that came first, in {counting}"),
            None,
            night.seq,
        )
        for document, drop, file, line, counting in night.engine.rows(
            "select document_id, drop_id, file, line, counting_drop_id from sales._differing_copies"
        )
    ]


def _refused(night: Night) -> list[dict[str, Any]]:
    """The refused copies of receipts of which no other copy holds; one whose good copy came needs no correction."""
    return [
        _set_aside(drop, file, line, document, rule, f"{found} where {expected} is expected", revision, night.seq)
        for document, drop, file, line, rule, found, expected, revision in night.engine.rows(
            "select refused.document_id, refused.drop_id, landed.file, landed.line, refused.rule, refused.found,"
            " refused.expected, drops.accepted_revision from sales._refused as refused"
            " inner join landed.transactions as landed"
            " on refused.document_id = landed.transaction_id and refused.drop_id = landed.drop_id"
            " inner join ops.drops as drops on refused.drop_id = drops.drop_id"
            " inner join sales._holding as holding"
            " on refused.document_id = holding.document_id and holding.kind = 'transaction'"
            " where holding.drop_id is null"
        )
    ]


def _set_aside(
    drop: str, file: str, line: int, document: str, rule: str, reason: str, revision: int | None, seq: int
) -> dict[str, Any]:
    feed, day, source = drop.split("/", 2)
    place = f"{drop}|{file}|{line}|{rule}" if revision is None else f"{drop}|{revision}|{file}|{line}|{document}|{rule}"
    return {
        "quarantine_id": hashlib.sha256(place.encode()).hexdigest()[:16],
        "feed": feed,
        "business_date": date.fromisoformat(day),
        "source": source,
        "file": file,
        "line": line,
        "dataset": "transactions",
        "record_key": document,
        "level": "transaction",
        "rule": rule,
        "reason": reason,
        "status": "open",
        "drop_id": drop,
        "revision": revision,
        "raw": None,
        "seq": seq,
    }
