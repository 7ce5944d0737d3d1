"""Finds the names of classes that the pages use: in templates, in Python and in scripts.

It looks at the texts of the files, so it finds some names too many, and none too few as long as a
class is written out. A name that is put together, as in ``tone-{{ level }}``, counts as a prefix.
``tests/browser/test_weight.py`` asks the pages themselves.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent

_ATTRIBUTE = re.compile(r"""\bclass=(["'])(.*?)\1""", re.DOTALL)
_BLOCK_TAG = re.compile(r"\{%.*?%\}", re.DOTALL)
_PLACE = re.compile(r"\{\{.*?\}\}|\{\w*\}|\$\{.*?\}", re.DOTALL)
_SCRIPT_TEXT = re.compile(r""""([^"\\\n]*)"|'([^'\\\n]*)'|`([^`\\]*)`""")
_NAME = re.compile(r"-?[a-zA-Z][\w-]*")
# Stands for what is filled in.
_FILLED = "\0"


@dataclass(frozen=True)
class Classes:
    """Whole names, and beginnings of names whose end is filled in."""

    names: frozenset[str]
    beginnings: tuple[str, ...]

    def has(self, name: str) -> bool:
        return name in self.names or name.startswith(self.beginnings)


def used_classes(root: Path = ROOT) -> Classes:
    """Every class that a page of the project may have."""
    found = [
        *(name for text in _texts(root, "templates", "*.html") for name in in_template(text)),
        *(name for text in _texts(root, "executions", "*.py") for name in in_python(text)),
        *(name for text in _texts(root, "static", "*.js") for name in in_script(text)),
    ]
    beginnings = {name.partition(_FILLED)[0] for name in found if _FILLED in name}
    return Classes(
        frozenset(name for name in found if _FILLED not in name),
        tuple(sorted(beginnings - {""})),
    )


def _texts(root: Path, folder: str, pattern: str) -> Iterator[str]:
    for path in sorted((root / folder).rglob(pattern)):
        if "vendor" not in path.parts:
            yield path.read_text("utf-8")


def in_template(text: str) -> Iterator[str]:
    """The classes in a template's attributes, on every branch of its tags."""
    for _quote, value in _ATTRIBUTE.findall(_BLOCK_TAG.sub(_unquoted, text)):
        yield from _names(value)
    # A block inside an attribute holds classes too.
    for value in re.findall(r"\{% block width %\}(.*?)\{% endblock", text):
        yield from _names(value)


def _unquoted(tag: re.Match[str]) -> str:
    """A tag holds quotation marks of its own, and the classes that it passes on."""
    passed = re.findall(r'\bcss="([^"]*)"', tag[0])
    return f" {' '.join(passed)} "


def in_python(source: str) -> Iterator[str]:
    """The classes in HTML that is made in Python, and texts that consist of names with hyphens."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from _in_text(node.value)
        elif isinstance(node, ast.JoinedStr):
            yield from _in_text("".join(_part(part) for part in node.values))


def _part(part: ast.expr) -> str:
    return str(part.value) if isinstance(part, ast.Constant) else "{}"


def in_script(source: str) -> Iterator[str]:
    for texts in _SCRIPT_TEXT.findall(source):
        yield from _in_text("".join(texts))
    for called in re.findall(r"class(?:List\.\w+\(|Name = )([^;)]*)", source):
        yield from _names(re.sub(r"""["',]""", " ", called))


def _in_text(text: str) -> Iterator[str]:
    for _quote, value in _ATTRIBUTE.findall(text):
        yield from _names(value)
    words = text.split()
    if "-" in text and all(_NAME.fullmatch(word) for word in words):
        yield from words


def _names(value: str) -> Iterable[str]:
    words = _PLACE.sub(_FILLED, value).split()
    return (word for word in words if _NAME.match(word))
