"""The steps of the wizard before the act: choose, check, affirm, confirm, and drop.

None of them changes anything in pg_cron. A `Retirement` stores their decisions, so a reload, a
restart and a second tab find them. The acts themselves are in `acts.py` and `by_hand.py`.
"""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from executions.accounts.roles import OPERATE
from executions.database.problems import DATABASE_ERRORS, first_line
from executions.models.retirement import AuditEvent, Retirement, RetirementState
from executions.pgcron.job import Candidate, Job, PgCronServer
from executions.retirement import audit, protocol
from executions.retirement.facts import find_candidate, judge, read_plans, retire_fetch, servers
from executions.retirement.gates.gate import Check
from executions.retirement.outcomes import move, open_retirement
from executions.retirement.refusals import (
    NotPermitted,
    Refused,
    SomebodyElse,
    being_done,
    check_as_json,
    nothing_done,
    refused_by,
)
from executions.retirement.rehearsal import EVIDENCE, Rehearsal, rehearse, without_trying
from executions.retirement.rules import Rules
from executions.text.sentences import after_one_another

log = logging.getLogger(__name__)


def permitted(who: audit.Who) -> None:
    """Check again that the operator may act, because the page may be an hour old.

    Raises:
        NotPermitted: the account is gone or inactive, or lost its permission.
    """
    if who == audit.MYSELF:
        return
    user = get_user_model().objects.filter(pk=who.id or 0, is_active=True).first()
    if not isinstance(user, User) or not user.has_perm(OPERATE):
        raise NotPermitted(
            _("%(who)s may not retire schedules (any more). Nothing was changed.")
            % {"who": who.name}
        )


@contextmanager
def on_record(
    who: audit.Who, action: str, about: Retirement | str, statement: str = ""
) -> Iterator[None]:
    """Check the permission, and record an attempt that ends before any intent, with its exception.

    The attempt is refused, or the database is away or does not answer. An account that may not act
    is only logged: nobody can remove an audit line, so such an account must not be able to add any.

    Raises:
        NotPermitted: as `permitted`.
    """

    def note(outcome: AuditEvent.Outcome, summary: str, evidence: dict[str, object]) -> None:
        audit.record(
            who, action, outcome, about, summary=summary, statement=statement, evidence=evidence
        )

    try:
        permitted(who)
        yield
    except NotPermitted:
        subject = about.name_on_record if isinstance(about, Retirement) else about
        extra = {"user_name": who.name, "action": action, "about": subject}
        log.warning("Refused an act, because a role is missing", extra=extra)
        raise
    except Refused as refusal:
        note(AuditEvent.Outcome.REFUSED, str(refusal), refusal.evidence)
        raise
    except DATABASE_ERRORS as error:
        note(AuditEvent.Outcome.FAILED, nothing_done(first_line(error)), {})
        raise


def require(retirement: Retirement, states: Iterable[RetirementState]) -> None:
    """Check that the step can be taken in the retirement's current state.

    Raises:
        SomebodyElse: another operator has continued it.
        Refused: the page was older than the retirement.
    """
    retirement.refresh_from_db()
    if retirement.state in set(states):
        return
    where = _("%(job)s is now: %(state)s. Nothing was changed.") % {
        "job": retirement.label,
        "state": retirement.get_state_display(),
    }
    last = retirement.acts.filter(outcome="done").order_by("-pk").first()
    raise SomebodyElse(last.user_name, f"{where} ({last.user_name})") if last else Refused(where)


def elsewhere(retirement: Retirement, here: PgCronServer) -> str:
    """A sentence if pg_cron is reached elsewhere than where the retirement was begun, else empty.

    In another database the same number is another job's.
    """
    if here.is_place(retirement.server, retirement.database):
        return ""
    return _(
        "%(job)s is in database %(database)s of server %(server)s, but pg_cron is reached in"
        " database %(now)s of server %(here)s."
    ) % {
        "job": retirement.label,
        "database": retirement.database,
        "server": retirement.server or "?",
        "now": here.database,
        "here": here.identifier or "?",
    }


def require_here(retirement: Retirement, here: PgCronServer) -> None:
    """Check that pg_cron is reached where the retirement was begun.

    Raises:
        Refused: it is another database, or another server.
    """
    said = elsewhere(retirement, here)
    if said:
        raise Refused(str(after_one_another(said, _("Nothing was changed."))))


def lock(retirement: Retirement, states: Iterable[RetirementState]) -> Retirement:
    """The locked record, once it is checked that the step can begin and that no act is open.

    Raises:
        SomebodyElse: an act is open, or another operator has continued it.
        Refused: the page was older than the retirement.
    """
    now = Retirement.objects.select_for_update().get(pk=retirement.pk)
    if now.open_act is not None:
        raise being_done(now.open_act)
    require(now, states)
    return now


