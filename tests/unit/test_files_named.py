"""Every file that a text names exists, and so does every class that a template names."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOP = (
    "benchmarks", "bin", "docs", "executions", "multica_admin", "skills", "static", "templates",
    "tests",
)  # fmt: skip
TEXTS = sorted(
    path
    for folder in TOP
    for path in (ROOT / folder).rglob("*")
    if path.suffix in {".py", ".html", ".md", ".sql", ".sh", ".js", ".css", ""}
    and path.is_file()
    and path != Path(__file__)
)
NAMED = re.compile(rf"(?<![\w/.<-])(?:{'|'.join(TOP)})/[\w/.-]+\.(?:py|md|sql|html|js|css)\b")
CLASS = re.compile(r"\b(executions(?:\.[a-z_]+)+)\.([A-Z]\w+)")


def test_a_file_that_is_named_exists():
    places = (ROOT, ROOT / "templates", ROOT / "executions")
    missing = [
        f"{path.relative_to(ROOT)} names {name}"
        for path in (*TEXTS, *ROOT.glob("*.md"), ROOT / "pyproject.toml")
        if path.name != "CHANGELOG.md"  # it tells of files as they were then
        for name in NAMED.findall(path.read_text("utf-8"))
        if not any((place / name).exists() for place in (*places, path.parent))
    ]
    assert not missing


def test_a_class_that_a_template_names_exists():
    named = {
        (path.relative_to(ROOT), module, name)
        for path in (ROOT / "templates").rglob("*.html")
        for module, name in CLASS.findall(path.read_text("utf-8"))
    }
    assert len(named) > 10
    assert not [found for found in named if not hasattr(import_module(found[1]), found[2])]
