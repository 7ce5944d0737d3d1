"""The rows of a list of executions as HTML.

A page has fifty, and in templates they took a third of its time: each looked up the same words and
the same address again. The heading of their columns is `_row_heads.html`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from html import escape
from uuid import UUID

from django import template
from django.urls import reverse
from django.utils.html import conditional_escape
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from executions.pages.display import drawn_badge, look
from executions.pages.history.filters import Filters, write_scope
from executions.pages.history.rows import ExecutionRow
from executions.pages.history.tags import address, foreign, runner
from executions.scheduler.states import ExecutionState
from executions.text.formatters import Units, ago, count, duration, moment
from executions.text.visible import visible

register = template.Library()

_ANY = UUID(int=0)


class Rows:
    """Writes the rows of one list for one viewer.

    ``filters`` are those of the list: what they say already, no row repeats. ``prefix`` begins the
    ids of the rows.
    """

    def __init__(
        self, prefix: str, filters: Filters, columns: Collection[str], now: datetime
    ) -> None:
        self._prefix = prefix
        self._filters = filters
        self._columns = columns
        self._now = now
        self._before, self._after = reverse("execution", args=[_ANY]).split(str(_ANY))
        self._units = Units()
        self._badges: dict[ExecutionState, str] = {}
        self._scopes: dict[tuple[str, str, str], str] = {}
        self._rest = _("Attempt, runner, rows and error")
        self._attempt = _("Attempt")
        self._of = _("%(n)s of %(of)s")
        self._runner = _("Runner")
        self._rows = _("Rows")
        self._error = _("Error")

    def row(self, row: ExecutionRow) -> SafeString:
        """The whole row of the table."""
        read, columns = row.execution, self._columns
        to = f"{self._before}{read.id}{self._after}"
        when = conditional_escape(moment(read.plan_time, "time"))
        age = conditional_escape(ago(read.plan_time, self._now, self._units))
        cells = [
            (
                f'<tr id="{self._prefix}-{read.id}"><td class="cell-main"><a href="{to}">{when}</a>'
                f' <span class="cell-aside">{age}</span></td>'
            ),
            self._scope(row) if "scope" in columns else "",
            (
                f'<td class="cell-end">{self._badge(row.state)}</td>'
                f'<td class="cell-rest"><details id="rest-{read.id}"><summary>'
                f'<span class="visually-hidden">{self._rest}</span></summary></details></td>'
            ),
            self._attempts(read.attempt, read.max_attempts),
        ]
        if "runner" in columns:
            named = runner(read.runner_id, ours=row.is_ours, job=self._filters.job)
            cells.append(
                f'<td class="cell-wide cell-runner" data-label="{self._runner}">{named}</td>'
            )
        if "rows" in columns:
            rows = count(read.rows_affected)
            cells.append(f'<td class="cell-fact number" data-label="{self._rows}">{rows}</td>')
        if "duration" in columns:
            took = escape(duration(read.duration_ms, self._units))
            cells.append(f'<td class="cell-duration number">{took}</td>')
        if "error" in columns:
            cells.append(self._told_error(row, to))
        return SafeString("".join([*cells, "</tr>"]))

    def _badge(self, state: ExecutionState) -> str:
        if state not in self._badges:
            self._badges[state] = drawn_badge(look(state.value))
        return self._badges[state]

    def _attempts(self, attempt: int, most: int) -> str:
        raised = ' class="raised"' if attempt > 1 else ""
        told = escape(self._of % {"n": attempt, "of": most})
        return (
            f'<td class="cell-fact number" data-label="{self._attempt}"><span{raised}>{told}</span>'
            "</td>"
        )

    def _told_error(self, row: ExecutionRow, to: str) -> str:
        code, line = row.execution.error_code, row.error_line
        if not code and not line:
            return f'<td class="cell-wide cell-error cell-nothing" data-label="{self._error}"></td>'
        return (
            f'<td class="cell-wide cell-error" data-label="{self._error}">'
            f'<a class="error-link" href="{to}#error"><code>{foreign(code)}</code>'
            f' <bdi class="error-line">{escape(visible(line))}</bdi></a></td>'
        )

    def _scope(self, row: ExecutionRow) -> str:
        read = row.execution
        key = (read.job_name, read.scope_kind, read.scope_id)
        if key not in self._scopes:
            label = _("Scope") if self._filters.job else _("Job and scope")
            links = scope_links(row, self._filters)
            self._scopes[key] = (
                f'<td class="cell-wide cell-scope" data-label="{label}">{links}</td>'
            )
        return self._scopes[key]


@register.simple_tag
def scope_links(row: ExecutionRow, filters: Filters) -> SafeString:
    """The job and the scope of an execution, as far as no filter says them."""
    job, links = row.execution.job_name, []
    if not filters.job:
        to = escape(address("plans", job=job))
        links.append(f'<a class="identifier" href="{to}">{foreign(job)}</a>')
    if not row.is_global or filters.job:
        css = "identifier" if filters.job else "identifier cell-second"
        to = escape(address("plans", job=job, scope=row.scope))
        links.append(f' <a class="{css}" href="{to}">{foreign(write_scope(row.scope))}</a>')
    return SafeString("".join(links))


@register.simple_tag
def rows_in_html(
    rows: Iterable[ExecutionRow],
    prefix: str,
    columns: Collection[str],
    now: datetime,
    filters: Filters,
) -> list[tuple[ExecutionRow, SafeString]]:
    """``{% rows_in_html plans.rows "execution" columns now filters as rows %}``"""
    drawn = Rows(prefix, filters, columns, now)
    return [(row, drawn.row(row)) for row in rows]


@register.simple_tag
def plan_rows(
    rows: Iterable[ExecutionRow], columns: Collection[str], now: datetime, job: str
) -> SafeString:
    """``{% plan_rows recent columns now job %}``: plans of one job, as the overview lists them."""
    drawn = Rows("plan", Filters(job=job), columns, now)
    return SafeString("".join(map(drawn.row, rows)))
