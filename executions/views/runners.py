"""Who ran the plans of a job lately."""

from __future__ import annotations

from django.http import HttpResponse
from django.views.decorators.http import require_safe

from executions.selectors.filters import UNPAGED, parse
from executions.selectors.runners import WINDOW_NAMES, read_runners
from executions.views.live import LiveRequest, answer, shared


@require_safe
def runners(request: LiveRequest) -> HttpResponse:
    """The page, or for a refresh its live part, from the same address.

    Raises:
        BadFilter: a value in the query string cannot be meant; it becomes a 400 that names it.
    """
    filters = parse(request.META.get("QUERY_STRING", ""), {"window": WINDOW_NAMES}, UNPAGED)
    shown = shared(request, filters.query_string(), lambda: read_runners(filters))
    return answer(request, "runners", shown, {"filters": filters})
