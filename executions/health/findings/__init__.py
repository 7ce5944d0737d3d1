"""PURE: facts in, findings out. One small function for each finding of docs/contract.md section 6.

`base.py` says what a finding is. The functions are grouped by subject: `progress.py` (plans that
nobody ran or finished), `attempts.py` (how single plans went), `clock.py` (impossible times),
`watermark.py` (how far the rollup has come), `writer.py` (who else moves the watermark), `lock.py`
(who holds the rollup's lock) and `surroundings.py`. To add a finding, write its function and list
it in `RULES`.
"""

from executions.health.facts import Facts
from executions.health.findings.attempts import (
    blocked_tick,
    exhausted_failure,
    masked_retries,
    plan_abandoned,
)
from executions.health.findings.base import Case, Finding, FindingCode, Rule, Severity
from executions.health.findings.clock import clock_or_foreign_writer
from executions.health.findings.lock import lock_leaked, lock_lost
from executions.health.findings.progress import (
    latest_stale,
    no_executions,
    plan_gap,
    running_stale,
    scheduler_not_installed,
)
from executions.health.findings.surroundings import (
    not_available,
    on_the_primary,
    rollup_drift,
    standby,
    table_growth,
)
from executions.health.findings.watermark import (
    state_row_missing,
    watermark_catching_up,
    watermark_future,
    watermark_lag,
)
from executions.health.findings.writer import other_writer

__all__ = ["RULES", "Case", "Finding", "FindingCode", "Severity", "find"]

RULES: dict[FindingCode, Rule] = {
    FindingCode.SCHEDULER_NOT_INSTALLED: scheduler_not_installed,
    FindingCode.NO_EXECUTIONS: no_executions,
    FindingCode.LATEST_STALE: latest_stale,
    FindingCode.STATE_ROW_MISSING: state_row_missing,
    FindingCode.WATERMARK_FUTURE: watermark_future,
    FindingCode.WATERMARK_LAG: watermark_lag,
    FindingCode.WATERMARK_CATCHING_UP: watermark_catching_up,
    FindingCode.LOCK_LOST: lock_lost,
    FindingCode.LOCK_LEAKED: lock_leaked,
    FindingCode.RUNNING_STALE: running_stale,
    FindingCode.PLAN_GAP: plan_gap,
    FindingCode.PLAN_ABANDONED: plan_abandoned,
    FindingCode.EXHAUSTED_FAILURE: exhausted_failure,
    FindingCode.MASKED_RETRIES: masked_retries,
    FindingCode.OTHER_WRITER: other_writer,
    FindingCode.BLOCKED_TICK: blocked_tick,
    FindingCode.CLOCK_OR_FOREIGN_WRITER: clock_or_foreign_writer,
    FindingCode.ROLLUP_DRIFT: rollup_drift,
    FindingCode.TABLE_GROWTH: table_growth,
    FindingCode.STANDBY: standby,
}


def find(facts: Facts, case: Case | None) -> list[Finding]:
    """Every finding, before folding. Without a case only the facts that could not be read."""
    found: list[Finding] = []
    if case is not None:
        found += [finding for rule in RULES.values() if (finding := rule(case)) is not None]
        if case.ground.is_standby:
            found = [on_the_primary(finding) for finding in found]
    return found + not_available(facts)
