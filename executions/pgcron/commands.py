"""The calls that change pg_cron's jobs, and the same as text for somebody to run by hand.

It decides nothing: whoever calls it has looked, holds the lock and has the intent on record. There
is no call here that touches the extension itself, nor one that names a job by its name only.
"""

from __future__ import annotations

from psycopg import sql

from executions.connections import Connection
from executions.pgcron.job import Job
from executions.sql import load

SQL = load("pgcron")


def unschedule(connection: Connection, jobid: int) -> None:
    """Remove the job.

    Raises:
        psycopg.Error: it is gone already, or the role may not.
    """
    connection.execute(SQL.unschedule, {"jobid": jobid})


def set_active(connection: Connection, jobid: int, *, active: bool) -> None:
    """Resume the job, or pause it.

    Raises:
        psycopg.Error: it is gone, or the role is neither its owner nor a superuser.
    """
    connection.execute(SQL.set_active, {"jobid": jobid, "active": active})


def schedule_again(connection: Connection, job: Job, *, as_superuser: bool, database: str) -> int:
    """Schedule the job as it was and return its new jobid. ``database`` is pg_cron's own.

    Raises:
        psycopg.Error: the role may not.
    """
    values = job.as_json() | {"owner": job.owner if as_superuser else None}
    plain = job.database == database and job.active and not as_superuser
    if job.jobname is not None and not plain:
        return _jobid(connection, SQL.schedule_in_database, values)
    if job.jobname is not None:
        return _jobid(connection, SQL.schedule_named, values)
    jobid = _jobid(connection, SQL.schedule_unnamed, values)
    if not plain:
        connection.execute(SQL.alter_after_scheduling, values | {"jobid": jobid})
    return jobid


def _jobid(connection: Connection, statement: str, values: dict[str, object]) -> int:
    row = connection.execute(statement, values).fetchone()
    assert row is not None  # noqa: S101  a function call gives one row
    return int(row["jobid"])


def unschedule_text(jobid: int) -> str:
    """The statement that removes the job."""
    return f"SELECT cron.unschedule({jobid});"


def set_active_text(jobid: int, *, active: bool) -> str:
    """The statement that resumes or pauses the job."""
    return f"SELECT cron.alter_job({jobid}, active := {str(active).lower()});"


def schedule_again_text(job: Job) -> str:
    """The statement with which a superuser schedules the job again as it was."""
    if job.jobname is None:
        template = (
            "SELECT cron.alter_job(cron.schedule({schedule}, {command}),"
            " database := {database}, username := {owner}, active := {active});"
        )
    else:
        template = (
            "SELECT cron.schedule_in_database({jobname}, {schedule}, {command}, {database},"
            " {owner}, {active});"
        )
    values = {name: sql.Literal(value) for name, value in job.as_json().items()}
    return sql.SQL(template).format(**values).as_string(None)
