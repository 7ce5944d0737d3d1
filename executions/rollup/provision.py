"""Creates our own Multica side: the tables, triggers and functions of docs/contract.md 2 and 4.

It is for a database without Multica. Every table and function that it creates has a comment that
says so. By that comment it tells its own objects from Multica's, which it never touches. It
compares each of its columns, defaults, constraints, indexes and triggers with those that the files
create from nothing, and creates lost ones again. It writes no usage and knows no setting;
`manage.py provision` is a thin command over it.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

import psycopg
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from psycopg import sql
from psycopg.rows import class_row, tuple_row

from executions.database.our_locks import OurLock
from executions.database.problems import first_line
from executions.database.sql import load
from executions.text.sentences import Sentence, apart, listed, say

SQL = load("provision")

TABLES = (
    "workspace",
    "agent_runtime",
    "agent",
    "issue",
    "agent_task_queue",
    "task_usage",
    "task_usage_hourly",
    "task_usage_hourly_rollup_state",
    "task_usage_hourly_dirty",
    "sys_cron_executions",
)

_STATE = "task_usage_hourly_rollup_state"

# The step that runs the files.
_FILES = 3

MARK = "Made by Multica Admin (manage.py provision), not by Multica."

_TRIGGER = re.compile(r"^CREATE OR REPLACE TRIGGER (\w+)\s.*?\bON (\w+)$", re.MULTILINE | re.DOTALL)
_FUNCTION = re.compile(r"^CREATE OR REPLACE FUNCTION (\w+)", re.MULTILINE)


class ProvisionRefused(Exception):
    """Provision refuses and has changed nothing. The message is for people."""


class ForeignTables(ProvisionRefused):
    """Tables, types or functions with Multica's names exist that `provision` did not create.

    `names` lists them in alphabetical order. Nothing was changed.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        super().__init__(
            say(
                "This database already has %(names)s, which Multica Admin did not make. Nothing was"
                " changed. Provision a database of its own, or attach to this one as it is.",
                names=listed(names),
            )
        )


class NotAsMade(ProvisionRefused):
    """An object of our own was altered, and restoring it would lose data."""

    def __init__(self, what: str | Sentence) -> None:
        super().__init__(
            say(
                "This database is not as Multica Admin made it, and mending it is not safe:"
                " %(what)s. Nothing was changed. Put that right by hand, then provision again.",
                what=what,
            )
        )


@dataclass(frozen=True)
class _Part:
    """A part of one of our tables. The files create a part without a statement of its own.

    Parts are created in the order of ``step``: 1 and 2 before the files, which need them.
    """

    step: int
    kind: str
    name: str
    table: str
    definition: str
    statement: str | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        return self.kind, self.name, self.table

    @property
    def words(self) -> Sentence:
        return say(_KINDS[self.kind], name=self.name, table=self.table)


# The kinds of parts in the statement `parts`.
_KINDS = {
    "column": gettext_lazy("column %(name)s of %(table)s"),
    "default": gettext_lazy("default of column %(name)s of %(table)s"),
    "not null": gettext_lazy("NOT NULL of column %(name)s of %(table)s"),
    "constraint": gettext_lazy("constraint %(name)s of %(table)s"),
    "index": gettext_lazy("index %(name)s of %(table)s"),
    "trigger": gettext_lazy("trigger %(name)s of %(table)s"),
}

_Parts = dict[tuple[str, str, str], _Part]


@dataclass(frozen=True)
class Provisioned:
    """What a call created, and which tables and functions it brought up to date.

    Both are empty if nothing had to change.
    """

    created: tuple[str, ...]
    updated: tuple[str, ...]

    @property
    def changed(self) -> bool:
        """Whether the call changed the database at all."""
        return bool(self.created or self.updated)


def provision(connection: psycopg.Connection[Any]) -> Provisioned:
    """Create what is missing of the standalone side, in one transaction. Change nothing else.

    In a transaction of the caller it is a savepoint and takes effect with that transaction. Of two
    concurrent calls the second waits and finds everything there.

    Raises:
        ForeignTables: a table, type or function with such a name exists that this did not create.
        NotAsMade: something that this created has another shape now.
        psycopg.errors.InsufficientPrivilege: the role may not create in the schema public.
    """
    with connection.transaction():
        connection.execute(SQL.lock, {"key": OurLock.PROVISION})
        connection.execute(SQL.settle)
        found = _found(connection)
        if foreign := _foreign(found):
            raise ForeignTables(foreign)
        names = (*TABLES, *_functions())
        mark = _mark()
        expected = _expected(connection)
        lost = [one for one in _lost(expected, _parts(connection)) if one.table in found]
        stale = any(found.get(name) != mark for name in names)
        with _refusing():
            if lost or stale:
                _make(connection, expected, lost)
                _sign(connection, mark)
            stamped = connection.execute(SQL.stamp_state).rowcount == 1 and _STATE in found
        return Provisioned(
            created=(
                *(name for name in names if name not in found),
                *(str(part.words) for part in lost),
                *([_("the row of %(table)s") % {"table": _STATE}] if stamped else []),
            ),
            updated=tuple(name for name in names if found.get(name, mark) != mark),
        )


