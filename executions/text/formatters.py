"""How values are written: numbers, durations, times and ages.

``static/times.js`` rewrites times when they age or the viewer changes the zone, so both must write
every form alike. Templates reach these through the library ``display``: `pages/display.py`.
"""

from datetime import UTC, datetime, timedelta, tzinfo
from html import escape

from django.utils.formats import date_format, number_format
from django.utils.safestring import SafeString
from django.utils.timezone import get_current_timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, pgettext

from executions.text.beyond import age_in_words, in_words

NOTHING = "—"
# The part of "2026-11-27 15:50:08" that each form shows.
TIME_FORMS = {
    "datetime": slice(16),
    "seconds": slice(19),
    "clock": slice(11, 16),
    "time": slice(11, 16),
    "date": slice(10),
}
FORMS_WITH_ZONE = frozenset({"datetime", "seconds", "clock"})


_UNITS = {
    "ms": gettext_noop("%(n)s ms"),
    "s": gettext_noop("%(n)s s"),
    "min": gettext_noop("%(n)s min"),
    "h": gettext_noop("%(n)s h"),
    "d": gettext_noop("%(n)s d"),
}


class Units(dict[str, str]):
    """How the viewer's language writes units. A caller with many durations keeps one of these."""

    def __missing__(self, unit: str) -> str:
        text = self[unit] = _(_UNITS[unit])
        return text


# --- Numbers ------------------------------------------------------------------------------------


def count(value: int | None) -> str:
    """An integer with thousands separators; a dash for None."""
    if value is None:
        return NOTHING
    # Django's function looks up the separator each time, even if there is nothing to separate.
    return str(value) if 0 <= value < 1000 else number_format(value, force_grouping=True)


def duration(milliseconds: float | None, units: Units | None = None) -> str:
    """Milliseconds in at most two units: "850 ms", "1.2 s", "4 h 20 min"."""
    if milliseconds is None:
        return NOTHING
    units = Units() if units is None else units
    if milliseconds < 1000:
        return units["ms"] % {"n": int(milliseconds)}
    if milliseconds < 9950:
        return units["s"] % {"n": number_format(round(milliseconds / 1000, 1), 1)}
    return _span(round(milliseconds / 1000), 2, units)


def seconds(value: float | timedelta | None, units: Units | None = None) -> str:
    """Seconds, or a timedelta, as :func:`duration` writes them."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    return NOTHING if value is None else duration(value * 1000, units)


def roughly(value: float) -> str:
    """Seconds in whole minutes from a minute on: "25 min" for 1,510."""
    return _span(int(value), smallest=1)


def _span(whole_seconds: int, smallest: int, units: Units | None = None) -> str:
    """Two neighbouring units; the second is left out if it is zero.

    ``smallest`` is the number of units for a span of minutes: 2 for a duration, 1 for an age, which
    need not be exact.
    """
    units = Units() if units is None else units
    days, rest = divmod(whole_seconds, 86_400)
    hours, rest = divmod(rest, 3_600)
    minutes, left = divmod(rest, 60)
    if days:
        parts = [units["d"] % {"n": number_format(days, force_grouping=True)}]
        parts += [units["h"] % {"n": hours}] if hours else []
    elif hours:
        parts = [units["h"] % {"n": hours}]
        parts += [units["min"] % {"n": minutes}] if minutes else []
    elif minutes:
        parts = [units["min"] % {"n": minutes}]
        parts += [units["s"] % {"n": left}] if left and smallest > 1 else []
    else:
        parts = [units["s"] % {"n": left}]
    return " ".join(parts)


_ZERO = timedelta()


# --- Times --------------------------------------------------------------------------------------


def zone_name(value: datetime) -> str:
    """The offset of an aware time, as every browser knows it: "UTC", "UTC+1", "UTC-3:30"."""
    offset = value.utcoffset() or _ZERO
    minutes = round(abs(offset.total_seconds()) / 60) if offset else 0
    if not minutes:
        return "UTC"
    sign = "-" if offset < _ZERO else "+"
    return f"UTC{sign}{minutes // 60}" + (f":{minutes % 60:02}" if minutes % 60 else "")


def _local(value: datetime, zone: tzinfo | None = None) -> datetime:
    """The time in the viewer's zone; in UTC if it falls outside the years 1 to 9999 there."""
    try:
        return value.astimezone(zone or get_current_timezone())
    except OverflowError:
        return value.astimezone(UTC)


