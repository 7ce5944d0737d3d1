"""How values look on a page: times, durations, sizes, statuses, icons, form fields.

No rules belong here: other modules decide whether a plan is stale or a verdict failing, and pass
the word. ``static/times.js`` rewrites times when they age or the viewer changes the zone, so both
must write every form alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache

from django import template
from django.forms import BoundField, CheckboxInput, Select
from django.templatetags.static import static
from django.utils.formats import number_format
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from executions.text.beyond import age_in_words, in_words

register = template.Library()

NOTHING = "—"
SPRITE = "vendor/tabler-icons-3.51.0/sprite.svg"
TIME_FORMS = {
    "datetime": "%Y-%m-%d %H:%M",
    "seconds": "%Y-%m-%d %H:%M:%S",
    "clock": "%H:%M",
    "time": "%H:%M",
    "date": "%Y-%m-%d",
}
FORMS_WITH_ZONE = frozenset({"datetime", "seconds", "clock"})


# --- Numbers ------------------------------------------------------------------------------------


@register.filter
def count(value: int | None) -> str:
    """An integer with thousands separators; a dash for None."""
    if value is None:
        return NOTHING
    # Django's function looks up the separator each time, even if there is nothing to separate.
    return str(value) if 0 <= value < 1000 else number_format(value, force_grouping=True)


@register.filter
def duration(milliseconds: float | None) -> str:
    """Milliseconds in at most two units: "850 ms", "1.2 s", "4 h 20 min"."""
    if milliseconds is None:
        return NOTHING
    if milliseconds < 1000:
        return _("%(n)s ms") % {"n": int(milliseconds)}
    if milliseconds < 9950:
        return _("%(n)s s") % {"n": number_format(round(milliseconds / 1000, 1), 1)}
    return _span(round(milliseconds / 1000), smallest=2)


@register.filter
def seconds(value: float | timedelta | None) -> str:
    """Seconds, or a timedelta, as :func:`duration` writes them."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    return NOTHING if value is None else duration(value * 1000)


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


@register.filter
def written(value: datetime, form: str = "datetime", zone: tzinfo | None = None) -> str:
    """An aware time in the viewer's zone. A caller with many times looks the zone up once.

    Raises:
        KeyError: ``form`` is not in ``TIME_FORMS``.
    """
    if words := in_words(value):
        return words
    return _as_text(_local(value, zone), form)


def _as_text(local: datetime, form: str) -> str:
    text = local.strftime(TIME_FORMS[form])
    return f"{text} {zone_name(local)}" if form in FORMS_WITH_ZONE else text


def relative(value: datetime, now: datetime) -> str:
    """How far ``value`` is from ``now``: "12 s ago", "4 h 20 min ago", "in 3 min"."""
    if words := age_in_words(value):
        return words
    ahead = int((value - now).total_seconds())
    if ahead > 0:
        return _("in %(duration)s") % {"duration": _span(ahead, smallest=1)}
    return _("%(duration)s ago") % {"duration": _span(-ahead, smallest=1)}


@register.simple_tag
def moment(value: datetime | None, form: str = "datetime") -> SafeString | str:
    """``{% moment plan.plan_time "time" %}``: a ``<time>`` whose title is the whole time."""
    if value is None:
        return NOTHING
    if words := in_words(value):
        return words
    local = _local(value)
    return format_html(
        '<time datetime="{}" data-form="{}" title="{}">{}</time>',
        value.isoformat(),
        form,
        _as_text(local, "seconds"),
        _as_text(local, form),
    )


@register.simple_tag
def ago(value: datetime | None, now: datetime) -> SafeString | str:
    """``{% ago plan.finished_at checked_at %}``: a ``<time>`` that keeps ageing in the browser.

    ``now`` is the database's clock, never this process's.
    """
    if value is None:
        return NOTHING
    if words := age_in_words(value):
        return words
    return format_html(
        '<time datetime="{}" data-relative title="{}">{}</time>',
        value.isoformat(),
        written(value, "seconds"),
        relative(value, now),
    )


