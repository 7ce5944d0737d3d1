"""Creates our own schema first, by one process at a time, and proves that it is used."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.conf import settings
from django.db import connections

from executions.database.connections import CONNECT_SECONDS
from executions.database.our_locks import OurLock
from multica_admin.databases import ADMIN_SCHEMA, with_settings
from multica_admin.env import BadSetting
from multica_admin.language import later


@contextmanager
def a_turn_of_our_own() -> Iterator[None]:
    """Make concurrent processes that first create something in our own tables wait for each other.

    The lock is in the database, because that may be all that they share. It belongs to a
    transaction on a connection of its own.

    Raises:
        psycopg.Error: the database does not answer or refuses.
    """
    conninfo = {"connect_timeout": CONNECT_SECONDS, **settings.ADMIN_CONNINFO}
    with psycopg.connect(**conninfo) as turn:
        turn.execute("SELECT pg_advisory_xact_lock(%s)", [OurLock.MIGRATE])
        yield


@contextmanager
def time_limit(milliseconds: int) -> Iterator[None]:
    """Another statement limit for our own tables, on connections opened inside; 0 is none."""
    connection = connections["default"]
    before = connection.settings_dict
    wanted = {"statement_timeout": str(milliseconds)}
    options = before["OPTIONS"]
    connection.close()
    connection.settings_dict = before | {
        "SESSION": before["SESSION"] | wanted,
        "OPTIONS": options | {"options": with_settings(options["options"], wanted)},
    }
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict = before


def ensure_schema(using: str, **_signal: Any) -> None:
    """Create the schema ``multica_admin`` if it is missing.

    Raises:
        BadSetting: it cannot be created, or the connection does not write into it.
    """
    if using != "default":
        return
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT to_regnamespace(%s) IS NOT NULL", [ADMIN_SCHEMA])
        # IF NOT EXISTS would need CREATE on the database even if the schema exists.
        if not cursor.fetchone()[0]:
            cursor.execute(
                "SELECT has_database_privilege(current_database(), 'CREATE'), current_user"
            )
            may_create, role = cursor.fetchone()
            if not may_create:
                raise BadSetting(
                    "ADMIN_DATABASE_URL",
                    later(
                        "connects as %(role)s, who may not create the schema %(schema)s: let an"
                        " administrator run CREATE SCHEMA %(schema)s AUTHORIZATION %(role)s.",
                        role=role,
                        schema=ADMIN_SCHEMA,
                    ),
                )
            cursor.execute(f"CREATE SCHEMA {ADMIN_SCHEMA}")
        cursor.execute("SELECT current_schema()")
        current = cursor.fetchone()[0]
    if current != ADMIN_SCHEMA:
        raise BadSetting(
            "ADMIN_DATABASE_URL",
            later(
                "leads into the schema %(found)s instead of %(schema)s: the role needs USAGE on"
                " %(schema)s.",
                found=current or "none",
                schema=ADMIN_SCHEMA,
            ),
        )
