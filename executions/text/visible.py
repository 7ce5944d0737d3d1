"""PURE: makes what does not show show: control characters, and marks that turn the direction.

Runner ids, messages and names come from other programs and may hold anything that PostgreSQL
stores. Escaping keeps them harmless in HTML; this keeps them readable and honest.
"""

from __future__ import annotations

import re

# C0 and C1 but tab and newline; zero-width and direction marks, isolates, line separators, BOM.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]"
)


def visible(text: str) -> str:
    """The text with every unseen character replaced by its code point, as in "[U+202E]".

    Tabs and newlines stay: a place that shows whole texts keeps them, a line collapses them.
    """
    return _UNSEEN.sub(lambda match: f"[U+{ord(match.group()):04X}]", text)
