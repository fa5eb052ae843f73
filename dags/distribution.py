"""### Send the stores their packages

Lists the data groups, then sends each group's databases what is published, in one pass for each group. What stores
have acknowledged is taken in first. In Dynamics 365: distribution schedule 9999, all jobs in order.

* **Runs** when `ledger` and `night` both have the partition of a date.
* **Reads** what is published; **writes** `outbox/` and `distribution.*`.
* **Deadline**: the programme's `distribution.deliver_by` (05:00 if not said) on the opening day, the day after the
  business date, in `time_zone`. Missed, it prints which date is late and what to do; the run itself goes on. Runs made
  after that day, as by a backfill, have none.
* **A store that cannot be served** stops no other: its group's task fails after the others are served, and is tried
  again. After `try_count` failures its package is suspended (`enforce_order`) and its others wait:
  `kanta distribution retry DATABASE`.
* **A place that does not answer at all** is tried a few times, once for all its stores: their packages wait, none of
  them counts as failed, and the task fails with one message.
* **By hand**: trigger it with a business date. Sending what a store already has sends nothing.
* **When it fails**, packages that went out are whole. The task's log ends with the next command.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, PartitionedAssetTimetable, task

from kanta.errors import KantaError
from kanta.home import Home
from kanta.orchestration import DEFAULTS, LEDGER, NIGHT, announce, cut_off, tonight

with DAG(
    "distribution",
    schedule=PartitionedAssetTimetable(assets=LEDGER & NIGHT),
    deadline=cut_off(),
    tags=["stores"],
    doc_md=__doc__,
    **DEFAULTS,
):

    @task
    def data_groups() -> list[str]:
        from kanta import distribution

        return distribution.groups(Home.default(), tonight())

    @task(task_id="distribution", map_index_template="{{ task.op_kwargs['data_group'] }}")
    def send(data_group: str) -> dict[str, Any]:
        from kanta import distribution

        day = tonight()
        sent = distribution.run(Home.default(), day, data_group=data_group)
        if "unreachable" in sent:
            next_step = "mend the place or the way to it, then clear this task"
            raise KantaError(f"{sent['unreachable']}; {sent['waiting']} packages wait", next_step=next_step)
        if sent["failed"]:
            raise KantaError(f"Not served: {', '.join(sent['failed'])}", next_step="kanta distribution status")
        return announce(day, sent)

    send.expand(data_group=data_groups())
