"""### Work out the points

One stage, because its three steps share what they read. In Dynamics 365 they are jobs of their own:

1. *Process loyalty schemes*: which rules a receipt line meets, and what it earns (`loyalty.events`).
2. *Post earned loyalty points in batches*: the events of each account in order become entries, lots and allocations.
3. *Update loyalty card tiers*: from the status points of the windows that the programme names.

Then the days of stores are judged (`ops.store_days`): what is missing, refused, odd or late of each, and whether the
points that tills state are ours.

* **Runs** when `customers` and `orders` both have the partition of a date.
* **Reads** `sales.*`, `customers.*`, `reference.*` and the programme; **writes** `loyalty.*` and `ops.store_days`.
* **Makes** the asset `ledger`. Readers see it only after `publish` (DAG `rfm`).
* **Late facts** of earlier dates are worked out with it. What is posted is never changed: corrections are entries.
* **By hand**: trigger it with a business date; the rest of the night follows.
* **When it fails**, readers still see the last night whole. The task's log ends with the next command.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, PartitionedAssetTimetable, task

from kanta.orchestration import CUSTOMERS, DEFAULTS, LEDGER, ORDERS, run_stage

with DAG(
    "loyalty",
    schedule=PartitionedAssetTimetable(assets=CUSTOMERS & ORDERS),
    tags=["loyalty"],
    doc_md=__doc__,
    **DEFAULTS,
):

    @task(outlets=[LEDGER])
    def loyalty() -> dict[str, Any]:
        return run_stage("loyalty")

    loyalty()
