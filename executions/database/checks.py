"""Checks at the start that the database is Multica's and that our role may read it.

It asks catalogs only, reads no row and changes nothing. Its findings stop nothing: every page says
for itself what it could not read.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from django.core import checks
from django.db import DatabaseError

from executions.database.permissions import READ
from executions.database.problems import NoTables, diagnose
from executions.database.reading import Fetch, Row, fetch_for_dashboard
from executions.database.router import MULTICA_ALIAS
from executions.database.sql import load

SQL = load("checks")


def find_gaps(fetch: Fetch) -> list[str]:
    """One sentence for each thing that the role of ``fetch`` cannot read; empty if all is well.

    Raises:
        django.db.Error, psycopg.Error: the catalogs could not be asked.
    """
    (presence,) = fetch(SQL.presence, {})
    if not presence["has_any"]:
        return [diagnose(NoTables(presence["database"])).sentence()]
    # Every table and column of Multica's that the dashboard reads.
    wanted = [(table, column) for table, names in READ.items() for column in names]
    tables, columns = zip(*wanted, strict=True)
    rows = fetch(SQL.gaps, {"tables": list(tables), "columns": list(columns)})
    groups = groupby(sorted(rows, key=_alike), key=_alike)
    return [_told(missing, list(group)) for (missing, *_place), group in groups]


def _alike(row: Row) -> tuple[str, str]:
    """The subject of one sentence: a table, or a schema with all its tables."""
    missing = row["missing"]
    return missing, row["schema" if missing in _OF_A_SCHEMA else "table_name"]


def _told(missing: str, rows: Sequence[Row]) -> str:
    return _SENTENCES[missing].format(
        table=rows[0]["table_name"],
        role=rows[0]["role"],
        schema=rows[0]["schema"],
        columns=_columns(rows),
        tables=_tables(rows),
    )


def _tables(rows: Sequence[Row]) -> str:
    *others, last = dict.fromkeys(row["table_name"] for row in rows)
    return f"The tables {', '.join(others)} and {last} are" if others else f"The table {last} is"


def _columns(rows: Sequence[Row]) -> str:
    names = [row["column_name"] for row in rows]
    return f"column {names[0]}" if len(names) == 1 else f"columns {', '.join(names)}"


_OF_A_SCHEMA = frozenset(("usage", "search_path"))
_SENTENCES = {
    "table": "There is no table {table}: check that DATABASE_URL names Multica's database and that"
    " its migrations ran.",
    "column": "The table {table} has no {columns}: its Multica is older or newer than this release"
    " knows, or half upgraded.",
    "select": "The role {role} may not read {columns} of {table}: let an administrator run the"
    " statements that “manage.py permissions --role {role} --as viewer” prints.",
    "rows": "Row security hides rows of {table} from the role {role}, so none there is not the same"
    " as none: let an administrator give the role BYPASSRLS, or a policy to see every row, as"
    " “manage.py permissions --role {role} --as viewer” says.",
    "usage": "{tables} in the schema {schema}, which the role {role} may not use: let an"
    " administrator run GRANT USAGE ON SCHEMA {schema} TO {role}.",
    "search_path": "{tables} in the schema {schema}, which is not on the search_path of the role"
    " {role}: add ?search_path={schema} to DATABASE_URL.",
}


@checks.register(checks.Tags.database)
def multicas_tables(
    *, databases: Sequence[str] | None = None, **_options: Any
) -> list[checks.CheckMessage]:
    """The same for ``manage.py check --database multica``."""
    if MULTICA_ALIAS not in (databases or ()):
        return []
    try:
        gaps = find_gaps(fetch_for_dashboard)
    except DatabaseError as error:
        return [checks.Warning(diagnose(error).sentence(), id="executions.W001")]
    return [checks.Warning(gap, id="executions.W002") for gap in gaps]
