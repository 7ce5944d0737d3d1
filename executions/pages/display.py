"""The template library ``display``: how values, statuses, icons and form fields look on a page.

No rules belong here: other modules decide whether a plan is stale or a verdict failing, and pass
the word.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from django import template
from django.forms import BoundField, CheckboxInput, Select
from django.templatetags.static import static
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy, pgettext_lazy

from executions.text.formatters import (
    age,
    ago,
    count,
    countdown,
    duration,
    moment,
    roughly,
    seconds,
    written,
)
from executions.text.glossary import ENTRIES
from executions.text.sentences import AFTER_ANOTHER

register = template.Library()

SPRITE = "vendor/tabler-icons-3.51.0/sprite.svg"

for _filter in (count, duration, roughly, seconds, written):
    register.filter(_filter)
for _tag in (moment, ago, age, countdown):
    register.simple_tag(_tag)


# What stands between the values of a sentence: some languages have marks of their own.
_MARKS = {
    ".": pgettext_lazy("mark", "."),
    ",": pgettext_lazy("mark", ","),
    ":": pgettext_lazy("mark", ":"),
    ";": pgettext_lazy("mark", ";"),
    ". ": pgettext_lazy("mark", ". "),
    ", ": pgettext_lazy("mark", ", "),
    ": ": pgettext_lazy("mark", ": "),
    "; ": pgettext_lazy("mark", "; "),
    "(": pgettext_lazy("mark", "("),
    " (": pgettext_lazy("mark", " ("),
    ")": pgettext_lazy("mark", ")"),
}


@register.simple_tag
def mark(sign: str) -> str:
    """The mark that the reader's language has for an English one, with the space beside it."""
    return str(_MARKS[sign])


@register.simple_tag
def gap() -> str:
    """The space after a mark that a translated text ends with: Chinese marks bring their own."""
    return str(AFTER_ANOTHER) % {"first": "", "next": ""}


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
    "safe": Badge(pgettext_lazy("answer", "Safe"), "good", "circle-check"),
    "not_yet": Badge(pgettext_lazy("answer", "Not yet"), "bad", "circle-x"),
    "ok": Badge(pgettext_lazy("step", "Fine"), "good", "check"),
    "do": Badge(pgettext_lazy("step", "To do"), "warn", "arrow-right"),
    "blocks": Badge(pgettext_lazy("step", "Stands in the way"), "bad", "x"),
    "critical": Badge(pgettext_lazy("severity", "Critical"), "bad", "circle-x"),
    "warning": Badge(pgettext_lazy("severity", "Warning"), "warn", "alert-triangle"),
    "info": Badge(pgettext_lazy("severity", "For information"), "mute", "info-circle"),
}


def look(word: str, badges: Mapping[str, Badge] = BADGES) -> Badge:
    """The badge of a word. An unknown word is shown as it is, in a neutral tone."""
    return badges.get(word, Badge(word, "mute", "help-circle"))


@register.simple_tag
def badge(word: str) -> SafeString:
    """``{% badge "healthy" %}``: text and shape, never colour alone."""
    return drawn_badge(look(word))


def drawn_badge(shown: Badge) -> SafeString:
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


# --- Words ------------------------------------------------------------------------------------


@register.inclusion_tag("executions/shared/_term.html")
def term(word: str, *, named: bool = False) -> dict[str, object]:
    """``{% term "watermark" %}``: explains the word. A page has each word once, where it first is.

    Raises:
        KeyError: the glossary does not begin an entry with that word.
    """
    return {"entry": ENTRIES[word], "named": named}


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
