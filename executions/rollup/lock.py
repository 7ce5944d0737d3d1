"""Advisory lock 4246: who holds it, and who works on the buckets now. It is never taken here."""

from __future__ import annotations

from datetime import timedelta

from executions.database.reading import Fetch
from executions.database.sql import load
from executions.health.facts.sessions import DatabaseSession, Lock, SessionWork

SQL = load("health")

_NOW = timedelta()
# The name of the sessions of our own backfill, by which they are told.
BACKFILL_NAME = "multica-admin backfill"


def read_lock(fetch: Fetch, lately: timedelta = _NOW) -> Lock:
    """The lock of this database, without the session that asks (docs/contract.md section 6).

    A session that ran the window function no longer than ``lately`` ago counts as a writer.

    Raises:
        django.db.Error, psycopg.Error: as ``fetch`` does.
    """
    sessions = [
        (
            DatabaseSession(
                pid=row["pid"],
                application_name=row["application_name"],
                user=row["user"],
                state=row["state"],
                since=row["since"],
                idle=row["idle"],
                work=SessionWork(row["work"]),
            ),
            row["holds"],
            row["writes"],
        )
        for row in fetch(SQL.lock_4246, {"backfill": BACKFILL_NAME, "lately": lately})
    ]
    return Lock(
        holders=tuple(session for session, holds, _ in sessions if holds),
        writers=tuple(session for session, _, writes in sessions if writes),
    )
