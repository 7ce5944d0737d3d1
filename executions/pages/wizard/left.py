"""The remains of a retirement, with the statement that removes each. It runs no statement."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.template.defaultfilters import filesizeformat
from django.views.decorators.http import require_safe

from executions.accounts.roles import operators_only
from executions.models.retirement import CallerKind, Retirement, RetirementState
from executions.pages.wizard.requests import where_it_is
from executions.pages.wizard.steps import WizardStep
from executions.pgcron import commands
from executions.pgcron.remains import Remains, RunDetailsLeft, read_remains
from executions.pgcron.servers import read_server
from executions.retirement.facts import retire_fetch
from executions.retirement.wizard import elsewhere, job_of
from executions.text.sentences import Text, listed, say, say_counted, together

# Before these states the job may have to be put back.
OVER = frozenset({RetirementState.VERIFIED, RetirementState.OTHER_CALLER})


@dataclass(frozen=True)
class LeftOver:
    """One thing that is left, what to consider, and the statement that removes it, if any."""

    key: str
    title: Text
    said: Text
    statement: str = ""


@operators_only
@require_safe
def retire_left(request: HttpRequest, number: int) -> HttpResponse:
    """What the removal of a pg_cron job left behind.

    Raises:
        psycopg.Error: pg_cron's database cannot be reached or asked; the page says so.
    """
    retirement = get_object_or_404(Retirement, pk=number)
    if retirement.kind != CallerKind.PG_CRON or retirement.state not in OVER:
        return where_it_is(retirement)
    job = job_of(retirement)
    with retire_fetch("look") as fetch:
        away = elsewhere(retirement, read_server(fetch))
        remains = None if away else read_remains(fetch, job)
    context = {
        "step": WizardStep.WATCH,
        "retirement": retirement,
        "elsewhere": away,
        "left": left_over(job.jobid, remains, ours=_our_roles()) if remains else (),
    }
    return render(request, "executions/wizard/left.html", context)


def _our_roles() -> frozenset[str]:
    """The roles that the settings name, which this installation needs."""
    conninfos = (
        settings.MULTICA_CONNINFO,
        settings.ADMIN_CONNINFO,
        settings.RUNNER_CONNINFO,
        settings.RETIRE_CONNINFO,
    )
    return frozenset(str(conninfo.get("user", "")) for conninfo in conninfos)


def left_over(jobid: int, remains: Remains, *, ours: frozenset[str]) -> tuple[LeftOver, ...]:
    """What is left, in the order in which it can go: details, the owner, pg_cron itself."""
    found = [_details(jobid, remains.details), _extension(remains)]
    owner = remains.owner
    if owner is not None and owner.name not in ours:
        where = listed(owner.databases) if owner.databases else remains.database
        found.insert(
            1,
            LeftOver(
                "owner",
                say("The role %(role)s may be needed no longer", role=owner.name),
                together(
                    say(
                        "It owns nothing on this server, has no other pg_cron job, no member and"
                        " no open session. Make sure that nobody signs in as it at another time."
                    ),
                    say(
                        "Without it, the job cannot be put back under its owner."
                        " DROP OWNED BY takes its rights away, so run it in each of these"
                        " databases first: %(databases)s.",
                        databases=where,
                    ),
                ),
                "\n".join(
                    # Its rights go first, in each database where it has some.
                    commands.drop_text(kind, owner.name)
                    for kind in ("OWNED BY", "ROLE")
                ),
            ),
        )
    return tuple(found)


def _details(jobid: int, left: RunDetailsLeft) -> LeftOver:
    whole = filesizeformat(left.all_bytes)
    if left.runs == 0 and not left.hidden:
        said = say("pg_cron keeps no run details of this job.")
        return LeftOver("details", say("No run details"), said)
    title = say("Run details of the job")
    if left.runs is None:
        count = say("Its run details could not be counted in time.")
    else:
        values = {"size": filesizeformat(left.bytes)}
        count = (
            say(
                "pg_cron keeps more than %(n)s run details of it, more than %(size)s.",
                n=left.runs,
                **values,
            )
            if left.is_more
            else say_counted(
                left.runs,
                "pg_cron keeps %(n)s run detail of it (%(size)s).",
                "pg_cron keeps %(n)s run details of it (%(size)s).",
                **values,
            )
        )
    return LeftOver(
        "details",
        title,
        together(
            count,
            say("Row security may hide some from this role.") if left.hidden else None,
            say("Those of all jobs take %(whole)s.", whole=whole),
            say(
                "pg_cron never deletes any. They show when the job ran, so delete them only once"
                " nobody asks for that. The room is free for new ones after the next VACUUM."
            ),
        ),
        commands.forget_runs_text(jobid),
    )


def _extension(remains: Remains) -> LeftOver:
    jobs = remains.other_jobs
    if jobs is None:
        said = say(
            "The role %(role)s does not see every job, so nobody can tell from here whether pg_cron"
            " still has some.",
            role=remains.role,
        )
        return LeftOver("extension", say("Whether pg_cron is still needed"), said)
    if jobs:
        said = say_counted(
            jobs,
            "pg_cron still has %(n)s job, so it stays.",
            "pg_cron still has %(n)s jobs, so it stays.",
        )
        return LeftOver("extension", say("pg_cron is still needed"), said)
    said = say(
        "pg_cron has no job left. It does no harm. Without it the job cannot be put back, and its"
        " run details are gone as well. Afterwards take pg_cron out of shared_preload_libraries"
        " and restart PostgreSQL when it suits you. In the database %(database)s, as its owner or"
        " a superuser:",
        database=remains.database,
    )
    return LeftOver(
        "extension",
        say("pg_cron without any job"),
        said,
        commands.drop_text("EXTENSION", "pg_cron"),
    )
