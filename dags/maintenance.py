"""### Keep the lake small and fast

Merges small files, drops publications beyond those kept for `--as-of`, expires the snapshots that nothing reads any
more, and removes files that nothing points at. Readers notice nothing: the same night is published again, unchanged.

* **Runs** on Sundays at noon of `time_zone`, when no night is at work; it takes the lake's one slot like any stage.
* **Writes** every table it compacts, `lake/published/` and the lake's catalog; **makes** no asset.
* **By hand**: trigger it, or `kanta maintenance`, which does the same.
* **When it fails**, nothing is lost: it removes only what nothing points at. The task's log ends with the next command.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, CronTriggerTimetable, task

from kanta.home import Home
from kanta.orchestration import DEFAULTS, time_zone

with DAG(
    "maintenance",
    schedule=CronTriggerTimetable("0 12 * * SUN", timezone=time_zone(Home.default())),
    tags=["upkeep"],
    doc_md=__doc__,
    **DEFAULTS,
):

    @task
    def maintenance() -> dict[str, Any]:
        from kanta import maintenance

        return dict(maintenance.run(Home.default()))

    maintenance()
