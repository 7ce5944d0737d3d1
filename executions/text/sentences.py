"""Sentences that are made once and shown many times: translated, zoned and escaped on display.

All viewers of a web process share a verdict. So its texts must not be fixed in the language of the
first viewer, and its times must keep ageing on the page.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import reduce
from typing import Union

from django.utils.functional import Promise
from django.utils.html import conditional_escape
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy, ngettext_lazy, override, pgettext_lazy

from executions.text.formatters import ago, moment, relative, seconds, written
from executions.text.visible import visible

# Beyond this a clock time alone would not tell the day.
_CLOCK_SUFFICES = timedelta(hours=12)


@dataclass(frozen=True)
class At:
    """A moment as seen from ``now``: a clock time if it is near, else with its date."""

    value: datetime
    now: datetime

    @property
    def form(self) -> str:
        return "clock" if abs(self.now - self.value) < _CLOCK_SUFFICES else "datetime"

    def __str__(self) -> str:
        return written(self.value, self.form)

    def html(self) -> SafeString | str:
        return moment(self.value, self.form)


@dataclass(frozen=True)
class Ago:
    """The time since a moment: "4 h 20 min ago". On a page it keeps ageing."""

    value: datetime
    now: datetime

    def __str__(self) -> str:
        return relative(self.value, self.now)

    def html(self) -> SafeString | str:
        return ago(self.value, self.now)


Value = Union[str, int, timedelta, At, Ago, Promise, "Sentence", "Paragraph"]
Values = dict[str, Value]


def _text(value: Value) -> str | int:
    if isinstance(value, timedelta):
        return seconds(value)
    # An error's text may contain anything. Invisible characters must not hide or reverse other
    # text.
    return value if isinstance(value, int) else visible(str(value))


def _html(value: Value) -> str | int:
    if isinstance(value, At | Ago | Sentence | Paragraph):
        return value.html()
    text = _text(value)
    return text if isinstance(text, int) else conditional_escape(text)


def _still(value: Value) -> str | int:
    """The part of a value that stays the same while nothing happens: no age, no span, no zone."""
    if isinstance(value, At):
        return value.value.isoformat()
    if isinstance(value, Sentence | Paragraph):
        return value.still()
    return "" if isinstance(value, Ago | timedelta) else _text(value)


def _then(value: Value) -> Value:
    if isinstance(value, Ago):
        return str(value)
    return value.as_then() if isinstance(value, Sentence | Paragraph) else value


@dataclass(frozen=True)
class Sentence:
    """A translatable text with its values, formatted each time it is shown.

    ``str()`` gives plain text; a template writes ``{{ finding.summary.html }}``.
    """

    template: Promise | str
    values: Mapping[str, Value] = field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        return self._with({name: _text(value) for name, value in self.values.items()})

    def html(self) -> SafeString:
        shown = {name: _html(value) for name, value in self.values.items()}
        return SafeString(self._with(shown))

    def still(self) -> str:
        """The text without ages, for comparing whether the sentence says something new."""
        return self._with({name: _still(value) for name, value in self.values.items()})

    def as_then(self) -> "Sentence":
        """The sentence with the ages of its own time, which go on no longer."""
        return replace(self, values={name: _then(value) for name, value in self.values.items()})

    def _with(self, shown: Mapping[str, str | int]) -> str:
        """A value that was cut short and ends the sentence has its full stop already."""
        return str(self.template % shown).replace("….", "…")


def say(template: Promise | str, **values: Value) -> Sentence:
    """``say("Usage numbers stop at %(watermark)s.", watermark=case.at(moment))``.

    A plain text is translated when it is shown. ``manage.py makemessages`` collects it here as it
    does at ``_``.
    """
    return Sentence(gettext_lazy(template) if isinstance(template, str) else template, values)


def say_counted(n: int, one: str, many: str, **values: Value) -> Sentence:
    """``say_counted(2, "One run failed.", "%(n)s runs failed.")``, translated like `say`."""
    return Sentence(ngettext_lazy(one, many, "n"), {"n": n, **values})


def quoted(text: "str | Promise | Sentence | Paragraph") -> Sentence:
    """A text from elsewhere, such as a problem's, as a sentence."""
    return Sentence("%(text)s", {"text": text})


# Chinese sentences follow each other without a space.
AFTER_ANOTHER = pgettext_lazy("two sentences, one after the other", "%(first)s %(next)s")


def _joined(texts: Iterable[str]) -> str:
    template = str(AFTER_ANOTHER)
    told = [one for one in texts if one]
    return (
        reduce(lambda before, one: template % {"first": before, "next": one}, told) if told else ""
    )


@dataclass(frozen=True)
class Paragraph:
    """Several sentences, one after the other, shown like :class:`Sentence`."""

    sentences: tuple[Sentence, ...]

    def __str__(self) -> str:
        return _joined(str(sentence) for sentence in self.sentences)

    def html(self) -> SafeString:
        return SafeString(_joined(sentence.html() for sentence in self.sentences))

    def still(self) -> str:
        return " ".join(sentence.still() for sentence in self.sentences)

    def as_then(self) -> "Paragraph":
        return Paragraph(tuple(sentence.as_then() for sentence in self.sentences))


Text = Sentence | Paragraph


def sentences_of(text: Text) -> tuple[Sentence, ...]:
    return text.sentences if isinstance(text, Paragraph) else (text,)


def together(*sentences: Sentence | None) -> Paragraph:
    """The sentences as one text, without those that are None."""
    return Paragraph(tuple(sentence for sentence in sentences if sentence is not None))


def after_one_another(*texts: "str | Promise | Text") -> Paragraph:
    """The texts as one, with what the reader's language has between sentences."""
    return together(*map(quoted, texts))


def told_once(*texts: "str | Promise | Text") -> Paragraph:
    """The texts one after the other, without those that say the same as one before."""
    return after_one_another(*{str(one): one for one in texts}.values())


def in_english(text: Text) -> str:
    """The text for a record that has one language, whoever writes it."""
    with override(None):
        return str(text)


_COMMA = pgettext_lazy("between the items of a list", ", ")
_SEMICOLON = pgettext_lazy("mark", "; ")


def listed(items: Iterable[Value]) -> Sentence:
    """``plans, the lock``: with the comma of the reader's language."""
    return _with_between(items, _COMMA)


def apart(items: Iterable[Value]) -> Sentence:
    """``schedule: 1,2 * * * * → * * * * *; active: …``: for items that may have commas."""
    return _with_between(items, _SEMICOLON)


def _with_between(items: Iterable[Value], mark: Promise) -> Sentence:
    values = {f"item{n}": item for n, item in enumerate(items)}
    places = "%(mark)s".join(f"%({name})s" for name in values)
    return Sentence(places, {**values, "mark": mark})
