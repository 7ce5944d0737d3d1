"""Continues retirements without anybody looking: crashes, watches and trials.

Every process of ours may call `retirement_tick` as often as it likes. One process at a time takes a
retirement, by comparing when it was last looked at, and every end is written once.
"""

import logging

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from executions.database.own_clock import from_now
from executions.database.problems import DATABASE_ERRORS, first_line
from executions.database.reading import Fetch
from executions.health.assessment import plain
from executions.health.findings import Case
from executions.models.retirement import Act, AuditEvent, CallerKind, Retirement, RetirementState
from executions.pgcron.inventory import read_backends
from executions.pgcron.job import Job, runs_in_flight
from executions.pgcron.servers import read_server
from executions.retirement import acts, audit, protocol, trial, watch
from executions.retirement.external import quiet_of
from executions.retirement.facts import Found, find_job, read_plans, retire_fetch
from executions.retirement.outcomes import move
from executions.retirement.refusals import Refused, Unknown
from executions.retirement.rules import Rules, current
from executions.retirement.trial import TrialFacts, Turn
from executions.retirement.watch import Watched, WatchVerdict, Word
from executions.retirement.wizard import job_of, require_here
from executions.text.sentences import in_english

log = logging.getLogger(__name__)

_ENDS = {
    Word.VERIFIED: RetirementState.VERIFIED,
    Word.WORSE: RetirementState.WORSE,
    Word.OTHER_CALLER: RetirementState.OTHER_CALLER,
}


def retirement_tick(rules: Rules | None = None) -> int:
    """Settle what a crash left open, and look once at everything that is being watched.

    Returns the number of retirements looked at. An error with one of them is logged, tried again in
    a later tick, and does not delay the others.

    Raises:
        django.db.Error: our own tables cannot be reached.
    """
    rules = rules or current()
    protocol.recover(rules)
    looked_at = 0
    for retirement in Retirement.objects.filter(state__in=Retirement.LIVE).order_by("pk"):
        if _is_mine(retirement, rules):
            looked_at += 1
            look_at(retirement, rules)
    return looked_at


def _is_mine(retirement: Retirement, rules: Rules) -> bool:
    """Take this look, unless another process has taken one within the interval."""
    if retirement.open_act is not None:
        return False
    due = Q(looked_at=None) | Q(looked_at__lte=from_now(-rules.look_every))
    taken = Retirement.objects.filter(due, pk=retirement.pk, state__in=Retirement.LIVE)
    return bool(taken.update(looked_at=Now()))


def look_at(retirement: Retirement, rules: Rules) -> None:
    """One look at what is watched. Any error is left to the next look."""
    try:
        case = read_plans(rules).case
        if retirement.state == RetirementState.WATCHING:
            _watch(retirement, case)
        else:
            _try(retirement, case, rules)
    except (Refused, Unknown) as reason:
        log.warning("%s: %s", retirement, reason)
    except Exception as error:
        if isinstance(error, DATABASE_ERRORS):
            log.warning("Cannot look at %s now: %s", retirement, first_line(error))
        else:
            log.exception("The look at %s failed; it is tried again.", retirement)


def _watch(retirement: Retirement, case: Case | None) -> None:
    if case is None:
        return
    step = watch.step(case, _watched(retirement))
    end = _ENDS.get(step.word)
    _note(retirement, step)
    if end is not None:
        _end(retirement, (RetirementState.WATCHING,), end, step)


def _watched(retirement: Retirement) -> Watched:
    since = retirement.watched_since
    assert since is not None  # noqa: S101  set by what began the watch
    if retirement.kind != CallerKind.PG_CRON:
        quiet = quiet_of(retirement)
        return Watched(since, quiet.plans if quiet else None, by_behaviour=True)
    with retire_fetch("watch") as fetch:
        require_here(retirement, read_server(fetch))
        return Watched(since, alive=alive(retirement, fetch))


