"""The store's day (spec 7-seeds-whole section 9): ``ops.store_days``, worked out of the days that a night concerns.

It follows the ledger, since it compares the points that tills state with ours. The rules of single receipts are in
``transforms/ops/_receipt_faults.sql``; a night has only the receipts of its days checked.
"""

from __future__ import annotations

from datetime import date

import pyarrow as pa

from kanta import landing
from kanta.models import models
from kanta.night import Night

#: Worked out in this order for tonight's days; ``ops.receipt_checks`` reads them as it does for readers.
_RECEIPTS = (
    "ops._receipt_headers", "ops._tendered", "ops._known_customers", "ops._unknown_customers", "ops._receipt_faults",
    "ops._doubles", "ops._receipt_points", "ops._stated_points",
)  # fmt: skip


def work_out(night: Night) -> None:
    """Makes the days of stores anew that tonight's drops, points or decisions concern."""
    night.attach("ops.drops", "ops.quarantine", "ops.store_days")
    night.attach_anew("loyalty.entries")
    night.engine.define("sales._time_zones", "select name as time_zone from pg_timezone_names()")
    night.define("sales._touched_drops", "sales._undated", "ops._quarantined_receipts")
    night.unworked("ops._seen_receipts")  # all there ever were: only ever counted
    night.define("ops._register_days", "ops._store_openings", "ops._changed_store_days")
    _judge_again(night)
    night.define("ops._store_days_due")
    days = [day for (day,) in night.engine.rows("select business_date from ops._store_days_due order by 1")]
    if not days:
        return
    night.engine.register("ops._trading_days", _trading_days(night, days))
    night.attach("programme.versions")  # and its other relations, unless the ledger has them already
    checked = models()["ops._checked_receipts"].sql
    night.substitute(
        "ops._checked_receipts",
        f"select * from ({checked}) where business_date between date '{days[0]}' and date '{days[-1]}'"
        " and business_date in (select business_date from ops._store_days_due)",
    )
    night.define(*_RECEIPTS, "ops._missing_numbers")
    night.attach("ops.receipt_checks")
    night.rebuild("ops.store_days", days)


def _judge_again(night: Night) -> None:
    """Adds the days that a programme first seen tonight judges by other limits or rules than before."""
    night.attach("ops.decisions")
    seen_before = night.engine.value(
        "select count(*) from ops.decisions where kind = 'programme_version' and seq <= $since", night.parameters
    )
    before = {version.programme.store_checks for version in night.versions[:seen_before]}
    for version in night.versions[seen_before:] if before else []:
        if before != {version.programme.store_checks}:
            night.engine.execute(
                "insert into ops._changed_store_days select distinct business_date from ops.store_days"
                " where business_date >= $first"
                " and business_date not in (select business_date from ops._changed_store_days)",
                {"first": version.effective_from},
            )


def _trading_days(night: Night, days: list[date]) -> pa.Table:
    """Of these days those on which a store should have delivered and no drop of it was accepted."""
    taken = {
        drop
        for (drop,) in night.engine.rows(
            "select drop_id from ops.drops where accepted_revision > 0 and business_date <= $business_date",
            {"business_date": night.business_date},
        )
    }
    call_centers = {
        name
        for (name,) in night.engine.rows(
            "select source from ops.drops where feed = 'call_center'"
            " union select channel_id from reference.channels where kind = 'call_center'"
        )
    }
    missing = [found for found in landing.missing_days(night.home, days, taken) if found.source not in call_centers]
    return pa.table(
        {
            "store_id": pa.array([found.source for found in missing], pa.string()),
            "business_date": pa.array([found.business_date for found in missing], pa.date32()),
        }
    )
