"""Reads what is known before an upgrade: one bounded query each, all read-only.

A fact whose query fails becomes a `Problem` and the others stay valid, so nothing here may run
inside a transaction.
"""

from contextlib import closing

import psycopg
from django.conf import settings

from executions.database.connections import retire_reader
from executions.database.problems import NoTables, or_problem
from executions.database.reading import Fetch, fetch_for_dashboard, fetch_on
from executions.database.sql import load
from executions.health.facts import Ground, StateRow
from executions.health.facts.pg_cron import PgCron, Visibility
from executions.health.read import behind, read_state, refuse_hidden
from executions.health.upgrade.facts import (
    DailyJob,
    DailyJobs,
    Extension,
    Migrator,
    PostgresServer,
    RawUsage,
    Upgraded,
    UpgradeFacts,
    nothing_read,
)
from executions.health.upgrade.requirements import EXTENSIONS
from executions.pgcron.commands import unschedule_text
from executions.pgcron.match import LEGACY
from executions.pgcron.sight import visible_jobs
from executions.rollup.installed import read_installed
from executions.rollup.marks import read_marks
from executions.rollup.versions import Change, Range, range_of
from executions.scheduler.jobs import ROLLUP
from executions.text.problem import Problem

SQL = load("upgrade")
HEALTH = load("health")

# Rows beyond these are estimated, so that no count takes longer than a moment.
MOST_ROWS = 100_000
MOST_AGENTS = 10_000


def read_upgrade(fetch: Fetch = fetch_for_dashboard) -> UpgradeFacts:
    """Everything that an answer needs. Never raises for the database."""
    ground = or_problem(lambda: Ground(**fetch(HEALTH.ground, {})[0]))
    if isinstance(ground, Problem):
        return nothing_read(ROLLUP, ground)
    if why := behind(ground, ROLLUP):
        return nothing_read(ROLLUP, why)
    versions = or_problem(lambda: read_versions(fetch, ground))
    if isinstance(versions, Problem):
        return nothing_read(ROLLUP, versions)
    return UpgradeFacts(
        spec=ROLLUP,
        now=ground.now,
        versions=versions,
        server=or_problem(lambda: _server(fetch)),
        migrator=or_problem(lambda: read_migrator(fetch)),
        daily_jobs=or_problem(lambda: _daily_jobs(fetch, ground)),
        usage=or_problem(lambda: _usage(fetch, ground)),
        state=or_problem(lambda: _state(fetch, ground)),
        upgraded=or_problem(lambda: _upgraded(fetch, ground, versions)),
        is_ours=_is_ours(fetch),
    )


def _is_ours(fetch: Fetch) -> bool:
    installed = or_problem(lambda: read_installed(fetch))
    return not isinstance(installed, Problem) and installed.is_ours


def read_versions(fetch: Fetch, ground: Ground) -> Range:
    """The range of versions.

    Raises:
        NoTables: nothing of Multica's rollup is here.
    """
    versions = range_of(read_marks(fetch))
    if versions is None:
        raise NoTables(ground.database)
    return versions


def _server(fetch: Fetch) -> PostgresServer:
    rows = fetch(SQL.server, {"extensions": list(EXTENSIONS)})
    return PostgresServer(
        version=rows[0]["version"],
        major=rows[0]["major"],
        is_standby=rows[0]["is_standby"],
        extensions={row["name"]: Extension(row["state"]) for row in rows},
    )


def read_migrator(fetch: Fetch) -> Migrator:
    """The owner of `task_usage` and what it may do. There must be such a table.

    Raises:
        django.db.Error, psycopg.Error: as ``fetch`` does.
    """
    (row,) = fetch(SQL.migrator, {})
    return Migrator(**row)


def _daily_jobs(fetch: Fetch, ground: Ground) -> DailyJobs:
    """The jobs by name, asked with the role that sees more of pg_cron in Multica's database."""
    seen = visible_jobs(fetch)
    if seen.visibility in {Visibility.FILTERED, Visibility.NO_ACCESS}:
        seen = _seen_by_retirer(ground.database) or seen
    return daily_jobs_in(ground, seen)


def daily_jobs_in(ground: Ground, seen: PgCron) -> DailyJobs:
    """The jobs with the names of the daily ones, if this is pg_cron in Multica's database."""
    if seen.database != ground.database:
        return DailyJobs(Visibility.ELSEWHERE, ground.role)
    jobs = [
        DailyJob(job.jobid, job.jobname, job.owner, unschedule_text(job.jobid))
        for job in seen.jobs
        if job.jobname in LEGACY
    ]
    return DailyJobs(seen.visibility, seen.role or ground.role, tuple(jobs))


def _seen_by_retirer(database: str) -> PgCron | None:
    """What `RETIRE_DATABASE_URL` sees, if it leads to this database and sees every job there."""
    if settings.RETIRE_CONNINFO == settings.MULTICA_CONNINFO:
        return None
    try:
        with closing(retire_reader("look")) as connection:
            seen = visible_jobs(fetch_on(connection))
    except psycopg.Error:
        return None
    return seen if seen.visibility is Visibility.FULL and seen.database == database else None


def _usage(fetch: Fetch, ground: Ground) -> RawUsage:
    refuse_hidden(ground, "task_usage", "agent")
    (row,) = fetch(SQL.usage, {"most": MOST_ROWS + 1, "most_agents": MOST_AGENTS})
    is_exact = row["counted"] <= MOST_ROWS
    return RawUsage(
        rows=row["counted"] if is_exact else max(row["counted"], row["estimate"]),
        is_exact=is_exact,
        agents=row["agents"],
        oldest=row["oldest"],
        newest=row["newest"],
    )


def _state(fetch: Fetch, ground: Ground) -> StateRow | Problem | None:
    refuse_hidden(ground, "task_usage_hourly_rollup_state")
    return read_state(fetch) if ground.has_state else None


def _upgraded(fetch: Fetch, ground: Ground, versions: Range) -> Upgraded | None:
    if not fetch(SQL.has_migrations, {})[0]["found"]:
        return None
    migrated_at = fetch(SQL.migrated, {})[0]["migrated_at"]
    if migrated_at is None:
        return None
    if not versions.has(Change.SCHEDULER):
        return Upgraded(migrated_at, None)
    refuse_hidden(ground, "sys_cron_executions")
    scope = ROLLUP.scopes[0]
    rows = fetch(
        SQL.first_success,
        {
            "job": ROLLUP.name,
            "scope_kind": scope.kind,
            "scope_id": scope.id,
            "since": migrated_at,
            "longest": ROLLUP.stale_timeout + ROLLUP.cadence,
        },
    )
    if not rows:
        return Upgraded(migrated_at, None)
    return Upgraded(migrated_at, rows[0]["finished_at"], rows[0]["follows_another"])
