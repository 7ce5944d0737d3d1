"""Turns every database failure into a sentence: what happened, what it means, what to do.

The error pages, the log and the commands all use it. `troubles.py` has the sentences; this module
finds the kind of an error. It shows nothing itself.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Any, TypeVar

import psycopg
from django.apps import apps
from django.conf import settings
from django.db import Error as DatabaseError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, override
from psycopg import errors
from psycopg_pool import PoolTimeout

from executions.database import second_tries
from executions.database.direct import REFUSED_OPTIONS, WrongServer
from executions.database.router import is_multicas
from executions.database.server_silence import StillSilent
from executions.database.sqlstates import kind_of
from executions.database.troubles import TROUBLES, UNKNOWN
from executions.text import beyond
from executions.text.problem import Problem
from executions.text.sentences import Value, listed, say
from multica_admin import embedded

T = TypeVar("T")

# What a read through Django's alias or on a plain connection raises.
DATABASE_ERRORS = (DatabaseError, psycopg.Error)

BUG = "bug"
ADMIN_URL = "ADMIN_DATABASE_URL"

# psycopg puts this before libpq's message, and libpq puts the address and the severity before the
# server's. Neither is ever translated, except the severity.
_NO_CONNECTION = re.compile(r"^(connection failed|connection is bad): ")
_AT_CONNECT = re.compile(f"{_NO_CONNECTION.pattern}|^failed to resolve host")
_REFUSAL = re.compile(r"^connection to server .* failed: [^:\n]+:  ")
# The same if libpq has no password to send.
_NO_PASSWORD = re.compile(r"^connection to server .* failed: fe_sendauth: ")
# libpq's own messages, always English here, for failures without a server's code.
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
# Exceptions that the driver raises itself once connected.
_OF_DRIVER: Sequence[tuple[type[psycopg.Error], str]] = (
    (PoolTimeout, "pool_busy"),
    (psycopg.DataError, "value"),
    (psycopg.OperationalError, "lost"),
    (psycopg.InterfaceError, "lost"),
)


# The kind instead if the server is the one that `bin/run` starts.
_OF_EMBEDDED: Mapping[str, str] = {
    "no_server": "embedded_stopped",
    "not_ready": "embedded_stopped",
    "refused": "embedded_stopped",
    "lost": "embedded_lost",
}


def for_strangers(problem: Problem) -> Problem:
    """The same without internal details, for people who have not signed in.

    Sentences about the embedded PostgreSQL stay, because they name no place.
    """
    if problem.code not in TROUBLES or problem.code in _OF_EMBEDDED.values():
        return problem
    return replace(
        problem,
        code="unavailable",
        title=_("Multica Admin cannot answer now"),
        what=_("Something that Multica Admin needs is not available."),
        meaning=_("Nobody can sign in until it is. Nothing was changed."),
        todo=_("Try again in a moment. Whoever runs it finds the details in its log."),
    )


class Told(errors.DatabaseError):
    """A trouble for which PostgreSQL has no error of its own. ``kind`` is one of `TROUBLES`."""

    kind = UNKNOWN


class RowsHidden(Told):
    """Row security hides rows of some tables. PostgreSQL reports no error for that."""

    kind = "row_security"

    def __init__(self, tables: Sequence[str], role: str) -> None:
        super().__init__(f"row security hides rows of {', '.join(tables)} from the role {role}")


class Silent(Told):
    """A server accepts the connection and then does not answer within ``seconds``."""

    kind = "no_server"

    def __init__(self, seconds: int) -> None:
        super().__init__(f"the server took the connection and said nothing for {seconds} seconds")


class NoTables(Told):
    """A database lacks Multica's tables, hidden ones included. It has the database's name."""

    kind = "no_tables"


class OutOfReach(Told):
    """Multica's tables are in a schema where these roles do not find them by name.

    Schema and roles are quoted as in a statement. ``usable`` means that only the search_path lacks
    it.
    """

    def __init__(self, schema: str, roles: Sequence[str], *, usable: bool) -> None:
        super().__init__(f"Multica's tables are in the schema {schema}")
        self.schema, self.roles = schema, roles
        self.kind = "search_path" if usable else "no_usage"

    @classmethod
    def among(cls, presences: Sequence[Mapping[str, Any]]) -> OutOfReach | None:
        """From rows of `checks.sql`'s query `presence`; None if every role finds the tables."""
        found = [(one["schema"], one["usable"], one["role"]) for one in presences if one["schema"]]
        if not found:
            return None
        schema, usable = min(found, key=lambda one: one[1])[:2]  # a missing right comes first
        roles = dict.fromkeys(role for *where, role in found if where == [schema, usable])
        return cls(schema, tuple(roles), usable=usable)


