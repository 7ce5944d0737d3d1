"""Advisory lock 4246: who holds it or waits for it, and who writes buckets. It takes no lock."""

from datetime import timedelta

from executions.database.reading import Fetch
from executions.database.sql import load
from executions.health.facts.sessions import DatabaseSession, Lock, SessionWork

SQL = load("rollup")

_NOW = timedelta()
# The application name of our own backfill's sessions begins like this, which identifies them.
# `backfill.walk` adds how far it is.
BACKFILL_NAME = "multica-admin backfill"


def read_lock(fetch: Fetch, lately: timedelta = _NOW) -> Lock:
    """The lock in this database, without the asking session (docs/contract.md section 6).

    A session that ran the window function within the last ``lately`` counts as a writer.

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
            row,
        )
        for row in fetch(SQL.lock_4246, {"backfill": BACKFILL_NAME, "lately": lately})
    ]
    return Lock(
        holders=tuple(session for session, row in sessions if row["holds"]),
        writers=tuple(session for session, row in sessions if row["writes"]),
        waiters=tuple(session for session, row in sessions if row["waits"]),
    )