def alive(retirement: Retirement, fetch: Fetch) -> tuple[int, ...]:
    """Runs of the job that began before it was removed or paused, and have not ended.

    A process that the run details assign to this very job always counts. Its run may have begun
    between the last look and the commit, so its start does not matter.
    """
    since = retirement.watched_since
    runs = runs_in_flight(job_of(retirement), read_backends(fetch))
    return tuple(
        run.pid
        for run in runs
        if run.jobid or run.started_at is None or (since and run.started_at <= since)
    )


def _try(retirement: Retirement, case: Case | None, rules: Rules) -> None:
    job, step, turn, reason = _trial_turn(retirement, case)
    if step is not None:
        _note(retirement, step)
    if turn is Turn.ACTIVATE and _may_try_again(retirement, rules):
        acts.activate(acts.Order(audit.MYSELF, retirement, rules), reason=reason)
    elif turn is Turn.PASS:
        _end(retirement, (RetirementState.TRIAL,), RetirementState.TRIAL_PASSED, step)
    elif turn is Turn.OVER:
        ended = RetirementState.TRIAL_ENDED if job else RetirementState.CLOSED
        _end(retirement, (RetirementState.TRIAL, RetirementState.TRIAL_PASSED), ended, step, reason)


def _may_try_again(retirement: Retirement, rules: Rules) -> bool:
    """Whether our last attempt to end the trial, according to the audit, is long enough ago."""
    in_vain = AuditEvent.objects.filter(
        retirement_id=retirement.pk,
        user_id=None,
        user_name=audit.MYSELF.name,
        action=Act.Kind.ACTIVATE,
        outcome__in=(AuditEvent.Outcome.REFUSED, AuditEvent.Outcome.FAILED),
    )
    wait = rules.try_again_after(in_vain.count())
    return not in_vain.filter(at__gt=from_now(-wait)).exists()


def _trial_turn(
    retirement: Retirement, case: Case | None
) -> tuple[Job | None, WatchVerdict | None, Turn, str]:
    with retire_fetch("watch") as fetch:
        require_here(retirement, read_server(fetch))
        found = find_job(fetch, job_of(retirement).jobid)
        step = watch.step(case, _tried(retirement, found, fetch)) if case else None
        (clock,) = fetch(protocol.SQL.clock, {})
    deadline = retirement.deadline
    assert deadline is not None  # noqa: S101  set by what began the trial
    turn, reason = trial.turn(
        TrialFacts(
            now=clock["now"],
            deadline=deadline,
            step=step,
            job=found.job,
            sees=found.sees,
            passed=retirement.state == RetirementState.TRIAL_PASSED,
        )
    )
    return found.job, step, turn, str(reason)


def _tried(retirement: Retirement, found: Found, fetch: Fetch) -> Watched:
    """What to watch in a trial. For a hidden job no process is known, so the trial cannot pass."""
    since = retirement.watched_since
    assert since is not None  # noqa: S101  set by what began the trial
    return Watched(since, alive=() if found.is_hidden else alive(retirement, fetch))


def _note(retirement: Retirement, step: WatchVerdict) -> None:
    """Store what the watch has seen, for the page."""
    Retirement.objects.filter(pk=retirement.pk).update(watch=plain(step.as_json()))


def _end(
    retirement: Retirement,
    begun: tuple[RetirementState, ...],
    end: RetirementState,
    step: WatchVerdict | None,
    reason: str = "",
) -> None:
    """Write the end of a watch or a trial, once."""
    said = reason or (in_english(step.summary) if step else "")
    with transaction.atomic():
        now = Retirement.objects.select_for_update().get(pk=retirement.pk)
        if now.state not in begun or now.open_act is not None:
            return
        move(now, state=end, reason=said)
        audit.record(
            audit.MYSELF,
            "trial" if retirement.state != RetirementState.WATCHING else "watch",
            AuditEvent.Outcome.DONE,
            now,
            summary=said,
            evidence={"state": end.value, "watch": step.as_json() if step else None},
        )
