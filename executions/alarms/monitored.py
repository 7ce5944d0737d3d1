"""What monitors are told of silences and of alarms that do not get through, from memory.

It is read beside each look, so that no monitor's question waits for our own tables.
"""

import logging
from dataclasses import dataclass
from datetime import datetime

from django.db import Error as DatabaseError

from executions.alarms.silences import open_silences
from executions.alarms.undelivered import Undelivered, read_undelivered
from executions.database.kept import Kept
from executions.health import snapshots
from executions.models import Silence

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Monitored:
    """The silences that last, by the clock ``now``, and the receivers that take no alarms."""

    silences: tuple[Silence, ...] = ()
    now: datetime | None = None
    untold: tuple[Undelivered, ...] = ()


_kept: Kept[Monitored] = Kept(lambda _answer: snapshots.KEPT_SECONDS)
forget = _kept.forget


def refresh() -> None:
    """Read them anew. If our own tables cannot be read, the last ones stay until they are old."""
    try:
        _kept.get("", _read, anew=True)
    except DatabaseError:
        logger.debug("silences and alarms could not be read", exc_info=True)


def _read() -> Monitored:
    kept = snapshots.kept()
    silences, now = open_silences(kept.verdict if kept else None)
    return Monitored(silences, now, read_undelivered())


def kept_monitored() -> Monitored | None:
    """The last reading, without waiting; None if it is as old as no snapshot may be."""
    return _kept.newest("", snapshots.KEPT_SECONDS)
