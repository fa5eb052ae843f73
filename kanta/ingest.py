"""The stages ingest_*: a feed's new drops into the tables ``landed.*``, and what became of each (``ops.drops``)."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from kanta import contracts, landing
from kanta.contracts import contract_of
from kanta.night import Night

#: Head office's records that points are worked out by, and the columns that say whom or what one concerns.
CONCERNED = {
    "landed.loyalty_cards": ("card_id", "customer_id", "replaces_card_id"),
    "landed.loyalty_adjustments": ("card_id",),
    "landed.loyalty_transfers": ("from_card_id", "to_card_id"),
    "landed.other_activities": ("card_id",),
    "landed.card_tier_overrides": ("card_id",),
    "landed.products": ("product_id",),
    "landed.channels": ("channel_id",),
    "landed.categories": ("category_id",),
    "landed.exchange_rates": ("from_currency",),
}


def take_in(night: Night, feed: str) -> None:
    """Lands what a feed has dropped up to tonight that is not known yet; a drop that came again replaces its rows."""
    night.attach("ops.drops", "ops.quarantine")
    known = {
        row[0]: landing.Known._make(row)
        for row in night.engine.rows(
            "select drop_id, revision, stamp, control_sha256, status, accepted_revision from ops.drops"
            " where feed = $feed"
            # A drop whose refusal was released is looked at anew.
            " and drop_id not in (select drop_id from ops.quarantine"
            " where level in ('drop', 'file') and status = 'released')",
            {"feed": feed},
        )
    }
    out = night.lake.root / "work" / f"ingest_{feed}"
    shutil.rmtree(out, ignore_errors=True)
    taken = landing.take(night.home, feed, night.business_date, known, seq=night.seq, out=out, progress=night.progress)
    night.log |= {
        "rows_in": taken.in_rows,
        "accepted": taken.accepted_rows,
        "repeated": taken.repeated_rows,
        "refused": taken.refused_rows,
        "drops": taken.drops.num_rows,
        "warnings": [{name: str(said) for name, said in row.items()} for row in taken.warnings.to_pylist()],
    }
    if not taken.drops.num_rows:
        return
    night.engine.register("ops._looked_at", taken.drops)
    night.engine.register("ops._refused", taken.quarantine)
    accepted = "select drop_id from ops._looked_at where status = 'accepted'"
    datasets = {name.split(".")[1] for name in contracts.landing() if name.split(".")[0] in (feed, "any")}
    for dataset in sorted(datasets):
        _land(night, f"landed.{dataset}", taken.rows.get(dataset, []), accepted)
    partitions = [day for (day,) in night.engine.rows("select distinct business_date from ops._looked_at order by 1")]
    night.engine.define(
        "ops._drops",
        "select looked_at.*, case when looked_at.status = 'accepted' then looked_at.revision"
        " else coalesce(known.accepted_revision, 0) end as accepted_revision"
        " from ops._looked_at as looked_at left join ops.drops as known on looked_at.drop_id = known.drop_id",
    )
    days = "select business_date from ops._drops"
    night.put(
        "ops.drops",
        f"select * from ops.drops where business_date in ({days}) and drop_id not in (select drop_id from ops._drops)"
        " union all by name select * from ops._drops",
        partitions,
    )
    night.put(
        "ops.quarantine",
        # While a revision is refused, the one before it counts, and what was refused of that still waits.
        "select * replace (case when drop_id in (select drop_id from ops._drops where status = 'accepted'"
        " or level = 'drop') then 'superseded' else status end as status)"
        f" from ops.quarantine where business_date in ({days})"
        " and quarantine_id not in (select quarantine_id from ops._refused)"
        " union all by name select * from ops._refused",
        partitions,
    )
    shutil.rmtree(out, ignore_errors=True)


def _land(night: Night, table: str, files: list[Path], replaced: str) -> None:
    """Adds a dataset's new rows; of drops that came again the old rows go."""
    if not files and table not in night.state.tables:
        return
    night.attach(table)
    old = [
        day
        for (day,) in night.engine.rows(
            f"select distinct drop_date from {table} where drop_id in ({replaced}) order by 1"
        )
    ]
    contract = contract_of(table)
    if not old:
        night.add_files(table, files)
        return
    new = f"new.{contract.name.split('.')[1]}"
    night.engine.attach(replace(contract, name=new), files)
    # What is new is of other days, and months, than what goes.
    every = night.engine.rows(f"select distinct drop_date from {new}")
    touched = sorted({*old, *(day for (day,) in every)})
    days = ", ".join(f"date '{day}'" for day in touched)
    brought = f"select * from {new}"
    if table in CONCERNED:
        brought = _compared(night, table, new, replaced)
    night.put(
        table,
        f"select * from {table} where drop_date in ({days}) and drop_id not in ({replaced})"
        f" union all by name {brought}",
        touched,
    )


def _compared(night: Night, table: str, new: str, replaced: str) -> str:
    """The rows of drops that came again, those that say what they said still of the take that first brought them;
    whom those concern that are gone or say something else is kept in ``ops.withdrawn``."""
    said = {column.name for column in contract_of(table).columns} - {column.name for column in contracts.PROVENANCE}
    same = " and ".join(f"now.{name} is not distinct from before.{name}" for name in sorted({*said, "drop_id"}))
    night.engine.define(
        "landed._withdrawn",
        " union ".join(
            f"select before.drop_id, '{table.split('.')[1]}' as dataset, '{column}' as named_by,"
            f" before.{column} as name, $business_date as recorded_on, $seq as seq"
            f" from {table} as before anti join {new} as now on {same}"
            f" where before.drop_id in ({replaced}) and before.{column} is not null"
            for column in CONCERNED[table]
        ),
        {"business_date": night.business_date, "seq": night.seq},
    )
    if night.engine.value("select count(*) from landed._withdrawn"):
        night.append("ops.withdrawn", "select * from landed._withdrawn")
    return (
        f"select now.* replace (coalesce(before.seq, now.seq) as seq)"
        f" from {new} as now left join {table} as before on {same}"
    )
