"""The overview: whether the rollup works, why not if it does not, and what to do."""

from __future__ import annotations

from django.http import HttpResponse
from django.views.decorators.http import require_safe

from executions.selectors.filters import parse
from executions.selectors.overview import DAY, WEEK, read_overview
from executions.views.live import LiveRequest, answer

WINDOW = "window"


@require_safe
def overview(request: LiveRequest) -> HttpResponse:
    """The page, or its live part from the same address: ``?window=7d`` has the long plan strip.

    Raises:
        BadFilter: a value in the query string cannot be meant; it becomes a 400 that names it.
    """
    chosen = parse(request.META["QUERY_STRING"], {WINDOW: (DAY, WEEK)}, names=())
    shown = read_overview(chosen.choice(WINDOW, DAY))
    response = answer(request, "overview", shown, {"filters": chosen})
    if request.htmx and shown.now is not None:
        # A 204 renews the age that the page shows, and the snapshot may be some seconds old.
        response["X-Checked-At"] = shown.now.isoformat()
    return response
