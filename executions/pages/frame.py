"""The frame of every page: doors, environment, version, the viewer's choices."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from executions.pages.site_verdict import kept_verdict
from multica_admin import __version__

OVERVIEW = frozenset({"overview", "silences"})
HISTORY = frozenset({"plans", "execution", "runners", "errors", "jobs", "verdicts"})
ROLLUP = frozenset({"rollup", "rollup_run", "drift", "backfill", "upgrade", "zero"})
SCHEDULES = frozenset(
    {
        "schedules",
        "retire",
        "retire_outside",
        "retire_check",
        "retire_confirm",
        "retire_watch",
        "retire_stuck",
        "retire_left",
    }
)


def chrome(request: HttpRequest) -> dict[str, Any]:
    """Context for ``base.html``. It asks the database for nothing more than once.

    ``verdict_asks`` says whether the header refreshes its verdict itself: the overview has its own.
    """
    match = request.resolver_match
    here = match.url_name if match else None
    doors = [
        {"label": _("Overview"), "url": reverse("overview"), "active": here in OVERVIEW},
        {"label": _("History"), "url": reverse("plans"), "active": here in HISTORY},
        {"label": _("Rollup"), "url": reverse("rollup"), "active": here in ROLLUP},
        {"label": _("Schedules"), "url": reverse("schedules"), "active": here in SCHEDULES},
        {"label": _("Audit"), "url": reverse("audit"), "active": here == "audit"},
    ]
    return {
        "doors": doors,
        "environment_name": settings.ENVIRONMENT_NAME,
        "demo": settings.HOLDS_DEMO,
        "passwords": settings.WAYS.password,
        "version": __version__,
        "site_verdict": kept_verdict() if getattr(request, "may_look", False) else None,
        "verdict_asks": here != "overview",
        "time_zone_choice": "local" if request.COOKIES.get("time_zone") == "local" else "utc",
    }
