"""What monitors are told of silences and of alarms that do not get through, from memory.

It is read beside each look, so that no monitor's question waits for our own tables.
"""

import logging
import time
from dataclasses import dataclass, field
from datetime import datetime

from django.db import Error as DatabaseError

from executions.alarms.silences import open_silences
from executions.alarms.undelivered import Undelivered, read_undelivered
from executions.health import snapshot as snapshots
from executions.models import Silence

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Marks:
    """The silences that last, by the clock ``now``, and the receivers that take no alarms."""

    silences: tuple[Silence, ...] = ()
    now: datetime | None = None
    untold: tuple[Undelivered, ...] = ()
    taken_at: float = field(default_factory=time.monotonic)


_newest: Marks | None = None


def refresh() -> None:
    """Read them anew. If our own tables cannot be read, the last ones stay until they are old."""
    global _newest  # noqa: PLW0603  a process remembers one reading
    kept = snapshots.kept()
    try:
        silences, now = open_silences(kept.verdict if kept else None)
        _newest = Marks(silences, now, read_undelivered())
    except DatabaseError:
        logger.debug("silences and alarms could not be read", exc_info=True)


def kept_marks() -> Marks | None:
    """The last reading, without waiting; None if it is as old as no snapshot may be."""
    if _newest is None or time.monotonic() - _newest.taken_at >= snapshots.KEPT_SECONDS:
        return None
    return _newest


def forget() -> None:
    global _newest  # noqa: PLW0603  a process remembers one reading
    _newest = None
