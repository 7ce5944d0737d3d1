"""One execution: its life, its lease, its result, its error, and the plans around it."""

from __future__ import annotations

from uuid import UUID

from django.http import Http404, HttpResponse
from django.views.decorators.http import require_safe

from executions.accounts.requests import LiveRequest
from executions.pages.history.execution import Detail, read_execution
from executions.pages.history.filters import parse
from executions.pages.live import answer, shared


@require_safe
def execution(request: LiveRequest, execution_id: UUID) -> HttpResponse:
    """The page, or for a refresh its live part, from the same address.

    Raises:
        Http404: there is no such execution, or no longer.
        BadFilter: the address has a query string, but this page has no filters.
    """
    parse(request.META.get("QUERY_STRING", ""), names=())
    detail = shared(request, "", lambda: _read(execution_id))
    return answer(request, "history/execution", detail, {"detail": detail})


def _read(execution_id: UUID) -> Detail:
    detail = read_execution(execution_id)
    if detail is None:
        raise Http404
    return detail