def is_ours(connection: psycopg.Connection[Any]) -> bool:
    """Whether all of Multica's tables exist and `provision` created every one. Changes nothing."""
    found = _found(connection)
    return not _foreign(found) and all(name in found for name in TABLES)


def _expected(connection: psycopg.Connection[Any]) -> _Parts:
    """What the files create from nothing: created as temporary tables, read, and rolled back.

    Triggers cannot be created that way, because their functions are not found there. The files name
    them.
    """
    with connection.transaction(force_rollback=True):
        connection.execute(SQL.draw)
        for name in TABLES:
            drop = sql.SQL("DROP TABLE IF EXISTS pg_temp.{} CASCADE")
            connection.execute(drop.format(sql.Identifier(name)))
        for statements in _files():
            if not _FUNCTION.search(statements) and not _TRIGGER.search(statements):
                connection.execute(statements)
        drawn = _parts(connection, drawn=True)
    for name, table in _TRIGGER.findall("".join(_files())):
        part = _Part(3, "trigger", name, table, "on")
        drawn[part.key] = part
    return drawn


def _parts(connection: psycopg.Connection[Any], *, drawn: bool = False) -> _Parts:
    """The existing parts of the tables, in the order in which they can be created."""
    with connection.cursor(row_factory=class_row(_Part)) as cursor:
        cursor.execute(SQL.parts, {"tables": list(TABLES), "drawn": drawn})
        return {part.key: part for part in cursor}


def _lost(expected: _Parts, found: _Parts) -> list[_Part]:
    """The missing parts.

    Raises:
        NotAsMade: a part exists in another shape.
    """
    differing = [
        _as_found(part, found[key].definition)
        for key, part in expected.items()
        if key in found and found[key].definition != part.definition
    ]
    if differing:
        raise NotAsMade(apart(differing))
    return [part for key, part in expected.items() if key not in found]


def _as_found(part: _Part, definition: str) -> Sentence:
    """What differs. All definitions but those of triggers are SQL, which nobody translates."""
    if part.kind == "trigger":
        return say("the %(name)s is off and not on", name=part.words)
    return say(
        "the %(name)s is %(found)s and not %(wanted)s",
        name=part.words,
        found=definition,
        wanted=part.definition,
    )


def _make(connection: psycopg.Connection[Any], expected: _Parts, lost: list[_Part]) -> None:
    """Run the files, and create what they do not, if it is still missing when its turn comes.

    Raises:
        NotAsMade: something is still missing, because another object has its name.
    """
    _mend(connection, (part for part in lost if part.step < _FILES))
    for statements in _files():
        connection.execute(statements)
    _mend(connection, _lost(expected, _parts(connection)))
    if missing := _lost(expected, _parts(connection)):
        names = listed([part.words for part in missing])
        raise NotAsMade(say("something else has the name of the %(names)s", names=names))


def _mend(connection: psycopg.Connection[Any], lost: Iterable[_Part]) -> None:
    there = set(_parts(connection))
    for part in lost:
        # A column brings its default and NOT NULL along.
        if part.statement is not None and part.key not in there:
            connection.execute(part.statement.encode())
            there = set(_parts(connection))


@contextmanager
def _refusing() -> Iterator[None]:
    """Turn PostgreSQL's refusal to create something, such as for existing rows, into a sentence."""
    try:
        yield
    except psycopg.errors.InsufficientPrivilege:
        raise
    except (psycopg.ProgrammingError, psycopg.IntegrityError, psycopg.DataError) as error:
        raise NotAsMade(first_line(error)) from error


def _found(connection: psycopg.Connection[Any]) -> dict[str, str | None]:
    """The comments of the tables and functions that exist, by name."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        cursor.execute(SQL.found, {"tables": list(TABLES), "functions": list(_functions())})
        return dict(cursor)


def _foreign(found: dict[str, str | None]) -> tuple[str, ...]:
    """The objects that have no mark of ours, neither of this version nor of an older one."""
    return tuple(name for name, comment in found.items() if not (comment or "").startswith(MARK))


def _sign(connection: psycopg.Connection[Any], mark: str) -> None:
    """Mark every table and function with the comment that `_found` reads."""
    for kind, names in (("TABLE", TABLES), ("FUNCTION", _functions())):
        for name in names:
            connection.execute(
                sql.SQL("COMMENT ON {} public.{} IS {}").format(
                    sql.SQL(kind), sql.Identifier(name), sql.Literal(mark)
                )
            )


def _files() -> Iterator[str]:
    """The text of the numbered files, in their order."""
    folder = files("executions.database.sql") / "standalone"
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        yield file.read_text("utf-8")


@cache
def _functions() -> tuple[str, ...]:
    """The functions that the files define. No two share a name, so the name identifies each."""
    return tuple(name for statements in _files() for name in _FUNCTION.findall(statements))


@cache
def _mark() -> str:
    """The comment on everything that this version of the files creates."""
    version = sha256("".join(_files()).encode()).hexdigest()[:12]
    return f"{MARK} Version {version}."
