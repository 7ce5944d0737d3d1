"""Reads which of pg_cron's jobs call the rollup, with the role that sees most of them.

It changes nothing, and decides nothing about what they mean.
"""

from contextlib import ExitStack, closing
from dataclasses import replace

import psycopg
from django.conf import settings
from django.db import Error as DatabaseError

from executions.database.connections import retire_reader
from executions.database.problems import DATABASE_ERRORS, PgCronObjects, diagnose
from executions.database.reading import Fetch, fetch_on
from executions.health.facts.executions import Executions
from executions.health.facts.pg_cron import PgCron, Visibility
from executions.health.writers import jumps, pairs
from executions.models import Retirement
from executions.pgcron.calls import read_calls
from executions.pgcron.job import Job
from executions.pgcron.runs import kept_since, read_runs, refuse_hidden_runs
from executions.pgcron.servers import read_identifier, unknown_nodes
from executions.pgcron.sight import visible_jobs
from executions.text.problem import Problem

# From seeing nothing to seeing everything. If two see equally much, the dashboard's own counts.
_SIGHT = (
    Visibility.ABSENT,
    Visibility.UNKNOWN,
    Visibility.ELSEWHERE,
    Visibility.NO_ACCESS,
    Visibility.FILTERED,
    Visibility.FULL,
)
_ALL_KNOWN = {Visibility.FULL, Visibility.ABSENT}


def read_pg_cron(fetch_multica: Fetch, database: str, executions: Executions | Problem) -> PgCron:
    """The jobs of this ``database``; and when they ran, if something moved the watermark meanwhile.

    Raises:
        django.db.Error, psycopg.Error: as ``fetch_multica`` does.
    """
    moved = isinstance(executions, Executions) and bool(jumps(pairs(executions.rows)))
    with ExitStack() as until_read:
        seen, fetch = _visible_jobs(fetch_multica, database, until_read, with_runs=moved)
        found = read_calls(seen.jobs, database, fetch_multica)
        server = _number_of_server(fetch) if found and _a_retirement_is_open() else ""
    calls = tuple(replace(call, node=seen.nodes.get(call.job.jobid, "")) for call in found)
    calling = {call.job.jobid for call in calls}
    return replace(
        seen,
        calls=() if seen.launcher.starts_nothing else calls,
        runs=tuple(run for run in seen.runs if run.calls or run.jobid in calling),
        server=server,
    )


def _visible_jobs(
    fetch_multica: Fetch, database: str, until_read: ExitStack, *, with_runs: bool
) -> tuple[PgCron, Fetch]:
    """If the dashboard's role does not see all jobs, ask as the role that may retire too.

    That role may see more, or be in the database that has the extension. The result includes
    the fetch that was used, which stays open while ``until_read`` does.
    """
    seen = _jobs_and_runs(fetch_multica, fetch_multica, database, with_runs=with_runs)
    seen_all = seen.visibility in _ALL_KNOWN and seen.runs_unseen is None
    if seen_all or settings.RETIRE_CONNINFO == settings.MULTICA_CONNINFO:
        return seen, fetch_multica
    try:
        fetch = fetch_on(until_read.enter_context(closing(retire_reader("look"))))
        further = _jobs_and_runs(fetch, fetch_multica, database, with_runs=with_runs)
    except PgCronObjects:
        raise
    except psycopg.Error:
        return seen, fetch_multica
    return (further, fetch) if _sight(further) > _sight(seen) else (seen, fetch_multica)


def _number_of_server(fetch: Fetch) -> str:
    """Its number; empty if it cannot be read, since the jobs are worth showing without it."""
    try:
        return read_identifier(fetch)
    except DATABASE_ERRORS:
        return ""


def _a_retirement_is_open() -> bool:
    """Whether anything compares the server's number; yes if our own tables cannot be reached."""
    try:
        return Retirement.objects.exclude(state__in=Retirement.ENDED).exists()
    except DatabaseError:
        return True


def _sight(seen: PgCron) -> tuple[int, bool]:
    """How much of the jobs, and then of their runs, a role sees."""
    return _SIGHT.index(seen.visibility), seen.runs_unseen is None


def _jobs_and_runs(fetch: Fetch, fetch_multica: Fetch, database: str, *, with_runs: bool) -> PgCron:
    """What this role sees of pg_cron: its jobs, where they connect to, and when they ran."""
    seen = visible_jobs(fetch)
    if seen.visibility not in {Visibility.FULL, Visibility.FILTERED}:
        return seen
    jobs = [
        job for job in seen.jobs if isinstance(job, Job) and job.active and job.database == database
    ]
    nodes = unknown_nodes(jobs, seen.port, fetch, fetch_multica) if jobs else {}
    seen = replace(seen, nodes=nodes)
    if not with_runs:
        return seen
    try:
        runs = read_runs(fetch, [job.jobid for job in jobs], database)
        seen = replace(seen, runs=runs, runs_since=kept_since(fetch))
        # A role that does not see every job is told so, and need not be told about its runs as
        # well.
        if seen.visibility is Visibility.FULL:
            refuse_hidden_runs(fetch)
    except DATABASE_ERRORS as error:
        return replace(seen, runs_unseen=diagnose(error))
    return seen
