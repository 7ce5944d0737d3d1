"""Where a Chinese text has the punctuation of English, or a space beside its own.

It knows a page as a reader sees it: without its tags, and with code left out.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser

from tests.marked import ATTRIBUTES, SAME_EVERYWHERE, VOID

# Stands for a piece of code, a moment or another language, which has the punctuation of its own.
CODE = "▮"
# Before and after an element within a sentence.
BORDER = "\N{ZERO WIDTH SPACE}"
HAN = "一-鿿"
# ASCII beside Chinese, or a space beside what is as wide as a character and brings its own.
MIXED = re.compile(
    rf"[{HAN}”] ?(?:[(),;!]|:(?!\d)|\?(?!\w)|\.(?: (?![_~])|$))|(?:[(,;:?!]|(?<!\()\)) ?[{HAN}“]"
    rf"|{CODE} ?\(|\( ?{CODE}|[，、；：（] |） (?!·)| [，。、；：？！（）]"
)
# Between a sentence and a link or a word in another style, a space is a gap that helps the eye.
BETWEEN_SENTENCES = re.compile(rf"[。？！] (?! *[{BORDER}{CODE}])")
INLINE = {"a", "abbr", "b", "button", "em", "i", "span", "strong", "small", "label", "time"}


class _Shown(HTMLParser):
    """The text of a page, in which each element that is no part of a sentence begins a line."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._elements: list[tuple[str, bool]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        code = tag in SAME_EVERYWHERE or ("lang" in given and tag != "html")
        inherited = bool(self._elements) and self._elements[-1][1]
        if code and not inherited:
            self.parts.append(CODE)
        else:
            self.parts.append(BORDER if tag in INLINE else "\n")
        self.parts += [f"\n{given[name]}\n" for name in ATTRIBUTES if given.get(name)]
        if tag not in VOID:
            self._elements.append((tag, code or inherited))

    def handle_endtag(self, tag: str) -> None:
        if tag not in SAME_EVERYWHERE:
            self.parts.append(BORDER if tag in INLINE else "\n")
        while self._elements and self._elements.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not (self._elements and self._elements[-1][1]):
            self.parts.append(re.sub(r"\s+", " ", data))


def mixed(html: str) -> list[str]:
    """Each place of the page at which the punctuation of both languages meet."""
    reader = _Shown()
    reader.feed(html)
    reader.close()
    lines = [re.sub(" +", " ", line).strip() for line in "".join(reader.parts).splitlines()]
    plain = [re.sub(" +", " ", line.replace(BORDER, "")) for line in lines]
    found = {_around(one) for line in plain for one in MIXED.finditer(line)}
    found |= {_around(one) for line in lines for one in BETWEEN_SENTENCES.finditer(line)}
    return sorted(found)


def _around(found: re.Match[str]) -> str:
    return found.string[max(0, found.start() - 20) : found.end() + 12]
