"""The overview: whether the rollup works, if not why, and what to do."""

from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_safe

from executions.accounts.requests import LiveRequest
from executions.accounts.roles import OPERATE
from executions.pages.history.filters import parse
from executions.pages.live import answer
from executions.pages.overview.reader import DAY, WEEK, read_overview
from executions.pages.site_verdict import read_verdict, shown_verdict

WINDOW = "window"


@require_safe
def overview(request: LiveRequest) -> HttpResponse:
    """The page, or its live part from the same address. ``?window=7d`` has the long plan strip.

    Raises:
        BadFilter: a value in the query string is invalid; it becomes a 400 that names it.
    """
    chosen = parse(request.META["QUERY_STRING"], {WINDOW: (DAY, WEEK)}, names=())
    window = chosen.choice(WINDOW, DAY)
    shown = read_overview(window, anew=not request.htmx)
    # Asking for a right costs a statement, so only what offers an act asks.
    operates = bool(shown.ours.begun or shown.redundant) and request.user.has_perm(OPERATE)
    common = {"window": window, "perms": {"executions": {"operate": operates}}}
    context = {"site_verdict": shown_verdict(shown.verdict.level)}
    response = answer(request, "overview/overview", shown, context, common)
    if request.htmx and shown.now is not None:
        # A 204 renews the age that the page shows, although the snapshot may be some seconds old.
        response["X-Checked-At"] = shown.now.isoformat()
    return response


@require_safe
def verdict(request: LiveRequest) -> HttpResponse:
    """The live part in every other page's header. A person who opens it gets the overview."""
    if not request.htmx:
        return redirect("overview")
    return answer(request, "shared/verdict", read_verdict(), {})
