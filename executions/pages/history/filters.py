"""PURE: the filters in a query string, parsed completely or refused with the name of the bad one.

An empty filter is none. Every other value is either understood or a :class:`BadFilter`, never
silently dropped (docs/interfaces.md, HTTP).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlencode

from django.core.exceptions import BadRequest
from django.utils.translation import gettext as _

from executions.pages.history.cursors import Cursor
from executions.scheduler.spec import Scope
from executions.scheduler.states import ExecutionState
from executions.text.sentences import listed
from executions.text.visible import shortened

NAMES = ("job", "scope", "status", "runner", "error", "since", "until", "q", "cursor")
UNPAGED = NAMES[:-1]
# PostgreSQL accepts longer texts, but no scheduler writes ids nearly this long.
LONGEST = 1_000
# Percent-encoded, a byte takes three characters. gunicorn reads 8,190 of a request line.
MOST_BYTES = 2_000
LONGEST_SEARCH = 200
MOST_PARAMETERS = 40
# Room on both sides for windows and for the viewer's time zone.
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = datetime(9999, 1, 1, tzinfo=UTC)


class BadFilter(BadRequest):
    """An invalid value in the query string. The text names it and says what to do.

    ``words`` are the values that the filter takes, if they are few. ``known`` are the filters that
    the page has, if the refusal comes from `parse`.
    """

    known: tuple[str, ...] | None = None

    def __init__(self, name: str, problem: str, words: tuple[str, ...] = ()) -> None:
        self.name = name
        self.words = words
        super().__init__(problem)


GLOBAL = Scope()


def write_scope(scope: Scope) -> str:
    """``kind/id``, with a kind's characters escaped that make the first slash ambiguous."""
    kind = scope.kind.replace("%", "%25").replace("/", "%2F")
    return f"{kind}/{scope.id}"


@dataclass(frozen=True)
class Filters:
    """One view of the history. ``since`` is inclusive, ``until`` is not; both are UTC.

    Inside one job and scope they bound plan_time. Otherwise they bound the time at which a row
    ended, or began if it still runs.
    """

    job: str = ""
    scope: Scope | None = None
    status: ExecutionState | None = None
    runner: str = ""
    error: str = ""
    since: datetime | None = None
    until: datetime | None = None
    q: str = ""
    cursor: Cursor | None = None
    extra: tuple[tuple[str, str], ...] = field(default=())

    def parameters(self) -> list[tuple[str, str]]:
        """Name and text of each filter that is set, always in the same order."""
        texts = {
            "job": self.job,
            "scope": write_scope(self.scope) if self.scope else "",
            "status": self.status.value if self.status else "",
            "runner": self.runner,
            "error": self.error,
            "since": write_time(self.since),
            "until": write_time(self.until),
            "q": self.q,
            "cursor": str(self.cursor or ""),
        }
        return [(name, text) for name, text in texts.items() if text] + list(self.extra)

    def query_string(self) -> str:
        """The canonical text of these filters: without ``?``, empty if none is set."""
        return urlencode(self.parameters())

    def at(self, cursor: Cursor | None = None) -> Filters:
        """The same filters at another position; without a cursor at the start."""
        return replace(self, cursor=cursor)

    def without(self, name: str) -> Filters:
        """The same filters without one of them, from the start."""
        blank = Filters()
        if name in NAMES:
            return replace(self, cursor=None, **{name: getattr(blank, name)})
        return replace(
            self, cursor=None, extra=tuple(pair for pair in self.extra if pair[0] != name)
        )

    def choosing(self, **chosen: str) -> Filters:
        """The same filters with these choices of the page, from the start."""
        kept = [pair for pair in self.extra if pair[0] not in chosen]
        added = [(name, text) for name, text in chosen.items() if text]
        return replace(self, cursor=None, extra=(*kept, *added))

    def choice(self, name: str, default: str) -> str:
        return dict(self.extra).get(name, default)

    @property
    def is_narrow(self) -> bool:
        """Whether anything but the position is filtered."""
        return self.at() != Filters(extra=self.extra)


def parse(
    query: str,
    choices: Mapping[str, Iterable[str]] | None = None,
    names: Iterable[str] = NAMES,
    readers: Mapping[str, Callable[[str], str]] | None = None,
) -> Filters:
    """The filters of a raw query string, as WSGI passes it.

    ``choices`` are the page's own parameters with the words that each accepts. ``readers`` are its
    own parameters that accept more than words: each returns the canonical text, or raises
    `ValueError` with a sentence for people. ``names`` are the filters that the page has.

    Raises:
        BadFilter: a name is unknown or repeated, or a value is malformed, unknown or too long.
    """
    choices, readers = choices or {}, readers or {}
    known = (*names, *choices, *readers)
    try:
        return _parse(query, choices, readers, known)
    except BadFilter as refusal:
        refusal.known = known
        raise


