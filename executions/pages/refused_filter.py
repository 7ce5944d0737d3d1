"""An address that was refused because of one filter: what a page needs to correct it.

The filters that were not refused are kept, so that nobody types them again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from executions.pages.history.filters import LONGEST, MOST_PARAMETERS, BadFilter
from executions.text.visible import shortened

# The filters of all pages, as a form names them.
FILTER_LABELS: Mapping[str, str | Promise] = {
    "job": _("Job"),
    "scope": _("Scope"),
    "status": _("Status"),
    "runner": _("Runner"),
    "error": _("Error code"),
    "since": _("From"),
    "until": _("Until"),
    "q": _("Search"),
    "window": _("Window"),
    "action": _("What was done"),
    "outcome": _("Outcome"),
    "to": _("Version"),
    "count": _("Count"),
}
# A position belongs to the filters that it was made for.
_POSITION = "cursor"


@dataclass(frozen=True)
class Field:
    """One filter of a form. ``words`` are the values that it takes, if they are few."""

    name: str
    value: str
    words: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        return str(FILTER_LABELS.get(self.name, self.name))


@dataclass(frozen=True)
class RefusedFilter:
    """The filter that was refused and why, and the rest of them.

    ``field`` is None if the page has no such filter, so that it can only be left out.
    """

    path: str
    said: str
    field: Field | None
    rest: tuple[Field, ...]

    @property
    def without(self) -> str:
        """The same address without this filter."""
        query = urlencode([(field.name, field.value) for field in self.rest])
        return f"{self.path}?{query}" if query else self.path


def refused_filter(path: str, query: str, refusal: BadFilter) -> RefusedFilter:
    """The refusal of this raw query string, which is as WSGI passes it."""
    given, known = _pairs(query), refusal.known
    kept = {
        name: value
        for name, value in given
        if value and _is_text(value) and (known is None or name in known)
    }
    field = None
    if known is not None and refusal.name in known and refusal.name != _POSITION:
        value = shortened(dict(given).get(refusal.name, ""))
        field = Field(refusal.name, value, tuple(str(word) for word in refusal.words))
    left_out = {refusal.name, _POSITION}
    rest = tuple(Field(name, value) for name, value in kept.items() if name not in left_out)
    return RefusedFilter(path, str(refusal), field, rest)


def _pairs(query: str) -> list[tuple[str, str]]:
    try:
        decoded = query.encode("latin-1", "replace").decode("utf-8", "surrogateescape")
        return parse_qsl(decoded, errors="surrogateescape", max_num_fields=MOST_PARAMETERS)
    except ValueError:  # too many to show
        return []


def _is_text(value: str) -> bool:
    """Whether it can be a filter at all, so that it may stand in a form."""
    return len(value) <= LONGEST and value == shortened(value, LONGEST)
