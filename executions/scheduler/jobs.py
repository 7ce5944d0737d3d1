"""The jobs that our runners run. docs/adding-a-job.md explains how to add one."""

from datetime import datetime

from executions.database.sql import load
from executions.rollup.watermark import read_watermark, roll_up
from executions.scheduler.leases import rfc3339
from executions.scheduler.spec import Context, JobSpec, Needs, Returned, registry

ADVISORY_LOCK = 4246


def roll_up_task_usage(context: Context) -> Returned:
    """Read the watermark, roll up one step, read it again (docs/contract.md section 3)."""
    before = read_watermark(context.connection)
    rows = roll_up(context.connection)
    return rows, rollup_result(before, read_watermark(context.connection))


def rollup_result(before: datetime | None, after: datetime | None) -> dict[str, object]:
    """What an execution stores of a run; a watermark that is not known is left out."""
    marks = {"watermark_before": before, "watermark_after": after}
    told = {name: rfc3339(mark) for name, mark in marks.items() if mark is not None}
    return {"advisory_lock_id": ADVISORY_LOCK, **told}


# What roll_up_task_usage sends, and what its function uses (docs/contract.md section 4).
NEEDS = Needs(
    functions=("rollup_task_usage_hourly()",),
    rights=(("SELECT", "task_usage_hourly_rollup_state"),),
    behind=(("UPDATE", "task_usage_hourly_rollup_state"),),
    rehearsal=load("watermark").rehearse,
)

# The defaults of JobSpec are this job's settings, as Multica's own replicas have them.
ROLLUP = JobSpec(name="rollup_task_usage_hourly", handler=roll_up_task_usage, needs=NEEDS)

JOBS = registry([ROLLUP])
