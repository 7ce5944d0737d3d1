"""PURE: the limits, in bytes, on the message and the result of a row.

Source: docs/contract.md section 3, "Limits". PostgreSQL stores neither NUL nor lone surrogates.
"""

import json
from collections.abc import Mapping

ERROR_BYTES = 4_000
RESULT_BYTES = 16_384
MOST_ROWS = 2**63 - 1


class Unstorable(ValueError):
    """A handler returned something that cannot be stored. The text is one sentence."""


def error_text(text: str) -> str:
    """The text without NUL, cut to 4,000 bytes of UTF-8 at a character's end."""
    encoded = text.replace("\0", "").encode("utf-8", "replace")
    return encoded[:ERROR_BYTES].decode("utf-8", "ignore")


def said(error: BaseException) -> str:
    """The error's own text. If reading the text fails too, the name of that error."""
    try:
        return str(error)
    except BaseException as worse:  # a job's own error class may raise anything here
        return f"(its text could not be made: {type(worse).__name__})"


def result_json(result: object) -> str:
    """A result as compact JSON without NUL.

    Raises:
        Unstorable: it is not a JSON object, or has more than 16,384 bytes.
    """
    if not isinstance(result, Mapping):
        raise Unstorable(f"The handler's result is {type(result).__name__}, not a JSON object.")
    try:
        storable = _storable(result)
        text = json.dumps(storable, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise Unstorable(f"The handler's result is no JSON: {error}.") from error
    size = len(text.encode())
    if size > RESULT_BYTES:
        raise Unstorable(
            f"The handler's result has {size:,} bytes; at most {RESULT_BYTES:,} are stored."
        )
    return text


def row_count(rows: object) -> int | None:
    """Rows affected, as a bigint or None.

    Raises:
        Unstorable: it is not an integer, or does not fit a bigint.
    """
    if rows is None:
        return None
    if not isinstance(rows, int) or isinstance(rows, bool) or abs(rows) > MOST_ROWS:
        raise Unstorable(f"The handler returned {rows!r} as its rows; a whole number is needed.")
    return rows


def _storable(value: object) -> object:
    if isinstance(value, str):
        return value.replace("\0", "").encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {_storable(key): _storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(item) for item in value]
    return value
