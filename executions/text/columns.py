"""PURE: lines that fit a terminal, in which a Chinese character is as wide as two letters."""

import re
from collections.abc import Iterator
from unicodedata import east_asian_width

_WIDE = "\u2e80-\u9fff\uff01-\uff60"
# Brackets and quotation marks of Chinese.
_OPENING = "\uff08\u300a\u300c\u300e\u3010"
# Marks that end a part of a sentence, and those that close what the others opened.
_CLOSING = (
    "\uff0c\u3002\u3001\uff1b\uff1a\uff1f\uff01\uff09\u300b\u300d\u300f\u3011\u201d\u2019\u2026"
)
# A line can end after spaces, and after a wide character: not before a mark that closes something,
# and not after one that opens something.
_BREAKS = re.compile(rf"(?<=\s)(?=\S)|(?<=[{_WIDE}])(?<![{_OPENING}])(?![{_CLOSING}\s])")


def wrapped(text: str, columns: int) -> Iterator[str]:
    """The text in lines of at most that many columns. A longer word has a line of its own."""
    line = ""
    for piece in _BREAKS.split(text):
        if line and _columns((line + piece).rstrip()) > columns:
            yield line.rstrip()
            line = ""
        line += piece
    yield line.rstrip()


def _columns(text: str) -> int:
    return sum(2 if east_asian_width(one) in "FW" else 1 for one in text)
