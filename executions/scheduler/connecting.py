"""How the product's runners reach Multica's database: ``RUNNER_DATABASE_URL``, and not for ever."""

from __future__ import annotations

from executions.database.connections import Connection, runner_connection

# A network that swallows packets is noticed after this many milliseconds, not after minutes.
UNANSWERED_MS = 20_000


def connect_runner(application_name: str) -> Connection:
    """A plain connection of a runner's, its heartbeat's or its handler's.

    Raises:
        NotDirect, psycopg.OperationalError: as `executions.database.connections.connect`.
    """
    return runner_connection(application_name[:63], tcp_user_timeout=str(UNANSWERED_MS))
