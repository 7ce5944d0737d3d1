"""What a role sees of pg_cron: where pg_cron is, which jobs it shows, whether it starts them.

It changes nothing. "No job" and "not allowed to see jobs" are different answers, so the visibility
is proved first: docs/contract.md section 5.
"""

import re
from collections.abc import Mapping

from psycopg import errors

from executions.database.problems import PgCronObjects, database_error, first_line
from executions.database.reading import Fetch, Row
from executions.database.sql import load
from executions.health.facts.pg_cron import Launcher, PgCron, Visibility
from executions.pgcron.job import Job

SQL = load("pgcron")

_LACKING = (errors.UndefinedTable, errors.UndefinedColumn, errors.UndefinedFunction)

# Without the columns and tables of this version nothing can be said about a job.
OLDEST = (1, 3)
MOST_JOBS = 5_000


def visible_jobs(fetch: Fetch) -> PgCron:
    """The jobs that this role sees, and whether there may be others.

    Raises:
        django.db.Error, psycopg.Error: as ``fetch`` does.
    """
    fetch = of_cron(fetch)
    return seen_with(read_sight(fetch), fetch)


def of_cron(fetch: Fetch) -> Fetch:
    """The same fetch, but objects that pg_cron lacks are never reported as lacking in Multica."""

    def asked(statement: str, values: Mapping[str, object]) -> list[Row]:
        try:
            return fetch(statement, values)
        except Exception as error:
            found = database_error(error)
            if not isinstance(found, _LACKING):
                raise
            raise PgCronObjects(f"cannot be used: {first_line(found)}") from error

    return asked


def read_sight(fetch: Fetch) -> Row:
    """What this role may see of pg_cron, and where pg_cron is.

    Raises:
        PgCronObjects: pg_cron's objects are older than `OLDEST`. django.db.Error, psycopg.Error: as
            ``fetch`` does.
    """
    (sight,) = fetch(SQL.sight, {})
    version = re.match(r"(\d+)\.(\d+)", sight["version"] or "")
    if version and (int(version[1]), int(version[2])) < OLDEST:
        raise PgCronObjects(
            f"in the database {sight['here']} are of version {sight['version']}, and this needs"
            f" {OLDEST[0]}.{OLDEST[1]} or newer"
        )
    return sight


def shown_jobs(fetch: Fetch) -> tuple[Job, ...]:
    """The jobs that this role sees, at most `MOST_JOBS`.

    Raises:
        django.db.Error, psycopg.Error: as ``fetch`` does, above all without USAGE on schema cron.
    """
    return tuple(Job(**row) for row in fetch(SQL.jobs, {"jobid": None, "most": MOST_JOBS}))


def seen_with(sight: Row, fetch: Fetch) -> PgCron:
    """The result of `read_sight`, with the jobs if the role may read them."""
    if sight["version"] is None:
        visibility, database = _elsewhere(sight, fetch)
        return PgCron(visibility, database=database, role=sight["role"])
    if not sight["may_read"]:
        return PgCron(Visibility.NO_ACCESS, sight["version"], sight["here"], role=sight["role"])
    jobs = shown_jobs(fetch)
    filtered = sight["filtered"] or len(jobs) == MOST_JOBS
    visibility = Visibility.FILTERED if filtered else Visibility.FULL
    return PgCron(
        visibility,
        sight["version"],
        sight["here"],
        jobs,
        sight["role"],
        launcher=launcher_of(sight),
        port=sight["port"],
    )


def launcher_of(sight: Row) -> Launcher:
    """Every role sees whether the launcher's session exists, but not every role its settings.

    A standby has no launcher, which says nothing about the primary's. In the first seconds of the
    server it may be about to start.
    """
    if sight["is_standby"]:
        return Launcher.UNKNOWN
    if sight["launcher_runs"]:
        return Launcher.OFF if sight["launches"] == "off" else Launcher.RUNNING
    if sight["reads_settings"] and "pg_cron" not in (sight["libraries"] or ""):
        return Launcher.NOT_LOADED
    return Launcher.UNKNOWN if sight["server_begins"] else Launcher.MISSING


def _elsewhere(sight: Row, fetch: Fetch) -> tuple[Visibility, str | None]:
    """Without the extension here: the database that has it, or whether none can have it."""
    database = sight["launcher_database"]
    if database is None and sight["reads_settings"]:
        loaded = "pg_cron" in (sight["libraries"] or "")
        database = sight["configured_database"] if loaded else None
    elif database is None and _library_is_loaded(fetch):
        return Visibility.UNKNOWN, None
    if database is None or database == sight["here"]:
        return Visibility.ABSENT, None
    return Visibility.ELSEWHERE, database


def _library_is_loaded(fetch: Fetch) -> bool:
    """If a role may not read pg_cron's settings, only existing settings are refused to it."""
    try:
        fetch(SQL.library_loaded, {})
    except Exception as error:
        if isinstance(database_error(error), errors.InsufficientPrivilege):
            return True
        raise
    return False
