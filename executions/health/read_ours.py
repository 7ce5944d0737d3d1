"""Reads what our own tables say beside the facts, in one statement. It decides nothing."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from executions.database.sql import load
from executions.health.changes import changes_on_record
from executions.health.facts import ScheduleChange
from executions.health.facts.unwatched import Unwatched
from executions.health.ledger import LONG_WINDOW

SQL = load("ours")

# The most stretches that are read: the latest ones.
MOST_STRETCHES = 500


@dataclass(frozen=True)
class OursBeside:
    """Which runners are our own, the recent changes of schedules, and the blind stretches."""

    runners: frozenset[str]
    changes: tuple[ScheduleChange, ...]
    unwatched: tuple[Unwatched, ...]


def read_ours(runners: Iterable[str], now: datetime, window: timedelta) -> OursBeside:
    """Ours among the ``runners``, the changes of the ``window``, and a long window's stretches.

    Changes and stretches are newest first, by the clock of Multica's database, as ``now`` is.
    `health/history/` writes the stretches.

    Raises:
        django.db.Error: our own tables cannot be reached.
    """
    changed_since = now - window
    parameters: dict[str, Any] = {
        "runners": list(runners),
        "changed_since": changed_since,
        "unwatched_since": now - max(window, LONG_WINDOW),
        "most": MOST_STRETCHES,
    }
    with connection.cursor() as cursor:
        cursor.execute(SQL.beside_the_facts, parameters)
        ours, has_changes, since, until = cursor.fetchone()
    return OursBeside(
        runners=frozenset(ours),
        changes=changes_on_record(changed_since) if has_changes else (),
        unwatched=tuple(map(Unwatched, since, until)),
    )
