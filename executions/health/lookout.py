"""Keeps the shared snapshot fresh while nobody has a page open, for monitors that must not wait.

Every web process has a lookout of its own, because any of them may be asked. It decides nothing.
"""

from collections.abc import Callable

from django.conf import settings

from executions.database.kept import QUIET_SECONDS
from executions.database.repeating import Repeating
from executions.health import snapshots


def start(beside: Callable[[], None]) -> None:
    """Look in this process as soon as the last snapshot is old, if a monitor may ask.

    ``beside`` is called after each look, for what else monitors are told. Call it once, after the
    fork.
    """

    def look(_away_for: object) -> float:
        seconds = snapshots.current().interval_seconds
        beside()
        return seconds

    if settings.STATUS_TOKEN or settings.METRICS_TOKEN:
        Repeating(
            "lookout",
            look,
            QUIET_SECONDS,
            undone="The snapshot for monitors is not kept fresh",
        ).start()