@register.simple_tag
def age(value: datetime | None, now: datetime) -> SafeString | str:
    """``{% age watermark checked_at %}``: like :func:`ago`, without the word "ago": "4 min"."""
    if value is None:
        return NOTHING
    if words := age_in_words(value):
        return words
    return format_html(
        '<time datetime="{}" data-relative="span" title="{}">{}</time>',
        value.isoformat(),
        written(value, "seconds"),
        relative(value, now) if value > now else _span(int((now - value).total_seconds()), 1),
    )


# --- Statuses -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Badge:
    """A word's label, its tone (a ``tone-…`` class of app.css) and its shape."""

    label: str | Promise
    tone: str
    icon: str


BADGES: dict[str, Badge] = {
    "SUCCESS": Badge(gettext_lazy("Success"), "good", "check"),
    "FAILED": Badge(gettext_lazy("Failed"), "bad", "x"),
    "RUNNING": Badge(gettext_lazy("Running"), "busy", "player-play"),
    "STALE": Badge(gettext_lazy("Stale"), "warn", "hourglass-empty"),
    "RETRYING": Badge(gettext_lazy("Retrying"), "warn", "refresh"),
    "healthy": Badge(pgettext_lazy("verdict", "Healthy"), "good", "circle-check"),
    "degraded": Badge(pgettext_lazy("verdict", "Degraded"), "warn", "alert-triangle"),
    "failing": Badge(pgettext_lazy("verdict", "Failing"), "bad", "circle-x"),
    "unknown": Badge(pgettext_lazy("verdict", "Unknown"), "mute", "help-circle"),
    "critical": Badge(pgettext_lazy("severity", "Critical"), "bad", "circle-x"),
    "warning": Badge(pgettext_lazy("severity", "Warning"), "warn", "alert-triangle"),
    "info": Badge(pgettext_lazy("severity", "For information"), "mute", "info-circle"),
}


def look(word: str) -> Badge:
    """The badge of a word. An unknown word is shown as it is, in a neutral tone."""
    return BADGES.get(word, Badge(word, "mute", "help-circle"))


@register.simple_tag
def badge(word: str) -> SafeString:
    """``{% badge "healthy" %}``: text and shape, never colour alone."""
    shown = look(word)
    return format_html(
        '<span class="status tone-{}">{}{}</span>', shown.tone, icon(shown.icon), shown.label
    )


@register.filter
def tone(word: str) -> str:
    return look(word).tone


@register.filter
def label(word: str) -> str:
    """The label of a word, for a place where shape and text are apart."""
    return str(look(word).label)


@register.filter
def tone_icon(word: str) -> SafeString:
    """The shape of a word, for a place where its text is elsewhere."""
    return icon(look(word).icon)


@register.simple_tag
def icon(name: str) -> SafeString:
    """An icon of the vendored sprite. It is decoration: the text beside it says the same."""
    return format_html(
        '<svg class="icon" viewBox="0 0 24 24" fill="none" stroke="currentColor"'
        ' stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">'
        '<use href="{}#{}"/></svg>',
        _sprite(),
        name,
    )


@cache
def _sprite() -> str:
    """The sprite's address. The storage computes it each time, and a page has fifty icons."""
    return static(SPRITE)


# --- Forms --------------------------------------------------------------------------------------


@register.inclusion_tag("_field.html")
def field(bound: BoundField) -> dict[str, object]:
    """``{% field form.password %}``: label, control, help and errors, tied together by ids."""
    widget = bound.field.widget
    if isinstance(widget, CheckboxInput):
        css = "form-check-input"
    else:
        css = "form-select" if isinstance(widget, Select) else "form-control"
    if bound.errors:
        css += " is-invalid"
    return {
        "field": bound,
        "control": bound.as_widget(attrs={"class": css}),
        "is_check": isinstance(widget, CheckboxInput),
    }
