"""PURE: how late the rollup is. Findings, verdict and gates take the limits from here.

It makes no finding itself. Source: docs/contract.md section 6, ``latest_stale`` and
``watermark_lag``.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from executions.health.facts import StateRow
from executions.health.findings.base import Case, Severity
from executions.rollup.margin import MARGIN
from executions.text.problem import Problem

# A healthy watermark is between so old, after a run, and so old, before the next.
NORMAL_LAG = (MARGIN, timedelta(minutes=11))


@dataclass(frozen=True)
class Limits:
    """Past ``warning`` is a warning, past ``critical`` critical. Less is fine."""

    warning: timedelta
    critical: timedelta

    def severity(self, age: timedelta) -> Severity | None:
        if age <= self.warning:
            return None
        return Severity.CRITICAL if age > self.critical else Severity.WARNING


# The age of the latest success.
SILENCE = Limits(warning=timedelta(minutes=15), critical=timedelta(hours=1))
# The age of the watermark: it is this much older than the success that left it.
LAG = Limits(warning=SILENCE.warning + MARGIN, critical=SILENCE.critical + MARGIN)


def silent_since(case: Case) -> datetime | None:
    """The end of the latest success, else the first sign of the job, else None."""
    return case.succeeded_at or _begun(case)


def _begun(case: Case) -> datetime | None:
    if case.executions.first_plan is not None:
        return min(case.executions.first_plan, case.now) + case.spec.schedule_delay
    trace = case.facts.first_trace
    return None if isinstance(trace, Problem) else trace


def silence(case: Case) -> Severity | None:
    """How bad the time without a success is; None while it is normal."""
    since = silent_since(case)
    return None if since is None else SILENCE.severity(case.now - since)


def lag_beside_runs(case: Case) -> Severity | None:
    """How bad the lag is without what a silence adds to it.

    It counts up to the moment at which the run after the latest success is due. Any later age comes
    from the silence alone. So the lag neither appears before the silence counts nor goes when it
    begins.
    """
    if case.state is None or not _has_succeeded(case):
        return None
    at = case.succeeded_at
    until = case.now if at is None else min(case.now, at + case.spec.cadence)
    return LAG.severity(until - case.state.watermark_at)


def lag(case: Case, state: StateRow) -> Severity | None:
    """How bad the age of the watermark is; in a silence no worse than the silence makes it."""
    beside_runs, quiet = lag_beside_runs(case), silence(case)
    whole = LAG.severity(case.now - state.watermark_at)
    if quiet is None or whole is None or not _has_succeeded(case):
        return beside_runs
    return max(min(whole, quiet), beside_runs or Severity.INFO)


def _has_succeeded(case: Case) -> bool:
    return case.latest_success is not None or any(row.succeeded for row in case.rows)
