"""What a command says goes through gettext, so that it follows the terminal's language."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from queue import Queue

import pytest
from django.utils.translation import override

from executions.management.progress import StillThere

ROOT = Path(__file__).parents[2]
SAYING = [
    *sorted((ROOT / "executions/management").rglob("*.py")),
    ROOT / "executions/quickstart.py",
]
GETTEXT = frozenset({"_", "gettext_lazy", "ngettext", "say", "say_counted"})
# Help is for those who read the options, and the log is in English.
ENGLISH = frozenset({"add_argument", "info", "warning", "exception"})


def _sentences(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Call):
        function = node.func
        name = function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
        if name in GETTEXT | ENGLISH:
            return
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return  # a docstring
    if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "help":
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        words = [word for word in node.value.split() if word.strip(".,:;").isalpha()]
        if len(words) >= 3:
            yield node.value
    for child in ast.iter_child_nodes(node):
        yield from _sentences(child)


@pytest.mark.parametrize("path", SAYING, ids=lambda path: path.stem)
def test_no_sentence_of_a_command_misses_gettext(path):
    assert list(_sentences(ast.parse(path.read_text()))) == []


def test_the_thread_of_a_command_speaks_its_language():
    heard: Queue[str] = Queue()
    with override("zh-hans"), StillThere(heard.put, "等待锁 4246", every=0.01):
        assert heard.get(timeout=60).startswith("仍在进行：等待锁 4246，")
