"""Calls HEARTBEAT_URL for as long as we can see, for a watchman over this watchman.

One process at a time calls. The address may be a secret, so it appears nowhere.
"""

import logging
import threading
from datetime import timedelta

from django.db.models import Q

from executions.database.own_clock import from_now
from executions.health.history.step import UNSEEN
from executions.models import TellingState, Watch

log = logging.getLogger(__name__)

EVERY = timedelta(seconds=60)
# Seconds for a connection, and for an answer.
LIMITS = (4.0, 4.0)


class Heart:
    """Beats at most once a minute over all processes, in a thread of its own."""

    def __init__(self, url: str, every: timedelta = EVERY) -> None:
        self._url, self._every = url, every
        self._beating: threading.Thread | None = None
        self._failed = False

    def beat(self) -> None:
        """Call the address if it is due and we can see. It waits for no answer.

        Raises:
            django.db.Error: our own tables cannot be reached.
        """
        if not self._url or (self._beating is not None and self._beating.is_alive()):
            return
        if self._is_due():
            self._beating = threading.Thread(target=self._call, name="heartbeat call", daemon=True)
            self._beating.start()

    def _is_due(self) -> bool:
        seeing = Watch.objects.filter(blind="", looked_at__gt=from_now(-UNSEEN))
        if not seeing.exists():
            return False
        before = Q(heartbeat_at=None) | Q(heartbeat_at__lte=from_now(-self._every))
        due = TellingState.objects.filter(before, pk=TellingState.THE_ONE)
        return bool(due.update(heartbeat_at=from_now(timedelta())))

    def _call(self) -> None:
        """Call once, without following redirects. A failure is logged once, until one succeeds."""
        import requests

        try:
            answer = requests.get(self._url, timeout=LIMITS, allow_redirects=False)
            failure = "" if answer.ok and not answer.is_redirect else f"status {answer.status_code}"
        except requests.RequestException as error:  # its text contains the address
            failure = type(error).__name__
        if failure and not self._failed:
            log.warning("HEARTBEAT_URL was called in vain (%s); it is tried every minute.", failure)
        self._failed = bool(failure)
