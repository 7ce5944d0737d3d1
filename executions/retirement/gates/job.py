"""PURE: the gates about the job itself: can it be seen and removed, and is it what it seems to be?

One function for each gate of docs/interfaces.md, ``checkretirement``, with the gate's name.
"""

from collections.abc import Sequence

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from executions.health.facts.pg_cron import Match
from executions.pgcron.job import Candidate, Job, JobProcess
from executions.pgcron.match import Judgement
from executions.retirement.gates.gate import Gate, GateCode, GateFacts
from executions.text.sentences import Sentence, Value, listed, say


def unseen(code: GateCode, facts: GateFacts) -> Gate:
    """A gate about a job that cannot be read."""
    summary = say("This cannot be judged, because job %(jobid)s cannot be read.", jobid=facts.jobid)
    return Gate(code, False, summary, {"jobid": facts.jobid})


def visible(facts: GateFacts) -> Gate:
    evidence: dict[str, object] = {"jobid": facts.jobid, "role": facts.role}
    if facts.candidate is None:
        return Gate(
            GateCode.VISIBLE,
            False,
            say(
                "The role %(role)s sees no job %(jobid)s that leads to the rollup: it is gone or"
                " changed, or row security hides it.",
                role=facts.role,
                jobid=facts.jobid,
            ),
            evidence,
            say("Look at the schedules again, as a role that may see every job."),
        )
    evidence |= {"owner": facts.candidate.job.owner, "command": facts.candidate.job.command}
    return Gate(
        GateCode.VISIBLE, True, say("Job %(jobid)s can be read.", jobid=facts.jobid), evidence
    )


def privileged(facts: GateFacts, candidate: Candidate) -> Gate:
    return _right(
        GateCode.PRIVILEGED,
        facts.role,
        candidate.job,
        candidate.rights.retire,
        _("The role %(role)s may unschedule job %(jobid)s."),
        _("The role %(role)s may not unschedule this job of %(owner)s."),
        _(
            "Its owner, a superuser or a role with DELETE on cron.job may: set"
            " RETIRE_DATABASE_URL to one, or let one of them run the statement."
        ),
    )


def may_deactivate(facts: GateFacts, candidate: Candidate) -> Gate:
    return _right(
        GateCode.MAY_DEACTIVATE,
        facts.role,
        candidate.job,
        candidate.rights.deactivate,
        _("The role %(role)s may pause job %(jobid)s and resume it."),
        _("The role %(role)s may not pause this job of %(owner)s."),
        _("Only the job's owner or a superuser can pause it, with EXECUTE on cron.alter_job."),
    )


def _right(
    code: GateCode, role: str, job: Job, has: bool, may: Promise, may_not: Promise, remedy: Promise
) -> Gate:
    """A gate about a right of this role over the job."""
    names: dict[str, Value] = {"role": role, "jobid": job.jobid, "owner": job.owner}
    evidence = {"role": role, "owner": job.owner}
    summary = say(may if has else may_not, **names)
    return Gate(code, has, summary, evidence, None if has else say(remedy))


def loaded(_facts: GateFacts, candidate: Candidate) -> Gate:
    """Without the library nobody can call pg_cron's functions, not even through a trigger."""
    known = candidate.loaded
    evidence = {"loaded": known}
    if known is False:
        return Gate(
            GateCode.LOADED,
            False,
            say(
                "The server does not load pg_cron's library: it starts no job, and nobody can"
                " remove one."
            ),
            evidence,
            say(
                "Let an administrator add pg_cron to shared_preload_libraries and restart"
                " PostgreSQL."
            ),
        )
    if known is None:
        summary = say("Nothing shows that the server does not load pg_cron's library.")
    else:
        summary = say("The server loads pg_cron's library.")
    return Gate(GateCode.LOADED, True, summary, evidence)


