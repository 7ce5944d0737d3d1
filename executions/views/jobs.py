"""Every job in the table, its scopes, and how it does."""

from __future__ import annotations

from django.http import HttpResponse
from django.views.decorators.http import require_safe

from executions.selectors.filters import parse
from executions.selectors.jobs import read_all_jobs
from executions.views.live import LiveRequest, answer, shared


@require_safe
def jobs(request: LiveRequest) -> HttpResponse:
    """The page, or for a refresh its live part, from the same address.

    Raises:
        BadFilter: a value in the query string cannot be meant; it becomes a 400 that names it.
    """
    filters = parse(request.META.get("QUERY_STRING", ""), names=("job",))
    shown = shared(request, filters.query_string(), lambda: read_all_jobs(filters))
    return answer(request, "jobs", shown, {"filters": filters})
