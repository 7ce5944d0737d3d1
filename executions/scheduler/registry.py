"""A runner's id, and our row about it, which tells it from Multica's runners.

Our own tables may be away, locked or silent while Multica's answer. The runner then goes on, and
logs that once.
"""

import logging
import os
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections
from django.db.models.functions import Now

from executions.database.connections import cut, cut_after
from executions.database.problems import first_line
from executions.models import Runner
from multica_admin import __version__

logger = logging.getLogger(__name__)

# The limits of one write. The alias has none, and a tick waits for its write.
LIMITS = "SET statement_timeout = '2s'; SET lock_timeout = '2s'"
# If the server does not even report a limit that was reached, the connection is cut after this
# time.
CUT_SECONDS = 3.0
# The time that an abandoned write may still take. Most end sooner.
ABANDONED_SECONDS = 0.5


def new_runner_id() -> str:
    """Host, pid and a short random part: readable, and new after each restart."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"


class RememberedRunner:
    """Keeps one runner's row in the alias ``default``. Every time in it is the database's.

    ``tick_seconds`` is the interval of the runner's ticks; None if it ticks only once.
    """

    def __init__(
        self, runner_id: str, kind: Runner.Kind, tick_seconds: float | None = None
    ) -> None:
        self._runner = Runner(
            runner_id=runner_id,
            kind=kind,
            host=socket.gethostname(),
            pid=os.getpid(),
            version=__version__,
            started_at=Now(),
            tick_seconds=tick_seconds,
        )
        self._remembered = False
        self._warned = False
        self._lock = threading.Lock()
        self._writing: object = None
        self._abandoned = False
        self._connection: Any = None

    def started(self) -> None:
        """Write the row. It replaces the row of an earlier process with the same id."""
        self._remembered = self._try(self._begin)

    def ticked(self) -> None:
        """Record that a tick begins. Write the row first if it is missing."""
        self._touch()
        if not self._remembered:
            self.started()
            self._touch()

    def stopped(self) -> None:
        if self._remembered:
            self._try(lambda: self._update(stopped_at=Now()))

    def abandon(self) -> None:
        """End the current write soon, from any thread. No write follows one that had to be ended.

        While the write still connects it cannot be ended, but then its statement is not sent.
        """
        impatience = threading.Timer(ABANDONED_SECONDS, self._end, [self._writing])
        impatience.daemon = True
        impatience.start()

    def _end(self, writing: object) -> None:
        with self._lock:
            if writing is None or writing is not self._writing:
                return
            self._abandoned = True
            if self._connection is not None:
                cut(self._connection)

    def _touch(self) -> None:
        if self._remembered:
            self._try(lambda: self._update(last_tick_at=Now()))

    def _begin(self) -> None:
        self._runner.last_tick_at = self._runner.stopped_at = None
        Runner.objects.bulk_create(
            [self._runner],
            update_conflicts=True,
            unique_fields=["runner_id"],
            update_fields=[
                "kind", "host", "pid", "version", "started_at", "last_tick_at", "tick_seconds",
                "stopped_at",
            ],
        )  # fmt: skip

    def _update(self, **values: object) -> None:
        self._remembered = Runner.objects.filter(pk=self._runner.pk).update(**values) > 0

    def _try(self, write: Callable[[], object]) -> bool:
        if self._abandoned:
            return False
        try:
            with self._limited():
                write()
        except Exception as error:  # the runner matters more than its row
            if not self._warned:
                logger.warning(
                    "The runner could not be written to our own tables and goes on without: %s",
                    first_line(error),
                    extra={"runner": self._runner.runner_id},
                )
            self._warned = True
            return False
        finally:
            # This thread's own connection. If kept open, it would outlive a restart of the database
            # and keep these limits.
            connections["default"].close()
        self._warned = False
        return True

    @contextmanager
    def _limited(self) -> Iterator[None]:
        """Limit a write by the server's limits and our own, and let it be abandoned."""
        self._writing = object()
        try:
            connections["default"].ensure_connection()
            connection = connections["default"].connection
            with self._lock:
                self._connection = connection
                if self._abandoned:
                    cut(connection)
            with cut_after(CUT_SECONDS, connection):
                connection.execute(LIMITS)
                yield
        finally:
            with self._lock:
                self._writing = self._connection = None
