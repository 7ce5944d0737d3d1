"""PURE: the figures beside the verdict (docs/interfaces.md, ``checkrollup --json``)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from executions.health.facts.executions import ExecutionFact, runners_of
from executions.health.findings.base import Case
from executions.health.ledger import durations, percentile
from executions.text.beyond import is_beyond


@dataclass(frozen=True)
class Figures:
    """Ages in seconds at the moment of reading; counts over the last 24 hours of plans.

    None means "not known". If a basic cannot be read, every figure is None.
    """

    latest_success_age_seconds: float | None = None
    latest_plan_age_seconds: float | None = None
    watermark_lag_seconds: float | None = None
    last_run_age_seconds: float | None = None
    success_streak: int | None = None
    plans_expected_24h: int | None = None
    plans_missing_24h: int | None = None
    retried_24h: int | None = None
    failed_24h: int | None = None
    runners_24h: int | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None


def age(now: datetime, moment: datetime | None) -> float | None:
    """The age in seconds; None without a moment, or if its age is no number."""
    return None if moment is None or is_beyond(moment) else (now - moment).total_seconds()


def of_rows(rows: Sequence[ExecutionFact]) -> dict[str, Any]:
    """The figures that only the executions of the last 24 hours tell."""
    taken = durations(rows)
    return {
        "retried_24h": sum(1 for row in rows if row.attempt > 1),
        "failed_24h": sum(1 for row in rows if row.failed),
        "runners_24h": len(runners_of(rows)),
        "p50_ms": percentile(taken, 0.5),
        "p95_ms": percentile(taken, 0.95),
    }


def measure(case: Case | None) -> Figures:
    """The figures of a case; all None without a case."""
    if case is None:
        return Figures()
    newest = case.newest
    cells = case.ledger.cells
    first = cells[0].plan_time if cells else case.now
    rows = [row for row in case.rows if row.plan_time >= first]

    return Figures(
        latest_success_age_seconds=age(case.now, case.succeeded_at),
        latest_plan_age_seconds=age(case.now, newest.plan_time if newest else None),
        watermark_lag_seconds=age(case.now, case.state.watermark_at if case.state else None),
        last_run_age_seconds=age(case.now, case.state.last_run_finished_at if case.state else None),
        success_streak=len(case.ledger.streak),
        plans_expected_24h=case.ledger.expected,
        plans_missing_24h=case.ledger.missing,
        **of_rows(rows),
    )
