"""Our own schema, made before anything else by one at a time, and proof that it is in use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.conf import settings
from django.db import connections

from executions.database.connections import CONNECT_SECONDS
from multica_admin.databases import ADMIN_SCHEMA, with_settings
from multica_admin.env import BadSetting

_TURN = 4246_0004


@contextmanager
def a_turn_of_our_own() -> Iterator[None]:
    """Let all who make something in our own tables for the first time wait for each other.

    The lock is in the database, because that may be all that they share. It is a transaction's,
    on a connection of its own.

    Raises:
        psycopg.Error: the database does not answer or refuses.
    """
    conninfo = {"connect_timeout": CONNECT_SECONDS, **settings.ADMIN_CONNINFO}
    with psycopg.connect(**conninfo) as turn:
        turn.execute("SELECT pg_advisory_xact_lock(%s)", [_TURN])
        yield


@contextmanager
def time_limit(milliseconds: int) -> Iterator[None]:
    """Another limit for statements on our own tables, on connections opened inside; 0 is none."""
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
    """Make the schema ``multica_admin`` where it is missing.

    Raises:
        BadSetting: it cannot be made, or the connection does not write into it.
    """
    if using != "default":
        return
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT to_regnamespace(%s) IS NOT NULL", [ADMIN_SCHEMA])
        # IF NOT EXISTS would ask for CREATE on the database even where the schema is there.
        if not cursor.fetchone()[0]:
            cursor.execute(
                "SELECT has_database_privilege(current_database(), 'CREATE'), current_user"
            )
            may_create, role = cursor.fetchone()
            if not may_create:
                raise BadSetting(
                    "ADMIN_DATABASE_URL",
                    f"connects as {role}, who may not create the schema {ADMIN_SCHEMA}: let an"
                    f" administrator run CREATE SCHEMA {ADMIN_SCHEMA} AUTHORIZATION {role}.",
                )
            cursor.execute(f"CREATE SCHEMA {ADMIN_SCHEMA}")
        cursor.execute("SELECT current_schema()")
        current = cursor.fetchone()[0]
    if current != ADMIN_SCHEMA:
        raise BadSetting(
            "ADMIN_DATABASE_URL",
            f"leads into the schema {current or 'none'} instead of {ADMIN_SCHEMA}:"
            f" the role needs USAGE on {ADMIN_SCHEMA}.",
        )
