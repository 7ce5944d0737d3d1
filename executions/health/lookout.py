"""Keeps the shared snapshot fresh while nobody has a page open, for monitors that must not wait.

Every web process has a lookout of its own, because any of them may be asked. It decides nothing.
"""

from django.conf import settings

from executions.database.kept import QUIET_SECONDS
from executions.database.repeating import Repeating
from executions.health import snapshot


def start() -> None:
    """Look in this process as soon as the last snapshot is old, if a monitor may ask.

    Call it once, after the fork.
    """
    if settings.STATUS_TOKEN or settings.METRICS_TOKEN:
        Repeating(
            "lookout",
            lambda _away_for: snapshot.current().interval_seconds,
            QUIET_SECONDS,
            undone="The snapshot for monitors is not kept fresh",
        ).start()
