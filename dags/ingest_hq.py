"""### Take what headquarters delivered

Takes every `hq` drop dated up to the business date that was not taken yet: products, categories, channels, exchange
rates, loyalty cards, adjustments, transfers and the call center's reference data. A record counts from its drop on.
What is broken is set aside in `ops.quarantine` with its reason; the rest goes on. In Dynamics 365: job P-0001.

* **Runs** at midnight of `time_zone` (`programme/settings.yaml`), for the business date that just ended.
* **Reads** `landing/hq/`; **writes** `landed.*`, `ops.drops` and `ops.quarantine`.
* **Makes** the asset `hq_drops`, one partition for each business date; the night goes on when all three
  feeds have it.
* **Late drops** are taken by the next night. To have them sooner, trigger the three `ingest_*` DAGs for that date
  again: what was taken before takes no time.
* **By hand**: trigger it with a business date; the night follows once the other two feeds of that date are in.
* **Backfill**: `airflow backfill create --dag-id ingest_hq --from-date 2017-11-06 --to-date 2017-11-10`,
  and the same for `ingest_pos` and `ingest_call_center`. The rest of each night follows; the dates may run in any
  order.
* **Skipped** when nobody chose the date and it lies more than a week after what the lake has worked through.
* **When it fails**, nothing is half done. The task's log ends with the next command.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, task

from kanta.orchestration import DEFAULTS, HQ_DROPS, nightly, run_stage

with DAG("ingest_hq", schedule=nightly(), tags=["ingest"], doc_md=__doc__, **DEFAULTS):

    @task(outlets=[HQ_DROPS], execution_timeout=timedelta(hours=1))
    def ingest_hq() -> dict[str, Any]:
        return run_stage("ingest_hq")

    ingest_hq()
