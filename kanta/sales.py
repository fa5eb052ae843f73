"""The stage sales: from landed rows to ``sales.*``, each document counted once."""

from __future__ import annotations

import hashlib
from datetime import date

import pyarrow as pa

from kanta.night import Night


def work_out(night: Night) -> None:
    """Makes the business dates anew that tonight's drops touch; a copy of a document that differs is set aside."""
    night.attach("ops.drops")
    night.define("sales._touched_drops")
    if not night.engine.value("select count(*) from sales._touched_drops"):
        return
    night.define(
        "sales._documents_now", "sales._product_of_day", "sales._redescribed", "sales._touched", "sales._copies",
        "sales._holding", "sales._affected_days", "sales._differing_copies",
    )  # fmt: skip
    days = [day for (day,) in night.engine.rows("select business_date from sales._affected_days order by 1")]
    for table in ("transactions", "lines", "tenders"):
        night.attach(f"sales.{table}")
        night.rebuild(f"sales.{table}", days)
    night.define("sales._new_documents")
    night.append("sales.documents", "select * from sales._new_documents")
    _set_copies_aside(night)


def _set_copies_aside(night: Night) -> None:
    rows = night.engine.rows("select document_id, drop_id, file, line, counting_drop_id from sales._differing_copies")
    if not rows:
        return
    night.attach("ops.quarantine")
    refused = []
    for document, drop, file, line, counting in rows:
        feed, day, source = drop.split("/", 2)
        refused.append(
            {
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
                "seq": night.seq,
            }
        )
    night.engine.register("ops._copies", pa.Table.from_pylist(refused))
    days = "select distinct business_date from ops._copies"
    night.put(
        "ops.quarantine",
        f"select * from ops.quarantine where business_date in ({days})"
        " and quarantine_id not in (select quarantine_id from ops._copies)"
        " union all by name select * from ops._copies",
        [day for (day,) in night.engine.rows(days)],
    )
