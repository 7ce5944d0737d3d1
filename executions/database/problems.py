"""Turns what a database can do to us into a sentence: what happened, what it means, what to do.

One place for it, used by the error pages, the log and the commands. The sentences are those of
`troubles.py`; here an error is told to be of one of its kinds. It shows nothing itself.
"""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg
from django.apps import apps
from django.conf import settings
from django.db import Error as DjangoDatabaseError
from django.utils.translation import gettext as _
from psycopg import errors
from psycopg_pool import PoolTimeout

from executions.database import second_tries
from executions.database.direct import REFUSED_OPTIONS, NotDirect, OnStandby
from executions.database.router import is_multicas
from executions.database.sqlstates import kind_of
from executions.database.troubles import TROUBLES, UNKNOWN
from executions.text import beyond
from multica_admin import embedded

BUG = "bug"
ADMIN_URL = "ADMIN_DATABASE_URL"

# psycopg puts this before what libpq says, and libpq the place and the severity before what the
# server says. Both are never translated, but for the severity.
_NO_CONNECTION = re.compile(r"^(connection failed|connection is bad): ")
_AT_CONNECT = re.compile(f"{_NO_CONNECTION.pattern}|^failed to resolve host")
_REFUSAL = re.compile(r"^connection to server .* failed: [^:\n]+:  ")
# The same where libpq has no password to send, and says so itself.
_NO_PASSWORD = re.compile(r"^connection to server .* failed: fe_sendauth: ")
# What libpq, which always speaks English here, says of a failure that no server's code tells.
_OF_LIBPQ: Mapping[str, str] = {
    "failed to resolve host": "no_host",
    "could not translate host name": "no_host",
    "invalid response": "not_postgresql",
    "expected authentication request": "not_postgresql",
    "hot standby mode": "server_kind",
    "session is": "server_kind",
    "SSL": "tls",
    "certificate": "tls",
    "private key": "tls",
}
# What the driver raises by itself, once connected.
_OF_DRIVER: Sequence[tuple[type[psycopg.Error], str]] = (
    (PoolTimeout, "pool_busy"),
    (psycopg.DataError, "value"),
    (psycopg.OperationalError, "lost"),
    (psycopg.InterfaceError, "lost"),
)


# What the same is if the server is the one that `bin/run` brings.
_OF_EMBEDDED: Mapping[str, str] = {
    "no_server": "embedded_stopped",
    "not_ready": "embedded_stopped",
    "refused": "embedded_stopped",
    "lost": "embedded_lost",
}


def _reference() -> str:
    return secrets.token_hex(4)


@dataclass(frozen=True)
class Problem:
    """What a person is told. ``code`` is stable and machine-readable, ``status`` an HTTP status."""

    code: str
    title: str
    what: str
    meaning: str
    todo: str
    status: int = 503
    reference: str = field(default_factory=_reference)

    @property
    def of_database(self) -> bool:
        """Whether it says what a database did, which is nothing for strangers."""
        return self.code in TROUBLES

    def sentence(self) -> str:
        return f"{self.what} {self.todo}"

    def for_strangers(self) -> Problem:
        """The same without anything of the inside, for people who have not signed in.

        What is said of the embedded PostgreSQL is nothing of the inside: no place is named.
        """
        if self.code in _OF_EMBEDDED.values():
            return self
        return replace(
            self,
            code="unavailable",
            title=_("Multica Admin cannot answer now"),
            what=_("Something that Multica Admin needs is not available."),
            meaning=_("Nobody can sign in until it is. Nothing was changed."),
            todo=_("Try again in a moment. Whoever runs it finds the details in its log."),
        )


class Told(errors.DatabaseError):
    """A trouble that PostgreSQL has no error of its own for. ``kind`` is one of `TROUBLES`."""

    kind = UNKNOWN


class RowsHidden(Told):
    """Row security hides rows of some tables, which PostgreSQL does without an error."""

    kind = "row_security"

    def __init__(self, tables: Sequence[str], role: str) -> None:
        super().__init__(f"row security hides rows of {', '.join(tables)} from the role {role}")


