"""Removes what a test wrote, as thoroughly as a flush but at the cost of what it wrote.

Most tests write to few tables, and truncating a table takes time. Django's own flush also creates
every permission and role again, which takes longer than most tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from django.db import connections, transaction
from django.test import TransactionTestCase
from psycopg import sql

from executions.alarms import monitored
from executions.database import second_tries
from executions.database.server_silence import of_servers
from executions.health import snapshots
from executions.pages.live import forget_shared
from executions.pages.overview import week
from executions.pages.rollup import drift
from executions.rollup.provision import TABLES

STATE = "task_usage_hourly_rollup_state"
MULTICA_TABLES = tuple(table for table in TABLES if table != STATE)

# Tables that a migration fills and tests only read; `_roles` tells when a test did not.
KEPT = {
    "auth_group",
    "auth_group_permissions",
    "auth_permission",
    "django_content_type",
    "django_migrations",
}
# This table refuses DELETE to everybody.
AUDIT = "executions_auditevent"
ROLES = """
SELECT md5(string_agg(line, ';' ORDER BY line))
  FROM (SELECT concat_ws(' ', 'permission', id, content_type_id, codename) FROM auth_permission
         UNION ALL
        SELECT concat_ws(' ', 'type', id, app_label, model) FROM django_content_type
         UNION ALL
        SELECT concat_ws(' ', 'role', auth_group.id, name, permission_id)
          FROM auth_group
          LEFT JOIN auth_group_permissions ON group_id = auth_group.id) AS lines (line)
"""


def forget_all() -> None:
    """Forget what a web process caches, because the tests share one process."""
    snapshots.forget()
    forget_shared()
    drift.forget()
    second_tries.forget()
    for silence in of_servers.values():
        silence.forget()
    week.forget()
    monitored.forget()


def empty_multica(connection: psycopg.Connection[Any]) -> None:
    """Empty every table of Multica's and reset the state row to its first values."""
    filled = _filled(MULTICA_TABLES)
    names = [row["name"] if isinstance(row, dict) else row[0] for row in connection.execute(filled)]
    if names:
        tables = sql.SQL(", ").join(map(sql.Identifier, names))
        connection.execute(sql.SQL("TRUNCATE {} CASCADE").format(tables))
    state = sql.Identifier(STATE)
    connection.execute(
        sql.SQL("DELETE FROM {state}; INSERT INTO {state} (id) VALUES (1)").format(state=state)
    )


def _filled(tables: Sequence[str]) -> sql.Composed:
    looks = [
        sql.SQL("SELECT {} AS name WHERE EXISTS (SELECT FROM {})").format(
            sql.Literal(table), sql.Identifier(table)
        )
        for table in tables
    ]
    return sql.SQL(" UNION ALL ").join(looks)


class Ours:
    """Our own tables, once they exist. `empty` replaces Django's flush after a test.

    ``of_this_run`` are those that exist now, if any do.
    """

    of_this_run: Ours | None = None

    def __init__(self) -> None:
        with connections["default"].cursor() as cursor:
            names = connections["default"].introspection.table_names(cursor)
        self._emptied = sorted(set(names) - KEPT - {AUDIT})
        self._roles = self._read_roles()
        self._flush = TransactionTestCase._fixture_teardown

    def take_over(self) -> None:
        def teardown(case: TransactionTestCase) -> None:
            self.empty(case)

        TransactionTestCase._fixture_teardown = teardown
        # Django would open the connection to our own tables anew for each test.
        TransactionTestCase._should_reload_connections = lambda _case: False
        Ours.of_this_run = self

    def empty(self, case: TransactionTestCase) -> None:
        connections["multica"].close()  # a test may change how that is opened
        if self._read_roles() != self._roles:
            self._flush(case)
            self._roles = self._read_roles()
        else:
            self.delete_rows()

    def delete_rows(self) -> None:
        deletes = "; ".join(f'DELETE FROM "{table}"' for table in self._emptied)
        with transaction.atomic("default"), connections["default"].cursor() as cursor:
            cursor.execute(deletes)  # foreign keys are checked when everything is gone
            cursor.execute(f"SELECT EXISTS (SELECT FROM {AUDIT})")
            if cursor.fetchone() == (True,):
                cursor.execute(f"TRUNCATE {AUDIT}")

    def _read_roles(self) -> object:
        with connections["default"].cursor() as cursor:
            cursor.execute(ROLES)
            return cursor.fetchone()
