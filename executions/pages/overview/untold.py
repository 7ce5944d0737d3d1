"""Alarms that people do not get, for the overview. It reads our own tables only."""

from dataclasses import dataclass, field

from django.db import Error as DatabaseError

from executions.alarms.silence import said
from executions.alarms.silences import open_silences
from executions.alarms.undelivered import Undelivered, read_undelivered
from executions.health.verdict import Verdict
from executions.text.sentences import Sentence


def read_untold() -> tuple[Undelivered, ...]:
    """The receivers that take no alarms.

    Empty if our own tables cannot be read; other parts of the page then say so.
    """
    try:
        return read_undelivered()
    except DatabaseError:
        return ()


@dataclass(frozen=True)
class Silenced:
    """A silence that lasts, by its number and as a sentence."""

    number: int
    sentence: Sentence = field(compare=False)


def read_silenced(verdict: Verdict) -> tuple[Silenced, ...]:
    """The silences that last. Empty if our own tables cannot be read."""
    try:
        silences, now = open_silences(verdict)
    except DatabaseError:
        return ()
    return tuple(Silenced(one.pk, said(one, now or one.begun_at)) for one in silences)
