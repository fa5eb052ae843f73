"""The stage sales: from landed rows to ``sales.*``, each document counted once."""

from __future__ import annotations

import hashlib
from datetime import date
from typing import Any

import pyarrow as pa

from kanta.landing import QUARANTINE
from kanta.night import Night


def work_out(night: Night) -> None:
    """Makes the business dates anew that tonight's drops touch; a copy of a document that differs is set aside."""
    night.attach("ops.drops")
    night.define("sales._touched_drops")
    if not night.engine.value("select count(*) from sales._touched_drops"):
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
