"""Checks, before a runner starts, that it can work with this database. It changes nothing."""

from collections.abc import Iterable

import psycopg
from django.utils.translation import gettext_lazy
from psycopg import errors

from executions.database.connections import Connection
from executions.database.problems import OutOfReach, diagnose, first_line
from executions.database.sql import load
from executions.scheduler.cutting import Connect
from executions.scheduler.spec import JobSpec
from executions.text.sentences import listed, say

SQL = load("preflight")
CHECKS = load("checks")

OLDEST = 15
_RIGHTS = {"may_select": "SELECT", "may_insert": "INSERT", "may_update": "UPDATE"}

_MISSING = {
    "function": gettext_lazy(
        "The database has no function %(name)s that this role could find, and the job %(job)s needs"
        " it: check that RUNNER_DATABASE_URL names Multica's database and that its migrations ran."
    ),
    "table": gettext_lazy(
        "The database has no table %(name)s that this role could find, and the job %(job)s needs"
        " it: check that RUNNER_DATABASE_URL names Multica's database and that its migrations ran."
    ),
}


class CannotRun(Exception):
    """A runner cannot work here. The text tells the operator why and what to do."""


def check_version(server_version: int) -> None:
    """Check a server version as libpq's number, such as 150018.

    Raises:
        CannotRun: the server is older than PostgreSQL 15.
    """
    major = server_version // 10_000
    if major < OLDEST:
        raise CannotRun(
            say(
                "The database is PostgreSQL %(version)s, which is too old: upgrade it to PostgreSQL"
                " %(oldest)s or newer.",
                version=major,
                oldest=OLDEST,
            )
        )


def check_database(connect: Connect, specs: Iterable[JobSpec]) -> None:
    """Run `check_connection` on a connection of its own.

    Raises:
        CannotRun: as there, or the database is away.
    """
    try:
        connection = connect("multica-admin runner")
        try:
            check_connection(connection, specs)
        finally:
            connection.close()
    except psycopg.Error as error:
        raise CannotRun(diagnose(error).brief) from error


def check_connection(connection: Connection, specs: Iterable[JobSpec]) -> None:
    """Check the server's version, the table of executions, and what each job needs.

    Raises:
        CannotRun: the server is too old, has no ``sys_cron_executions``, lacks what a job needs, or
            the role may not use it.
        psycopg.Error: the database does not answer.
    """
    check_version(connection.info.server_version)
    _check_table(connection)
    for spec in specs:
        check_needs(connection, spec)


def _check_table(connection: Connection) -> None:
    (found,) = connection.execute(SQL.rights)
    if not found["installed"]:
        presence = connection.execute(CHECKS.presence).fetchall()
        if unreached := OutOfReach.among(presence):
            raise CannotRun(diagnose(unreached, "RUNNER_DATABASE_URL").brief)
        raise CannotRun(
            say(
                "The database has no table sys_cron_executions: its Multica is older than v0.3.17,"
                " or it is not Multica's database. Upgrade Multica, or point RUNNER_DATABASE_URL at"
                " it; a database of its own gets the table from “manage.py provision”."
            )
        )
    missing = [right for name, right in _RIGHTS.items() if not found[name]]
    if missing:
        raise CannotRun(
            say(
                "The runner's role lacks %(rights)s on sys_cron_executions: let an administrator"
                " run the statements that “manage.py permissions --role NAME --as runner” prints.",
                rights=listed(missing),
            )
        )


def check_needs(connection: Connection, spec: JobSpec) -> None:
    """Attempts are shared by all replicas, so a run that cannot succeed must not use one up.

    Raises:
        CannotRun: something that the job needs is missing, or the role may not use it.
        psycopg.Error: the database does not answer.
    """
    rights = [*spec.needs.rights, *spec.needs.behind]
    lacks = connection.execute(
        SQL.lacks,
        {
            "functions": list(spec.needs.functions),
            "privileges": [privilege for privilege, _table in rights],
            "tables": [table for _privilege, table in rights],
            "behind": [right in spec.needs.behind for right in rights],
        },
    ).fetchall()
    for lack in lacks:
        if lack["missing"]:
            raise CannotRun(say(_MISSING[lack["kind"]], name=lack["name"], job=spec.name))
        if lack["kind"] == "function":
            raise CannotRun(
                say(
                    "The runner's role may not call %(name)s, which the job %(job)s needs: let an"
                    " administrator run GRANT EXECUTE ON FUNCTION %(name)s TO %(role)s.",
                    name=lack["name"],
                    job=spec.name,
                    role=lack["role"],
                )
            )
    if lacks:
        named = [f"{lack['privilege']} ON {lack['name']}" for lack in lacks]
        raise CannotRun(
            say(
                "The runner's role lacks %(rights)s, which the job %(job)s needs: let an"
                " administrator run the statements that “manage.py permissions --role %(role)s --as"
                " runner” prints.",
                rights=listed(named),
                job=spec.name,
                role=lacks[0]["role"],
            )
        )
    _rehearse(connection, spec)


def _rehearse(connection: Connection, spec: JobSpec) -> None:
    """Let PostgreSQL itself say what the installed functions need and this role lacks.

    A function that runs with its owner's rights needs none of its caller's.

    Raises:
        CannotRun: a right is missing, or something that the functions use.
    """
    needs = spec.needs
    (asked,) = connection.execute(SQL.runs_as_caller, {"functions": list(needs.functions)})
    if not needs.rehearsal or not asked["found"]:
        return
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(SQL.bound_rehearsal)
            connection.execute(needs.rehearsal)
    except (errors.LockNotAvailable, errors.QueryCanceled):
        return  # it reached its time limit; a run has longer limits and reports what it meets
    except errors.InsufficientPrivilege as error:
        (role,) = connection.execute(SQL.role)
        raise CannotRun(
            say(
                "The runner's role lacks a right that the job %(job)s needs: PostgreSQL says"
                " “%(said)s”. Let an administrator run the statements that “manage.py permissions"
                " --role %(role)s --as runner” prints.",
                job=spec.name,
                said=first_line(error),
                role=role["role"],
            )
        ) from error
    except psycopg.ProgrammingError as error:
        raise CannotRun(
            say(
                "The job %(job)s cannot run: PostgreSQL says “%(said)s”. Check that"
                " RUNNER_DATABASE_URL names Multica's database and that its migrations ran.",
                job=spec.name,
                said=first_line(error),
            )
        ) from error
