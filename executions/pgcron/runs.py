"""The latest runs of pg_cron's jobs, from the run details: which job ran at which moment.

The details outlive their job, so they show jobs that are gone. If ``cron.log_run`` is off or
somebody has deleted them, there are none, which proves nothing.
"""

from collections.abc import Iterable
from datetime import datetime

from executions.database.problems import RowsHidden
from executions.database.reading import Fetch
from executions.database.sql import load
from executions.health.facts.pg_cron import JobRun
from executions.pgcron.match import judge_command
from executions.pgcron.sight import of_cron

SQL = load("pgcron")

MOST = 500
# How many of the newest rows of cron.job_run_details are read.
RUNS_WITHIN = 5_000


def read_runs(fetch: Fetch, jobids: Iterable[int], database: str) -> tuple[JobRun, ...]:
    """The latest runs, newest first, of these jobs and of jobs whose own command calls the rollup.

    ``database`` is the one in which they ran.

    Raises:
        django.db.Error, psycopg.Error: as ``fetch`` does; the role may lack the right to look.
    """
    values = {
        "within": RUNS_WITHIN, "jobids": list(jobids), "database": database, "most": MOST,
    }  # fmt: skip
    rows = of_cron(fetch)(SQL.latest_runs, values)
    calls = {command: _calls(command) for command in {row["command"] for row in rows}}
    return tuple(
        JobRun(row["jobid"], row["started_at"], row["ended_at"], calls[row["command"]])
        for row in rows
    )


def kept_since(fetch: Fetch) -> datetime | None:
    """The time from which the run details are complete; None if there are none.

    Raises:
        django.db.Error, psycopg.Error: as ``fetch`` does.
    """
    rows = of_cron(fetch)(SQL.runs_kept_since, {"within": RUNS_WITHIN})
    return rows[0]["since"] if rows else None


def refuse_hidden_runs(fetch: Fetch) -> None:
    """Refuse run details from which row security may hide rows.

    Raises:
        RowsHidden: it hides runs of other owners' jobs from this role. django.db.Error,
            psycopg.Error: as ``fetch`` does.
    """
    (sight,) = fetch(SQL.sight_of_runs, {})
    if sight["filtered"]:
        raise RowsHidden(["cron.job_run_details"], sight["role"])


def _calls(command: str) -> bool:
    judgement = judge_command(command)
    return judgement is not None and judgement.calls
