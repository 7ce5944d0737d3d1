"""Advisory lock 4246: who holds it, and who works on the buckets now. It is never taken here."""

from __future__ import annotations

from executions.health.facts import Backend, Lock
from executions.reading import Fetch
from executions.sql import load

SQL = load("health")


def read_lock(fetch: Fetch) -> Lock:
    """The lock of this database, without the session that asks (docs/contract.md section 6).

    Raises:
        django.db.Error, psycopg.Error: as ``fetch`` does.
    """
    sessions = [
        (
            Backend(
                pid=row["pid"],
                application_name=row["application_name"],
                user=row["user"],
                state=row["state"],
                since=row["since"],
                idle=row["idle"],
            ),
            row["holds"],
            row["writes"],
        )
        for row in fetch(SQL.lock_4246, {})
    ]
    return Lock(
        holders=tuple(session for session, holds, _ in sessions if holds),
        writers=tuple(session for session, _, writes in sessions if writes),
    )