def choose(who: audit.Who, jobid: int) -> Retirement:
    """Begin with a pg_cron job, or continue its open retirement.

    Raises:
        Refused: this role sees no such job that leads to the rollup; or no permission.
        psycopg.Error: pg_cron's database cannot be reached or asked.
    """
    subject = f"pg_cron job {jobid}"
    with on_record(who, "choose", subject), retire_fetch("look") as fetch:
        here, multica = servers(fetch)
        candidate = find_candidate(fetch, (here, multica), jobid)
        if candidate is None:
            raise Refused(
                _("The role %(role)s sees no job %(jobid)s that leads to the rollup.")
                % {"role": here.role, "jobid": jobid}
            )
    with transaction.atomic():
        found = open_retirement(here.place, jobid)
        if found is None:
            try:
                with transaction.atomic():
                    found = Retirement.objects.create(
                        server=here.identifier, database=here.database, jobid=jobid,
                        started_by=who.name, match=candidate.match, job=candidate.job.as_json(),
                    )  # fmt: skip
            except IntegrityError:  # somebody else has just chosen it
                found = open_retirement(here.place, jobid)
    assert found is not None  # noqa: S101  one of the two has just made it
    return found


@dataclass(frozen=True)
class JobCheck:
    """A job at this moment (None if it is gone or hidden), and every gate."""

    candidate: Candidate | None
    check: Check
    role: str


def look(retirement: Retirement, rules: Rules) -> JobCheck:
    """The job and its gates on facts of this moment. Changes nothing.

    Raises:
        Refused: pg_cron is reached elsewhere.
        psycopg.Error: pg_cron's database cannot be reached or asked.
    """
    jobid = retirement.jobid
    assert jobid is not None  # noqa: S101  of pg_cron jobs only
    with retire_fetch("look") as fetch:
        reached = servers(fetch)
        require_here(retirement, reached[0])
        candidate = find_candidate(fetch, reached, jobid)
    role = reached[0].role
    plans = read_plans(rules)
    return JobCheck(candidate, judge(jobid, candidate, role, plans, rules, retirement), role)


def affirm(who: audit.Who, retirement: Retirement) -> None:
    """Record that this installation's own runner stays, which `backend_runner` accepts.

    Raises:
        Refused: no permission, the retirement is past its checks, or an act on it is open.
    """
    with on_record(who, "affirm", retirement):
        with transaction.atomic():
            lock(retirement, {*Retirement.UNCHANGED, RetirementState.TRIAL_PASSED})
            Retirement.objects.filter(pk=retirement.pk).update(affirmed_by=who.name)
            audit.record(
                who,
                "affirm",
                AuditEvent.Outcome.DONE,
                retirement,
                summary=_("This installation's own runner stays."),
            )
        retirement.refresh_from_db()


def confirm(who: audit.Who, retirement: Retirement, rules: Rules) -> Check:
    """Record the job as it is now as the job to act on.

    A transaction that is rolled back rehearses putting it back.

    Raises:
        SomebodyElse: another operator acts now.
        Refused: neither removing, nor pausing, nor removing by hand is possible; pg_cron is reached
            elsewhere; or no permission.
        psycopg.Error: pg_cron's database cannot be reached or asked.
    """
    with on_record(who, "confirm", retirement):
        require(retirement, Retirement.UNCHANGED)
        seen = look(retirement, rules)
        found, judged = seen.candidate, seen.check
        if found is None or not (judged.retirable or judged.trial or judged.by_hand):
            raise refused_by(judged.refusals(judged.aim))
        put_back = _rehearsed(who, found)
        with transaction.atomic():
            lock(retirement, Retirement.UNCHANGED)
            move(
                retirement,
                state=RetirementState.CONFIRMED,
                job=found.job.as_json(),
                match=found.match,
                confirmed_at=Now(),
                confirmed_by=who.name,
                evidence={**check_as_json(judged), EVIDENCE: put_back.as_json()},
            )
    return judged


def _rehearsed(who: audit.Who, found: Candidate) -> Rehearsal:
    """What putting the job back would give, tried if this role may do both halves of it."""
    if found.rights.retire and found.rights.put_back:
        with protocol.turn(who) as acting:
            return rehearse(acting, found.job)
    with retire_fetch("look") as fetch:
        return without_trying(fetch, found.job)


def close(who: audit.Who, retirement: Retirement) -> None:
    """Drop a retirement that has changed nothing yet.

    Raises:
        Refused: it has changed something, or an open act may have; or no permission.
    """
    with on_record(who, "close", retirement), transaction.atomic():
        lock(retirement, Retirement.UNCHANGED)
        move(retirement, state=RetirementState.CLOSED)
        audit.record(who, "close", AuditEvent.Outcome.DONE, retirement)


def job_of(retirement: Retirement) -> Job:
    """The confirmed job, or before that the chosen one."""
    return Job.from_json(retirement.job or {})
