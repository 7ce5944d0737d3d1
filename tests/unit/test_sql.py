"""Named SQL: parsed strictly, and no name that the product does not use."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from executions.database import sql

FOLDER = Path(sql.__file__).parent
SOURCES = sorted(path.stem for path in FOLDER.glob("*.sql"))
ROOT = FOLDER.parent.parent.parent


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


@cache
def uses() -> frozenset[tuple[str, str]]:
    """File and query, for each query that a module of the product names.

    A module names one by what it loads itself, imports, or has of a module that it imports.
    """
    trees = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): ast.parse(path.read_text("utf-8"))
        for path in (ROOT / "executions").rglob("*.py")
    }
    files = {module: dict(loaded(tree)) for module, tree in trees.items()}
    for module, tree in trees.items():
        for node in ast.walk(tree):
            for name in node.names if isinstance(node, ast.ImportFrom) else ():
                here = name.asname or name.name
                if source := files.get(node.module, {}).get(name.name):
                    files[module][here] = source
                for theirs, source in files.get(f"{node.module}.{name.name}", {}).items():
                    files[module][f"{here}.{theirs}"] = source
    return frozenset(
        (source, node.attr)
        for module, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and (source := file_of(node.value) or files[module].get(ast.unparse(node.value)))
    )


def loaded(tree):
    """Each name of a module that stands for a file of queries: ``SQL = load("leases")``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and (source := file_of(node.value)):
            for target in node.targets:
                yield ast.unparse(target), source


def file_of(node):
    """The file that ``load("leases")`` loads; None for anything else."""
    match node:
        case ast.Call(func=ast.Name("load"), args=[ast.Constant(str(source))]):
            return source
    return None


@pytest.mark.parametrize("source", SOURCES)
def test_the_product_uses_every_named_query_of_its_own_file(source):
    unused = [name for name in sql.load(source) if (source, name) not in uses()]
    assert not unused, f"nothing uses {unused} of {source}.sql"


@pytest.mark.parametrize("source", SOURCES)
def test_every_named_query_says_what_it_is_for(source):
    queries = sql.load(source)
    silent = [name for name in queries if not getattr(queries, name).startswith("-- ")]
    assert not silent, f"{silent} of {source}.sql begin without a line of intent"
