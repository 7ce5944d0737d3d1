"""Who else calls the rollup, as far as PostgreSQL itself shows it: sessions and statements.

It changes nothing. Cron, timers and CronJobs are not to be seen in a database; what they do is.
That somebody else moves the watermark is the finding `other_writer`; here is who it may be. Where
rights or an extension are missing, that is said, because nothing seen is not nobody there.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from executions.pgcron.match import judge
from executions.problems import is_database_error
from executions.reading import Fetch
from executions.sql import load

SQL = load("retirement")

MOST = 20


@dataclass(frozen=True)
class Session:
    """A session that calls the rollup now, or did so last."""

    pid: int
    user: str | None
    application_name: str | None
    address: str | None
    state: str | None
    since: datetime | None


@dataclass(frozen=True)
class Statement:
    """A statement of `pg_stat_statements` that calls the rollup, since its last reset."""

    user: str | None
    query: str
    calls: int


@dataclass(frozen=True)
class Callers:
    """``statements`` is None where they cannot be read.

    ``all_sessions`` is whether other roles' queries are shown to this one.
    """

    sessions: tuple[Session, ...]
    all_sessions: bool
    statements: tuple[Statement, ...] | None


def read_callers(fetch: Fetch) -> Callers:
    """Sessions and statements of Multica's database that lead to the rollup by themselves.

    Raises:
        django.db.Error, psycopg.Error: as ``fetch`` does.
    """
    (may,) = fetch(SQL.may_see_callers, {})
    rows = fetch(SQL.sessions, {"most": MOST})
    sessions = [row for row in rows if _leads_there(row.pop("query"))]
    return Callers(
        tuple(Session(**row) for row in sessions),
        may["sees_sessions"],
        _statements(fetch) if may["sees_sessions"] and may["has_statements"] else None,
    )


def _statements(fetch: Fetch) -> tuple[Statement, ...] | None:
    """None where the extension is there and the server does not load it."""
    try:
        rows = fetch(SQL.statements, {"most": MOST})
    except Exception as error:
        if not is_database_error(error):
            raise
        return None
    return tuple(Statement(**row) for row in rows if _leads_there(row["query"]))


def _leads_there(query: str) -> bool:
    judgement = judge(query)
    return judgement is not None and judgement.leads_there
