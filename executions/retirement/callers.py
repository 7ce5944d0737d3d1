"""Who else calls the rollup, as far as PostgreSQL shows it: sessions and statements.

It changes nothing. A database does not show cron, timers or CronJobs; it shows what they do. The
finding `other_writer` says that something else moves the watermark; this module says who it may be.
If a right or an extension is missing, the answer says so, because "nothing seen" is not "nobody
there". This installation's own sessions are recognized by their statements, because a name can be
anybody's.
"""

import re
from dataclasses import dataclass
from datetime import datetime

from executions.database.problems import DATABASE_ERRORS
from executions.database.reading import Fetch
from executions.database.sql import load
from executions.pgcron.match import judge_command

SQL = load("retirement")

# How many callers are shown, and how many sessions that name the rollup are judged: our own readers
# name it too.
MOST = 20
MOST_JUDGED = 200


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
class CallingStatement:
    """A statement of `pg_stat_statements` that calls the rollup, since its last reset."""

    user: str | None
    query: str
    calls: int


@dataclass(frozen=True)
class Callers:
    """``statements`` is None if they cannot be read.

    ``all_sessions`` says whether this role sees other roles' queries.
    """

    sessions: tuple[Session, ...]
    all_sessions: bool
    statements: tuple[CallingStatement, ...] | None


def read_callers(fetch: Fetch) -> Callers:
    """Sessions and statements of Multica's database that certainly call the rollup.

    Raises:
        django.db.Error, psycopg.Error: as ``fetch`` does.
    """
    (may,) = fetch(SQL.may_see_callers, {})
    rows = fetch(SQL.sessions, {"most": MOST_JUDGED})
    sessions = [row for row in rows if _calls(row.pop("query"))]
    return Callers(
        tuple(Session(**row) for row in sessions[:MOST]),
        may["sees_sessions"],
        _statements(fetch) if may["sees_sessions"] and may["has_statements"] else None,
    )


def _statements(fetch: Fetch) -> tuple[CallingStatement, ...] | None:
    """`None` if the extension is installed but `shared_preload_libraries` does not load it."""
    try:
        rows = fetch(SQL.statements, {"most": MOST_JUDGED})
    except DATABASE_ERRORS:
        return None
    calling = [row for row in rows if _calls(row["query"])]
    return tuple(CallingStatement(**row) for row in calling[:MOST])


def _calls(query: str) -> bool:
    """Whether a statement calls the rollup and is not ours.

    A statement that the server truncated cannot be judged, so it does not count.
    """
    judgement = judge_command(query)
    return judgement is not None and judgement.calls and _plain(query) not in _OURS


def _plain(query: str) -> str:
    """A statement without what sending it changes: spaces, and the names of its parameters."""
    return " ".join(_PARAMETER.sub("$", query).split())


_PARAMETER = re.compile(r"%\(\w+\)s|\$\d+")
# The statements of our own runner and backfill. The page shows runners separately, with their
# plans.
_OURS = frozenset({_plain(load("watermark").roll_up), _plain(load("backfill").roll_up_slice)})
