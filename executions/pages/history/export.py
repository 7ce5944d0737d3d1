"""The filtered history as a file: CSV for a spreadsheet, JSON lines for a program.

Both are streamed page by page. If the export is cut, the last line says so.
"""

import json
import re
from collections.abc import Iterator
from datetime import datetime

from django.http import HttpRequest, StreamingHttpResponse
from django.views.decorators.http import require_safe

from executions.pages.csv_rows import csv_rows, download, note, written_time
from executions.pages.history.filters import parse
from executions.pages.history.plans import CHOICES
from executions.pages.history.rows_of_export import COLUMNS, Export, Record, start_export

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
    return start_export(parse(request.META.get("QUERY_STRING", ""), CHOICES))


def _file(export: Export, ending: str, content_type: str) -> StreamingHttpResponse:
    lines = csv_lines(export) if ending == "csv" else json_lines(export)
    return download(lines, f"executions-{export.now:%Y-%m-%d}.{ending}", content_type)


def csv_lines(export: Export) -> Iterator[str]:
    yield csv_rows([COLUMNS])
    for page in export.pages():
        yield csv_rows([record[name] for name in COLUMNS] for record in page)
    if export.cut:
        yield note(export.cut)


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
    return written_time(value) if isinstance(value, datetime) else str(value)
