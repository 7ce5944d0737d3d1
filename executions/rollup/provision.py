"""Makes our own Multica side: the tables, triggers and functions of docs/contract.md 2 and 4.

It is for a database that has no Multica in it. Every table and function that it makes carries a
comment that says so, which is how it tells its own from Multica's: those it never touches. It
fills in no usage and knows nothing of Django; `manage.py provision` is a thin command over it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from executions.sql import load

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

# No other advisory lock of the project or of Multica; 4246 belongs to the rollup.
_LOCK = 4246_0001

_MARK = "Made by Multica Admin (manage.py provision), not by Multica."

_FUNCTION = re.compile(r"^CREATE OR REPLACE FUNCTION (\w+)", re.MULTILINE)


class ForeignTables(Exception):
    """Tables or functions of Multica's names are there that `provision` did not make.

    `names` are theirs, in alphabetical order. Nothing was changed.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        super().__init__(
            f"This database already has {', '.join(names)}, which Multica Admin did not make."
            " Nothing was changed. Provision a database of its own, or attach to this one as it is."
        )


@dataclass(frozen=True)
class Provisioned:
    """What a call did: the tables and functions it made, and whether it brought others up to date.

    Both are empty when everything was there already and nothing was changed.
    """

    created: tuple[str, ...]
    updated: tuple[str, ...]

    @property
    def changed(self) -> bool:
        """Whether the call changed the database at all."""
        return bool(self.created or self.updated)


def provision(connection: psycopg.Connection[Any]) -> Provisioned:
    """Make what is missing of the standalone side, in one transaction; change nothing otherwise.

    Inside a transaction of the caller's it is a savepoint and takes effect with that transaction.
    Two calls at once wait for each other, and the second finds everything there.

    Raises:
        ForeignTables: a table or function of such a name is there that this did not make.
        psycopg.errors.InsufficientPrivilege: the role may not create in the schema public.
    """
    with connection.transaction():
        connection.execute(SQL.lock, {"key": _LOCK})
        connection.execute(SQL.settle)
        found = _found(connection)
        if foreign := _foreign(found):
            raise ForeignTables(foreign)
        names = (*TABLES, *_functions())
        mark = _mark()
        if all(found.get(name) == mark for name in names):
            return Provisioned((), ())
        for statements in _files():
            connection.execute(statements)
        connection.execute(SQL.stamp_state)
        _sign(connection, mark)
        return Provisioned(
            created=tuple(name for name in names if name not in found),
            updated=tuple(name for name in names if name in found),
        )


def is_ours(connection: psycopg.Connection[Any]) -> bool:
    """Whether all of Multica's tables are here and `provision` made every one; changes nothing."""
    found = _found(connection)
    return not _foreign(found) and all(name in found for name in TABLES)


def _found(connection: psycopg.Connection[Any]) -> dict[str, str | None]:
    """The comments of those tables and functions that are there, by name."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        cursor.execute(SQL.found, {"tables": list(TABLES), "functions": list(_functions())})
        return dict(cursor)


def _foreign(found: dict[str, str | None]) -> tuple[str, ...]:
    """Those without our mark, whichever version of the schema it was put there with."""
    return tuple(name for name, comment in found.items() if not (comment or "").startswith(_MARK))


def _sign(connection: psycopg.Connection[Any], mark: str) -> None:
    """Put the mark on every table and function, as the comment that `_found` reads."""
    for kind, names in (("TABLE", TABLES), ("FUNCTION", _functions())):
        for name in names:
            connection.execute(
                sql.SQL("COMMENT ON {} public.{} IS {}").format(
                    sql.SQL(kind), sql.Identifier(name), sql.Literal(mark)
                )
            )


def _files() -> Iterator[str]:
    """The text of the numbered files, in their order."""
    folder = files("executions.sql") / "standalone"
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        yield file.read_text("utf-8")


@cache
def _functions() -> tuple[str, ...]:
    """The functions that the files define. No two share a name, so the name alone is enough."""
    return tuple(name for statements in _files() for name in _FUNCTION.findall(statements))


@cache
def _mark() -> str:
    """The comment of everything that these files made: another version of them signs otherwise."""
    version = sha256("".join(_files()).encode()).hexdigest()[:12]
    return f"{_MARK} Version {version}."
