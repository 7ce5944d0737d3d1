"""Named SQL: every statement with locks, leases, windows, catalogs or ``cron.*`` is a file here.

A file holds queries that each begin with ``-- name: some_name``. Parameters are psycopg's named
ones, ``%(job_name)s``; nothing is ever interpolated.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files

_NAME = re.compile(r"^-- name: ([a-z][a-z0-9_]*)[ ]*$", re.MULTILINE)


class Queries:
    """The queries of one file, by name: ``load("leases").claim``."""

    def __init__(self, source: str, queries: Mapping[str, str]) -> None:
        self._source = source
        self._queries = queries

    def __getattr__(self, name: str) -> str:
        try:
            return self._queries[name]
        except KeyError:
            raise AttributeError(f"{self._source}.sql has no query named {name}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._queries)


def parse(source: str, text: str) -> Queries:
    """Split a file's text into its queries.

    Raises:
        ValueError: text before the first name, a name twice, or a query without a statement.
    """
    preamble, *rest = _NAME.split(text)
    if any(line and not line.startswith("--") for line in preamble.splitlines()):
        raise ValueError(f"{source}.sql has a statement before its first name")
    queries: dict[str, str] = {}
    for name, body in zip(rest[::2], rest[1::2], strict=True):
        if name in queries:
            raise ValueError(f"{source}.sql names {name} twice")
        if not any(line and not line.startswith("--") for line in body.splitlines()):
            raise ValueError(f"{source}.sql has no statement for {name}")
        queries[name] = body.strip().removesuffix(";")
    return Queries(source, queries)


@cache
def load(source: str) -> Queries:
    """The queries of ``executions/database/sql/<source>.sql``."""
    return parse(source, (files(__name__) / f"{source}.sql").read_text("utf-8"))
