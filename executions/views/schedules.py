"""What calls the rollup, and what cannot be seen of it."""

from __future__ import annotations

from django.http import HttpResponse
from django.views.decorators.http import require_safe

from executions.selectors.filters import parse
from executions.selectors.schedules import read_schedules
from executions.views.live import LiveRequest, answer, shared


@require_safe
def schedules(request: LiveRequest) -> HttpResponse:
    """The page, or for a refresh its live part, from the same address.

    Raises:
        BadFilter: the address has a query string; it becomes a 400 that says so.
    """
    filters = parse(request.META["QUERY_STRING"], names=())
    shown = shared(request, "", read_schedules)
    return answer(request, "schedules", shown, {"filters": filters})
