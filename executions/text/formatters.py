"""How values are written: numbers, durations, times and ages.

``static/times.js`` rewrites times when they age or the viewer changes the zone, so both must write
every form alike. Templates reach these through the library ``display``: `pages/display.py`.
"""

from datetime import UTC, datetime, timedelta, tzinfo
from html import escape

from django.utils.formats import date_format, number_format
from django.utils.safestring import SafeString
from django.utils.timezone import localtime
from django.utils.translation import gettext as _

from executions.text.beyond import age_in_words, in_words

NOTHING = "—"
TIME_FORMS = {
    "datetime": "%Y-%m-%d %H:%M",
    "seconds": "%Y-%m-%d %H:%M:%S",
    "clock": "%H:%M",
    "time": "%H:%M",
    "date": "%Y-%m-%d",
}
FORMS_WITH_ZONE = frozenset({"datetime", "seconds", "clock"})


# --- Numbers ------------------------------------------------------------------------------------


def count(value: int | None) -> str:
    """An integer with thousands separators; a dash for None."""
    if value is None:
        return NOTHING
    # Django's function looks up the separator each time, even if there is nothing to separate.
    return str(value) if 0 <= value < 1000 else number_format(value, force_grouping=True)


def duration(milliseconds: float | None) -> str:
    """Milliseconds in at most two units: "850 ms", "1.2 s", "4 h 20 min"."""
    if milliseconds is None:
        return NOTHING
    if milliseconds < 1000:
        return _("%(n)s ms") % {"n": int(milliseconds)}
    if milliseconds < 9950:
        return _("%(n)s s") % {"n": number_format(round(milliseconds / 1000, 1), 1)}
    return _span(round(milliseconds / 1000), smallest=2)


def seconds(value: float | timedelta | None) -> str:
    """Seconds, or a timedelta, as :func:`duration` writes them."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    return NOTHING if value is None else duration(value * 1000)


def roughly(value: float) -> str:
    """Seconds in whole minutes from a minute on: "25 min" for 1,510."""
    return _span(int(value), smallest=1)


def _span(whole_seconds: int, smallest: int) -> str:
    """Two neighbouring units; the second is left out if it is zero.

    ``smallest`` is the number of units for a span of minutes: 2 for a duration, 1 for an age, which
    need not be exact.
    """
    days, rest = divmod(whole_seconds, 86_400)
    hours, rest = divmod(rest, 3_600)
    minutes, left = divmod(rest, 60)
    if days:
        parts = [_("%(n)s d") % {"n": number_format(days, force_grouping=True)}]
        parts += [_("%(n)s h") % {"n": hours}] if hours else []
    elif hours:
        parts = [_("%(n)s h") % {"n": hours}]
        parts += [_("%(n)s min") % {"n": minutes}] if minutes else []
    elif minutes:
        parts = [_("%(n)s min") % {"n": minutes}]
        parts += [_("%(n)s s") % {"n": left}] if left and smallest > 1 else []
    else:
        parts = [_("%(n)s s") % {"n": left}]
    return " ".join(parts)


# --- Times --------------------------------------------------------------------------------------


def zone_name(value: datetime) -> str:
    """The offset of an aware time, as every browser knows it: "UTC", "UTC+1", "UTC-3:30"."""
    offset = value.utcoffset() or timedelta()
    minutes = round(abs(offset.total_seconds()) / 60)
    if not minutes:
        return "UTC"
    sign = "-" if offset < timedelta() else "+"
    return f"UTC{sign}{minutes // 60}" + (f":{minutes % 60:02}" if minutes % 60 else "")


def _local(value: datetime, zone: tzinfo | None = None) -> datetime:
    """The time in the viewer's zone; in UTC if it falls outside the years 1 to 9999 there."""
    try:
        return localtime(value, zone)
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
    text = _hour(local) if form == "hour" else local.strftime(TIME_FORMS[form])
    # No form leaves out the zone of a time that `_local` could not bring into the viewer's, which
    # is always a ZoneInfo.
    elsewhere = local.tzinfo is UTC
    return f"{text} {zone_name(local)}" if elsewhere or form in FORMS_WITH_ZONE else text


def _hour(local: datetime) -> str:
    """A row of a day's hours: the time, and the day where it begins."""
    return date_format(local, "M j") if local.hour == 0 else local.strftime("%H:%M")


def relative(value: datetime, now: datetime) -> str:
    """How far ``value`` is from ``now``: "12 s ago", "4 h 20 min ago", "in 3 min"."""
    if words := age_in_words(value):
        return words
    ahead = int((value - now).total_seconds())
    if ahead > 0:
        return _("in %(duration)s") % {"duration": _span(ahead, smallest=1)}
    return _("%(duration)s ago") % {"duration": _span(-ahead, smallest=1)}


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


def ago(value: datetime | None, now: datetime) -> SafeString | str:
    """``{% ago plan.finished_at checked_at %}``: a ``<time>`` that keeps ageing in the browser.

    ``now`` is the database's clock, never this process's.
    """
    if value is None:
        return NOTHING
    if words := age_in_words(value):
        return words
    return _time(value, "data-relative", written(value, "seconds"), relative(value, now))


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
