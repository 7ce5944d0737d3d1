"""Reports of `findcallers`: read strictly, shown as dated evidence, compared with a later one.

A report is what somebody's host says, so nothing in it is trusted: it is bounded, every value has
its type and its length, and a command quotes it (`outside.py`). The host's clock dates it; our own
database's clock says when it came.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _

from executions.models.retirement import CallerKind, CallersReport
from executions.retirement.outside import NotAName, Outside
from executions.retirement.refusals import Refused

FORMAT = "multica-callers/1"
MOST_BYTES = 512 * 1024
_MOST = 200
_LONGEST = 500
KEPT = 50
CRONJOBS = "CronJobs"
# What a report calls its standard input, and what it names where it ends too soon.
_PIPED = "standard input"
_CUT_SHORT = {"everything else", "more callers"}


class NotAReport(Refused):
    """The file is no report of `findcallers`."""


@dataclass(frozen=True)
class Caller:
    """One caller of a report. ``active`` says whether it is turned on."""

    outside: Outside
    active: bool
    calls: str
    line: int
    script: str

    @property
    def where(self) -> str:
        if self.outside.kind == CallerKind.CRONJOB:
            return f"{self.outside.namespace}/{self.outside.name}"
        if self.outside.kind == CallerKind.SYSTEMD:
            return self.outside.name
        place = self.outside.place or _("crontab of %(user)s") % {"user": self.outside.name}
        return f"{place}:{self.line}" if self.line else place


@dataclass(frozen=True)
class Report:
    """What `findcallers` found on one host. ``unseen`` has what it could not read, and why."""

    host: str
    made_at: datetime
    callers: tuple[Caller, ...]
    looked_at: frozenset[str]
    unseen: tuple[tuple[str, str], ...]

    def sees(self, outside: Outside) -> bool:
        """Whether the report would have the schedule if it were still there and turned on.

        Any file that could not be read may hide a schedule of the host. Of a cluster, only the list
        itself and this CronJob count.
        """
        places = {place for place, _reason in self.unseen}
        if places & _CUT_SHORT:
            return False
        if outside.kind == CallerKind.CRONJOB:
            own = f"CronJob {outside.namespace}/{outside.name}"
            return CRONJOBS in self.looked_at and not places & {_PIPED, own}
        return all(place == _PIPED or place.startswith("CronJob ") for place in places)

    def has(self, outside: Outside) -> bool:
        return any(one.active and one.outside.identity == outside.identity for one in self.callers)


def read_report(data: bytes) -> Report:
    """The report in an uploaded file.

    Raises:
        NotAReport: the file is no report; the sentence says what is wrong with it.
    """
    if len(data) > MOST_BYTES:
        raise NotAReport(
            _("The file is larger than %(most)s KiB, so it is no report of findcallers. Nothing was"
              " kept.") % {"most": MOST_BYTES // 1024}
        )  # fmt: skip
    try:
        values = json.loads(data)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise NotAReport(
            _("The file is no report of findcallers. Run it with --json and upload what it prints."
              " Nothing was kept.")
        )  # fmt: skip
    try:
        return _report(values)
    except NotAName as error:
        raise _wrong(f"callers: {error}") from error


_KEYS = {"format", "made_at", "host", "complete", "callers", "looked_at", "not_seen"}
_CALLER_KEYS = {
    "kind", "name", "namespace", "place", "line", "user", "schedule", "command", "active",
    "manager", "release", "release_namespace", "static", "calls", "text", "script",
}  # fmt: skip


def _report(values: dict[str, object]) -> Report:
    _only(values, _KEYS)
    host, made_at = _text(values, "host"), _text(values, "made_at")
    try:
        at = datetime.strptime(made_at, "%Y-%m-%dT%H:%M:%S%z")
    except ValueError as error:
        raise _wrong("made_at") from error
    return Report(
        host,
        at,
        tuple(_caller(one, host, made_at) for one in _objects(values, "callers")),
        frozenset(_text(one, "place") for one in _objects(values, "looked_at")),
        tuple((_text(one, "place"), _text(one, "reason")) for one in _objects(values, "not_seen")),
    )


def _caller(values: dict[str, object], host: str, seen_at: str) -> Caller:
    _only(values, _CALLER_KEYS)
    kind, name = _text(values, "kind"), _text(values, "name")
    is_file = kind == CallerKind.CRON and not name
    outside = Outside(
        kind=kind,
        name=name,
        namespace=_text(values, "namespace") or "default",
        place=_text(values, "place") if is_file else "",
        text=_text(values, "text") or Outside.text,
        user=_text(values, "user") if kind == CallerKind.SYSTEMD else "",
        static=_flag(values, "static"),
        manager=_text(values, "manager"),
        release=_text(values, "release"),
        release_namespace=_text(values, "release_namespace"),
        schedule=_text(values, "schedule"),
        command=_text(values, "command"),
        host=host,
        seen_at=seen_at,
    )
    line = values.get("line")
    if is_file and not outside.place:
        raise _wrong("place")
    if type(line) is not int or not 0 <= line <= 1 << 30:
        raise _wrong("line")
    return Caller(
        outside, _flag(values, "active"), _text(values, "calls"), line, _text(values, "script")
    )


def _text(values: dict[str, object], name: str) -> str:
    value = values.get(name)
    if not isinstance(value, str) or len(value) > _LONGEST or not value.isprintable():
        raise _wrong(name)
    return value


def _only(values: dict[str, object], known: set[str]) -> None:
    """An unknown key may hold what cannot be stored."""
    if set(values) - known:
        raise _wrong(min(set(values) - known)[:50])


def _flag(values: dict[str, object], name: str) -> bool:
    value = values.get(name)
    if not isinstance(value, bool):
        raise _wrong(name)
    return value


def _objects(values: dict[str, object], name: str) -> Iterator[dict[str, object]]:
    value = values.get(name)
    if not isinstance(value, list) or len(value) > _MOST + 1:
        raise _wrong(name)
    for one in value:
        if not isinstance(one, dict):
            raise _wrong(name)
        if name != "callers":
            _only(one, {"place", "files", "reason"})
        yield one


def _wrong(field: str) -> NotAReport:
    return NotAReport(
        _("The report cannot be used: “%(field)s” is not as findcallers writes it. Run findcallers"
          " again and upload its output unchanged. Nothing was kept.") % {"field": field}
    )  # fmt: skip


# --- The kept reports, and the second proof -------------------------------------------------------


def latest_reports() -> list[tuple[CallersReport, Report]]:
    """The newest report of each host, newest first."""
    newest: dict[str, CallersReport] = {}
    for kept in CallersReport.objects.order_by("-pk")[:KEPT]:
        newest.setdefault(kept.host, kept)
    return [(kept, stored(kept)) for kept in newest.values()]


def stored(kept: CallersReport) -> Report:
    return read_report(json.dumps(kept.report).encode())


@dataclass(frozen=True)
class SecondLook:
    """What a later report of the same host says of a schedule that was removed."""

    gone: bool
    host: str
    at: datetime

    @property
    def summary(self) -> str:
        told = (
            _("findcallers on %(host)s no longer finds it turned on (%(at)s by its own clock).")
            if self.gone
            else _("findcallers on %(host)s still finds it turned on (%(at)s by its own clock).")
        )
        return told % {"host": self.host, "at": self.at.isoformat()}


def second_look(outside: Outside) -> SecondLook | None:
    """What the newest later report of its host says; `None` if no report would show it."""
    if not outside.host:
        return None
    kept = CallersReport.objects.filter(host=outside.host).order_by("-pk").first()
    return None if kept is None else look_at(outside, stored(kept))


def look_at(outside: Outside, report: Report) -> SecondLook | None:
    """One clock dates both reports, that of the host, so they can be compared."""
    if report.host != outside.host or outside.seen is None or report.made_at <= outside.seen:
        return None
    if report.has(outside):
        return SecondLook(gone=False, host=report.host, at=report.made_at)
    return (
        SecondLook(gone=True, host=report.host, at=report.made_at) if report.sees(outside) else None
    )
