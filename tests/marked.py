"""Every text that goes through gettext, in brackets: what stands outside of them was forgotten.

The marked texts take the place of the Chinese ones. `unmarked` finds words outside of the brackets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from typing import Any

from django.utils.translation import trans_real

OPEN, CLOSE = "⟦⟧"
LANGUAGE = "zh-hans"
ATTRIBUTES = ("title", "aria-label", "aria-description", "placeholder", "alt")
# What these hold is the same in every language: code, identifiers and moments.
SAME_EVERYWHERE = {"code", "pre", "kbd", "script", "style", "time", "svg"}
# Never closed.
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"}
WORD = re.compile(r"[A-Za-z]{3,}")


def _marked(message: str) -> str:
    return f"{OPEN}{message.rpartition(trans_real.CONTEXT_SEPARATOR)[2]}{CLOSE}"


class _Marked(trans_real.DjangoTranslation):
    def gettext(self, message: str) -> str:
        return _marked(message)

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return _marked(msgid1 if n == 1 else msgid2)


@contextmanager
def every_text_marked() -> Iterator[None]:
    """Who asks for Chinese gets English in brackets."""
    with _chinese_is(_Marked(LANGUAGE)):
        yield


@contextmanager
def every_text_translated() -> Iterator[None]:
    """Within `every_text_marked`: who asks for Chinese gets Chinese again."""
    with _chinese_is(trans_real.DjangoTranslation(LANGUAGE)):
        yield


@contextmanager
def _chinese_is(catalog: trans_real.DjangoTranslation) -> Iterator[None]:
    translations: dict[str, Any] = trans_real._translations
    before = trans_real.translation(LANGUAGE)
    translations[LANGUAGE] = catalog
    try:
        yield
    finally:
        translations[LANGUAGE] = before


class _Reader(HTMLParser):
    """Collects what stands outside of brackets. A bracket may close in another element."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._depth = 0
        self._elements: list[tuple[str, bool]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        told = [given[name] for name in ATTRIBUTES if name in given]
        if given.get("id") == "texts":
            told += [value for name, value in given.items() if name.startswith("data-")]
        if tag == "input" and given.get("type") in {"submit", "button", "reset"}:
            told.append(given.get("value", ""))
        same = tag in SAME_EVERYWHERE or ("lang" in given and tag != "html")
        same = same or "identifier" in given.get("class", "").split()
        same = same or (bool(self._elements) and self._elements[-1][1])
        if not same:
            self.found += [left for one in told if (left := _outside(one)[0])]
        if tag not in VOID:
            self._elements.append((tag, same))

    def handle_endtag(self, tag: str) -> None:
        while self._elements:
            if self._elements.pop()[0] == tag:
                break

    def handle_data(self, data: str) -> None:
        if self._elements and self._elements[-1][1]:
            return
        left, self._depth = _outside(data, self._depth)
        if left:
            self.found.append(left)


def _outside(text: str, depth: int = 0) -> tuple[str, int]:
    kept = []
    for character in text:
        depth += (character == OPEN) - (character == CLOSE)
        if not depth and character != CLOSE:
            kept.append(character)
    left = " ".join("".join(kept).split())
    return (left if WORD.search(left) else ""), depth


def unmarked(html: str) -> list[str]:
    """The texts of a page with a word outside of brackets."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader.found
