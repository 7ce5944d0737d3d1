"""PURE: facts in, findings out. One small function for each finding of docs/contract.md section 6.

`base.py` says what a finding is. The functions are grouped by subject: `progress.py` (plans that
nobody ran or finished), `attempts.py` (how single plans went), `clock.py` (impossible times),
`watermark.py` (how far the rollup has come), `writer.py` (who else moves the watermark), `lock.py`
(who holds the rollup's lock) and `surroundings.py`. To add a finding, write its function and list
it in `RULES`.
"""

from executions.health.facts import Facts
from executions.health.findings import (
    attempts,
    clock,
    lock,
    progress,
    surroundings,
    watermark,
    writer,
)
from executions.health.findings.base import Case, Finding, FindingCode, Rule, Severity

__all__ = ["RULES", "Case", "Finding", "FindingCode", "Severity", "find"]

RULES: dict[FindingCode, Rule] = {
    FindingCode.SCHEDULER_NOT_INSTALLED: progress.scheduler_not_installed,
    FindingCode.NO_EXECUTIONS: progress.no_executions,
    FindingCode.LATEST_STALE: progress.latest_stale,
    FindingCode.STATE_ROW_MISSING: watermark.state_row_missing,
    FindingCode.WATERMARK_FUTURE: watermark.watermark_future,
    FindingCode.WATERMARK_LAG: watermark.watermark_lag,
    FindingCode.WATERMARK_CATCHING_UP: watermark.watermark_catching_up,
    FindingCode.LOCK_LOST: lock.lock_lost,
    FindingCode.LOCK_LEAKED: lock.lock_leaked,
    FindingCode.RUNNING_STALE: progress.running_stale,
    FindingCode.PLAN_GAP: progress.plan_gap,
    FindingCode.PLAN_ABANDONED: attempts.plan_abandoned,
    FindingCode.EXHAUSTED_FAILURE: attempts.exhausted_failure,
    FindingCode.MASKED_RETRIES: attempts.masked_retries,
    FindingCode.OTHER_WRITER: writer.other_writer,
    FindingCode.BLOCKED_TICK: attempts.blocked_tick,
    FindingCode.CLOCK_OR_FOREIGN_WRITER: clock.clock_or_foreign_writer,
    FindingCode.ROLLUP_DRIFT: surroundings.rollup_drift,
    FindingCode.TABLE_GROWTH: surroundings.table_growth,
    FindingCode.STANDBY: surroundings.standby,
}


def find(facts: Facts, case: Case | None) -> list[Finding]:
    """Every finding, before folding. Without a case only the facts that could not be read."""
    found: list[Finding] = []
    if case is not None:
        found += [finding for rule in RULES.values() if (finding := rule(case)) is not None]
        if case.ground.is_standby:
            found = [surroundings.on_the_primary(finding) for finding in found]
    return found + surroundings.not_available(facts)
