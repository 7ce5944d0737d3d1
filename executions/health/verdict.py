"""PURE: folds the findings and sums them up: healthy, degraded, failing or unknown, and a sentence.

Severity decides (docs/contract.md section 6): any critical finding makes it failing, any warning
degraded, and a basic that cannot be read unknown. A finding that another explains does not count,
so a lag is folded only under what can have caused it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from executions.health.facts import Facts, StateRow
from executions.health.facts.pg_cron import Match, RollupCall
from executions.health.findings.base import Case, Finding, FindingCode, Severity, of_code
from executions.health.findings.lateness import LAG
from executions.health.findings.progress import NEVER
from executions.health.findings.writer import Whence, in_short, is_over, whence
from executions.text.problem import Problem
from executions.text.sentences import Sentence, Text, listed, say, together, told_once

FAILURES = (FindingCode.EXHAUSTED_FAILURE, FindingCode.PLAN_ABANDONED)

# The findings that explain a finding. The first of them that is present does.
EXPLAINED_BY: Mapping[FindingCode, tuple[FindingCode, ...]] = {
    FindingCode.LOCK_LOST: (
        FindingCode.STATE_ROW_MISSING,
        FindingCode.WATERMARK_FUTURE,
        FindingCode.LOCK_LEAKED,
        FindingCode.OTHER_WRITER,
    ),
    FindingCode.WATERMARK_LAG: (
        FindingCode.WATERMARK_CATCHING_UP,
        FindingCode.LATEST_STALE,
        FindingCode.LOCK_LEAKED,
        *FAILURES,
    ),
    FindingCode.LATEST_STALE: (FindingCode.NO_EXECUTIONS,),
    FindingCode.PLAN_ABANDONED: (FindingCode.EXHAUSTED_FAILURE,),
}


def _was_on_time(case: Case) -> bool:
    """Whether the latest success left no lag, so that the present lag began after it."""
    succeeded_at = case.succeeded_at
    if case.state is None or succeeded_at is None:
        return False
    return succeeded_at - case.state.watermark_at <= LAG.warning


def _failure_explains(case: Case, failure: Finding, lag: Finding) -> bool:
    """A failed plan explains a lag that it would have ended, unless the failure is milder."""
    plan = failure.seen_at
    if case.state is None or plan is None or failure.severity < lag.severity:
        return False
    succeeded_since = any(row.succeeded and row.plan_time > plan for row in case.rows)
    return plan > case.state.watermark_at and not succeeded_since and _was_on_time(case)


# What else must hold for the second to explain the first.
CONDITIONS: Mapping[tuple[FindingCode, FindingCode], Callable[[Case, Finding, Finding], bool]] = {
    (FindingCode.WATERMARK_LAG, failure): _failure_explains for failure in FAILURES
}


class Level(StrEnum):
    """The verdict in one word."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    FAILING = "failing"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Verdict:
    """The level, its sentence, and the findings, worst first, each with those it explains."""

    level: Level
    summary: Text
    findings: tuple[Finding, ...]


def fold(findings: Iterable[Finding], case: Case) -> tuple[Finding, ...]:
    """Put each finding that another explains under that one; the rest worst first.

    A finding may explain one that explains another. Each is then under its own explanation.
    """
    found = list(findings)
    present = {finding.code: finding for finding in found}
    under: dict[FindingCode, list[Finding]] = {}
    top: list[Finding] = []
    for finding in found:
        reason = _reason_for(finding, present, case)
        if reason is None:
            top.append(finding)
        else:
            under.setdefault(reason, []).append(finding)

    def with_its_own(finding: Finding) -> Finding:
        explained = under.get(finding.code, [])
        return finding.explaining(tuple(with_its_own(one) for one in explained))

    return worst_first(map(with_its_own, top))


def _reason_for(
    finding: Finding, present: Mapping[FindingCode, Finding], case: Case
) -> FindingCode | None:
    """The first finding present that can explain it."""
    for code in EXPLAINED_BY.get(finding.code, ()):
        holds = CONDITIONS.get((finding.code, code))
        if code in present and (holds is None or holds(case, present[code], finding)):
            return code
    return None


def severities(findings: Iterable[Finding]) -> dict[FindingCode, Severity]:
    """How bad each finding is, with those that another explains; of several, the worst."""
    found: dict[FindingCode, Severity] = {}
    for one in findings:
        for code, severity in {**severities(one.explains), one.code: one.severity}.items():
            found[code] = max(found.get(code, severity), severity)
    return found


def worst_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda finding: finding.severity, reverse=True))


def decide(facts: Facts, case: Case | None, found: Iterable[Finding]) -> Verdict:
    """The verdict over the findings of :func:`findings.find`."""
    if case is None:
        return Verdict(Level.UNKNOWN, _unknown(facts.basics), worst_first(found))
    findings = fold(found, case)
    worst = max((finding.severity for finding in findings), default=Severity.INFO)
    if worst is Severity.INFO:
        return Verdict(Level.HEALTHY, _healthy(case, findings), findings)
    return Verdict(level_of(worst), findings[0].summary, findings)


def level_of(worst: Severity) -> Level:
    """The level for the worst finding. Without findings it is the same as with an info."""
    levels = {Severity.CRITICAL: Level.FAILING, Severity.WARNING: Level.DEGRADED}
    return levels.get(worst, Level.HEALTHY)


def _unknown(basics: tuple[Problem, ...]) -> Text:
    return together(
        say("We cannot tell whether usage is up to date."),
        *told_once(*(basic.reason for basic in basics)).sentences,
    )


