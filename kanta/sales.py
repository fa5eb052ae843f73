"""The stage sales: from landed rows to ``sales.*``, each document counted once."""

from __future__ import annotations

import hashlib
from datetime import date
from typing import Any

import pyarrow as pa

from kanta.landing import QUARANTINE
from kanta.night import Night


def work_out(night: Night) -> None:
    """Makes the business dates anew that tonight's drops touch, or that another word on who stands for nobody does; a
    copy of a document that differs is set aside."""
    night.attach("ops.drops")
    _say_who_is_nobody(night)
    night.define("sales._touched_drops", "sales._changed_placeholders")
    if not night.engine.value(
        "select (select count(*) from sales._touched_drops) + (select count(*) from sales._changed_placeholders)"
    ):
        return
    night.engine.define("sales._time_zones", "select name as time_zone from pg_timezone_names()")
    night.define(
        "sales._documents_now", "sales._product_of_day", "sales._redescribed", "sales._touched", "sales._local_times",
        "sales._voids", "sales._copies", "sales._holding", "sales._affected_days", "sales._differing_copies",
    )  # fmt: skip
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


def _set_copies_aside(night: Night) -> None:
    """Sets aside the touched transactions' copies that differ from the one that counts; what differs no more is not
    open any longer."""
    night.attach("ops.quarantine")
    known = {
        (identifier, reason): day
        for identifier, reason, day in night.engine.rows(
            "select quarantine_id, reason, business_date from ops.quarantine"
            " where rule = 'copy_differs' and status in ('open', 'dismissed')"
            " and record_key in (select document_id from sales._touched where kind = 'transaction')"
        )
    }
    differing = {
        (row["quarantine_id"], row["reason"]): row
        for found in night.engine.rows(
            "select document_id, drop_id, file, line, counting_drop_id from sales._differing_copies"
        )
        for row in [_set_aside(*found, seq=night.seq)]
    }
    refused = [row for key, row in differing.items() if key not in known]
    over = {key: day for key, day in known.items() if key not in differing}
    if not refused and not over:
        return
    night.engine.register("ops._copies", pa.Table.from_pylist(refused, QUARANTINE))
    no_more = ", ".join(f"'{identifier}'" for identifier, _ in over) or "null"
    days = sorted({*over.values(), *(row["business_date"] for row in refused)})
    listed = ", ".join(f"date '{day}'" for day in days)
    night.put(
        "ops.quarantine",
        f"select * replace (case when quarantine_id in ({no_more}) then 'superseded' else status end as status)"
        f" from ops.quarantine where business_date in ({listed})"
        " and quarantine_id not in (select quarantine_id from ops._copies)"
        " union all by name select * from ops._copies",
        days,
    )


def _set_aside(document: str, drop: str, file: str, line: int, counting: str, *, seq: int) -> dict[str, Any]:
    feed, day, source = drop.split("/", 2)
    return {
        "quarantine_id": hashlib.sha256(f"{drop}|{file}|{line}|copy_differs".encode()).hexdigest()[:16],
        "feed": feed,
        "business_date": date.fromisoformat(day),
        "source": source,
        "file": file,
        "line": line,
        "dataset": "transactions",
        "record_key": document,
        "level": "transaction",
        "rule": "copy_differs",
        "reason": f"says something else than the copy that came first, in {counting}",
        "status": "open",
        "drop_id": drop,
        "revision": None,
        "raw": None,
        "seq": seq,
    }
