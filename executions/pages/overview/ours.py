"""What the overview shows of our own tables: open retirements, silences, and alarms not received.

Mostly there is none of it, and one statement says so.
"""

from dataclasses import dataclass, field

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
    """All of it at present. Empty if our own tables cannot be read; other parts then say so."""
    try:
        with connection.cursor() as cursor:
            ended = [str(state) for state in Retirement.ENDED]
            cursor.execute(SQL.of_the_overview, {"ended": ended})
            has_begun, has_silences, has_untold = cursor.fetchone()
        return OursShown(
            begun=read_begun(snapshot.checked_at) if has_begun else (),
            untold=read_undelivered() if has_untold else (),
            silences=_silences(snapshot.verdict) if has_silences else (),
        )
    except DatabaseError:
        return OursShown()


def _silences(verdict: Verdict) -> tuple[Silenced, ...]:
    silences, now = open_silences(verdict)
    return tuple(Silenced(one.pk, said(one, now or one.begun_at)) for one in silences)
