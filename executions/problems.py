"""Turns what a database can do to us into a sentence: what happened, what it means, what to do.

One place for it, used by the error pages, the log and the commands. It shows nothing itself.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import TYPE_CHECKING

import psycopg
from django.db import Error as DjangoDatabaseError
from django.db import connections
from django.utils.translation import gettext_lazy as _
from psycopg import errors
from psycopg_pool import PoolTimeout

from executions.router import MULTICA_ALIAS

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as StrPromise

BUG = "bug"
_ANSWERED = _("The database answered: %(said)s.")


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

    def sentence(self) -> str:
        return f"{self.what} {self.todo}"


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
    return str(error).strip().split("\n", 1)[0] or type(error).__name__


class RowsHidden(errors.InsufficientPrivilege):
    """Row security hides rows of some tables, which PostgreSQL does without an error of its own."""

    def __init__(self, tables: Sequence[str], role: str) -> None:
        super().__init__(f"row security hides rows of {', '.join(tables)} from the role {role}")


@dataclass(frozen=True)
class _Trouble:
    """A kind of database error, told by its class or by a phrase in what the server said."""

    code: str
    title: StrPromise
    meaning: StrPromise
    todo: StrPromise
    errors: tuple[type[psycopg.Error], ...] = ()
    phrase: str = ""
    what: StrPromise = _ANSWERED
    status: int = 503

    def explains(self, error: BaseException, said: str) -> bool:
        return isinstance(error, self.errors) or bool(self.phrase and self.phrase in said)


_NO_ANSWER = _Trouble(
    code="unreachable",
    title=_("The database cannot be reached"),
    meaning=_("Multica Admin runs, but it cannot look. This says nothing about the rollup."),
    todo=_("Check that PostgreSQL runs and that the database URL is right."),
)
_TROUBLES = (
    _Trouble(
        code="schema",
        errors=(errors.UndefinedTable, errors.UndefinedColumn, errors.UndefinedFunction),
        title=_("A table of Multica's is missing"),
        meaning=_("This is not Multica's database, or its Multica is old or half upgraded."),
        todo=_("Check that DATABASE_URL names Multica's database and that its migrations ran."),
    ),
    _Trouble(
        code="row_security",
        errors=(RowsHidden,),
        title=_("The role is not shown every row"),
        what=_("It cannot be told what is there: %(said)s."),
        meaning=_("What it is not shown may be there all the same, so nothing is concluded."),
        todo=_(
            "Let an administrator give the role BYPASSRLS, or a policy to see every row, as"
            " “manage.py permissions --role NAME --as viewer” says."
        ),
    ),
    _Trouble(
        code="rights",
        errors=(errors.InsufficientPrivilege,),
        title=_("The role may not read what this page shows"),
        meaning=_("Nothing is wrong with Multica itself; the dashboard's role lacks a right."),
        todo=_(
            "Let an administrator run the statements that"
            " “manage.py permissions --role NAME --as viewer” prints."
        ),
    ),
    _Trouble(
        code="timeout",
        errors=(errors.QueryCanceled,),
        title=_("The database took too long"),
        what=_("A read was stopped at its time limit."),
        meaning=_("The database is busy; nothing was changed."),
        todo=_("Try again in a moment; if it stays so, look at what else runs there."),
    ),
    _Trouble(
        code="resources",
        errors=(errors.DiskFull, errors.OutOfMemory, errors.TooManyConnections),
        title=_("The database has run out of something"),
        meaning=_("Nothing was half done: what was under way was rolled back."),
        todo=_("Make room on its disk, or give it more memory or connections; then try again."),
    ),
    _Trouble(
        code="read_only",
        errors=(errors.ReadOnlySqlTransaction,),
        title=_("This connection may only read"),
        what=_("PostgreSQL refused a write on the dashboard's read-only connection."),
        meaning=_("Nothing was changed."),
        todo=_("Please report this with the reference: the dashboard should never have tried."),
        status=500,
    ),
    _Trouble(
        code="pooler",
        phrase="unsupported startup parameter",
        title=_("A connection pooler is in the way"),
        meaning=_("PgBouncer drops the settings that hold this connection read-only."),
        todo=_("Connect to PostgreSQL directly, past the pooler."),
    ),
    _Trouble(
        code="value",
        errors=(psycopg.DataError,),
        title=_("The database holds what cannot be read"),
        what=_("A value in the database cannot be read: %(said)s."),
        meaning=_(
            "The database itself answers. It holds a value that Multica's scheduler does not"
            " write, such as a time beyond the year 9999."
        ),
        todo=_("Find the row with that value and put it right, or remove it."),
    ),
    replace(
        _NO_ANSWER,
        errors=(PoolTimeout,),
        what=_("No connection to the database could be opened in time."),
    ),
)

# What to do about a code where the database is that of our own tables.
_OF_OUR_OWN = {
    "schema": _(
        "Check that ADMIN_DATABASE_URL names the database of our own tables; “manage.py migrate”"
        " makes those that are missing."
    ),
    "rights": _("Name in ADMIN_DATABASE_URL the role that owns our own tables."),
}


class _PlainTry:
    """Why the dashboard's pool gives no connection: it keeps to itself what its tries met.

    One plain connection meets the same. A page meets the pool in many parts, and pages come often,
    so its answer is kept for a few seconds.
    """

    KEPT_SECONDS = 5.0
    # Added to what the pool waited before it gave up.
    CONNECT_SECONDS = 2

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until = 0.0
        self._met: psycopg.Error | None = None

    def reason(self) -> psycopg.Error | None:
        """What it met; None where it gets through, so the pool is only busy."""
        with self._lock:
            if monotonic() >= self._until:
                self._met = self._try()
                self._until = monotonic() + self.KEPT_SECONDS
            return self._met

    def forget(self) -> None:
        with self._lock:
            self._until = 0.0

    def _try(self) -> psycopg.Error | None:
        parameters = connections[MULTICA_ALIAS].get_connection_params()
        try:
            psycopg.connect(**parameters | {"connect_timeout": self.CONNECT_SECONDS}).close()
        except psycopg.Error as error:
            return error
        return None


plain_try = _PlainTry()


def diagnose(exception: BaseException) -> Problem:
    """The problem behind a database error; unknown ones keep the server's own first line."""
    error = database_error(exception) or exception
    if isinstance(error, PoolTimeout):
        error = plain_try.reason() or error
    said = first_line(error)
    trouble = next((one for one in _TROUBLES if one.explains(error, said)), _NO_ANSWER)
    return Problem(
        code=trouble.code,
        title=str(trouble.title),
        what=str(trouble.what) % {"said": said},
        meaning=str(trouble.meaning),
        todo=str(trouble.todo),
        status=trouble.status,
    )


def own_tables_sentence(exception: BaseException) -> str:
    """The same for a command that failed in our own tables, where nothing of Multica's is."""
    problem = diagnose(exception)
    return f"{problem.what} {_OF_OUR_OWN.get(problem.code, problem.todo)}"


class OneLinePerProblem(logging.Filter):
    """Makes Django's line about a refused or failed request the one that its page refers to.

    Django writes exactly one for each answer from 400 up, after the page is made. A mistake of ours
    keeps its traceback; the client's mistakes and the database's troubles are a sentence.
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
            record.exc_info = record.exc_text = None
        record.reference, record.code = problem.reference, problem.code
