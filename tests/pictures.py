"""Facts made in memory, for tests of the conclusions from them: no database, no clock.

``NOW`` is seven minutes after its newest plan. Plans are named by their age, as in `scenarios`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from executions.health.facts import Facts, Ground, Queue, StateRow
from executions.health.facts.executions import ExecutionFact, Executions
from executions.health.facts.pg_cron import PgCron, Visibility
from executions.health.facts.sessions import Lock
from executions.scheduler.jobs import ROLLUP

NOW = datetime(2026, 3, 29, 1, 2, tzinfo=UTC)  # the night in which Europe changes its clocks
NEWEST = datetime(2026, 3, 29, 0, 55, tzinfo=UTC)
CADENCE = timedelta(minutes=5)
SECOND = timedelta(seconds=1)


def plan_time(age: int) -> datetime:
    return NEWEST - age * CADENCE


def execution(age: int, **columns: Any) -> ExecutionFact:
    """A SUCCESS that was claimed on time and moved the watermark by one cadence."""
    started = plan_time(age) + CADENCE + SECOND
    status = columns.get("status", "SUCCESS")
    ended = {
        "finished_at": started + SECOND,
        "duration_ms": 1000,
        "rows_affected": 4,
        "watermark_before": started - 2 * CADENCE,
        "watermark_after": started - CADENCE,
    }
    made = ExecutionFact(
        id=UUID(int=age % 2**64),
        plan_time=plan_time(age),
        status=status,
        attempt=1,
        max_attempts=3,
        runner_id="backend",
        started_at=started,
        heartbeat_at=started,
        stale_after=started + timedelta(minutes=30),
        **(ended if status == "SUCCESS" else {}),
    )
    return replace(made, **{name: value for name, value in columns.items() if name != "status"})


def executions(
    changed: Mapping[int, Mapping[str, Any] | None] | None = None, count: int = 289, **others: Any
) -> Executions:
    """A day of kept plans. ``changed`` gives columns by age, or None for a missing plan."""
    differing = dict(changed or {})
    ages = [age for age in range(count) if differing.get(age, {}) is not None]
    rows = tuple(execution(age, **(differing.get(age) or {})) for age in ages)
    known = {"since": NEWEST - timedelta(hours=24), "first_plan": NEWEST - timedelta(days=30)}
    return Executions(rows=rows, **(known | others))


def facts(**known: Any) -> Facts:
    """A healthy install, except for the given facts."""
    return Facts(
        **{
            "spec": ROLLUP,
            "ground": Ground(
                now=NOW,
                role="multica_view",
                database="multica",
                has_executions=True,
                has_state=True,
                has_usage=True,
                executions_estimate=8640,
            ),
            "executions": executions(),
            "state": StateRow(watermark_at=NEWEST + SECOND, last_run_finished_at=NEWEST + CADENCE),
            "queue": Queue(None),
            "lock": Lock(),
            "pg_cron": PgCron(Visibility.ABSENT),
            "drift": None,
            "own_runners": frozenset(),
        }
        | known
    )
