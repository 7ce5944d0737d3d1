"""PURE: the gates about the rollup's plans: do Multica's own runners really do the work?

One function for each gate of docs/interfaces.md, ``checkretirement``, with the gate's name.
`health.ledger` decides when a plan is due, so the page's strip and the gate never disagree.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count, repeat
from math import ceil

from django.utils.translation import gettext_lazy as _

from executions.health.facts.executions import ExecutionFact, runners_of
from executions.health.findings import Case, Finding, Severity
from executions.health.findings.base import with_explained
from executions.health.findings.lateness import LAG
from executions.health.ledger import Cell, Ledger, PlanOutcome
from executions.retirement.gates.gate import Gate, GateCode, GateFacts, not_yet
from executions.scheduler.plans import floor
from executions.text.problem import Problem
from executions.text.sentences import Sentence, Value, quoted, say, told_once

# At least 9 of the 12: docs/interfaces.md, gate ``watermark_advancing``.
MOVED_SHARE = 0.75
# A trial needs three plans to show anything: docs/retiring.md.
TRIAL_PLANS = 3


def unreadable(code: GateCode, facts: GateFacts) -> Gate:
    # Several facts are often unreadable for the same reason.
    reasons = told_once(*(fact.reason for fact in facts.unreadable))
    remedies = told_once(*(fact.todo for fact in facts.unreadable if fact.todo))
    return Gate(
        code,
        False,
        say("This cannot be judged. %(reasons)s", reasons=reasons),
        {"unreadable": reasons},
        quoted(remedies) if remedies.sentences else None,
        judged=False,
    )


_BROKEN = {
    PlanOutcome.MISSING: _("was missed"),
    PlanOutcome.BLIND: _("has no run on record, from a time in which nobody could look"),
    PlanOutcome.FAILED: _("failed"),
    PlanOutcome.STALE: _("was abandoned while it ran"),
    PlanOutcome.RUNNING: _("is still running"),
}


def success_streak(facts: GateFacts, case: Case) -> Gate:
    streak, needed = case.ledger.streak, facts.streak
    newest = streak.cells[0].execution if streak.cells else None
    evidence: dict[str, object] = {
        "needed": needed,
        "succeeded": min(len(streak), needed),
        "newest_plan": streak.cells[0].plan_time if streak.cells else None,
        "newest_finished_at": newest.finished_at if newest else None,
    }
    if len(streak) < needed:
        return _short_streak(case, needed, evidence)
    finished = newest.finished_at if newest else None
    if finished is None or case.now - finished > 2 * case.spec.cadence:
        return Gate(
            GateCode.SUCCESS_STREAK,
            False,
            say(
                "The newest plan that succeeded finished %(ago)s: nobody runs plans now.",
                ago=case.ago(finished) if finished else _("never"),
            ),
            evidence,
            say("See that Multica's backend is running."),
            case.newest_plan + case.spec.cadence + case.spec.schedule_delay,
        )
    summary = say("The last %(needed)s due plans succeeded without a gap.", needed=needed)
    return Gate(GateCode.SUCCESS_STREAK, True, summary, evidence)


def _short_streak(case: Case, needed: int, evidence: dict[str, object]) -> Gate:
    broken = case.ledger.streak.broken_by
    earliest = _streak_at_the_earliest(case, needed)
    values: dict[str, Value] = {
        "count": min(len(case.ledger.streak), needed),
        "needed": needed,
    }
    if broken is None:
        reason = say("there are only %(count)s of the %(needed)s plans that it takes.", **values)
    else:
        evidence |= {"broken_by": broken.plan_time, "kind": broken.kind.value}
        reason = say(
            "%(count)s of the %(needed)s most recent plans succeeded without a gap"
            " (%(plan)s %(kind)s).",
            plan=case.at(broken.plan_time),
            kind=_BROKEN[broken.kind],
            **values,
        )
    evidence["earliest"] = earliest
    summary = not_yet(reason, case.at(earliest))
    remedy = say("Nothing to do but wait, as long as Multica's backend is running.")
    return Gate(GateCode.SUCCESS_STREAK, False, summary, evidence, remedy, earliest, reason)


def _streak_at_the_earliest(case: Case, needed: int) -> datetime:
    """When the last of the plans that are still needed can have succeeded."""
    due = [cell for cell in case.ledger.cells if cell.kind is not PlanOutcome.WAITING]
    newest = due[-1].plan_time if due else case.newest_plan - case.spec.cadence
    soonest, good = case.now, 0
    if due and _may_still_succeed(due[-1], case):
        soonest, good = _soonest(due.pop(), case), 1
    good += next((n for n, cell in enumerate(reversed(due)) if not cell.kind.is_success), len(due))
    if good >= needed:
        return soonest
    last = newest + (needed - good) * case.spec.cadence
    return max(soonest, last + case.spec.schedule_delay)


def _may_still_succeed(cell: Cell, case: Case) -> bool:
    """A runner may begin the newest bucket until the next one is due, while attempts are left."""
    if cell.plan_time != case.newest_plan or cell.kind.is_success:
        return False
    row = cell.execution
    if row is None or cell.kind is PlanOutcome.RUNNING:
        return True
    next_due = case.newest_plan + case.spec.cadence + case.spec.schedule_delay
    return row.attempt < row.max_attempts and _soonest(cell, case) < next_due


def _soonest(cell: Cell, case: Case) -> datetime:
    """The earliest time at which a plan that may still succeed can: at once, or with its retry."""
    row = cell.execution
    return max(case.now, (row.next_retry_at if row else None) or case.now)


def _ended(ledger: Ledger) -> list[Cell]:
    """The plans that a streak may include, newest first: none waiting, no running newest."""
    cells = [cell for cell in reversed(ledger.cells) if cell.kind is not PlanOutcome.WAITING]
    if cells and cells[0].kind is PlanOutcome.RUNNING:
        del cells[0]
    return cells


def _streak_rows(facts: GateFacts, ledger: Ledger) -> list[ExecutionFact]:
    """The executions of the newest plans in the streak, newest first."""
    cells = _ended(ledger)[: facts.streak]
    return [cell.execution for cell in cells if cell.execution is not None]


def backend_runner(facts: GateFacts, case: Case) -> Gate:
    own = case.facts.own_runners
    if isinstance(own, Problem):
        return unreadable(GateCode.BACKEND_RUNNER, replace(facts, unreadable=(own,)))
    rows = [row for row in _streak_rows(facts, case.ledger) if row.succeeded and row.runner_id]
    theirs = [row for row in rows if row.runner_id not in own]
    evidence: dict[str, object] = {
        "plans": len(rows),
        "by_others": len(theirs),
        "runners": sorted(runners_of(theirs)),
        "affirmed_by": facts.affirmed_by,
    }
    if theirs:
        summary = say(
            "Multica's backend runs the rollup itself: it won %(count)s of the last plans.",
            count=len(theirs),
        )
    elif facts.affirmed_by:
        summary = say(
            "Only this installation's runner won plans; %(user)s affirmed that it stays.",
            user=facts.affirmed_by,
        )
    else:
        summary = say("No runner of Multica's won any of the last plans; at most our own did.")
    passed = bool(theirs or (rows and facts.affirmed_by))
    if rows:
        remedy = say(
            "Make sure that Multica's backend runs, or put on record in the wizard that"
            " this installation's runner stays."
        )
    else:
        remedy = say("See that Multica's backend runs.")
    return Gate(GateCode.BACKEND_RUNNER, passed, summary, evidence, None if passed else remedy)


def watermark_advancing(facts: GateFacts, case: Case) -> Gate:
    if case.state is None:
        return Gate(
            GateCode.WATERMARK_ADVANCING,
            False,
            say("The rollup has no state row, so every run does nothing."),
            {"watermark": None},
        )
    moves = [_move(cell, facts) for cell in _ended(case.ledger)]
    plans, moved, needed = _tally(moves, facts)
    lag = case.now - case.state.watermark_at
    evidence = {
        "plans": plans,
        "moved": moved,
        "needed": needed,
        "watermark": case.state.watermark_at,
        "since_pause": facts.paused_at,
    }
    if lag >= LAG.warning:
        return Gate(
            GateCode.WATERMARK_ADVANCING,
            False,
            say(
                "The watermark is %(lag)s behind; less than %(limit)s is needed.",
                lag=lag,
                limit=LAG.warning,
            ),
            evidence,
            say("See on the overview why usage is behind."),
        )
    values = {"moved": moved, "plans": plans, "needed": needed}
    if moved >= needed:
        summary = say("%(moved)s of the last %(plans)s plans moved the watermark.", **values)
        return Gate(GateCode.WATERMARK_ADVANCING, True, summary, evidence)
    return Gate(
        GateCode.WATERMARK_ADVANCING,
        False,
        say(
            "Only %(moved)s of the last %(plans)s plans moved the watermark; %(needed)s are"
            " needed. Something else takes the rollup's lock, perhaps this very job.",
            **values,
        ),
        evidence,
        _advice_without_the_job(facts),
        _moved_at_the_earliest(case, facts),
    )


def _advice_without_the_job(facts: GateFacts) -> Sentence:
    """How to find out whether the others do the work: by a trial, if the page offers one."""
    candidate = facts.candidate
    if facts.may_try:
        return say("Pause the job first: then it shows whether the others do the work.")
    if candidate is None or facts.paused_at is not None or not candidate.job.active:
        return say("Nothing to do but wait, as long as Multica's backend is running.")
    if not candidate.rights.deactivate:
        return say(
            "Let the job's owner or a superuser pause it: then it shows whether the others do"
            " the work."
        )
    return say(
        "Meet the other conditions first: a trial, which shows whether the others do the"
        " work, needs them too."
    )


# Whether a plan moved the watermark; None if it does not count.
_Move = bool | None


def _move(cell: Cell, facts: GateFacts) -> _Move:
    """What a plan did to the watermark.

    A plan that no runner began does not count. After a trial, plans from before the pause do not
    count either, because the job itself kept the others from moving the watermark
    (docs/retiring.md).
    """
    row = cell.execution
    if row is None:
        return None
    if facts.paused_at is not None and not (row.started_at and row.started_at > facts.paused_at):
        return None
    return row.succeeded and row.moved is not None and row.moved > timedelta()


def _tally(moves: Sequence[_Move], facts: GateFacts) -> tuple[int, int, int]:
    """How many of the newest plans count, how many moved the watermark, and how many must have.

    After a trial its three plans count, however short the streak is (docs/retiring.md).
    """
    trial = facts.paused_at is not None
    looked_at = max(facts.streak, TRIAL_PLANS) if trial else facts.streak
    counted = [move for move in moves[:looked_at] if move is not None]
    of = max(len(counted), TRIAL_PLANS) if trial else facts.streak
    return len(counted), sum(counted), ceil(MOVED_SHARE * of)


def _moved_at_the_earliest(case: Case, facts: GateFacts) -> datetime:
    """When enough plans can have moved the watermark, if each one that still can does."""
    return next(moment for moment, moves in _at_best(case, facts) if _enough(moves, facts))


def _at_best(case: Case, facts: GateFacts) -> Iterator[tuple[datetime, list[_Move]]]:
    """The coming moments, and what the plans can have done by then, newest first. It never ends."""
    newest = case.ledger.cells[-1]
    moves = [_move_at_best(cell, facts) for cell in reversed(case.ledger.cells)]
    yield case.now, moves
    if newest.kind is not PlanOutcome.RUNNING and _may_still_succeed(newest, case):
        moves = [True, *moves[1:]]
        yield _soonest(newest, case), moves
    for coming in count(1):
        due = case.newest_plan + coming * case.spec.cadence + case.spec.schedule_delay
        yield due, [*repeat(True, coming), *moves]


def _move_at_best(cell: Cell, facts: GateFacts) -> _Move:
    """Like `_move`, but a running plan counts too, because it may succeed at any moment."""
    move = _move(cell, facts)
    return True if cell.kind is PlanOutcome.RUNNING and move is not None else move


def _enough(moves: Sequence[_Move], facts: GateFacts) -> bool:
    _plans, moved, needed = _tally(moves, facts)
    return moved >= needed


def no_critical_findings(facts: GateFacts, case: Case) -> Gate:
    start = case.newest_plan - (facts.streak - 1) * case.spec.cadence
    found = [
        one
        for one in with_explained(facts.findings)
        if one.severity is Severity.CRITICAL and (one.seen_at is None or one.seen_at >= start)
    ]
    evidence = {"since": start, "findings": [finding.code.value for finding in found]}
    if not found:
        summary = say("Nothing critical was found during these plans.")
        return Gate(GateCode.NO_CRITICAL_FINDINGS, True, summary, evidence)
    return Gate(
        GateCode.NO_CRITICAL_FINDINGS,
        False,
        say("Something is wrong with the rollup: %(summary)s", summary=str(found[0].summary)),
        evidence,
        quoted(str(found[0].advice)),
        _forgotten_at_the_earliest(case, facts.streak, found),
    )


def _forgotten_at_the_earliest(case: Case, streak: int, found: list[Finding]) -> datetime | None:
    """When the evidence has left the streak; None while it is still being renewed."""
    newest = max(finding.seen_at or case.now for finding in found)
    if case.now - newest < case.spec.cadence:
        return None
    first_after = floor(newest, case.spec.cadence) + streak * case.spec.cadence
    return first_after + case.spec.schedule_delay
