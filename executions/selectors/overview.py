"""What the overview shows: the plans of the last 24 hours and how far the rollup has come."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connections
from django.utils.translation import gettext as _

from executions.models import Execution, RollupState, Runner, Status
from executions.router import MULTICA_ALIAS
from executions.scheduler.jobs import ROLLUP

WINDOW = timedelta(hours=24)
# 288 plans fit into a day; twice that bounds the read whatever a foreign writer may have left.
MOST_PLANS = 576
LATE_AFTER = timedelta(minutes=15)


@dataclass(frozen=True)
class PlanRow:
    """One row of the table: an execution and what only the database's clock can say of it."""

    execution: Execution
    is_stale: bool
    runner_is_ours: bool

    def __getattr__(self, name: str) -> object:
        return getattr(self.execution, name)

    @property
    def watermark_before(self) -> object:
        return self.execution.result.get("watermark_before")

    @property
    def watermark_after(self) -> object:
        return self.execution.result.get("watermark_after")


@dataclass(frozen=True)
class Overview:
    checked_at: datetime
    watermark: datetime | None
    plans: list[PlanRow]

    @property
    def latest_success(self) -> Execution | None:
        succeeded = (row.execution for row in self.plans if row.status == Status.SUCCESS)
        return next(succeeded, None)

    @property
    def headline(self) -> str:
        success = self.latest_success
        if self.watermark is None:
            return _("The rollup's state row is missing, so no run can do anything.")
        if success is None or success.finished_at is None:
            return _("No run of the usage rollup has succeeded in the last 24 hours.")
        if self.checked_at - success.finished_at > LATE_AFTER:
            return _("The usage rollup has stopped: its latest success is from %(time)s UTC.") % {
                "time": f"{success.finished_at:%Y-%m-%d %H:%M}"
            }
        return _("Usage is up to date to %(time)s UTC.") % {"time": f"{self.watermark:%H:%M}"}

    @property
    def tone(self) -> str:
        success = self.latest_success
        if self.watermark is None or success is None or success.finished_at is None:
            return "failing"
        return "failing" if self.checked_at - success.finished_at > LATE_AFTER else "healthy"


def read_overview() -> Overview:
    """Three bounded reads; the time is the database's own.

    Raises:
        django.db.DatabaseError: Multica's tables cannot be read; see ``problems.diagnose``.
    """
    with connections[MULTICA_ALIAS].cursor() as cursor:
        cursor.execute("SELECT now()")
        checked_at: datetime = cursor.fetchone()[0]
    executions = list(
        Execution.objects.filter(
            job_name=ROLLUP.name,
            scope_kind="global",
            scope_id="global",
            plan_time__gte=checked_at - WINDOW,
        ).order_by("-plan_time")[:MOST_PLANS]
    )
    state = RollupState.objects.filter(id=1).first()
    seen = {execution.runner_id for execution in executions if execution.runner_id}
    ours = set(Runner.objects.filter(runner_id__in=seen).values_list("runner_id", flat=True))
    return Overview(
        checked_at=checked_at,
        watermark=state.watermark_at if state else None,
        plans=[
            PlanRow(
                execution,
                is_stale=execution.status == Status.RUNNING
                and execution.stale_after is not None
                and execution.stale_after < checked_at,
                runner_is_ours=execution.runner_id in ours,
            )
            for execution in executions
        ],
    )
