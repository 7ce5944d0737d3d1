"""Our own schema, made before anything else, and proof that it is the one in use."""

from __future__ import annotations

from typing import Any

from django.db import connections

from multica_admin.databases import ADMIN_SCHEMA
from multica_admin.env import BadSetting


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
            f" the role needs USAGE on {ADMIN_SCHEMA}, and a pooler must not drop the search_path.",
        )
