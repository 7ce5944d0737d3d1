"""Makes what does not show show: control characters and marks that turn the writing direction.

Runner ids, messages and names come from other programs and may hold anything that PostgreSQL
stores. Escaping keeps them harmless in HTML; this keeps them readable and honest. PURE.
"""

from __future__ import annotations

import re

# C0 and C1 but tab and newline; zero-width and direction marks, isolates, line separators, BOM.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]"
)
_PICTURES = 0x2400  # the block "Control Pictures" shows U+0000 to U+001F in the same order


def _shown(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x20:
        return chr(_PICTURES + code)
    return "\N{SYMBOL FOR DELETE}" if code == 0x7F else f"[U+{code:04X}]"


def visible(text: str) -> str:
    """The text with every unseen character replaced by a picture or its code point.

    Tabs and newlines stay: a place that shows whole texts keeps them, a line collapses them.
    """
    return _UNSEEN.sub(_shown, text)
