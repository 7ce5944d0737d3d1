"""PURE: finds the one cause that explains why usage shows zero. The order of `RULES` decides."""

from collections.abc import Callable, Sequence

from executions.health.diagnosis import sentences
from executions.health.diagnosis.look import Cause, CauseCode, Look
from executions.health.explain import EXPLANATIONS
from executions.health.facts.usage import RanTasks, Sample, Shape, WorkspaceUsage
from executions.health.findings import FindingCode
from executions.health.findings.base import Finding
from executions.text.problem import Problem
from executions.text.sentences import quoted

Rule = Callable[[Look], Cause | None]

# One task that ended without usage may have failed before it used anything.
ENOUGH_SILENT = 3
_OTHER_SCHEMA = {"search_path", "no_usage"}
_NOT_MULTICAS = "no_tables"


def without_a_look(reasons: Sequence[Problem]) -> Cause:
    """The cause if something basic could not be read, for at least one reason."""
    by_code = {reason.code: reason for reason in reasons}
    elsewhere = next((by_code[code] for code in _OTHER_SCHEMA if code in by_code), None)
    if elsewhere is not None:
        return _by_problem(CauseCode.OTHER_SCHEMA, elsewhere)
    if _NOT_MULTICAS in by_code:
        return _by_problem(CauseCode.WRONG_DATABASE, by_code[_NOT_MULTICAS])
    return _by_problem(CauseCode.CANNOT_TELL, reasons[0])


def _by_problem(code: CauseCode, problem: Problem) -> Cause:
    return Cause(
        code,
        summary=quoted(problem.reason),
        next_step=quoted(problem.todo),
    )


def _by_finding(code: CauseCode, finding: Finding) -> Cause:
    return Cause(
        code,
        summary=finding.summary,
        next_step=finding.advice,
        steps=EXPLANATIONS[finding.code].steps,
        finding=finding,
    )


def rollup_not_installed(look: Look) -> Cause | None:
    shape = look.usage.shape
    if not isinstance(shape, Shape) or shape.has_buckets or not shape.has_usage:
        return None
    return sentences.rollup_not_installed()


def no_usage(look: Look) -> Cause | None:
    """No raw usage with a real time: bad times, another database, silent tasks, or nothing ran."""
    usage = look.usage
    if usage.newest_usage is not None:
        return None
    if usage.never_due is True:
        return sentences.usage_never_due()
    if isinstance(usage.tasks, RanTasks) and usage.tasks.silent:
        return sentences.tasks_reported_none(look, usage.tasks)
    nobody = usage.has_tasks is False and usage.has_agents is False
    if nobody and look.case.newest is None:
        return sentences.empty_database(look)
    return sentences.no_raw_usage(usage.has_tasks)


def without_runtimes(look: Look) -> Cause | None:
    """Nothing of the newest usage counts, because no task of it has a runtime."""
    latest = look.usage.latest
    if isinstance(latest, Problem) or latest.counts or not latest.total("without_runtime"):
        return None
    return _without_runtimes(look, latest.workspaces, everywhere=True)


def _without_runtimes(
    look: Look, workspaces: tuple[WorkspaceUsage, ...], *, everywhere: bool
) -> Cause:
    where = None if everywhere else look.named(workspaces)
    rows = sum(one.without_runtime for one in workspaces)
    if runtime_was_deleted(look):
        return sentences.runtime_deleted(rows, where)
    return sentences.tasks_without_runtime(rows, where)


def runtime_was_deleted(look: Look) -> bool:
    """By the schema, which allows no other reason since v0.4.17, or by a trace in the buckets."""
    shape, deleted = look.usage.shape, look.usage.deleted_runtimes
    if isinstance(shape, Shape) and shape.active_tasks_need_runtimes:
        return True
    return isinstance(deleted, int) and deleted > 0


