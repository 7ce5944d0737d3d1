"""PURE: makes invisible characters visible: control characters and direction marks.

Runner ids, messages and names come from other programs and may contain anything that PostgreSQL
stores. Escaping keeps them harmless in HTML. This module keeps them readable and honest.
"""

import re

# C0 and C1 except tab and newline; zero-width and direction marks, isolates, line separators, BOM.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]"
)


def visible(text: str) -> str:
    """The text with every invisible character replaced by its code point, as in "[U+202E]".

    Tabs and newlines stay: a place for whole texts keeps them, a single line collapses them.
    """
    return _UNSEEN.sub(lambda match: f"[U+{ord(match.group()):04X}]", text)


def shortened(text: str, length: int = 80) -> str:
    """A value as an error sentence quotes it."""
    cut = text if len(text) <= length else f"{text[:length]}…"
    return visible(cut.encode("utf-8", "replace").decode())
