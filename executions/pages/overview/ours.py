"""What the overview shows of our own tables: open retirements, silences, and alarms not received.

Mostly there is none of it, and one statement says so.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from django.db import Error as DatabaseError
from django.db import connection

from executions.alarms.silence import said
from executions.alarms.silences import open_silences
from executions.alarms.undelivered import Undelivered, read_undelivered
from executions.database.sql import load
from executions.health.snapshots import Snapshot
from executions.health.verdict import Verdict
from executions.models.retirement import Retirement
from executions.pages.overview.begun import Begun, read_begun
from executions.text.sentences import Sentence

SQL = load("ours")

Shown = TypeVar("Shown")


@dataclass(frozen=True)
class Silenced:
    """A silence that lasts, by its number and as a sentence."""

    number: int
    sentence: Sentence = field(compare=False)


@dataclass(frozen=True)
class OursShown:
    """The open retirements, the receivers that take no alarms, and the silences that last."""

    begun: tuple[Begun, ...] = ()
    untold: tuple[Undelivered, ...] = ()
    silences: tuple[Silenced, ...] = ()


def read_ours_shown(snapshot: Snapshot) -> OursShown:
    """All of it at present, without what cannot be read."""
    has_begun, has_silences, has_untold = _which_there_are()
    return OursShown(
        begun=_readable(lambda: read_begun(snapshot.checked_at)) if has_begun else (),
        untold=_readable(read_undelivered) if has_untold else (),
        silences=_readable(lambda: _silences(snapshot.verdict)) if has_silences else (),
    )


def _which_there_are() -> tuple[bool, bool, bool]:
    """If one of the tables cannot be read, each is asked by itself: the others may be."""
    try:
        with connection.cursor() as cursor:
            ended = [str(state) for state in Retirement.ENDED]
            cursor.execute(SQL.of_the_overview, {"ended": ended})
            begun, silences, untold = cursor.fetchone()
    except DatabaseError:
        return True, True, True
    return begun, silences, untold


def _readable(read: Callable[[], tuple[Shown, ...]]) -> tuple[Shown, ...]:
    try:
        return read()
    except DatabaseError:
        return ()


def _silences(verdict: Verdict) -> tuple[Silenced, ...]:
    silences, now = open_silences(verdict)
    return tuple(Silenced(one.pk, said(one, now or one.begun_at)) for one in silences)
