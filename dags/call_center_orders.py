"""### Judge the call center's orders

Checks the orders of a business date against fraud rules, prices and margins, and moves their holds on: which orders
wait, for what, and since when. In Dynamics 365: *fraud check* and *order holds*.

* **Runs** when the asset `customers` has the partition of a date: by then the orders are in and the sales are merged.
* **Reads** `landed.orders` and what belongs to them, `customers.*`; **writes** `call_center.*`, and notices
  to `ops.decisions`. Which hold events can follow which, and what fraud rules may ask: `docs/call-center.md`.
* **Makes** the asset `orders`, which loyalty waits for.
* **By hand**: trigger it with a business date. Loyalty waits for `customers` of that date, too: to have the whole night
  again, trigger `customers` instead.
* **When it fails**, readers still see the last night whole. The task's log ends with the next command.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, PartitionedAssetTimetable, task

from kanta.orchestration import CUSTOMERS, DEFAULTS, ORDERS, run_stage

with DAG(
    "call_center_orders",
    schedule=PartitionedAssetTimetable(assets=CUSTOMERS),
    tags=["customers"],
    doc_md=__doc__,
    **DEFAULTS,
):

    @task(outlets=[ORDERS])
    def call_center() -> dict[str, Any]:
        return run_stage("call_center")

    call_center()
