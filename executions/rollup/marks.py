"""Reads which changes of Multica's releases the catalogs show. `versions.py` judges them."""

from executions.database.reading import Fetch
from executions.database.sql import load
from executions.rollup.versions import Change, Marks

SQL = load("versions")


def read_marks(fetch: Fetch) -> Marks:
    """The marks in the database's catalogs, which every role may read.

    Raises:
        django.db.Error, psycopg.Error: as ``fetch`` does.
    """
    (row,) = fetch(SQL.marks, {})
    return Marks(
        usage=row["usage"],
        daily=row["daily"],
        changes=frozenset(change for change in Change if row.get(change) is True),
        absent=frozenset(change for change in Change if row.get(change) is False),
    )
