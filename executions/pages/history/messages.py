"""PURE: makes error messages alike that differ only in numbers and ids, to count them as one."""

import re

_PARTS = (
    (re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", re.IGNORECASE), "‹id›"),
    (
        re.compile(
            r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d(?::?\d\d)?)?",
            re.ASCII,
        ),
        "‹time›",
    ),
    (re.compile(r"\b0x[0-9a-f]+\b", re.IGNORECASE), "‹hex›"),
    # A word of hexadecimal digits is one only with a digit in it, and long enough to be no word.
    (re.compile(r"\b(?=[a-f]*[0-9])[0-9a-f]{8,}\b", re.IGNORECASE | re.ASCII), "‹hex›"),
    (re.compile(r"\d+(?:[.,]\d+)*", re.ASCII), "‹n›"),
    (re.compile(r"\s+"), " "),
)


def pattern_of(message: str) -> str:
    """The message with its ids, times, hexadecimal words and numbers replaced by placeholders."""
    for part, placeholder in _PARTS:
        message = part.sub(placeholder, message)
    return message.strip()