class Silent(Told):
    """A server lets a connection in and then does not answer within ``seconds``."""

    kind = "no_server"

    def __init__(self, seconds: int) -> None:
        super().__init__(f"the server took the connection and said nothing for {seconds} seconds")


class NoTables(Told):
    """A database that has none of Multica's tables, whoever may see them; its name."""

    kind = "no_tables"


class OutOfReach(Told):
    """Multica's tables are in a schema in which these roles do not find them by their names.

    Schema and roles are written as in a statement. ``usable`` where only the search_path lacks it.
    """

    def __init__(self, schema: str, roles: Sequence[str], *, usable: bool) -> None:
        super().__init__(f"Multica's tables are in the schema {schema}")
        self.schema, self.roles = schema, roles
        self.kind = "search_path" if usable else "no_usage"

    @classmethod
    def among(cls, presences: Sequence[Mapping[str, Any]]) -> OutOfReach | None:
        """From rows of `checks.sql`'s query `presence`; None where every role finds them."""
        found = [(one["schema"], one["usable"], one["role"]) for one in presences if one["schema"]]
        if not found:
            return None
        schema, usable = min(found, key=lambda one: one[1])[:2]  # a right that lacks comes first
        roles = dict.fromkeys(role for *where, role in found if where == [schema, usable])
        return cls(schema, tuple(roles), usable=usable)


class PgCronObjects(Told):
    """pg_cron's own objects are too old, or somebody changed them; what is wrong with them."""

    kind = "pg_cron_objects"


def database_error(exception: BaseException | None) -> psycopg.Error | None:
    """The driver's error behind an exception, or None when it is none of the database's."""
    while exception is not None:
        if isinstance(exception, psycopg.Error):
            return exception
        exception = exception.__cause__ or exception.__context__
    return None


def is_database_error(exception: BaseException | None) -> bool:
    return isinstance(exception, (DjangoDatabaseError, psycopg.Error))


def first_line(error: BaseException) -> str:
    """The server's own first line, without the statement that follows it."""
    line = str(error).strip().split("\n", 1)[0]
    return _NO_CONNECTION.sub("", line) or type(error).__name__


def diagnose(exception: BaseException, url: str = "") -> Problem:
    """The problem behind a database error; ``url`` names the variable of its database.

    It may ask the server once more for what the error does not tell.
    """
    error = database_error(exception) or exception
    if isinstance(error, PoolTimeout):
        error = second_tries.pool_reason() or error
    kind, sqlstate = _kind(error)
    if kind in _OF_EMBEDDED and url not in settings.NAMED_DATABASES and _is_embedded(error):
        kind = _OF_EMBEDDED[kind]
    said = _NO_PASSWORD.sub("", _REFUSAL.sub("", first_line(error).rstrip(".")))
    url = url or _variable(error, said)
    if isinstance(error, OutOfReach):
        unreached: OutOfReach | None = error
    elif kind == "schema" and url != ADMIN_URL:
        presences = second_tries.presences()
        without = next((one["database"] for one in presences[:1] if not one["has_any"]), None)
        kind, said = ("no_tables", without) if without else (kind, said)
        unreached = OutOfReach.among(presences)
    else:
        unreached = None
    values: dict[str, object] = {"said": said, "url": url, "sqlstate": sqlstate or _("none")}
    if unreached:
        kind = unreached.kind
        values |= {"schema": unreached.schema, "roles": ", ".join(unreached.roles)}
    trouble = TROUBLES[kind]
    if kind == "locked":
        values |= _about_locks()
    elif kind == "value":
        values["rows"] = beyond.selects()
    todo = trouble.of_our_own if url == ADMIN_URL and trouble.of_our_own else trouble.todo
    return Problem(
        code=kind,
        title=str(trouble.title),
        what=str(trouble.what) % values,
        meaning=str(trouble.meaning) % values,
        todo=str(todo) % values,
        status=trouble.status,
    )


def own_tables_sentence(exception: BaseException) -> str:
    """The same for a command that failed in our own tables, where nothing of Multica's is."""
    return diagnose(exception, ADMIN_URL).sentence()


