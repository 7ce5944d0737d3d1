"""PURE: a pg_cron schedule in words: "every 5 minutes".

It knows pg_cron's dialect: five fields as in Vixie's cron, names of months and days, the ``@``
words, ``$`` for the last day of a month, and from 1.5 "n seconds". It returns anything else
unchanged, so that a person still sees it.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from executions.text.sentences import listed

# Django's own catalogs have these names.
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
_DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_WORDS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_SECONDS = re.compile(r"\s*(\d{1,2})\s+seconds?\s*", re.IGNORECASE)
_TIMES = 5  # at most this many times of a day are listed: those of */5
_LAST_DAY = 0  # stands for `$` among the days of a month, which start at 1
_PART = re.compile(r"(?P<first>\*|\$|\w+)(?:-(?P<last>\w+))?(?:/(?P<step>\d+))?")


class _Unreadable(ValueError):
    pass


@dataclass(frozen=True)
class _Field:
    """The values that a field allows, and whether it was written as a star."""

    values: tuple[int, ...]
    low: int
    high: int
    star: bool

    @property
    def everything(self) -> bool:
        return set(range(self.low, self.high + 1)) <= set(self.values)

    @property
    def step(self) -> int | None:
        """The even distance between the values, if it also holds across the end of the range."""
        gaps = {late - early for early, late in zip(self.values, self.values[1:], strict=False)}
        if len(gaps) != 1:
            return None
        gap = gaps.pop()
        around = self.values[0] + (self.high - self.low + 1) - self.values[-1]
        return gap if around == gap else None


def describe(schedule: str, zone: str = "GMT", *, both_days: bool | None = False) -> str:
    """The meaning of a schedule. ``zone`` is ``cron.timezone``, GMT if it is not set.

    ``both_days`` is ``cron.dom_dow_and_logic`` (pg_cron 1.6.8 and newer); None if it is not known.
    """
    seconds = _SECONDS.fullmatch(schedule)
    if seconds:
        count = int(seconds[1])
        return ngettext("every second", "every %(count)d seconds", count) % {"count": count}
    text = " ".join(schedule.split()).lower()
    if text == "@reboot":
        return _("once, whenever the server starts")
    try:
        minute, hour, day, month, weekday = _fields(_WORDS.get(text, text))
    except _Unreadable:
        return _("“%(schedule)s”, which is not a schedule that we can read") % {
            "schedule": schedule
        }
    days = _days(day, month, weekday, both_days)
    time = _time(minute, hour, zone, limited=bool(days))
    return _("%(days)s, %(time)s") % {"days": days, "time": time} if days else time


def _fields(text: str) -> Sequence[_Field]:
    parts = text.split(" ")
    if len(parts) != len(_RANGES):
        raise _Unreadable
    return [read(part) for read, part in zip(_RANGES, parts, strict=True)]


def _read(text: str, low: int, high: int, names: Sequence[str] = ()) -> _Field:
    values: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise _Unreadable
        values |= _part_values(match, low, high, names)
    if names is _DAYS and 7 in values:
        values = (values - {7}) | {0}
    top = 6 if names is _DAYS else high
    return _Field(tuple(sorted(values)), low, top, star=text.startswith("*"))


def _part_values(match: re.Match[str], low: int, high: int, names: Sequence[str]) -> set[int]:
    if match["first"] == "$":
        if names or (low, high) != (1, 31) or match["last"] or match["step"]:
            raise _Unreadable
        return {_LAST_DAY}
    step = int(match["step"] or 1)
    if match["first"] == "*":
        first, last = low, high
    else:
        first = _number(match["first"], low, names)
        last = _number(match["last"], low, names) if match["last"] else first
        if match["step"] and not match["last"]:
            last = high
    if step < 1 or not low <= first <= last <= high:
        raise _Unreadable
    return set(range(first, last + 1, step))


def _number(text: str, low: int, names: Sequence[str]) -> int:
    if text.isdecimal():
        return int(text)
    for index, name in enumerate(names):
        if name[:3].lower() == text:
            return index + low
    raise _Unreadable


_RANGES = (
    partial(_read, low=0, high=59),
    partial(_read, low=0, high=23),
    partial(_read, low=1, high=31),
    partial(_read, low=1, high=12, names=_MONTHS),
    partial(_read, low=0, high=7, names=_DAYS),
)


def _time(minute: _Field, hour: _Field, zone: str, *, limited: bool) -> str:
    if hour.everything:
        return _within_hours(minute)
    if len(minute.values) == 1:
        if hour.step and minute.values == (0,) and hour.values[0] == 0:
            return _("every %(count)d hours") % {"count": hour.step}
        if len(hour.values) <= _TIMES:
            times = [f"{h:02}:{minute.values[0]:02}" for h in hour.values]
            said = _("at %(times)s %(zone)s") % {"times": _listed(times), "zone": zone}
            return said if limited else _("every day %(at)s") % {"at": said}
    return _("%(minutes)s, in the hours %(hours)s %(zone)s") % {
        "minutes": _within_hours(minute),
        "hours": _ranges(hour.values),
        "zone": zone,
    }


def _within_hours(minute: _Field) -> str:
    if minute.everything:
        return _("every minute")
    if minute.step:
        if minute.values[0] == 0:
            return _("every %(count)d minutes") % {"count": minute.step}
        return _("every %(count)d minutes from minute %(first)d") % {
            "count": minute.step,
            "first": minute.values[0],
        }
    if minute.values == (0,):
        return _("every hour")
    return ngettext(
        "at minute %(minutes)s of every hour",
        "at minutes %(minutes)s of every hour",
        len(minute.values),
    ) % {"minutes": _ranges(minute.values)}


def _days(day: _Field, month: _Field, weekday: _Field, both_days: bool | None) -> str:
    """Empty for every day. pg_cron's ``entry.c`` has the rule for both kinds of day.

    pg_cron runs on either kind, so a full range makes the other kind void. Both must hold if a
    field begins with a star, even with a step, or if ``cron.dom_dow_and_logic`` is on.
    """
    both = day.star or weekday.star or both_days
    kinds = []
    if not day.everything:
        kinds.append(_month_days(day))
    if not weekday.everything:
        kinds.append(_("on %(days)s") % {"days": _listed([_(_DAYS[n]) for n in weekday.values])})
    if both is False and len(kinds) < 2:
        kinds = []
    words = _JOINED[both]().join(kinds)
    if not month.everything:
        months = _listed([_(_MONTHS[number - 1]) for number in month.values])
        when = _("in %(months)s") % {"months": months}
        words = _("%(days)s %(months)s") % {"days": words, "months": when} if words else when
    return words


_JOINED: dict[bool | None, Callable[[], str]] = {
    True: lambda: _(" and only "),
    False: lambda: _(" and also "),
    None: lambda: _(" and also (or only, by cron.dom_dow_and_logic, which is not shown) "),
}


def _month_days(day: _Field) -> str:
    numbered = tuple(value for value in day.values if value != _LAST_DAY)
    words = []
    if numbered:
        words.append(
            ngettext("on day %(days)s of the month", "on days %(days)s of the month", len(numbered))
            % {"days": _ranges(numbered)}
        )
    if _LAST_DAY in day.values:
        words.append(_("on the last day of the month"))
    return _listed(words)


def _ranges(values: Sequence[int]) -> str:
    """1, 2, 3, 7 as "1-3 and 7"."""
    runs: list[list[int]] = []
    for value in values:
        if runs and value == runs[-1][-1] + 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    return _listed([str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs])


def _listed(words: Sequence[str]) -> str:
    if len(words) < 2:
        return "".join(words)
    return _("%(most)s and %(last)s") % {"most": listed(words[:-1]), "last": words[-1]}
