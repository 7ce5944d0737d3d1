"""The steps of the wizard up to the act: choose, check, affirm, confirm, and dropping it again.

None of them changes anything in pg_cron. What they decide is kept in a `Retirement`, so a reload, a
restart and a second tab all find it. The acts themselves are in `acts.py` and `by_hand.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db import Error as DjangoDatabaseError
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from executions.accounts.roles import OPERATE
from executions.database.problems import first_line
from executions.models.retirement import AuditEvent, Retirement, RetirementState
from executions.pgcron.job import Candidate, Job, Server
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

log = logging.getLogger(__name__)


def permitted(who: audit.Who) -> None:
    """Whether the operator still is one, asked anew: the page may be an hour old.

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
    """Puts on record what an attempt came to before any intent, and lets the exception go on.

    That is a refusal, or a database that is away or would not answer. An account that may not act
    is only logged: nobody can remove a line of the audit, so it must not be able to add any.
    """

    def note(outcome: AuditEvent.Outcome, summary: str, evidence: dict[str, object]) -> None:
        audit.record(
            who, action, outcome, about, summary=summary, statement=statement, evidence=evidence
        )

    try:
        yield
    except NotPermitted as refusal:
        subject = about.label if isinstance(about, Retirement) else about
        extra = {"user_name": who.name, "action": action, "about": subject}
        log.warning("%s", refusal, extra=extra)
        raise
    except Refused as refusal:
        note(AuditEvent.Outcome.REFUSED, str(refusal), refusal.evidence)
        raise
    except (psycopg.Error, DjangoDatabaseError) as error:
        note(AuditEvent.Outcome.FAILED, nothing_done(first_line(error)), {})
        raise


def require(retirement: Retirement, states: Iterable[RetirementState]) -> None:
    """The step can be taken from where the retirement is now.

    Raises:
        SomebodyElse: another operator has taken it on.
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


def elsewhere(retirement: Retirement, here: Server) -> str:
    """Empty where pg_cron is reached where the retirement was begun, else a sentence that says so.

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


def require_here(retirement: Retirement, here: Server) -> None:
    """pg_cron is reached where the retirement was begun.

    Raises:
        Refused: in another database, or on another server.
    """
    said = elsewhere(retirement, here)
    if said:
        raise Refused(f"{said} {_('Nothing was changed.')}")


def lock(retirement: Retirement, states: Iterable[RetirementState]) -> None:
    """Lock the record, and see that it is where the step begins and that nobody acts on it.

    Raises:
        SomebodyElse: an act is open, or another operator has taken it on.
        Refused: the page was older than the retirement.
    """
    now = Retirement.objects.select_for_update().get(pk=retirement.pk)
    if now.open_act is not None:
        raise being_done(now.open_act)
    require(now, states)


def choose(who: audit.Who, jobid: int) -> Retirement:
    """Begin with a pg_cron job, or go on with it where somebody has begun already.

    Raises:
        Refused: this role sees no such job that leads to the rollup; or no permission.
        psycopg.Error: pg_cron's database cannot be reached or asked.
    """
    subject = f"pg_cron job {jobid}"
    with on_record(who, "choose", subject), retire_fetch("look") as fetch:
        permitted(who)
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
            except IntegrityError:  # somebody else chose it in this moment
                found = open_retirement(here.place, jobid)
    assert found is not None  # noqa: S101  one of the two has just made it
    return found


@dataclass(frozen=True)
class JobCheck:
    """A job at this moment: what it is (None where it is gone or hidden), and every gate."""

    candidate: Candidate | None
    check: Check
    role: str


def look(retirement: Retirement, rules: Rules) -> JobCheck:
    """The job and its gates on facts of this moment; changes nothing.

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
    """Put on record that this installation's own runner stays, which `backend_runner` accepts.

    Raises:
        Refused: no permission, the retirement is past its checks, or an act on it is open.
    """
    with on_record(who, "affirm", retirement):
        permitted(who)
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
    """Put the job as it is now on record as the one that will be acted on.

    Putting it back is rehearsed in a transaction that is rolled back.

    Raises:
        SomebodyElse: another operator acts at this moment.
        Refused: neither removing, nor pausing, nor removing by hand is possible; pg_cron is reached
            elsewhere; or no permission.
        psycopg.Error: pg_cron's database cannot be reached or asked.
    """
    with on_record(who, "confirm", retirement):
        permitted(who)
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
    """What putting the job back would come to; tried where this role may do both halves of it."""
    if found.rights.retire and found.rights.put_back:
        with protocol.turn(who) as acting:
            return rehearse(acting, found.job)
    with retire_fetch("look") as fetch:
        return without_trying(fetch, found.job)


def close(who: audit.Who, retirement: Retirement) -> None:
    """Drop a retirement that has changed nothing yet.

    Raises:
        Refused: it has, or an act that is open may have; or no permission.
    """
    with on_record(who, "close", retirement):
        permitted(who)
        with transaction.atomic():
            lock(retirement, Retirement.UNCHANGED)
            move(retirement, state=RetirementState.CLOSED)
            audit.record(who, "close", AuditEvent.Outcome.DONE, retirement)


def job_of(retirement: Retirement) -> Job:
    """The job as it was confirmed, or as it was chosen before that."""
    return Job.from_json(retirement.job or {})
