"""The rights of the dashboard's role in the tests: what `manage.py permissions` prints, no more."""

from __future__ import annotations

from executions.database.connections import Connection
from executions.database.permissions import reading_rights
from multica_admin.embedded import VIEWER


def let_read(connection: Connection, role: str = VIEWER) -> None:
    """Grant the role those rights and revoke every wider one, as the owner of the tables."""
    connection.execute(f"REVOKE SELECT ON ALL TABLES IN SCHEMA public FROM {role}")
    for statement in reading_rights(role):
        connection.execute(statement.encode())
