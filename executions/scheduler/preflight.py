"""Whether a runner can work with this database at all, asked before it starts; changes nothing."""

from __future__ import annotations

import psycopg

from executions.problems import diagnose
from executions.scheduler.cutting import Connect
from executions.scheduler.leases import SQL

OLDEST = 15
_RIGHTS = {"may_select": "SELECT", "may_insert": "INSERT", "may_update": "UPDATE"}


class CannotRun(Exception):
    """A runner cannot work here. The text is for the operator: what, and the way out."""


def check_version(server_version: int) -> None:
    """Take libpq's number of a server version, such as 150018.

    Raises:
        CannotRun: it is older than PostgreSQL 15.
    """
    major = server_version // 10_000
    if major < OLDEST:
        raise CannotRun(
            f"The database is PostgreSQL {major}, which is too old:"
            f" upgrade it to PostgreSQL {OLDEST} or newer."
        )


def check_database(connect: Connect) -> None:
    """Look at the server's version, the table and the rights on it.

    Raises:
        CannotRun: the database is away, too old, has no ``sys_cron_executions``, or the role
            may not write it.
    """
    try:
        connection = connect("multica-admin runner")
        try:
            check_version(connection.info.server_version)
            found = connection.execute(SQL.rights).fetchone() or {}
        finally:
            connection.close()
    except psycopg.Error as error:
        raise CannotRun(diagnose(error).sentence()) from error
    if not found["installed"]:
        raise CannotRun(
            "The database has no table sys_cron_executions: its Multica is older than v0.3.17, or"
            " it is not Multica's database. Upgrade Multica, or point RUNNER_DATABASE_URL at it;"
            " a database of its own gets the table from “manage.py provision”."
        )
    missing = [right for name, right in _RIGHTS.items() if not found[name]]
    if missing:
        raise CannotRun(
            f"The runner's role lacks {', '.join(missing)} on sys_cron_executions: let an"
            " administrator run the statements that"
            " “manage.py permissions --role NAME --as runner” prints."
        )
