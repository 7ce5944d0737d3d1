"""How our runners connect to Multica's database: ``RUNNER_DATABASE_URL``, with time limits."""

from executions.database.connections import Connection, runner_connection
from multica_admin.databases import SESSION

# A network that drops packets is noticed after this many milliseconds, not after minutes.
UNANSWERED_MS = 20_000
# A statement of the ledger takes milliseconds. Longer ones wait for a lock, or for a server that
# hangs. The connection is given up soon after, and the runner tries again later.
STATEMENT_MS = 30_000


def connect_runner(application_name: str) -> Connection:
    """A plain connection for a runner, its heartbeat or its handler.

    Raises:
        NotDirect, psycopg.OperationalError: as `executions.database.connections.connect`.
    """
    return runner_connection(
        application_name[:63],
        {**SESSION, "statement_timeout": str(STATEMENT_MS)},
        tcp_user_timeout=str(UNANSWERED_MS),
    )
