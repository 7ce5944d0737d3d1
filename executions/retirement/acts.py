"""The acts of the wizard on a pg_cron job: remove, pause, activate again, put back.

Each act says what must hold, what it changes and how that is proved; `protocol` performs it. Every
act checks everything again inside the acting transaction, so an old page changes nothing.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace

from django.utils.translation import gettext as _
from psycopg import errors

from executions.database.connections import Connection
from executions.database.reading import Fetch, fetch_on
from executions.database.sql import load
from executions.health.facts.pg_cron import Match
from executions.models.retirement import Act, Retirement, RetirementState
from executions.pgcron import commands
from executions.pgcron.inventory import highest_jobid, read_backends, read_job
from executions.pgcron.job import DEFINITION, Job, PgCronServer, runs_in_flight
from executions.retirement import audit, protocol
from executions.retirement.facts import check_on, find_job, retire_fetch, servers
from executions.retirement.gates.gate import Aim
from executions.retirement.gates.job import runs_gate
from executions.retirement.protocol import ActSteps, Reached, Wish, nothing
from executions.retirement.refusals import Refused, WrongName, changed, check_as_json, refused_by
from executions.retirement.rehearsal import (
    accept_what_cannot_be_undone,
    how_to_schedule,
    rehearsal_of,
)
from executions.retirement.rules import Rules
from executions.retirement.wizard import job_of, on_record, permitted, require_here

PGCRON = load("pgcron")

# A job's definition without what the server sets: its node, and the rule for two kinds of day.
_RESTORED = tuple(name for name in DEFINITION if name not in {"nodename", "nodeport", "both_days"})


@dataclass(frozen=True)
class Order:
    """An operator's order: the retirement to act on, and the rules that apply."""

    who: audit.Who
    retirement: Retirement
    rules: Rules
    reached: Reached = nothing


def confirm_name(job: Job, typed: str, fingerprint: str) -> None:
    """Check that the operator typed the name of the recorded job and saw that job.

    Raises:
        WrongName: the name differs.
        Refused: the page shows an older state of the job than the record.
    """
    if not hmac.compare_digest(fingerprint, job.fingerprint):
        raise Refused(
            _("What is on record has changed since this page was shown. Look at it again."
              " Nothing was changed.")
        )  # fmt: skip
    name = name_to_type(job)
    if _one_line(typed).strip() != name:
        raise WrongName(_("The name typed is not %(name)s. Nothing was changed.") % {"name": name})


def name_to_type(job: Job) -> str:
    """The job's name as a person can type it: a browser's field drops line breaks."""
    return _one_line(job.label)


def _one_line(text: str) -> str:
    """The text as the HTML standard keeps it in a text field: without CR and LF."""
    return text.replace("\r", "").replace("\n", "")


def remove(order: Order, *, typed: str, fingerprint: str, accepted: bool = False) -> Act:
    """Unschedule the confirmed job. ``accepted`` is as in `rehearsal`.

    Raises:
        Refused, SomebodyElse, Failed, Unknown: see `protocol.perform`.
        psycopg.Error: pg_cron's database cannot be reached; nothing was begun.
    """
    job = job_of(order.retirement)
    expected = (
        replace(job, active=False)
        if order.retirement.state == RetirementState.TRIAL_PASSED
        else job
    )
    aim = Aim.LEGACY if order.retirement.match == Match.LEGACY else Aim.EXACT

    def change(acting: Connection) -> None:
        commands.unschedule(acting, job.jobid)

    def prove(fetch: Fetch, _new: int | None) -> None:
        if read_job(fetch, job.jobid) is not None:
            raise Refused(_("pg_cron still shows the job. Nothing was changed."))

    rehearsed = rehearsal_of(order.retirement)

    def before() -> Mapping[str, object]:
        confirm_name(job, typed, fingerprint)
        needed = not rehearsed.proved
        return accept_what_cannot_be_undone(rehearsed, needed=needed, accepted=accepted)

    return _begin(
        order,
        Act.Kind.REMOVE,
        commands.unschedule_text(job.jobid),
        states=(RetirementState.CONFIRMED, RetirementState.TRIAL_PASSED),
        before=before,
        work=lambda look: ActSteps(
            _with_highest_jobid(look(expected, aim)), change, prove, _as_it_was(expected)
        ),
        undo=rehearsed.statement,
    )