class PgCronObjects(Told):
    """pg_cron's own objects are too old or were changed. It says what is wrong with them."""

    kind = "pg_cron_objects"


def database_error(exception: BaseException | None) -> psycopg.Error | None:
    """The driver's error behind an exception, or None if no database error caused it."""
    while exception is not None:
        if isinstance(exception, psycopg.Error):
            return exception
        exception = exception.__cause__ or exception.__context__
    return None


def first_line(error: BaseException) -> str:
    """The first line of the server's message, without the statement that follows."""
    line = str(error).strip().split("\n", 1)[0]
    return _NO_CONNECTION.sub("", line) or type(error).__name__


def diagnose(exception: BaseException, url: str = "") -> Problem:
    """The problem behind a database error. ``url`` names the variable of its database.

    It may ask the server once more if the error does not tell enough.
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
    values: dict[str, Value] = {
        "said": said or "",
        "url": url,
        "sqlstate": sqlstate or gettext_lazy("none"),
    }
    if unreached:
        kind = unreached.kind
        values |= {"schema": unreached.schema, "roles": listed(unreached.roles)}
    trouble = TROUBLES[kind]
    if kind == "locked":
        values |= _about_locks()
    elif kind == "value":
        values["rows"] = beyond.selects()
    todo = trouble.of_our_own if url == ADMIN_URL and trouble.of_our_own else trouble.todo
    return Problem(
        code=kind,
        title=trouble.title,
        what=say(trouble.what, **values),
        meaning=say(trouble.meaning, **values),
        todo=say(todo, **values),
        status=trouble.status,
    )


def or_problem(read: Callable[[], T]) -> T | Problem:
    """What ``read`` reads, or the problem if the database does not answer or refuses."""
    try:
        return read()
    except DATABASE_ERRORS as error:
        return diagnose(error)


def own_tables_sentence(exception: BaseException) -> str:
    """The sentence for a command that failed in our own tables, which hold nothing of Multica's."""
    return diagnose(exception, ADMIN_URL).sentence()


def _kind(error: BaseException) -> tuple[str, str | None]:
    """The kind of the error, one of `TROUBLES`, and its SQLSTATE if it has one."""
    if isinstance(error, (Told, WrongServer, StillSilent)):
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
    """Whether the error comes from the server that `bin/run` starts.

    A broken connection names no address. If every database is embedded, it must be the embedded
    server. Otherwise it is that server if that server does not run.
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
    """The variable that names the database of an error; DATABASE_URL if nothing tells."""
    if isinstance(error, (WrongServer, StillSilent)):
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


def _about_locks() -> dict[str, Value]:
    found = second_tries.lock_holders()
    return {
        "table": listed(found.tables) if found.tables else gettext_lazy("a table that this needs"),
        "holder": listed(found.pids) if found.pids else gettext_lazy("that holds it"),
    }


class OneLinePerProblem(logging.Filter):
    """Turns Django's line about a refused or failed request into the one that its page refers to.

    Django logs exactly one line for each answer from 400 up, after the page is made. Our own
    mistakes and unknown database errors keep their traceback. The client's mistakes and known
    database troubles become a sentence. A refused guess loses Django's line, because
    `accounts/guessing.py` has written one that says more.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if getattr(record, "status_code", None) == HTTPStatus.TOO_MANY_REQUESTS:
            return False
        request = getattr(record, "request", None)
        exception = record.exc_info[1] if record.exc_info else None
        problem = getattr(request, "problem", None)
        if problem is None and isinstance(exception, DATABASE_ERRORS):
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
            # It may contain text from a client, which must not look like a line of its own.
            with override(None):  # the log is in English, whatever the page is in
                record.msg, record.args = "%s", (" ".join(problem.sentence().split()),)
            if problem.code != UNKNOWN:
                record.exc_info = record.exc_text = None
        record.reference, record.code = problem.reference, problem.code
