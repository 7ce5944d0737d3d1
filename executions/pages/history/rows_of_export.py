"""Every row of the current filters, newest first, for as long as the client reads.

It holds one page in memory and no open transaction. Rows may change meanwhile, but no row comes
twice. It ends early after ``MOST_ROWS`` rows, after ``MOST_PAGES`` looks that found too little, or
when the database fails, and then says so.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import DatabaseError
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from executions.database.problems import diagnose
from executions.models import Execution, Status
from executions.pages.history.filters import Filters
from executions.pages.history.paging import Page, PageReader
from executions.pages.history.plans import choose_walk
from executions.pages.history.rows import in_full, newest_plans, state_now
from executions.pages.history.table import read_clock

MOST_ROWS = 100_000
MOST_PAGES = 1_000
PAGE_ROWS = 500

COLUMNS = (
    "id", "job_name", "scope_kind", "scope_id", "plan_time", "status", "state", "attempt",
    "max_attempts", "runner_id", "started_at", "finished_at", "duration_ms", "rows_affected",
    "error_code", "error_msg", "next_retry_at", "heartbeat_at", "stale_after", "result",
)  # fmt: skip
Record = dict[str, Any]


@dataclass
class Export:
    """The records page by page. ``cut`` says why there are no more; None if that was all."""

    reader: PageReader
    now: datetime
    first: Page
    cut: str | None = None
    _running: set[UUID] = field(default_factory=set)

    def pages(self) -> Iterator[list[Record]]:
        try:
            yield from self._pages()
        except DatabaseError as error:
            self.cut = _("Cut here: %(problem)s") % {"problem": diagnose(error).sentence()}

    def _pages(self) -> Iterator[list[Record]]:
        page, written = self.first, 0
        for _number in range(MOST_PAGES):
            rows = self._not_twice(page.rows)[: MOST_ROWS - written]
            yield self._records(rows)
            written += len(rows)
            if page.older is None:
                return
            if written == MOST_ROWS:
                self.cut = _("Cut after %(n)d rows; narrow the filters for the rest.") % {
                    "n": MOST_ROWS
                }
                return
            page = self.reader.page(_rows(), page.older, PAGE_ROWS)
        self.cut = _("Cut here: few rows match, and looking further takes too long.")

    def _not_twice(self, rows: list[Execution]) -> list[Execution]:
        """A row that was exported as RUNNING comes again in the list once it has ended."""
        new = [row for row in rows if row.id not in self._running]
        self._running |= {row.id for row in new if row.status == Status.RUNNING}
        return new

    def _records(self, rows: list[Any]) -> list[Record]:
        newest = newest_plans(rows)
        return [self._record(row, newest.get(row.id)) for row in rows]

    def _record(self, row: Any, newest_plan: datetime | None) -> Record:
        state = state_now(row, self.now, newest_plan).value
        derived = {"state": state, "result": row.result_text}
        return {name: derived[name] if name in derived else getattr(row, name) for name in COLUMNS}


def start_export(filters: Filters) -> Export:
    """The export of these filters from the newest row on, whatever page is shown.

    The first page is read here, so that an error can still be answered with an error page.

    Raises:
        django.db.DatabaseError: Multica's table cannot be read; see ``problems.diagnose``.
        RowsHidden: row security hides rows.
    """
    clock = read_clock()
    walk, _scopes = choose_walk(filters, clock)
    reader = PageReader(walk)
    return Export(reader, clock.now, reader.page(_rows(), None, PAGE_ROWS))


def _rows() -> QuerySet[Execution]:
    return in_full().defer("lease_token")