def pause(order: Order, *, typed: str, fingerprint: str) -> Act:
    """Deactivate the confirmed job: the trial begins.

    Raises:
        As `remove`.
    """
    job = job_of(order.retirement)

    def before() -> Mapping[str, object]:
        confirm_name(job, typed, fingerprint)
        return {}

    def change(acting: Connection) -> None:
        commands.set_active(acting, job.jobid, active=False)

    def prove(fetch: Fetch, _new: int | None) -> None:
        if not replace(job, active=False).is_still(read_job(fetch, job.jobid)):
            raise Refused(_("pg_cron does not show the job as paused. Nothing was changed."))

    return _begin(
        order,
        Act.Kind.PAUSE,
        commands.set_active_text(job.jobid, active=False),
        states=(RetirementState.CONFIRMED,),
        before=before,
        work=lambda look: ActSteps(look(job, Aim.TRIAL), change, prove, _as_it_was(job)),
        undo=commands.set_active_text(job.jobid, active=True),
    )


def activate(order: Order, *, reason: str) -> Act:
    """End a trial: activate the job again. No gate applies, because this restores what was.

    A job that this role does not see is activated by its number: pg_cron raises if the job is gone
    or not ours, and otherwise the activation counts as done.

    Raises:
        As `remove`. It is also refused if the job is gone or already active.
    """
    job = job_of(order.retirement)

    def verify(fetch: Fetch) -> _Found:
        permitted(order.who)
        found = find_job(fetch, job.jobid)
        if not found.is_hidden and (found.job is None or found.job.active):
            raise changed(replace(job, active=False), found.job)
        return {"job": found.job.as_json() if found.job else None}

    def change(acting: Connection) -> None:
        commands.set_active(acting, job.jobid, active=True)

    def prove(fetch: Fetch, _new: int | None) -> None:
        found = find_job(fetch, job.jobid)
        if not found.is_hidden and (found.job is None or not found.job.active):
            raise Refused(_("pg_cron does not show the job as active. Nothing was changed."))

    return _begin(
        order,
        Act.Kind.ACTIVATE,
        commands.set_active_text(job.jobid, active=True),
        states=(RetirementState.TRIAL, RetirementState.TRIAL_PASSED),
        work=lambda _look: ActSteps(verify, change, prove),
        evidence={"reason": reason},
    )


def put_back(order: Order) -> Act:
    """Schedule a removed job again exactly as it was, under its old owner.

    Raises:
        As `remove`. It is also refused if this role may not, or if a job of that name exists again.
    """
    job = job_of(order.retirement)
    with on_record(order.who, Act.Kind.PUT_BACK, order.retirement):
        how = _may_schedule(job)

    def verify(fetch: Fetch) -> _Found:
        permitted(order.who)
        now, may = how_to_schedule(fetch, job)
        if now != how:
            raise _may_not_schedule(job, str(may["role"]))
        rows = fetch(PGCRON.namesakes, {"jobname": job.jobname, "owner": job.owner})
        if rows:
            raise _namesake(rows[0]["jobid"])
        return {"rights": may, "jobs_of_that_name": len(rows)}

    def witness(fetch: Fetch, new: int | None) -> None:
        """pg_cron alters an existing job of that name. If others see the row, it is not ours."""
        if new is not None and read_job(fetch, new) is not None:
            raise _namesake(new)

    def change(acting: Connection) -> int:
        return commands.schedule_again(acting, how)

    def prove(fetch: Fetch, new: int | None) -> None:
        now = read_job(fetch, new) if new is not None else None
        if now is None or not restores(job, now):
            raise changed(job, now)

    return _begin(
        order,
        Act.Kind.PUT_BACK,
        how.text,
        states=Retirement.REMOVED,
        work=lambda _look: ActSteps(verify, change, prove, witness),
    )


def _may_schedule(job: Job) -> commands.Again:
    """How the acting role schedules the job. The recorded statement is the one that runs.

    Raises:
        Refused: the role may not schedule it.
    """
    with retire_fetch("look") as fetch:
        how, may = how_to_schedule(fetch, job)
    if how is None:
        raise _may_not_schedule(job, str(may["role"]))
    return how


