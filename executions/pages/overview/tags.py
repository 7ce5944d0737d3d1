"""Tags of the overview and of every page that shows a finding."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from html import escape
from typing import Any
from urllib.parse import quote
from uuid import UUID

from django import template
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.html import conditional_escape
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from executions.pages.display import badge
from executions.pages.history.filters import write_time
from executions.pages.history.tags import address, foreign
from executions.pages.overview import evidence
from executions.pages.overview.lanes import Bar
from executions.pages.overview.series import HourOfValues
from executions.pages.overview.strip import HOUR, Captions, Square, Strip
from executions.text.formatters import Units, count, duration, moment, seconds

register = template.Library()

# A placeholder: an address is made with it once, then times replace it.
_ANY = 1_234_567_890
_NO_ID = UUID(int=0)
_SINCE, _UNTIL = datetime(1, 1, 1, tzinfo=UTC), datetime(2, 1, 1, tzinfo=UTC)
_QUOTED_SINCE, _QUOTED_UNTIL = quote(write_time(_SINCE)), quote(write_time(_UNTIL))


@register.simple_tag
def evidence_rows(executions: Iterable[Mapping[str, Any]]) -> SafeString:
    """``{% evidence_rows line.executions %}``: the executions of a line of evidence."""
    before, after = reverse("execution", args=[_NO_ID]).split(str(_NO_ID))
    attempt_of = _("attempt %(n)s of %(of)s")
    badges: dict[str, str] = {}

    def row(one: Mapping[str, Any]) -> str:
        to, when = f"{before}{escape(str(one['id']))}{after}", moment(one["plan_time"])
        told = [f'<a href="{to}">{conditional_escape(when)}</a> ']
        if status := one.get("status"):
            if status not in badges:
                badges[status] = badge(status)
            told.append(badges[status])
        if attempt := one.get("attempt"):
            told.append(" " + escape(attempt_of % {"n": attempt, "of": one.get("max_attempts")}))
        if code := one.get("error_code"):
            told.append(f" <code>{foreign(code)}</code> {foreign(one.get('error_msg'))}")
        return f"<dd>{''.join(told)}</dd>"

    return SafeString("".join(map(row, executions)))


_BLANK = '<span role="gridcell"></span>'


@register.filter
def evidence_lines(shown: evidence.Evidenced) -> list[evidence.EvidenceLine]:
    """``{% for line in finding|evidence_lines %}``: its evidence in words."""
    return evidence.lines(shown)


# A day has 288 squares, as many bars, and two tables of hours. Built here, with escaping only where
# needed, they cost a quarter of a template loop.


@register.simple_tag
def drawn(strip: Strip, job: str) -> list[SafeString]:
    """``{% drawn strip job as rows %}``: the HTML of each row, an hour or a UTC day.

    A square is a link to what it stands for, if there is anything. The newest piece of an open gap
    is the link of the whole gap. A finger may use the others too.
    """
    addresses, captions = Addresses(job), Captions()
    open_pieces = [one for row in strip.rows for one in row.squares if one.is_open]
    echoes = {one.key for one in open_pieces[:-1]}
    rows = []
    for row in strip.rows:
        label = _day(row.start) if strip.by_hour else conditional_escape(moment(row.start, "hour"))
        squares = [
            _square(one, addresses, captions, echoes=one.key in echoes) for one in row.squares
        ]
        cells = [_BLANK * len(row.before), *squares, _BLANK * len(row.after)]
        rows.append(
            SafeString(
                f'<div class="plan-hour" id="row-{row.key}" role="row">'
                f'<span class="plan-label" role="rowheader">{label}</span>{"".join(cells)}</div>'
            )
        )
    return rows


def _day(start: datetime) -> str:
    form = pgettext("Django's format of a date", "D j M")
    return escape(date_format(start.astimezone(UTC), form))


def _square(square: Square, addresses: Addresses, captions: Captions, *, echoes: bool) -> str:
    to, title = leads_to(square, addresses), escape(captions.of(square))
    look, key = square.look, square.key
    if square.is_open:
        hidden = ' tabindex="-1" aria-hidden="true"' if echoes else ""
        return (
            f'<span role="gridcell" class="span-{square.span}" aria-colspan="{square.span}">'
            f'<a class="plan plan-{look} plan-open" id="square-{key}" href="{to}"'
            f' title="{title}"{hidden}><span>{title}</span></a></span>'
        )
    mark = f'class="plan plan-{look}" id="square-{key}"'
    if to:
        inside = f'<a {mark} href="{to}" title="{title}"><span>{title}</span></a>'
    else:
        inside = f"<span {mark}><span>{title}</span></span>"
    return f'<span role="gridcell">{inside}</span>'


@register.simple_tag
def bars(lane: Iterable[Bar]) -> SafeString:
    """``{% bars lane.bars %}``: a runner's runs as rectangles, one path for each kind of run.

    Each rectangle begins where it stands from the one before it. Runs come at an even pace, so that
    compresses to a fifth of absolute places.
    """
    paths: dict[str, list[str]] = defaultdict(list)
    at: dict[str, float] = {}
    for x, width, y, height, css in lane:
        place = f"m{x - at[css]:.2f} 0" if css in at else f"M{x} {y}"
        paths[css].append(f"{place}h{width}v{height}h-{width}z")
        at[css] = x
    return SafeString(
        "".join(f'<path class="{css}" d="{"".join(path)}"/>' for css, path in paths.items())
    )


@register.filter
def whole_seconds(span: timedelta) -> int:
    return round(span.total_seconds())


@register.filter
def percent(share: float) -> str:
    """``{{ 99.7|percent }}``: rounded down, because 100% means all of them."""
    return f"{count(int(share))}%"


@register.simple_tag
def hour_rows(hours: Iterable[HourOfValues], unit: str, job: str) -> SafeString:
    """``{% hour_rows series.hours "ms" job %}``: a table's rows; values are milliseconds or "s".

    Each hour leads to its plans.
    """
    units, addresses = Units(), Addresses(job)
    write = partial(duration if unit == "ms" else seconds, units=units)
    return SafeString("".join([_hour_row(hour, unit, write, addresses) for hour in hours]))


def _hour_row(
    hour: HourOfValues, unit: str, write: Callable[[float], str], addresses: Addresses
) -> str:
    to = addresses.of_stretch(hour.hour, hour.hour + HOUR)
    numbers = [count(hour.count), *map(write, (hour.median, hour.p95, hour.greatest))]
    cells = "".join(f'<td class="number">{escape(number)}</td>' for number in numbers)
    key = int(hour.hour.timestamp())
    head = f'<th scope="row"><a href="{to}">{moment(hour.hour)}</a></th>'
    return f'<tr id="hour-{unit}-{key}">{head}{cells}</tr>'


class Addresses:
    """Django's ``reverse`` for many squares of one job, called once. It writes them for HTML."""

    def __init__(self, job: str) -> None:
        self._before_plan, self._after_plan = escape(reverse("plan", args=[_ANY])).split(str(_ANY))
        stretch = escape(address("plans", job=job, since=_SINCE, until=_UNTIL))
        before, rest = stretch.split(_QUOTED_SINCE)
        self._around_times = (before, *rest.split(_QUOTED_UNTIL))
        self._times: dict[datetime, str] = {}

    def of_plan(self, plan_time: datetime) -> str:
        """A quarter of a page's bytes would be the ids of executions, so its time names a plan."""
        return f"{self._before_plan}{int(plan_time.timestamp())}{self._after_plan}"

    def of_stretch(self, since: datetime, until: datetime) -> str:
        before, between, after = self._around_times
        return f"{before}{self._quoted(since)}{between}{self._quoted(until)}{after}"

    def _quoted(self, time: datetime) -> str:
        """One stretch ends where the next one begins, so most times are there already."""
        if time not in self._times:
            self._times[time] = write_time(time).replace(":", "%3A")
        return self._times[time]


def leads_to(square: Square, addresses: Addresses) -> str:
    """The address of a square, for HTML: its execution, its gap's story, or its part of history.

    Empty for a plan that is not due yet or was never expected.
    """
    if square.execution is not None:
        return addresses.of_plan(square.start)
    if square.gap is not None:
        return f"#{square.gap.anchor}"
    if square.has_rows:
        return addresses.of_stretch(square.start, square.end)
    return ""
