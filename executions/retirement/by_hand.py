""" "I'll run it myself": the page shows the statement, and a look at the job proves the result.

For roles that may see a job but not remove it, as on most managed databases, and for putting a job
back without the right to do so. `external.py` covers schedules outside the database.
"""

from django.db import transaction
from django.utils.translation import gettext as _

from executions.database.reading import Fetch
from executions.models.retirement import AuditEvent, Retirement, RetirementState
from executions.pgcron import commands
from executions.pgcron.inventory import highest_jobid
from executions.pgcron.job import Job, PgCronServer
from executions.pgcron.servers import read_server
from executions.pgcron.sight import read_sight, shown_jobs
from executions.retirement import audit
from executions.retirement.acts import confirm_name, restores, still_confirmed
from executions.retirement.facts import check_on, find_job, retire_fetch, servers
from executions.retirement.outcomes import REMOVED_BY, move, removed
from executions.retirement.refusals import Refused, check_as_json, refused_by
from executions.retirement.rehearsal import EVIDENCE, accept_what_cannot_be_undone, rehearsal_of
from executions.retirement.rules import Rules
from executions.retirement.wizard import job_of, lock, on_record, require_here

REMOVED_BY_HAND = "remove by hand"
PUT_BACK_BY_HAND = "put back by hand"


def statement(retirement: Retirement) -> str:
    """The statement that removes the job."""
    return commands.unschedule_text(job_of(retirement).jobid)


def put_back_statement(retirement: Retirement) -> str:
    """The statement that schedules the job again, for a superuser or a permitted owner."""
    return rehearsal_of(retirement).statement


def begin(
    who: audit.Who,
    retirement: Retirement,
    *,
    fingerprint: str,
    rules: Rules,
    accepted: bool = False,
) -> None:
    """Record that the operator will run the statement. Every gate but the role's right must pass.

    ``accepted`` is the operator's word that the job cannot come back as it was, if that is known.

    Raises:
        Refused: a gate refuses, the job has changed, or no permission.
        psycopg.Error: pg_cron's database cannot be reached or asked.
    """
    job = job_of(retirement)
    with on_record(who, REMOVED_BY_HAND, retirement, statement(retirement)):
        confirm_name(job, job.label, fingerprint)
        rehearsed = rehearsal_of(retirement)
        said = accept_what_cannot_be_undone(rehearsed, needed=rehearsed.fails, accepted=accepted)
        with retire_fetch("look") as fetch:
            places = servers(fetch)
            require_here(retirement, places[0])
            still_confirmed(fetch, job, places[0].role)
            judged = check_on(fetch, places, job.jobid, rules, retirement)
        if not judged.by_hand:
            raise refused_by(judged.refusals(judged.aim))
        with transaction.atomic():
            lock(retirement, {RetirementState.CONFIRMED})
            move(
                retirement,
                state=RetirementState.BY_HAND,
                evidence={**check_as_json(judged), EVIDENCE: rehearsed.as_json()},
            )
            audit.record(
                who,
                REMOVED_BY_HAND,
                AuditEvent.Outcome.INTENDED,
                retirement,
                statement=statement(retirement),
                evidence={
                    "confirmed": retirement.evidence,
                    **said,
                    "job": job.as_json(),
                    "undo": put_back_statement(retirement),
                },
            )


def ran_it(who: audit.Who, retirement: Retirement) -> None:
    """The operator says that the statement was run. Prove it by a look, then watch the removal.

    Raises:
        Refused: the job is still there, or nobody can tell; or no permission.
        psycopg.Error: pg_cron's database cannot be reached or asked.
    """
    job = job_of(retirement)
    with on_record(who, REMOVED_BY_HAND, retirement, statement(retirement)):
        with retire_fetch("look") as fetch:
            server = read_server(fetch)
            require_here(retirement, server)
            _must_be_gone(fetch, retirement, server)
            highest = max(job.jobid, highest_jobid(fetch))
        with transaction.atomic():
            lock(retirement, {RetirementState.BY_HAND})
            values = removed(retirement, server.now, highest)
            values["evidence"][REMOVED_BY] = who.name
            move(retirement, **values)
            audit.record(
                who,
                REMOVED_BY_HAND,
                AuditEvent.Outcome.DONE,
                retirement,
                summary=_("%(job)s is gone.") % {"job": retirement.label},
                statement=statement(retirement),
                evidence={
                    "job": job.as_json(),
                    "seen_at": server.now,
                    "role": server.role,
                    "highest_jobid": highest,
                },
            )


def put_back_done(who: audit.Who, retirement: Retirement) -> None:
    """The operator says that the job was scheduled again. Look for the new job.

    Job numbers only grow, so the new job has a higher number than every job at the time of the
    removal. An unnamed job may have had a twin all along; the twin does not count.

    Raises:
        Refused: no job restores the old one; or no permission.
        psycopg.Error: pg_cron's database cannot be reached or asked.
    """
    job, text = job_of(retirement), put_back_statement(retirement)
    with on_record(who, PUT_BACK_BY_HAND, retirement, text):
        with retire_fetch("look") as fetch:
            server = read_server(fetch)
            require_here(retirement, server)
            _must_be_shown_if_restored(fetch, job, server)
            shown = shown_jobs(fetch)
        highest = retirement.evidence.get("highest_jobid")
        later = (job for job in shown if highest is not None and job.jobid > highest)
        again = [one for one in later if restores(job, one)]
        if not again:
            raise Refused(
                _(
                    "There is no job that was scheduled after the removal and that is %(job)s"
                    " again as it was.") % {"job": retirement.label}
            )  # fmt: skip
        with transaction.atomic():
            lock(retirement, Retirement.REMOVED)
            move(retirement, state=RetirementState.PUT_BACK, put_back_jobid=again[-1].jobid)
            audit.record(
                who,
                PUT_BACK_BY_HAND,
                AuditEvent.Outcome.DONE,
                retirement,
                statement=text,
                evidence={"job": again[-1].as_json()},
            )


def _must_be_gone(fetch: Fetch, retirement: Retirement, server: PgCronServer) -> None:
    """A job that cannot be seen may still exist, even the role's own: it may have a new owner."""
    found = find_job(fetch, job_of(retirement).jobid)
    if found.job is not None:
        raise Refused(_("%(job)s is still there.") % {"job": retirement.label})
    if found.is_hidden:
        raise Refused(
            _("The role %(role)s is not shown every job, so nobody can tell whether %(job)s is gone"
              " or has another owner by now. Give this role sight of every job, with the statements"
              " on the page of schedules, or look as a superuser; then say so again.")
            % {"role": server.role, "job": retirement.label}
        )  # fmt: skip


def _must_be_shown_if_restored(fetch: Fetch, job: Job, server: PgCronServer) -> None:
    """A job is restored under its old owner, and that role sees it."""
    sight = read_sight(fetch)
    if not sight["may_read"] or (sight["filtered"] and job.owner != sight["role"]):
        raise Refused(
            _("The role %(role)s may not look at this owner's jobs (any more), so nobody can tell.")
            % {"role": server.role}
        )