def _may_not_schedule(job: Job, role: str) -> Refused:
    return Refused(
        _("The role %(role)s may not schedule a job of %(owner)s. Let an administrator run"
          " the statement. Nothing was changed.") % {"role": role, "owner": job.owner}
    )  # fmt: skip


def _namesake(jobid: int) -> Refused:
    return Refused(
        _("There is a job of that name again, number %(jobid)s. Nothing was changed.")
        % {"jobid": jobid}
    )


def restores(job: Job, now: Job) -> bool:
    """Whether a job equals the old one, except for its number and its node."""
    return all(getattr(job, name) == getattr(now, name) for name in _RESTORED)


def _with_highest_jobid(verify: Callable[[Fetch], _Found]) -> Callable[[Fetch], _Found]:
    """Add the highest job number to what was found: a job put back later has a higher one."""

    def noted(fetch: Fetch) -> _Found:
        return {**verify(fetch), "highest_jobid": highest_jobid(fetch)}

    return noted


def _as_it_was(expected: Job) -> Callable[[Fetch, int | None], None]:
    """Others still see the confirmed job, so the row that we changed is exactly that job.

    It also checks that no run of the job has begun since the gates were judged. It looks from
    outside our transaction, because inside it the list of processes stays as first read.
    """

    def witness(fetch: Fetch, _new: int | None) -> None:
        seen = read_job(fetch, expected.jobid)
        if not expected.is_still(seen):
            raise changed(expected, seen)
        no_run = runs_gate(runs_in_flight(expected, read_backends(fetch)))
        if not no_run.passed:
            raise refused_by([no_run])

    return witness


_Found = Mapping[str, object]
_Look = Callable[[Job, Aim], Callable[[Fetch], _Found]]


def _begin(
    order: Order,
    kind: Act.Kind,
    statement: str,
    states: Iterable[RetirementState],
    work: Callable[[_Look], ActSteps],
    *,
    before: Callable[[], Mapping[str, object]] = dict,
    undo: str = "",
    evidence: Mapping[str, object] | None = None,
) -> Act:
    retirement = order.retirement
    job = job_of(retirement)
    with ExitStack() as until_done:
        with on_record(order.who, kind, retirement, statement):
            said = before()
            acting = until_done.enter_context(protocol.turn(order.who))
            places = servers(fetch_on(acting))
            require_here(retirement, places[0])
            wish = Wish(
                order.who,
                kind,
                statement,
                job,
                states,
                {
                    **(evidence or {"confirmed": retirement.evidence}),
                    **said,
                    "job": job.as_json(),
                    "undo": undo,
                },
            )
            act = protocol.intend(retirement, wish)

        def look(expected: Job, aim: Aim) -> Callable[[Fetch], _Found]:
            return lambda fetch: _verify(fetch, order, expected, aim, places)

        try:
            return protocol.perform(act, work(look), acting, order.rules, order.reached)
        finally:
            retirement.refresh_from_db()


def _verify(
    fetch: Fetch,
    order: Order,
    expected: Job,
    aim: Aim,
    places: tuple[PgCronServer, PgCronServer | None],
) -> _Found:
    """Check the permission, the confirmed job and every gate again. Return the gates."""
    permitted(order.who)
    still_confirmed(fetch, expected, places[0].role)
    judged = check_on(fetch, places, expected.jobid, order.rules, order.retirement)
    refusing = judged.refusals(aim)
    if refusing:
        raise refused_by(refusing)
    return check_as_json(judged)


def still_confirmed(fetch: Fetch, expected: Job, role: str) -> None:
    """Check that the job is still as confirmed.

    Raises:
        Refused: it is not, or this role may no longer see it.
    """
    try:
        now = read_job(fetch, expected.jobid)
    except errors.InsufficientPrivilege as error:
        raise Refused(
            _("The role %(role)s may no longer look at pg_cron's jobs. Nothing was changed.")
            % {"role": role}
        ) from error
    if not expected.is_still(now):
        raise changed(expected, now)