def _parse(
    query: str,
    choices: Mapping[str, Iterable[str]],
    readers: Mapping[str, Callable[[str], str]],
    known: tuple[str, ...],
) -> Filters:
    texts: dict[str, str] = {}
    for name, text in _pairs(query):
        if name not in known:
            raise _unknown(name, known)
        if name in texts:
            raise BadFilter(name, _("The filter “%(name)s” is given twice.") % {"name": name})
        texts[name] = _text(name, text)
    filters = Filters(
        job=texts.get("job", ""),
        scope=_scope(texts.get("scope", "")),
        status=_status(texts.get("status", "")),
        runner=texts.get("runner", ""),
        error=texts.get("error", ""),
        since=_time("since", texts.get("since", "")),
        until=_time("until", texts.get("until", "")),
        q=_search(texts.get("q", "")),
        cursor=_cursor(texts.get("cursor", "")),
        extra=(
            *(_choice(name, texts.get(name, ""), words) for name, words in choices.items()),
            *(_read(name, texts.get(name, ""), reader) for name, reader in readers.items()),
        ),
    )
    if filters.since and filters.until and filters.since >= filters.until:
        raise BadFilter("until", _("“until” is not later than “since”, so nothing can match."))
    return replace(filters, extra=tuple(pair for pair in filters.extra if pair[1]))


def _pairs(query: str) -> list[tuple[str, str]]:
    try:
        # WSGI passes bytes as Latin-1. Bytes that are not UTF-8 stay recognizable as surrogates.
        decoded = query.encode("latin-1", "replace").decode("utf-8", "surrogateescape")
        return parse_qsl(
            decoded,
            keep_blank_values=True,
            errors="surrogateescape",
            max_num_fields=MOST_PARAMETERS,
        )
    except ValueError:
        raise BadFilter(
            "?",
            _("The address has more than %(most)d parameters.") % {"most": MOST_PARAMETERS},
        ) from None


def _text(name: str, text: str) -> str:
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise _malformed(name, text, _("it holds a character that no stored text can have"))
    if len(text) > LONGEST:
        problem = _("it is longer than %(longest)d characters") % {"longest": LONGEST}
        raise _malformed(name, text, problem)
    if len(text.encode()) > MOST_BYTES:
        problem = _("it is longer than %(most)d bytes") % {"most": MOST_BYTES}
        raise _malformed(name, text, problem)
    return text


def _unknown(name: str, known: tuple[str, ...]) -> BadFilter:
    if not known:
        sentence = _("The address has “%(name)s”, but this page takes no filters.")
        return BadFilter(name, sentence % {"name": shortened(name)})
    sentence = _("The address has “%(name)s”, which is none of this page's filters: %(known)s.")
    return BadFilter(name, sentence % {"name": shortened(name), "known": listed(known)})


def _malformed(name: str, text: str, problem: str, words: tuple[str, ...] = ()) -> BadFilter:
    return BadFilter(
        name,
        _("The filter “%(name)s” is “%(text)s”: %(problem)s.")
        % {"name": shortened(name), "text": shortened(text), "problem": problem},
        words,
    )


def _choice(name: str, text: str, words: Iterable[str]) -> tuple[str, str]:
    allowed = tuple(words)
    if text and text not in allowed:
        problem = _("it must be one of %(words)s") % {"words": listed(allowed)}
        raise _malformed(name, text, problem, allowed)
    return name, text


def _read(name: str, text: str, reader: Callable[[str], str]) -> tuple[str, str]:
    try:
        return name, reader(text) if text else ""
    except ValueError as error:
        raise BadFilter(name, str(error)) from None


def _status(text: str) -> ExecutionState | None:
    chosen = _choice("status", text, ExecutionState)[1]
    return ExecutionState(chosen) if chosen else None


def _scope(text: str) -> Scope | None:
    if not text:
        return None
    kind, slash, scope_id = text.partition("/")
    if not slash:
        raise _malformed("scope", text, _("it must look like kind/id, for example global/global"))
    return Scope(kind.replace("%2F", "/").replace("%25", "%"), scope_id)


def _cursor(text: str) -> Cursor | None:
    if not text:
        return None
    try:
        return Cursor.read(text)
    except ValueError:
        problem = _("it is no position of ours; remove it to begin with the newest")
        raise _malformed("cursor", text, problem) from None


def _search(text: str) -> str:
    text = text.strip()
    if len(text) > LONGEST_SEARCH:
        problem = _("it is longer than %(longest)d characters") % {"longest": LONGEST_SEARCH}
        raise _malformed("q", text, problem)
    return text


_TIME = re.compile(
    r"\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:[Zz]|[+-]\d\d:\d\d)?)?", re.ASCII
)


def _time(name: str, text: str) -> datetime | None:
    """A time from a form or a person; UTC if it has no offset."""
    if not text:
        return None
    problem = _("it must be a UTC time like 2026-11-24T09:30Z or a day like 2026-11-24")
    if not _TIME.fullmatch(text):
        raise _malformed(name, text, problem)
    try:
        parsed = datetime.fromisoformat(text.upper())
        time = (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise _malformed(name, text, problem) from None
    if not _EARLIEST <= time < _LATEST:
        raise _malformed(name, text, _("it must lie in the years from 1970 to 9998"))
    return time


def write_time(time: datetime | None) -> str:
    """The shortest exact text of a UTC time."""
    if time is None:
        return ""
    unit = "microseconds" if time.microsecond else "seconds" if time.second else "minutes"
    return time.isoformat(timespec=unit).replace("+00:00", "Z")
