"""What a command says, and why it refuses, goes through gettext: it follows the terminal."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from pathlib import Path
from queue import Queue

import pytest
from django.utils.translation import override

from executions.management.progress import StillThere
from manage import CommandLine

ROOT = Path(__file__).parents[2]
SAYING = [
    *sorted((ROOT / "executions/management").rglob("*.py")),
    ROOT / "executions/quickstart.py",
    ROOT / "manage.py",
    ROOT / "executions/text/durations.py",
    *(
        ROOT / "executions" / f"{name}.py"
        for name in ("database/checks", "database/permissions", "database/schema")
    ),
    *(ROOT / "executions" / f"{name}.py" for name in ("rollup/provision", "scheduler/preflight")),
    *sorted((ROOT / "multica_admin").glob("*.py")),
]
GETTEXT = frozenset(
    {"_", "gettext_lazy", "gettext_noop", "later", "ngettext", "ngettext_lazy", "say"}
    | {"say_counted"}
)
PROGRAMS_ERRORS = {name for name in dir(builtins) if name.endswith("Error")}
# The log is in English, and so is what gunicorn answers before there is a request.
ENGLISH = frozenset({"info", "warning", "error", "exception", "Refusal"}) | PROGRAMS_ERRORS
# What PostgreSQL says or runs, and the mark by which `provision` knows what it made.
SAME_EVERYWHERE = ("GRANT EXECUTE", "lock file ", "Made by Multica Admin (manage.py provision)")


def _sentences(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Call):
        function = node.func
        name = function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
        if name in GETTEXT | ENGLISH:
            return
    if (
        isinstance(node, ast.keyword)
        and node.arg == "help"
        and isinstance(node.value, ast.Constant)
    ):
        yield str(node.value.value)
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return  # a docstring
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        words = [
            word
            for word in node.value.split()
            if word.strip(".,:;").isalpha() and not word.isupper()
        ]
        if len(words) >= 3 and not node.value.startswith(SAME_EVERYWHERE):
            yield node.value
    for child in ast.iter_child_nodes(node):
        yield from _sentences(child)


@pytest.mark.parametrize("path", SAYING, ids=lambda path: path.stem)
def test_no_sentence_of_a_command_misses_gettext(path):
    assert list(_sentences(ast.parse(path.read_text()))) == []


@pytest.mark.parametrize(
    ("lang", "told"), [("zh_CN.UTF-8", "说明汇总是否正常工作。"), ("C", "Say ")]
)
def test_help_has_the_language_of_the_terminal(monkeypatch, lang, told):
    monkeypatch.setenv("LC_ALL", lang)
    with override(None):
        command = CommandLine(["manage.py"]).fetch_command("checkrollup")
        assert told in command.create_parser("manage.py", "checkrollup").format_help()


def test_the_thread_of_a_command_speaks_its_language():
    heard: Queue[str] = Queue()
    with override("zh-hans"), StillThere(heard.put, "等待锁 4246", every=0.01):
        assert heard.get(timeout=60).startswith("仍在进行：等待锁 4246，")
