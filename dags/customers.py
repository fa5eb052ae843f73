"""### Know the customers, merge sales

Two steps, once all three feeds of a business date are in:

1. `customers` gives customers made offline their account, fills in what the channel's default customer says, and keeps
   contacts with their consent. In Dynamics 365: *Synchronize customers and business partners from async mode*. What
   cannot count is set aside in quarantine, with the reason.
2. `sales` merges accepted receipts and invoiced orders into `sales.transactions`, `sales.lines` and `sales.tenders`,
   with the account where a receipt names a GUID. A receipt that comes twice counts once; a copy that differs is set
   aside.

* **Runs** when `pos_drops`, `call_center_drops` and `hq_drops` all have the partition of a date.
* **Reads** `landed.*`; **writes** `sales.*`, `customers.*` and `ops.quarantine`.
* **Makes** the asset `customers`, which the call center's orders and loyalty wait for.
* **By hand**: trigger it with a business date; the rest of the night follows.
* **When it fails**, readers still see the last night whole. The task's log ends with the next command.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, PartitionedAssetTimetable, task

from kanta.orchestration import CALL_CENTER_DROPS, CUSTOMERS, DEFAULTS, HQ_DROPS, POS_DROPS, run_stage

with DAG(
    "customers",
    schedule=PartitionedAssetTimetable(assets=POS_DROPS & CALL_CENTER_DROPS & HQ_DROPS),
    tags=["customers"],
    doc_md=__doc__,
    **DEFAULTS,
):

    @task
    def customers() -> dict[str, Any]:
        return run_stage("customers")

    @task(outlets=[CUSTOMERS])
    def sales() -> dict[str, Any]:
        return run_stage("sales")

    customers() >> sales()
