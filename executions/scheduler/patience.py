"""A runner that waits until its database has what its jobs need. `inprocess.py` runs it.

A command refuses to start instead. A web process must serve its pages in any case.
"""

import logging

import psycopg

from executions.database.connections import Connection
from executions.scheduler.preflight import CannotRun, check_connection
from executions.scheduler.reports import TickReport
from executions.scheduler.runner import JobRunner

logger = logging.getLogger(__name__)


class PatientRunner(JobRunner):
    """A `JobRunner` that claims nothing while something that it needs is missing."""

    _found_fit: Connection | None = None
    _said = ""

    def tick(self) -> list[TickReport]:
        """One planning pass; or, if something is missing, one log line about it, once.

        Raises:
            psycopg.Error: the database is away or refuses; no connection stays open.
        """
        try:
            self._look()
        except psycopg.Error:
            self._own.close()
            raise
        except CannotRun as refusal:
            self._say(refusal)
            return []
        self._said = ""
        return super().tick()

    def _look(self) -> None:
        """Once for each connection that is fit, so that an idle tick costs nothing more."""
        connection = self._own.get()
        if connection is not self._found_fit:
            check_connection(connection, self.specs)
            self._found_fit = connection

    def _say(self, refusal: CannotRun) -> None:
        if str(refusal) != self._said:
            logger.warning(
                "%s The runner tries again by itself.", refusal, extra={"runner": self.runner_id}
            )
        self._said = str(refusal)