def _kind(error: BaseException) -> tuple[str, str | None]:
    """Which of `TROUBLES` it is, and the SQLSTATE where there is one."""
    if isinstance(error, (Told, NotDirect, OnStandby)):
        return error.kind, None
    if not isinstance(error, psycopg.Error):
        return UNKNOWN, None
    said = str(error)
    if REFUSED_OPTIONS in said:
        return "pooler", None
    at_connect = isinstance(error, errors.ConnectionTimeout) or bool(_AT_CONNECT.match(said))
    sqlstate = error.sqlstate or (second_tries.sqlstate_at_connect(error) if at_connect else None)
    if sqlstate:
        return kind_of(sqlstate, at_connect=at_connect), sqlstate
    if at_connect:
        return _refused_by_libpq(error, said), None
    return next((kind for one, kind in _OF_DRIVER if isinstance(error, one)), UNKNOWN), None


def _refused_by_libpq(error: psycopg.Error, said: str) -> str:
    if error.pgconn is not None and error.pgconn.needs_password:
        return "not_let_in"
    last = _NO_CONNECTION.sub("", said)
    kind = next((kind for words, kind in _OF_LIBPQ.items() if words in last), None)
    if kind:
        return kind
    return "refused" if _REFUSAL.match(last) else "no_server"


def _is_embedded(error: BaseException) -> bool:
    """Whether the server that is asked is the one that `bin/run` brings.

    A connection that broke names no place. If every database is embedded, nothing else can have
    broken; otherwise it is the embedded server that broke if that server does not run.
    """
    place = getattr(error, "pgconn", None)
    if place is None:
        return settings.EMBEDDED and (
            not settings.NAMED_DATABASES or not embedded.is_running(settings.VAR_DIR)
        )
    named = list(settings.NAMED_DATABASES.values())
    ours = [one for one in (settings.MULTICA_CONNINFO, settings.ADMIN_CONNINFO) if one not in named]
    return place.host.decode() in {one["host"] for one in ours}


def _variable(error: BaseException, said: str) -> str:
    """The variable that names the database of an error; DATABASE_URL where nothing tells."""
    if isinstance(error, (NotDirect, OnStandby)):
        return error.named
    place = getattr(error, "pgconn", None)
    if place is not None:
        for name, conninfo in settings.NAMED_DATABASES.items():
            wanted = {"host": place.host, "dbname": place.db, "user": place.user}
            if all(
                not conninfo.get(key) or value.decode() in conninfo[key].split(",")
                for key, value in wanted.items()
            ):
                return name
    if any(f'"{table}"' in said or f" {table}" in said for table in _tables_of_our_own()):
        return ADMIN_URL
    return "DATABASE_URL"


def _tables_of_our_own() -> set[str]:
    return {model._meta.db_table for model in apps.get_models() if not is_multicas(model)}


def _about_locks() -> dict[str, str]:
    found = second_tries.lock_holders()
    return {
        "table": ", ".join(found.tables) or _("a table that this needs"),
        "holder": ", ".join(map(str, found.pids)) or _("that holds it"),
    }


class OneLinePerProblem(logging.Filter):
    """Makes Django's line about a refused or failed request the one that its page refers to.

    Django writes exactly one for each answer from 400 up, after the page is made. A mistake of ours
    and an error of the database that nobody knows keep their traceback; the client's mistakes and
    the database's known troubles are a sentence.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        request = getattr(record, "request", None)
        exception = record.exc_info[1] if record.exc_info else None
        problem = getattr(request, "problem", None)
        if problem is None and is_database_error(exception):
            assert exception is not None  # noqa: S101  told by is_database_error
            problem = diagnose(exception)
        if problem is not None:
            self._tell(record, problem, exception)
            record.path = getattr(request, "path", "")
        return True

    def _tell(
        self, record: logging.LogRecord, problem: Problem, exception: BaseException | None
    ) -> None:
        if problem.code == BUG:
            record.msg, record.args = "unexpected error: %r", (exception,)
        else:
            # What a client sent may be in it, and must not look like a line of its own.
            record.msg, record.args = "%s", (" ".join(problem.sentence().split()),)
            if problem.code != UNKNOWN:
                record.exc_info = record.exc_text = None
        record.reference, record.code = problem.reference, problem.code
