"""Named SQL: parsed strictly, and no name without a use."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from executions.database import sql

FOLDER = Path(sql.__file__).parent
SOURCES = sorted(path.stem for path in FOLDER.glob("*.sql"))
ROOT = FOLDER.parent.parent.parent
PYTHON = [*(ROOT / "executions").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]


def test_queries_are_found_by_name():
    queries = sql.parse("x", "-- what x is for\n\n-- name: one\n-- intent\nSELECT 1;\n")
    assert queries.one == "-- intent\nSELECT 1"
    with pytest.raises(AttributeError, match=r"x\.sql has no query named two"):
        _ = queries.two


@pytest.mark.parametrize(
    "text",
    ["SELECT 1", "-- name: a\nSELECT 1\n-- name: a\nSELECT 2", "-- name: a\n-- only words\n"],
)
def test_a_malformed_file_is_refused(text):
    with pytest.raises(ValueError, match=r"^x\.sql"):
        sql.parse("x", text)


@pytest.mark.parametrize("source", SOURCES)
def test_every_named_query_is_used(source):
    python = "\n".join(path.read_text("utf-8") for path in PYTHON)
    unused = [name for name in sql.load(source) if not re.search(rf"\.{name}\b", python)]
    assert not unused, f"nothing uses {unused} of {source}.sql"


@pytest.mark.parametrize("source", SOURCES)
def test_every_named_query_says_what_it_is_for(source):
    queries = sql.load(source)
    silent = [name for name in queries if not getattr(queries, name).startswith("-- ")]
    assert not silent, f"{silent} of {source}.sql begin without a line of intent"
