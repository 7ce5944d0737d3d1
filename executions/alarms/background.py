"""Watches the verdict and delivers alarms in a web process or beside a runner.

The thread is a daemon and stops with its process. Another process takes the next turn, because a
look and a delivery can be cut off at any point.
"""

import logging
import threading
import time
from datetime import timedelta

from django.conf import settings
from django.db import Error as DjangoDatabaseError
from django.db import connections

from executions.alarms.delivery import Post
from executions.alarms.heartbeat import Heart
from executions.alarms.store import hear_look
from executions.alarms.telling import Rules
from executions.database.problems import diagnose
from executions.health.history.record import LOOK_EVERY, look_in_turn

log = logging.getLogger(__name__)


def look_every(after: timedelta) -> timedelta:
    """How often somebody looks, so that what has held for so long was seen at least twice."""
    return min(LOOK_EVERY, after / 2)


class Watching:
    """Looks in turn with every other process, in a thread of its own, and tells what is due.

    ``says_when_away`` is False if other code in the process reports that our own tables are away.
    """

    def __init__(self, *, says_when_away: bool = True) -> None:
        self._rules = Rules(timedelta(seconds=settings.ALERT_AFTER), settings.ALERT_MOST_PER_HOUR)
        self._every = look_every(self._rules.after)
        self._post = Post(settings.ALERT_URLS)
        self._heart = Heart(settings.HEARTBEAT_URL)
        self._silent = not says_when_away
        self._stopped = threading.Event()
        self._failing_since: float | None = None
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Look no more. The look in hand is not waited for: nothing of it is lost."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._look()
            self._stopped.wait(self._every.total_seconds())

    def _look(self) -> None:
        """Look once. No error ends the thread. The same error is logged once, not every time."""
        try:
            seen = look_in_turn(self._every, self._failing_for())
            if seen is not None:
                hear_look(seen, self._rules)
            self._post.deliver()
            self._heart.beat()
            self._failing_since = None
        except DjangoDatabaseError as error:
            if self._failing_since is None:
                self._failing_since = time.monotonic()
                if not self._silent:
                    log.warning("The verdict is not watched: %s", diagnose(error).sentence())
        except Exception:
            log.exception("A look at the verdict failed; it is tried again.")
        finally:
            # No connection is kept between looks. A thread has its own connections.
            connections.close_all()

    def _failing_for(self) -> timedelta:
        if self._failing_since is None:
            return timedelta()
        return timedelta(seconds=time.monotonic() - self._failing_since)


def start() -> None:
    """Begin to watch in this process. Call it once, after gunicorn has forked."""
    Watching().start()