def written(value: datetime, form: str = "datetime", zone: tzinfo | None = None) -> str:
    """An aware time in the viewer's zone. A caller with many times looks the zone up once.

    Raises:
        KeyError: ``form`` is neither in ``TIME_FORMS`` nor "hour".
    """
    if words := in_words(value):
        return words
    return _as_text(_local(value, zone), form)


def _as_text(local: datetime, form: str) -> str:
    text = _hour(local) if form == "hour" else local.isoformat(" ", "seconds")[TIME_FORMS[form]]
    # No form leaves out the zone of a time that `_local` could not bring into the viewer's, which
    # is always a ZoneInfo.
    elsewhere = local.tzinfo is UTC
    return f"{text} {zone_name(local)}" if elsewhere or form in FORMS_WITH_ZONE else text


def _hour(local: datetime) -> str:
    """A row of a day's hours: the time, and the day where it begins."""
    if local.hour == 0:
        return date_format(local, pgettext("Django's format of a date", "M j"))
    return f"{local.hour:02}:{local.minute:02}"


def relative(value: datetime, now: datetime, units: Units | None = None) -> str:
    """How far ``value`` is from ``now``: "12 s ago", "4 h 20 min ago", "in 3 min"."""
    if words := age_in_words(value):
        return words
    ahead = int((value - now).total_seconds())
    if ahead > 0:
        return _("in %(duration)s") % {"duration": _span(ahead, 1, units)}
    return _("%(duration)s ago") % {"duration": _span(-ahead, 1, units)}


def moment(value: datetime | None, form: str = "datetime") -> SafeString | str:
    """``{% moment plan.plan_time "time" %}``: a ``<time>`` whose title is the whole time."""
    if value is None:
        return NOTHING
    if words := in_words(value):
        return words
    local = _local(value)
    return _time(value, f'data-form="{form}"', _as_text(local, "seconds"), _as_text(local, form))


def _time(value: datetime, attribute: str, title: str, text: str) -> SafeString:
    """A page has a hundred of them. Django's `format_html` would take twice as long for each."""
    when = value.isoformat()
    return SafeString(
        f'<time datetime="{when}" {attribute} title="{escape(title)}">{escape(text)}</time>'
    )


def ago(value: datetime | None, now: datetime, units: Units | None = None) -> SafeString | str:
    """``{% ago plan.finished_at checked_at %}``: a ``<time>`` that keeps ageing in the browser.

    ``now`` is the database's clock, never this process's.
    """
    if value is None:
        return NOTHING
    if words := age_in_words(value):
        return words
    return _time(value, "data-relative", written(value, "seconds"), relative(value, now, units))


def countdown(value: datetime, now: datetime) -> SafeString:
    """``{% countdown due now %}``: "in 3 min 42 s", counted down in the browser to the second."""
    ahead = int((value - now).total_seconds())
    left = {"duration": _span(ahead, smallest=2)}
    text = _("in %(duration)s") % left if ahead > 0 else _("at any moment")
    return _time(value, 'data-relative="countdown"', written(value, "seconds"), text)


def age(value: datetime | None, now: datetime) -> SafeString | str:
    """``{% age watermark checked_at %}``: like :func:`ago`, without the word "ago": "4 min"."""
    if value is None:
        return NOTHING
    if words := age_in_words(value):
        return words
    text = relative(value, now) if value > now else _span(int((now - value).total_seconds()), 1)
    return _time(value, 'data-relative="span"', written(value, "seconds"), text)
