"""The servers of those scenarios that need other ones, and not only another state of one.

They belong to a cluster of the scenario's own: `var` is its folder, never the demo's.
"""

from collections.abc import Callable
from pathlib import Path

from executions.database.connections import connect
from executions.database.sql import load
from executions.demo.stage import schedule
from multica_admin import embedded
from multica_admin.cluster import Cluster

Arrange = Callable[[Path], None]

SQL = load("demo")
_NAME = "multica-admin scenario"


def followed(var: Path) -> None:
    """A real streaming standby follows the cluster. The pages read there."""
    embedded.standby(var).start()


def without_pg_crons_library(var: Path) -> None:
    """A job of pg_cron is there, and the server starts without its library."""
    primary = embedded.cluster(var)
    with connect(primary.conninfo(embedded.DATABASE), application_name=_NAME) as superuser:
        schedule(superuser)
        # PostgreSQL writes an empty list as a library without a name, and does not start with it.
        superuser.execute("ALTER SYSTEM SET shared_preload_libraries = 'plpgsql'")
    _restart(primary)


def as_they_were(var: Path) -> None:
    """Undo what `followed` and `without_pg_crons_library` did, also in a start that was killed."""
    follower = embedded.standby(var)
    follower.remove()
    primary = follower.primary
    with connect(primary.conninfo(embedded.DATABASE), application_name=_NAME) as superuser:
        superuser.execute("ALTER SYSTEM RESET shared_preload_libraries")
        (server,) = superuser.execute(SQL.libraries)
    if server["libraries"] != primary.settings.get("shared_preload_libraries", ""):
        _restart(primary)


def _restart(primary: Cluster) -> None:
    primary.stop()
    primary.start()
