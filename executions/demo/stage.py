"""What a scenario is made with, and the settings around a world: sessions, rights, tables, jobs.

Each setting is a context manager that undoes what it did, so that tests can share one database. The
demo's scenario ends with its process; the next start begins with an empty database.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from executions.database.connections import Connection
from executions.database.permissions import reading_rights
from multica_admin.embedded import DATABASE, OWNER, VIEWER

ROLLUP = "SELECT rollup_task_usage_hourly()"


@dataclass(frozen=True)
class Stage:
    """The owner of Multica's tables, a superuser, and a way to more sessions of any role."""

    owner: Connection
    superuser: Connection
    connect: Callable[[str], Connection]


Setting = Callable[[Stage], AbstractContextManager[None]]


@contextmanager
def nothing(_stage: Stage) -> Iterator[None]:
    yield


def let_read(connection: Connection, role: str = VIEWER) -> None:
    """Grant the dashboard's role exactly the columns that it reads, and revoke every wider right.

    ``connection`` belongs to the owner of the tables.
    """
    revoke = sql.SQL("REVOKE SELECT ON ALL TABLES IN SCHEMA public FROM {}")
    connection.execute(revoke.format(sql.Identifier(role)))
    for statement in reading_rights(role):
        connection.execute(statement.encode())


@contextmanager
def renamed(owner: Connection, table: str, to: str = "set_aside") -> Iterator[None]:
    """The table is not there."""
    there, away = sql.Identifier(table), sql.Identifier(to)
    rename = sql.SQL("ALTER TABLE {} RENAME TO {}")
    owner.execute(rename.format(there, away))
    try:
        yield
    finally:
        owner.execute(rename.format(away, there))


@contextmanager
def hidden(owner: Connection, table: str) -> Iterator[None]:
    """The dashboard's role may not read the table."""
    revoke = sql.SQL("REVOKE SELECT ON {} FROM {}")
    owner.execute(revoke.format(sql.Identifier(table), sql.Identifier(VIEWER)))
    try:
        yield
    finally:
        let_read(owner)


@contextmanager
def sessions_shown(superuser: Connection) -> Iterator[None]:
    """The dashboard's role may see since when another role's session is idle."""
    role = sql.Identifier(VIEWER)
    superuser.execute(sql.SQL("GRANT pg_read_all_stats TO {}").format(role))
    try:
        yield
    finally:
        superuser.execute(sql.SQL("REVOKE pg_read_all_stats FROM {}").format(role))


def hold_lock(session: Connection) -> None:
    """Hold the rollup's lock until the session ends."""
    session.execute("SELECT pg_advisory_lock(4246)")


def lock_held(name: str = "") -> Setting:
    """A session took the rollup's lock and does nothing. It can have an application name."""

    @contextmanager
    def setting(stage: Stage) -> Iterator[None]:
        with sessions_shown(stage.superuser), closing(stage.connect("multica")) as session:
            if name:
                session.execute("SELECT set_config('application_name', %s, false)", [name])
            hold_lock(session)
            yield

    return setting


def schedule(
    superuser: Connection,
    *,
    name: str | None = "rollup_task_usage_hourly",
    command: str = ROLLUP,
    owner: str = OWNER,
    database: str = DATABASE,
    at: str = "1 1 1 1 *",
    active: bool = True,
) -> int:
    """Schedule a job; by default one that runs on New Year's Day only. Returns its jobid."""
    if name is None:
        (made,) = superuser.execute("SELECT cron.schedule(%s, %s) AS jobid", [at, command])
        superuser.execute(
            "SELECT cron.alter_job(%s, NULL, NULL, %s, %s, %s)",
            [made["jobid"], database, owner, active],
        )
        return int(made["jobid"])
    (made,) = superuser.execute(
        "SELECT cron.schedule_in_database(%s, %s, %s, %s, %s, %s) AS jobid",
        [name, at, command, database, owner, active],
    )
    return int(made["jobid"])


def scheduled(**job: Any) -> Setting:
    """A pg_cron job that calls the rollup; see `schedule` for its parts."""

    @contextmanager
    def setting(stage: Stage) -> Iterator[None]:
        jobid = schedule(stage.superuser, **job)
        try:
            yield
        finally:
            stage.superuser.execute("SELECT cron.unschedule(%s::bigint)", [jobid])

    return setting
