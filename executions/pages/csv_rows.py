"""Rows for a spreadsheet: a file of comma-separated values that no spreadsheet computes.

It knows nothing of what the rows are about.
"""

import csv
import io
import unicodedata
from collections.abc import Iterable
from datetime import UTC, datetime

from django.http import StreamingHttpResponse

from executions.text.beyond import in_words

# Characters that start a formula in a spreadsheet, and characters that some drop at a cell's edge.
_SIGNS = frozenset("=+-@")
_DROPPED = frozenset("\t\r\n")
# Unicode's categories of invisible characters: spaces, line ends, controls, format marks.
_UNSEEN = frozenset({"Zs", "Zl", "Zp", "Cc", "Cf"})


def csv_rows(rows: Iterable[Iterable[object]]) -> str:
    """The rows as text. No text begins like a formula, and times are UTC."""
    buffer = io.StringIO()
    cells = ([_cell(value) for value in row] for row in rows)
    csv.writer(buffer, lineterminator="\r\n").writerows(cells)
    return buffer.getvalue()


def note(text: str) -> str:
    """A last row that says something about the file, such as why it was cut."""
    return csv_rows([[f"# {text}"]])


def download(lines: Iterable[str], name: str, content_type: str) -> StreamingHttpResponse:
    """The answer that a browser saves as a file of that name."""
    return StreamingHttpResponse(
        lines,
        content_type=content_type,
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def written_time(value: datetime) -> str:
    """RFC 3339 in UTC; in words if it is outside the years that a datetime has."""
    return in_words(value) or value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _cell(value: object) -> object:
    if isinstance(value, datetime):
        return written_time(value)
    if isinstance(value, str) and _may_be_formula(value):
        return f"'{value}"
    return value


def _may_be_formula(text: str) -> bool:
    """Whether a spreadsheet may compute the text, even if it trims the cell or reads other forms.

    Full-width and small forms of the signs count as the signs, as in NFKC.
    """
    first = next((char for char in text if unicodedata.category(char) not in _UNSEEN), "")
    return text[:1] in _DROPPED or unicodedata.normalize("NFKC", first) in _SIGNS