def _healthy(case: Case, findings: tuple[Finding, ...]) -> Text:
    newborn = of_code(FindingCode.NO_EXECUTIONS, findings)
    if newborn is not None:
        return newborn.summary
    if (
        case.state is not None
        and case.latest_success is None
        and not case.within(case.state.watermark_at, LAG.warning)
    ):
        return _not_yet(case.state, case)
    return together(_up_to_date(case.state, case), _by_whom(case), *_redundant(case, findings))


def _not_yet(state: StateRow, case: Case) -> Text:
    """A lag that is no finding, because no run could have ended it so far."""
    begun = say("Nothing is wrong so far: no run has succeeded yet, and none is late.")
    if state.watermark_at <= NEVER:
        return together(begun, say("Usage pages show nothing until one does."))
    return together(
        begun,
        say("Usage numbers stop at %(watermark)s.", watermark=case.at(state.watermark_at)),
    )


def _up_to_date(state: StateRow | None, case: Case) -> Sentence:
    if state is None:
        return say("Nothing is wrong.")
    return say("Usage is up to date to %(watermark)s.", watermark=case.at(state.watermark_at))


def _by_whom(case: Case) -> Sentence | None:
    """Whose runners win the plans; None if our own cannot be told from Multica's.

    A side that has won nothing for more than two cadences is left out.
    """
    ours = case.facts.own_runners
    won = [row for row in case.lately if row.runner_id]
    if isinstance(ours, Problem) or not won:
        return None
    since = won[0].plan_time - 2 * case.spec.cadence
    at_it = {row.runner_id in ours for row in won if row.plan_time >= since}
    if at_it == {True, False}:
        return say("Multica's backend and this installation's own runner share the work.")
    if at_it == {False}:
        return say("Multica's backend does this by itself.")
    theirs = next((row for row in won if row.runner_id not in ours), None)
    if theirs is None:
        return say("This installation's own runner does this.")
    return say(
        "This installation's own runner does this. Multica's backend won a plan for the last"
        " time at %(at)s.",
        at=case.at(theirs.plan_time),
    )


def _redundant(case: Case, findings: tuple[Finding, ...]) -> tuple[Sentence, ...]:
    """Every schedule that calls the rollup, by name if it has one; the plain calls first."""
    calls = case.facts.rollup_calls
    if calls:
        return about_calls(calls)
    trace = of_code(FindingCode.OTHER_WRITER, findings)
    if trace is None:
        return ()
    return (in_short(trace) if is_over(trace) else say(_UNNAMED[whence(case.facts, trace)]),)


# A caller that no visible job explains.
_UNNAMED: Mapping[Whence, Promise] = {
    Whence.OUTSIDE: _(
        "A schedule outside the database repeats the work and can be removed; nothing breaks if you"
        " leave it."
    ),
    Whence.HIDDEN: _(
        "A schedule repeats the work and can be removed; nothing breaks if you leave it. It may be"
        " a pg_cron job that this role may not see, or be outside the database."
    ),
    Whence.GONE: _(
        "Something besides the scheduler moved the watermark as well, which does no harm; pg_cron"
        " has no run details of that time, so a pg_cron job that is gone or paused by now may have"
        " done it, or a schedule outside the database."
    ),
}

_CALLS: Mapping[Match, Promise] = {
    Match.EXACT: _(
        "pg_cron job %(jobid)s repeats the work and can be removed; nothing breaks if you leave it."
    ),
    Match.WRAPPED: _(
        "pg_cron job %(jobid)s reaches %(function)s() through other code: find out what else"
        " that does before you change anything."
    ),
    Match.WINDOW: _(
        "pg_cron job %(jobid)s calls %(function)s() for a window of its own: find out what for"
        " before you change anything."
    ),
    Match.LEGACY: _(
        "pg_cron job %(jobid)s calls %(function)s(), which belongs to the old daily rollup:"
        " newer versions of Multica remove it."
    ),
    Match.MULTIPLE: _(
        "pg_cron job %(jobid)s calls %(function)s() and does other things beside it: only that"
        " call repeats the work."
    ),
}
_CALL_OF_NOTHING = _(
    "pg_cron job %(jobid)s calls %(function)s(), which this database does not have: every run of"
    " it fails."
)
_ELSEWHERE_PERHAPS = _(
    "pg_cron job %(jobid)s calls %(function)s() on %(node)s, which is not known to be this server:"
    " it repeats the work only if it is."
)


_REPEATING = _(
    "pg_cron jobs %(jobids)s repeat the work and can be removed; nothing breaks if you leave them."
)


def about_calls(calls: tuple[RollupCall, ...]) -> tuple[Sentence, ...]:
    """What these jobs have to do with the rollup: the plain calls together, then each other."""
    plain = [call for call in calls if call.repeats]
    others = tuple(about_call(call) for call in calls if not call.repeats)
    if len(plain) < 2:
        return (*map(about_call, plain), *others)
    return (say(_REPEATING, jobids=listed(call.job.jobid for call in plain)), *others)


def about_call(call: RollupCall) -> Sentence:
    """What a pg_cron job has to do with the rollup. Only a plain call can simply be removed."""
    if call.node:
        return say(
            _ELSEWHERE_PERHAPS, jobid=str(call.job.jobid), function=call.function, node=call.node
        )
    template = _CALL_OF_NOTHING if call.gone else _CALLS[call.match]
    return say(template, jobid=str(call.job.jobid), function=call.function)
