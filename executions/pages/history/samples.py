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
_LABELS = {
    ANY_TIME: _("Any time"),
    "1h": _("1 hour"),
    "24h": _("24 hours"),
    "7d": _("7 days"),
    "30d": _("30 days"),
}
_LENGTHS = {
    "1h": timedelta(hours=1),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
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
            _LABELS[name],
            replace(filters.choosing(window="" if name == default else name), since=None),
            chosen == name,
        )
        for name in names
    ]


def beginning(filters: Filters, default: str, now: datetime) -> datetime:
    """The filters' own beginning, or else that of the chosen window, which ends now.

    If the filters end before such a window begins, it ends with them.
    """
    if filters.since:
        return filters.since
    length = _LENGTHS[filters.choice(WINDOW, default)]
    since = now - length
    return filters.until - length if filters.until and filters.until <= since else since


def bounded(filters: Filters, now: datetime) -> Filters:
    """The filters with the beginning of the chosen window, if one is chosen."""
    if not filters.choice(WINDOW, ANY_TIME):
        return filters
    return replace(filters, since=beginning(filters, ANY_TIME, now))
