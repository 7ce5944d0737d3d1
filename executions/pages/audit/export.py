"""The filtered audit as a file: one row for each act, as on the page, with its whole evidence.

It is streamed page by page. If it is cut, the last row says so.
"""

import json
from collections.abc import Iterator

from django.http import HttpRequest, StreamingHttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from executions.models.retirement import AuditEvent
from executions.pages.audit.lines import AuditLine, with_intents
from executions.pages.audit.reader import CHOICES, NAMES, WALK, matching, read_clock
from executions.pages.csv_rows import csv_rows, download, note
from executions.pages.history.filters import Filters, parse
from executions.pages.history.paging import Page, PageReader

MOST_ROWS = 100_000
PAGE_ROWS = 500
# The columns of the event itself, then those of its intent, then the long one.
_EVENT = (
    "id", "at", "user_name", "action", "subject", "outcome", "why", "summary", "statement", "role",
    "retirement_id", "act_id",
)  # fmt: skip
COLUMNS = (*_EVENT, "intended_at", "intended_by", "evidence")


@require_safe
def as_csv(request: HttpRequest) -> StreamingHttpResponse:
    """``audit-<date>.csv``: a header row, then at most 100,000 acts, newest first.

    Raises:
        BadFilter: a value in the query string is invalid; it becomes a 400 that names it.
    """
    filters = parse(request.META.get("QUERY_STRING", ""), CHOICES, NAMES)
    first = _page(filters, None)  # read here, so that an error is still answered with a page
    now = read_clock()
    name = f"audit-{now:%Y-%m-%d}.csv" if now else "audit.csv"
    return download(_lines(filters, first), name, "text/csv; charset=utf-8")


def _page(filters: Filters, page: Page | None) -> Page:
    return PageReader(WALK).page(matching(filters), page.older if page else None, PAGE_ROWS)


def _lines(filters: Filters, page: Page) -> Iterator[str]:
    yield csv_rows([COLUMNS])
    written = 0
    while True:
        rows: list[AuditEvent] = page.rows[: MOST_ROWS - written]
        yield csv_rows(_row(line) for line in with_intents(rows))
        written += len(rows)
        if page.older is None and len(rows) == len(page.rows):
            return
        if written == MOST_ROWS:
            yield note(_("Cut after %(n)d rows; narrow the filters for the rest.") % {"n": written})
            return
        page = _page(filters, page)


def _row(line: AuditLine) -> list[object]:
    evidence = json.dumps(line.all_evidence, ensure_ascii=False) if line.all_evidence else ""
    event, intent = line.event, line.intent
    return [
        *(getattr(event, name) for name in _EVENT),
        *((intent.at, intent.user_name) if intent else ("", "")),
        evidence,
    ]
