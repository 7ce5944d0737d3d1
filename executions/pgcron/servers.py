"""The identity of a server and database, which tells pg_cron's and Multica's from others."""

from collections.abc import Sequence

from psycopg import errors

from executions.database.problems import DATABASE_ERRORS, database_error
from executions.database.reading import Fetch
from executions.database.sql import load
from executions.pgcron.job import Job, PgCronServer, connects_here

SQL = load("pgcron")


def read_server(fetch: Fetch) -> PgCronServer:
    """The database that ``fetch`` reads from.

    Raises:
        django.db.Error, psycopg.Error: as ``fetch`` does. Never call it inside a transaction: a
        server that hides its number refuses one of the two statements.
    """
    (row,) = fetch(SQL.server, {})
    return PgCronServer(identifier=read_identifier(fetch), **row)


def read_identifier(fetch: Fetch) -> str:
    """The number of the server that ``fetch`` reads from; empty if the server hides it.

    Raises:
        django.db.Error, psycopg.Error: as `read_server`.
    """
    try:
        (found,) = fetch(SQL.system_identifier, {})
    except Exception as error:
        if not isinstance(database_error(error), errors.InsufficientPrivilege):
            raise
        return ""
    identifier: str = found["identifier"]
    return identifier


def server_or_none(fetch: Fetch) -> PgCronServer | None:
    """Like `read_server`, but None if the database cannot be asked."""
    try:
        return read_server(fetch)
    except DATABASE_ERRORS:
        return None


def unknown_nodes(
    jobs: Sequence[Job], port: int | None, fetch: Fetch, fetch_multica: Fetch
) -> dict[int, str]:
    """The nodes, by jobid, of the jobs that are not known to run on Multica's server.

    ``fetch`` has read the jobs, and ``port`` is its server's. If all jobs connect to that port by a
    name that every server has, nothing is read. Otherwise this takes one read, or two if ``fetch``
    is not Multica's.

    Raises:
        django.db.Error, psycopg.Error: as the two do.
    """
    own = port is not None and all(connects_here(job, port) for job in jobs)
    if own and fetch is fetch_multica:
        return {}
    (row,) = fetch(SQL.server, {})
    here = there = PgCronServer(identifier="", **row)
    if fetch is not fetch_multica:
        (row,) = fetch_multica(SQL.server, {})
        there = PgCronServer(identifier="", **row)
    return {
        job.jobid: job.node for job in jobs if not (here.holds(job) and here.is_same_server(there))
    }
