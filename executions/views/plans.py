"""The plan history: a filter form above a page of executions."""

from __future__ import annotations

from django.http import HttpResponse
from django.views.decorators.http import require_safe

from executions.scheduler.spec import ErrorCode
from executions.selectors.filters import State, parse
from executions.selectors.plans import read_choices, read_plans
from executions.views.live import LiveRequest, answer, shared


@require_safe
def plans(request: LiveRequest) -> HttpResponse:
    """The page, or for a refresh its list alone, from the same address.

    Raises:
        BadFilter: a value in the query string cannot be meant; it becomes a 400 that names it.
    """
    filters = parse(request.META.get("QUERY_STRING", ""))
    shown = shared(request, filters.query_string(), lambda: read_plans(filters))
    context: dict[str, object] = {"filters": filters}
    if not request.htmx:
        context |= {
            "choices": read_choices(shown),
            "states": list(State),
            "error_codes": list(ErrorCode),
        }
    return answer(request, "plans", shown, context)
