"""Checks at the start that the database is Multica's and that our role may read it.

It asks catalogs only, reads no row and changes nothing. Its findings stop nothing: every page says
for itself what it could not read.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from django.core import checks
from django.db import DatabaseError
from django.utils.translation import gettext_lazy

from executions.database.permissions import READ
from executions.database.problems import NoTables, diagnose
from executions.database.reading import Fetch, Row, fetch_for_dashboard
from executions.database.router import MULTICA_ALIAS
from executions.database.sql import load
from executions.text.sentences import Sentence, Text, listed, say

SQL = load("checks")


def find_gaps(fetch: Fetch) -> list[Text]:
    """One sentence for each thing that the role of ``fetch`` cannot read; empty if all is well.

    Raises:
        django.db.Error, psycopg.Error: the catalogs could not be asked.
    """
    (presence,) = fetch(SQL.presence, {})
    if not presence["has_any"]:
        return [diagnose(NoTables(presence["database"])).brief]
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


def _told(missing: str, rows: Sequence[Row]) -> Sentence:
    return say(
        _SENTENCES[missing],
        table=rows[0]["table_name"],
        role=rows[0]["role"],
        schema=rows[0]["schema"],
        columns=listed([row["column_name"] for row in rows]),
        tables=listed(dict.fromkeys(row["table_name"] for row in rows)),
    )


_OF_A_SCHEMA = frozenset(("usage", "search_path"))
_SENTENCES = {
    "table": gettext_lazy(
        "There is no table %(table)s: check that DATABASE_URL names Multica's database and that its"
        " migrations ran."
    ),
    "column": gettext_lazy(
        "The table %(table)s lacks %(columns)s: its Multica is older or newer than this release"
        " knows, or half upgraded."
    ),
    "select": gettext_lazy(
        "The role %(role)s may not read %(columns)s of %(table)s: let an administrator run the"
        " statements that “manage.py permissions --role %(role)s --as viewer” prints."
    ),
    "rows": gettext_lazy(
        "Row security hides rows of %(table)s from the role %(role)s, so none there is not the same"
        " as none: let an administrator give the role BYPASSRLS, or a policy to see every row, as"
        " “manage.py permissions --role %(role)s --as viewer” says."
    ),
    "usage": gettext_lazy(
        "The role %(role)s may not use the schema %(schema)s, which has %(tables)s: let an"
        " administrator run GRANT USAGE ON SCHEMA %(schema)s TO %(role)s."
    ),
    "search_path": gettext_lazy(
        "The schema %(schema)s, which has %(tables)s, is not on the search_path of the role"
        " %(role)s: add ?search_path=%(schema)s to DATABASE_URL."
    ),
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
    return [checks.Warning(str(gap), id="executions.W002") for gap in gaps]