def watermark_future(look: Look) -> Cause | None:
    finding = look.first_of(FindingCode.WATERMARK_FUTURE)
    return _by_finding(CauseCode.WATERMARK_FUTURE, finding) if finding else None


_SILENT = (FindingCode.NO_EXECUTIONS, FindingCode.LATEST_STALE)
_FAILING = (FindingCode.EXHAUSTED_FAILURE, FindingCode.PLAN_ABANDONED, *_SILENT)
# What keeps the rollup from coming on, the most telling first.
_STANDING: tuple[tuple[CauseCode, tuple[FindingCode, ...]], ...] = (
    (CauseCode.STATE_ROW_MISSING, (FindingCode.STATE_ROW_MISSING,)),
    (CauseCode.SCHEDULER_NOT_INSTALLED, (FindingCode.SCHEDULER_NOT_INSTALLED,)),
    (CauseCode.LOCK_LEAKED, (FindingCode.LOCK_LEAKED,)),
    (CauseCode.CATCHING_UP, (FindingCode.WATERMARK_CATCHING_UP,)),
    (CauseCode.RUNS_FAIL, _FAILING),
    (CauseCode.SCHEDULER_SILENT, _SILENT),
    (CauseCode.LOCK_HELD, (FindingCode.LOCK_LOST,)),
    (CauseCode.WATERMARK_STANDS, (FindingCode.WATERMARK_LAG,)),
)


def standing_still(look: Look) -> Cause | None:
    """Usage waits behind a watermark that does not come on."""
    if not (look.stands and look.waits):
        return None
    for code, findings in _STANDING:
        finding = look.first_of(*findings)
        if finding is not None and (code is not CauseCode.RUNS_FAIL or runs_fail(look)):
            return _by_finding(code, finding)
    return None


def runs_fail(look: Look) -> bool:
    """Whether runs are begun, but the newest that ended failed."""
    newest = next((row for row in look.case.rows if not row.running), look.case.newest)
    return newest is not None and newest.status == "FAILED"


def reports_stopped(look: Look) -> Cause | None:
    """There is old usage, but tasks that ran since reported none."""
    tasks = look.usage.tasks
    if not isinstance(tasks, RanTasks) or tasks.silent_since < ENOUGH_SILENT:
        return None
    return sentences.tasks_reported_none(look, tasks)


def some_without_runtimes(look: Look) -> Cause | None:
    lacking = tuple(one for one in look.workspaces if one.lacks_every_runtime)
    return _without_runtimes(look, lacking, everywhere=False) if lacking else None


def one_workspace(look: Look) -> Cause | None:
    missing = [one for one in look.workspaces if one.is_missing_wholly]
    shown = [one for one in look.workspaces if one.shown]
    if not missing or not shown:
        return None
    return sentences.one_workspace(look, missing)


def buckets_missing(look: Look) -> Cause | None:
    missing = sum(one.missing for one in look.workspaces)
    return sentences.buckets_missing(look, missing) if missing else None


def too_recent(look: Look) -> Cause | None:
    """All usage that counts is newer than what the rollup has processed, which is on time."""
    latest = look.usage.latest
    if not isinstance(latest, Sample) or any(one.settled for one in look.workspaces):
        return None
    return sentences.too_recent(look, latest) if latest.total("waiting") else None


def cannot_tell(look: Look) -> Cause | None:
    reason = next(look.unread, None)
    return _by_problem(CauseCode.CANNOT_TELL, reason) if reason else None


RULES: tuple[Rule, ...] = (
    rollup_not_installed,
    no_usage,
    without_runtimes,
    watermark_future,
    standing_still,
    some_without_runtimes,
    one_workspace,
    buckets_missing,
    too_recent,
    cannot_tell,
    reports_stopped,
    sentences.usage_is_there,
)


def decide(look: Look) -> Cause:
    """The first cause that holds; the last rule always does."""
    cause = next(cause for rule in RULES if (cause := rule(look)) is not None)
    return sentences.beside_the_verdict(cause, look.assessment.verdict)