def same_database(_facts: GateFacts, candidate: Candidate) -> Gate:
    job, same, here = candidate.job, candidate.same_database, candidate.server
    names: dict[str, Value] = {
        "database": job.database,
        "node": job.node,
        "here": listed(here.names) if here else "",
        "port": here.port if here else "",
        "jobid": job.jobid,
    }
    remedy: Sentence | None = None
    standby = candidate.standby
    if standby:
        summary = say("%(url)s is a standby, where nothing can be changed.", url=standby)
        remedy = say("To retire a schedule, point %(url)s at the primary.", url=standby)
    elif same:
        summary = say("It runs in Multica's database, %(database)s.", **names)
    elif same is None and candidate.multica is None:
        summary = say(
            "Multica's database does not answer, so nobody can tell whether %(database)s, where"
            " the job runs, is that one.",
            **names,
        )
        remedy = say("Look again when Multica's database answers.")
    elif same is None:
        summary = say(
            "It connects to %(node)s, and nobody can tell whether that is this server, which is"
            " known as %(here)s on port %(port)s.",
            **names,
        )
        remedy = say(
            "If it is another name of this server, let the job's owner or a superuser run:"
            " SELECT cron.unschedule(%(jobid)s);",
            **names,
        )
    else:
        summary = say(
            "It runs in the database %(database)s on %(node)s, and not in Multica's.", **names
        )
        remedy = say("Retire it from the dashboard of the Multica that it belongs to.")
    evidence: dict[str, object] = {
        "database": job.database,
        "nodename": job.nodename,
        "nodeport": job.nodeport,
    }
    if here is not None:
        evidence |= {"this_server": ", ".join(here.names), "this_port": here.port}
    passed = same is True and not standby
    judged = bool(standby) or same is not None or candidate.multica is not None
    return Gate(GateCode.SAME_DATABASE, passed, summary, evidence, remedy, judged=judged)


_MATCH_SUMMARIES = {
    Match.EXACT: _("The command calls the rollup and does nothing else."),
    Match.LEGACY: _("The command only calls %(function)s, which Multica has removed."),
    Match.WRAPPED: _("The command reaches the rollup through %(via)s, which may do more."),
    Match.WINDOW: _("The command calls the window function, which rolls up a span of its own."),
    Match.MULTIPLE: _("The command does other things beside the rollup."),
}


_NOBODY_CAN_READ = _(
    "The command runs text that nobody can read (%(via)s): it may call the rollup, or not."
)
_CALLS_A_NAMESAKE = _(
    "To %(owner)s, who runs it, the name without a schema means %(namesake)s, and not Multica's"
    " rollup."
)
_CALLS_NOTHING = _(
    "To %(owner)s, who runs it, the name without a schema means no function, and not Multica's"
    " rollup."
)


def _about_match(judgement: Judgement) -> Promise:
    if judgement.leads_there:
        return _MATCH_SUMMARIES[judgement.match]
    if judgement.misses_it:
        return _CALLS_A_NAMESAKE if judgement.namesake else _CALLS_NOTHING
    return _NOBODY_CAN_READ


def command_matches(_facts: GateFacts, candidate: Candidate) -> Gate:
    judgement, job = candidate.judgement, candidate.job
    passed = judgement.match.retired_by_the_wizard
    return Gate(
        GateCode.COMMAND_MATCHES,
        passed,
        say(
            _about_match(judgement),
            function=listed(judgement.functions),
            via=listed(judgement.via),
            owner=job.owner,
            namesake=judgement.namesake or "",
        ),
        {
            "match": judgement.match.value,
            "command": job.command,
            "functions": list(judgement.functions),
            "via": list(judgement.via),
            "readable": judgement.readable,
            "namesake": judgement.namesake,
        },
        None
        if passed
        else say(
            "Only you know whether the rest is needed. If it is not, run:"
            " SELECT cron.unschedule(%(jobid)s);",
            jobid=job.jobid,
        ),
    )


def function_absent(_facts: GateFacts, candidate: Candidate) -> Gate:
    exists = candidate.legacy_function_exists
    name = candidate.judgement.functions[0]
    remedy: Sentence | None = None
    if exists is False:
        summary = say("The function %(name)s no longer exists: the job fails each time.", name=name)
    elif exists is None:
        summary = say("Nobody can tell whether %(name)s still exists.", name=name)
        remedy = say("Look again when Multica's database answers.")
    else:
        summary = say("The function %(name)s still exists, so something may need it.", name=name)
        remedy = say("Upgrade Multica first: its migration 103 removes the function.")
    return Gate(
        GateCode.FUNCTION_ABSENT,
        exists is False,
        summary,
        {"function": name, "exists": exists},
        remedy,
        judged=exists is not None,
    )


def no_run_in_flight(_facts: GateFacts, candidate: Candidate) -> Gate:
    return runs_gate(candidate.in_flight)


def runs_gate(running: Sequence[JobProcess]) -> Gate:
    """The gate `no_run_in_flight` for processes that are already known."""
    evidence = {"backends": [backend.as_json() for backend in running]}
    if not running:
        return Gate(GateCode.NO_RUN_IN_FLIGHT, True, say("No run of it is in flight."), evidence)
    return Gate(
        GateCode.NO_RUN_IN_FLIGHT,
        False,
        say(
            "A run of it is in flight (process %(pids)s).",
            pids=listed(backend.pid for backend in running),
        ),
        evidence,
        say("Wait until it has finished. It is never cut off."),
    )
