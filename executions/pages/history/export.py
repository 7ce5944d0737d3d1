"""The filtered history as a file: CSV for a spreadsheet, JSON lines for a program.

Both are streamed page by page. If the export is cut, the last line says so.
"""

import csv
import io
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from django.http import HttpRequest, StreamingHttpResponse
from django.views.decorators.http import require_safe

from executions.pages.history.filters import parse
from executions.pages.history.rows_of_export import COLUMNS, Export, Record, start_export
from executions.text.beyond import in_words

# Characters that start a formula in a spreadsheet, and characters that some drop at a cell's edge.
_SIGNS = frozenset("=+-@")
_DROPPED = frozenset("\t\r\n")
# Unicode's categories of invisible characters: spaces, line ends, controls, format marks.
_UNSEEN = frozenset({"Zs", "Zl", "Zp", "Cc", "Cf"})
_NOT_ASCII = re.compile("[^\x00-\x7f]+")


@require_safe
def as_csv(request: HttpRequest) -> StreamingHttpResponse:
    """``executions-<date>.csv``: a header row, then at most 100,000 executions.

    Raises:
        BadFilter: a value in the query string is invalid; it becomes a 400 that names it.
    """
    return _file(_start(request), "csv", "text/csv; charset=utf-8")


@require_safe
def as_json_lines(request: HttpRequest) -> StreamingHttpResponse:
    """``executions-<date>.jsonl``: one object per line, at most 100,000.

    Raises:
        BadFilter: a value in the query string is invalid; it becomes a 400 that names it.
    """
    return _file(_start(request), "jsonl", "application/jsonl; charset=utf-8")


def _start(request: HttpRequest) -> Export:
    return start_export(parse(request.META.get("QUERY_STRING", "")))


def _file(export: Export, ending: str, content_type: str) -> StreamingHttpResponse:
    lines = csv_lines(export) if ending == "csv" else json_lines(export)
    name = f"executions-{export.now:%Y-%m-%d}.{ending}"
    return StreamingHttpResponse(
        lines,
        content_type=content_type,
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def csv_lines(export: Export) -> Iterator[str]:
    yield _csv_rows([COLUMNS])
    for page in export.pages():
        yield _csv_rows([[_cell(record[name]) for name in COLUMNS] for record in page])
    if export.cut:
        yield _csv_rows([[f"# {export.cut}"]])


def json_lines(export: Export) -> Iterator[str]:
    for page in export.pages():
        yield "".join(f"{_json_object(record)}\n" for record in page)
    if export.cut:
        yield json.dumps({"cut": export.cut}) + "\n"


def _json_object(record: Record) -> str:
    """The object. The result already is JSON text; parsing a deeply nested one would fail.

    All of it is ASCII, because some readers take U+2028 and the like for the end of a line.
    """
    rest = {name: value for name, value in record.items() if name != "result"}
    result = _NOT_ASCII.sub(lambda match: json.dumps(match.group())[1:-1], record["result"])
    return f'{json.dumps(rest, default=_plain)[:-1]}, "result": {result}}}'


def _plain(value: object) -> str:
    return _time(value) if isinstance(value, datetime) else str(value)


def _csv_rows(rows: Iterable[Iterable[object]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\r\n").writerows(rows)
    return buffer.getvalue()


def _cell(value: object) -> object:
    """A value for a spreadsheet: no text begins like a formula, times are UTC."""
    if isinstance(value, datetime):
        return _time(value)
    if isinstance(value, str) and _may_be_formula(value):
        return f"'{value}"
    return value


def _may_be_formula(text: str) -> bool:
    """Whether a spreadsheet may compute the text, even if it trims the cell or reads other forms.

    Full-width and small forms of the signs count as the signs, as in NFKC.
    """
    first = next((char for char in text if unicodedata.category(char) not in _UNSEEN), "")
    return text[:1] in _DROPPED or unicodedata.normalize("NFKC", first) in _SIGNS


def _time(value: datetime) -> str:
    return in_words(value) or value.astimezone(UTC).isoformat().replace("+00:00", "Z")
