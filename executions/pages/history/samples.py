"""How far back a history page looks: the filters' own times, or else a few words in the address.

From this part of the history runners and errors are summed up. Inside it at most a fixed number of
the newest rows of one index is read, and the page says how far they reached. The list of plans has
no beginning unless somebody chooses one.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from executions.pages.history.filters import Filters

WINDOW = "window"
ANY_TIME = ""
WINDOWS: dict[str, tuple[timedelta | None, str | Promise]] = {
    ANY_TIME: (None, _("Any time")),
    "1h": (timedelta(hours=1), _("1 hour")),
    "24h": (timedelta(hours=24), _("24 hours")),
    "7d": (timedelta(days=7), _("7 days")),
    "30d": (timedelta(days=30), _("30 days")),
}


@dataclass(frozen=True)
class Window:
    """One choice of how far back to look. ``name`` is its word in the address."""

    name: str
    label: str | Promise
    filters: Filters
    chosen: bool


def windows(filters: Filters, default: str, names: tuple[str, ...]) -> list[Window]:
    """The choices as links. None is chosen if the filters have a ``since``."""
    chosen = None if filters.since else filters.choice(WINDOW, default)
    return [
        Window(
            name,
            WINDOWS[name][1],
            replace(filters.choosing(window="" if name == default else name), since=None),
            chosen == name,
        )
        for name in names
    ]


def bounded(filters: Filters, default: str, now: datetime) -> Filters:
    """The filters with a beginning: their own, or the chosen window before now, if any."""
    length = WINDOWS[filters.choice(WINDOW, default)][0]
    if filters.since or length is None:
        return filters
    since = now - length
    if filters.until and filters.until <= since:
        since = filters.until - length
    return replace(filters, since=since)
