"""Every command that a text tells people to run exists, and so does every option of it."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

ROOT = Path(__file__).parents[2]
TEXTS = sorted(
    path
    for folder in ("executions", "multica_admin", "templates", "docs", "bin", "deploy", "skills")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in {".py", ".html", ".md", ".sql", ".sh", ".yaml", ".service", ""}
    and path.is_file()
)
# A command, and the words after it to the end of the line, of the code or of the string.
NAMED = re.compile(r"manage\.py ([a-z_]+)((?:\\\n|[^\n`\"'<{])*)")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


@cache
def options_of(name):
    command = load_command_class(get_commands()[name], name)
    return set(OPTION.findall(command.create_parser("manage.py", name).format_help()))


@pytest.mark.parametrize("path", [*TEXTS, *sorted(ROOT.glob("*.md"))], ids=lambda path: path.name)
def test_a_command_that_is_named_exists_and_has_the_options_that_are_named(path):
    for name, words in NAMED.findall(path.read_text("utf-8")):
        assert name in get_commands()
        assert set(OPTION.findall(words)) <= options_of(name), name
