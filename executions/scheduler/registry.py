"""Who a runner is, and the row of ours that remembers it, so that it can be told from Multica's.

Our own tables may be away while Multica's are there: the runner goes on, and that is logged once.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
from collections.abc import Callable

from django.db import DatabaseError, connections
from django.db.models.functions import Now

from executions.models import Runner
from executions.problems import first_line
from multica_admin import __version__

logger = logging.getLogger(__name__)


def new_runner_id() -> str:
    """Host, pid and a short random part: readable, and new after each restart."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"


class RememberedRunner:
    """Keeps one runner's row in the alias ``default``; every time in it is the database's."""

    def __init__(self, runner_id: str, kind: Runner.Kind) -> None:
        self._runner = Runner(
            runner_id=runner_id,
            kind=kind,
            host=socket.gethostname(),
            pid=os.getpid(),
            version=__version__,
            started_at=Now(),
        )
        self._remembered = False
        self._warned = False

    def started(self) -> None:
        """Write the row; that of an earlier process with the same id begins anew."""
        self._remembered = self._try(self._begin)

    def ticked(self) -> None:
        """When a tick begins; begins the row first where it is not there, or not any more."""
        self._touch()
        if not self._remembered:
            self.started()
            self._touch()

    def stopped(self) -> None:
        if self._remembered:
            self._try(lambda: self._update(stopped_at=Now()))

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
                "kind", "host", "pid", "version", "started_at", "last_tick_at", "stopped_at",
            ],
        )  # fmt: skip

    def _update(self, **values: object) -> None:
        self._remembered = Runner.objects.filter(pk=self._runner.pk).update(**values) > 0

    def _try(self, write: Callable[[], object]) -> bool:
        try:
            write()
        except DatabaseError as error:
            if not self._warned:
                logger.warning(
                    "The runner could not be written to our own tables and goes on without: %s",
                    first_line(error),
                    extra={"runner": self._runner.runner_id},
                )
            self._warned = True
            return False
        finally:
            # This thread's own connection; kept open it would outlive a restart of the database.
            connections["default"].close()
        self._warned = False
        return True
