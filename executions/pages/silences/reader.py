"""Silences as their page shows them: those that last, and those that are over. It only reads."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models.functions import Now
from django.utils.functional import Promise

from executions.alarms.silence import said, title_of
from executions.alarms.silences import open_silences
from executions.database.kept import QUIET_SECONDS
from executions.health import snapshots
from executions.health.findings.base import Severity
from executions.health.verdict import Verdict
from executions.models import Silence
from executions.text.digest import digest
from executions.text.sentences import Sentence

MOST_OVER = 50


@dataclass(frozen=True)
class SilenceLine:
    """A silence with its sentence. ``about`` is the finding's title; empty for every message."""

    silence: Silence
    sentence: Sentence
    about: Promise | str


@dataclass(frozen=True)
class Silences:
    """The silences that last, and the newest of those that are over."""

    lasting: tuple[SilenceLine, ...]
    over: tuple[SilenceLine, ...]
    live_seconds: int = QUIET_SECONDS

    @property
    def version(self) -> str:
        return digest(
            [line.silence.pk for line in self.lasting],
            [(line.silence.pk, line.silence.ended) for line in self.over],
        )


def read_silences() -> Silences:
    """The silences that last and those that ended lately.

    Raises:
        django.db.Error: our own tables cannot be reached.
    """
    lasting, now = open_silences(present_verdict())
    ids = {one.pk for one in lasting}
    rows = Silence.objects.exclude(pk__in=ids).annotate(now=Now()).order_by("-begun_at")
    over = list(rows[:MOST_OVER])
    return Silences(
        lasting=tuple(_line(one, now or one.begun_at) for one in lasting),
        over=tuple(_line(one, one.now) for one in over),
    )


def _line(silence: Silence, now: datetime) -> SilenceLine:
    return SilenceLine(silence, said(silence, now), title_of(silence.code) if silence.code else "")


def present_verdict() -> Verdict:
    """The verdict of the kept snapshot. A process that keeps none yet takes one."""
    return (snapshots.kept() or snapshots.current()).verdict


def may_be_acknowledged() -> list[tuple[str, Promise]]:
    """The findings that are there now and are more than information: code and title."""
    found = present_verdict().findings
    codes = dict.fromkeys(one.code for one in found if one.severity > Severity.INFO)
    return [(code, title_of(code)) for code in codes]
