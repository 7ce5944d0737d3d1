"""Which pg_cron jobs a role can see, and whether it can see them all. It changes nothing.

"No job" and "not allowed to see jobs" are different answers: docs/contract.md section 5.
"""

from __future__ import annotations

from executions.health.facts import PgCron, PgCronJob, Visibility
from executions.reading import Fetch
from executions.sql import load

SQL = load("pgcron")

MOST_JOBS = 500


def visible_jobs(fetch: Fetch) -> PgCron:
    """The jobs that this role is shown, with how complete that is.

    Raises:
        django.db.Error, psycopg.Error: as ``fetch`` does.
    """
    (sight,) = fetch(SQL.sight, {})
    if sight["version"] is None:
        elsewhere = sight["launcher_database"]
        if elsewhere is None or elsewhere == sight["here"]:
            return PgCron(Visibility.ABSENT)
        return PgCron(Visibility.ELSEWHERE, database=elsewhere)
    if not sight["may_read"]:
        return PgCron(Visibility.NO_ACCESS, sight["version"], sight["here"])
    jobs = tuple(PgCronJob(**row) for row in fetch(SQL.jobs, {"most": MOST_JOBS}))
    visibility = Visibility.FILTERED if sight["filtered"] else Visibility.FULL
    return PgCron(visibility, sight["version"], sight["here"], jobs)
