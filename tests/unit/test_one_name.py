"""One name stands for one thing in the whole product, and one thing has one name."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = [
    path
    for room in ("executions", "multica_admin")
    for path in sorted((ROOT / room).rglob("*.py"))
    if "migrations" not in path.parts
]
# Django finds each command by this name.
NAMED_BY_DJANGO = {"Command"}
# A library's own name would say too little in our code, or clash with another library's.
RENAMED = {
    "django.db.Error": {"DatabaseError"},
    "django.utils.functional._StrPromise": {"StrPromise"},
    # makemessages collects from no other name of these.
    "django.utils.translation.gettext": {"_"},
    "django.utils.translation.gettext_lazy": {"_"},
    "gunicorn.workers.base.Worker": {"BaseWorker"},
    "psycopg.sql": {"writing"},
}


def trees() -> Iterator[tuple[Path, ast.Module]]:
    for path in FILES:
        yield path.relative_to(ROOT), ast.parse(path.read_text("utf-8"))


def test_a_class_name_stands_for_one_thing():
    places: dict[str, list[str]] = defaultdict(list)
    for path, tree in trees():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and node.name not in NAMED_BY_DJANGO:
                places[node.name].append(str(path))
    assert len(places) > 300, "the files were not found"
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_nothing_is_imported_under_a_name_of_the_moment():
    renamed: dict[str, set[str]] = defaultdict(set)
    for _path, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                module = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
                for name in node.names:
                    if name.asname:
                        renamed[module + name.name].add(name.asname)
    assert renamed == RENAMED
