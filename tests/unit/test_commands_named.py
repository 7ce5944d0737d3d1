"""Every command that a text tells people to run exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.core.management import get_commands

ROOT = Path(__file__).parents[2]
TEXTS = sorted(
    path
    for folder in ("executions", "multica_admin", "templates", "docs", "bin")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in {".py", ".html", ".md", ".sql", ".sh", ""} and path.is_file()
)
NAMED = re.compile(r"manage\.py ([a-z_]+)")


@pytest.mark.parametrize("path", [*TEXTS, ROOT / "README.md"], ids=lambda path: path.name)
def test_a_command_that_is_named_exists(path):
    named = set(NAMED.findall(path.read_text("utf-8")))
    assert named <= set(get_commands())
