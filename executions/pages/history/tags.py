"""Tags of the history pages: addresses with filters, and texts from other programs."""

from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from django import template
from django.urls import get_script_prefix, reverse
from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from executions.pages.history.cursors import Cursor
from executions.pages.history.filters import Filters, write_scope
from executions.pages.refused_filter import FILTER_LABELS
from executions.scheduler.states import ExecutionState
from executions.text.digest import digest
from executions.text.runner_names import SHAPES, mark_of, short_name
from executions.text.sentences import Sentence
from executions.text.visible import visible

register = template.Library()
register.filter("visible", visible)
register.filter("scope", write_scope)
register.filter(short_name)


@register.simple_tag
def address(view: str, filters: Filters | None = None, **chosen: Any) -> str:
    """``{% address "plans" filters status="FAILED" %}``: a view with filters, from the start.

    Raises:
        ValueError: a status is not in `ExecutionState`.
    """
    if "status" in chosen:
        chosen["status"] = ExecutionState(chosen["status"])
    wanted = replace(filters or Filters(), cursor=None, **chosen)
    return _with_query(reverse(view), wanted)


@register.simple_tag
def position(view: str, filters: Filters, cursor: Cursor | None) -> str:
    """The same filters at another position of their list, or at its start."""
    return _with_query(reverse(view), filters.at(cursor))


@register.filter
def filter_label(name: str) -> str:
    return str(FILTER_LABELS.get(name, name))


@register.simple_tag
def lifted(view: str, filters: Filters, name: str) -> str:
    """The same filters without one of them."""
    return _with_query(reverse(view), filters.without(name))


def _with_query(path: str, filters: Filters) -> str:
    query = filters.query_string()
    return f"{path}?{query}" if query else path


@register.simple_tag
def foreign(text: str | Sentence | None, css: str = "") -> SafeString | str:
    """A text from another program: escaped, invisible characters shown, its direction isolated."""
    if not text:
        return "—"
    return format_html('<bdi class="{}">{}</bdi>', css, visible(str(text)))


@register.simple_tag
def runner(
    runner_id: str | None, *, ours: object, job: str = "", whose: bool = False
) -> SafeString | str:
    """A runner as every page names it: mark, short name, the whole id by hover, and if it is ours.

    ``whose`` also says that a runner is Multica's.
    """
    if not runner_id:
        return "—"
    named = _runner_link(runner_id, job, get_script_prefix())
    if ours:
        return format_html('{} <span class="chip">{}</span>', named, pgettext("runner", "ours"))
    if not whose:
        return named
    theirs = pgettext("runner", "Multica's")
    return format_html('{} <span class="chip chip-mute">{}</span>', named, theirs)


@lru_cache(maxsize=256)
def _runner_link(runner_id: str, job: str, _prefix: str) -> SafeString:
    """A few runners are named on each of a page's lines. ``_prefix`` is in the link's address."""
    return format_html(
        '<a class="identifier" href="{}" title="{}">{}<bdi>{}</bdi></a>',
        address("plans", job=job, runner=runner_id),
        visible(runner_id),
        runner_mark(runner_id),
        visible(short_name(runner_id)),
    )


@lru_cache(maxsize=256)
def runner_mark(runner_id: str) -> SafeString:
    """Decoration: the name beside it says the same."""
    mark = mark_of(runner_id)
    return format_html(
        '<svg class="runner-mark hue-{}" viewBox="0 0 16 16" aria-hidden="true">'
        '<path d="{}"/><text x="8" y="11.25">{}</text></svg>',
        mark.hue,
        SHAPES[mark.shape],
        mark.letter,
    )


@register.filter
def key(text: str | None) -> str:
    """A text that came from elsewhere as a part of an id: the same text has the same key."""
    return digest(text)


@register.filter
def about(value: int) -> str:
    """A large count with honest precision: "about 9.9 million", "about 12,000"."""
    if value >= 1_000_000:
        return _("about %(n)s million") % {"n": number_format(round(value / 1_000_000, 1), 1)}
    digits = max(0, len(str(value)) - 2)
    rounded = round(value / 10**digits) * 10**digits
    return _("about %(n)s") % {"n": number_format(rounded, force_grouping=True)}


@register.filter
def input_time(value: datetime | None) -> str:
    """A time for ``<input type="datetime-local">``, in UTC."""
    if value is None:
        return ""
    unit = "seconds" if value.second or value.microsecond else "minutes"
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec=unit)


@register.filter
def percent(share: float) -> str:
    """A share of one: "42%", "<1%"."""
    if 0 < share < 0.01:
        return "<1%"
    return f"{number_format(round(share * 100))}%"
