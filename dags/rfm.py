"""### Score the customers, publish the night

1. `rfm` scores recency, frequency and money where a definition of the programme is due, and keeps the history month by
   month. In Dynamics 365: *RFM analysis*.
2. `publish` judges everything the night has written. If no critical check fails, readers see all of it at once:
   queries, `--as-of` and the stores' packages read what is published, never a night that is half done.
3. `analysts` adds up what the analysts' page shows of it. Until it is done the page shows the night before.

* **Runs** when the asset `ledger` has the partition of a date.
* **Reads** `sales.*`; **writes** `rfm.*`, `ops.checks` and `ops.runs`,
  `lake/analysts.duckdb` and `lake/page.duckdb`.
* **Makes** the asset `night`, which the stores' packages wait for.
* **By hand**: trigger it with a business date; `distribution` waits for `ledger` of that date, too.
* **When it fails**, readers keep the last night. A critical check that failed (`ops.checks`) is not tried again by
  itself. The task's log ends with the next command.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, PartitionedAssetTimetable, task

from kanta.orchestration import DEFAULTS, LEDGER, NIGHT, run_stage

with DAG(
    "rfm",
    schedule=PartitionedAssetTimetable(assets=LEDGER),
    tags=["loyalty"],
    doc_md=__doc__,
    **DEFAULTS,
):

    @task
    def rfm() -> dict[str, Any]:
        return run_stage("rfm")

    @task(outlets=[NIGHT])
    def publish() -> dict[str, Any]:
        return run_stage("publish")

    @task
    def analysts() -> dict[str, Any]:
        return run_stage("analysts")

    rfm() >> publish() >> analysts()
