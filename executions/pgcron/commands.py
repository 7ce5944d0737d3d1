"""The calls that change pg_cron's jobs, and the same statements as text for people.

It decides nothing: the caller has checked, holds the lock and has recorded the intent. No call here
touches the extension itself or identifies a job by its name only.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from psycopg import sql

from executions.database.connections import Connection
from executions.database.sql import load
from executions.pgcron.job import Job

SQL = load("pgcron")

_PARAMETER = re.compile(r"%\((\w+)\)s")


def unschedule(connection: Connection, jobid: int) -> None:
    """Remove the job.

    Raises:
        psycopg.Error: the job is gone already, or the role may not remove it.
    """
    connection.execute(SQL.unschedule, {"jobid": jobid})


def set_active(connection: Connection, jobid: int, *, active: bool) -> None:
    """Resume or pause the job.

    Raises:
        psycopg.Error: the job is gone, or the role is neither its owner nor a superuser.
    """
    connection.execute(SQL.set_active, {"jobid": jobid, "active": active})


@dataclass(frozen=True)
class Again:
    """A statement that schedules a job as it was, with its values. It is run and shown alike."""

    statement: str
    values: Mapping[str, object]

    @property
    def text(self) -> str:
        """The statement with its values, for the record or for copying."""
        lines = (line for line in self.statement.splitlines() if not line.startswith("--"))
        template = _PARAMETER.sub(r"{\1}", " ".join(" ".join(lines).split()))
        literals = {name: sql.Literal(value) for name, value in self.values.items()}
        return sql.SQL(template).format(**literals).as_string(None) + ";"


def again(job: Job, *, as_superuser: bool, database: str) -> Again:
    """How a role schedules the job as it was: as a superuser, or else as its owner.

    Only a superuser may name a user. ``database`` is pg_cron's own.
    """
    values = job.as_json() | {"owner": job.owner if as_superuser else None}
    plain = job.database == database and job.active and not as_superuser
    if job.jobname is None:
        statement = SQL.schedule_unnamed if plain else SQL.schedule_unnamed_and_alter
    else:
        statement = SQL.schedule_named if plain else SQL.schedule_in_database
    return Again(statement, values)


def schedule_again(connection: Connection, how: Again) -> int:
    """Schedule a job as it was and return its new jobid.

    Raises:
        psycopg.Error: the role may not schedule it, or pg_cron refuses the job.
    """
    (row,) = connection.execute(how.statement, how.values)
    return int(row["jobid"])


def unschedule_text(jobid: int) -> str:
    return f"SELECT cron.unschedule({jobid});"


def forget_runs_text(jobid: int) -> str:
    """Delete the run details of one job."""
    template = sql.SQL("DELETE FROM cron.job_run_details WHERE jobid = {jobid};")
    return template.format(jobid=sql.Literal(jobid)).as_string(None)


def drop_text(kind: str, name: str) -> str:
    """Drop an object of that kind, for people to run: no code here drops a role or an extension."""
    template = sql.SQL("DROP {kind} {name};")
    return template.format(kind=sql.SQL(kind), name=sql.Identifier(name)).as_string(None)


def set_active_text(jobid: int, *, active: bool) -> str:
    return f"SELECT cron.alter_job({jobid}, active := {str(active).lower()});"
