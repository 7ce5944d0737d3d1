"""Plays a scenario in the embedded database: empties it first, then keeps its state as it is.

A scenario has a cluster of its own below ``var/scenarios/``, so it never touches the demo. No
scheduler runs there. A thread of one web process holds the scenario's sessions, and writes its
world again with each plan that comes due, so no finding drifts away while somebody looks.
"""

import logging
import threading
from contextlib import ExitStack
from datetime import datetime, timedelta

from django.conf import settings

from executions.database.connections import Connection, connect
from executions.database.our_locks import OurLock
from executions.database.problems import DATABASE_ERRORS, first_line
from executions.database.sql import load
from executions.demo import servers
from executions.demo.circumstances import drop_watchman
from executions.demo.fill import fill
from executions.demo.gallery import find, played
from executions.demo.history import WEEK
from executions.demo.scenario import Scenario
from executions.demo.stage import Stage, let_read
from executions.demo.worlds import database_now
from executions.rollup.provision import provision
from executions.scheduler.jobs import ROLLUP
from executions.scheduler.plans import newest_due
from multica_admin import embedded
from multica_admin.cluster import ClusterError
from multica_admin.locks import locked

logger = logging.getLogger(__name__)

SQL = load("demo")
AGAIN_SECONDS = 10.0
# A plan that came due this long ago can have begun and ended.
SETTLED = timedelta(seconds=3)


def _connect(role: str) -> Connection:
    where = embedded.conninfo(settings.VAR_DIR, role)
    return connect(where, application_name="multica-admin scenario")


def _empty() -> None:
    """Remove everything on Multica's side of the scenario's own cluster: tables, jobs, a role."""
    with _connect(embedded.RETIRER) as superuser, superuser.transaction():
        (found,) = superuser.execute(SQL.has_pg_cron)
        if found["has_pg_cron"]:
            superuser.execute("DELETE FROM cron.job")
            superuser.execute("DELETE FROM cron.job_run_details")
        drop_watchman(superuser)
        superuser.execute("DROP SCHEMA public CASCADE")
        superuser.execute("CREATE SCHEMA public AUTHORIZATION pg_database_owner")
        superuser.execute("GRANT USAGE ON SCHEMA public TO PUBLIC")
    # Some versions of pg_cron belong to the schema public, and went with it.
    embedded.prepare(embedded.cluster(settings.VAR_DIR))


def prepare(scenario: Scenario) -> None:
    """Empty the scenario's own cluster, fill it without a schedule, and arrange its servers.

    One process at a time does it. The servers may be restarted, so open connections can end.

    Raises:
        psycopg.Error: the cluster refuses or does not answer.
        ClusterError: a server cannot be made or started.
    """
    with locked(settings.VAR_DIR / "scenario.lock"):
        servers.as_they_were(settings.VAR_DIR)
        _empty()
        _fill()
        if scenario.arrange is not None:
            scenario.arrange(settings.VAR_DIR)


def _fill() -> None:
    with _connect(embedded.OWNER) as owner:
        with owner.transaction():
            provision(owner)
            let_read(owner)
        fill(owner, scheduled=False)
        # Sum the usage up to now, so that only the scenario makes a difference.
        now = database_now(owner)
        owner.execute(SQL.build_buckets, {"since": now - WEEK, "until": now})


def play(scenario: Scenario, stop: threading.Event) -> None:
    """Keep the scenario's state until ``stop``. Wait while another process does."""
    is_whole = True
    while not stop.is_set():
        try:
            with ExitStack() as held:
                stage = _stage(held)
                (turn,) = stage.owner.execute(SQL.trickle_lock, {"key": OurLock.SCENARIO})
                if turn["won"]:
                    if is_whole:
                        _keep(scenario, stage, stop)
                    else:
                        prepare(scenario)
                        is_whole = True
                        continue  # with new connections, as a server may have been restarted
        except (*DATABASE_ERRORS, ClusterError) as error:
            # What an ended process left of the scenario, or the server: begin with nothing.
            is_whole = False
            logger.warning("the scenario begins again: %s", first_line(error))
        stop.wait(AGAIN_SECONDS)


def _stage(held: ExitStack) -> Stage:
    def open_one(role: str) -> Connection:
        return held.enter_context(_connect(role))

    return Stage(open_one(embedded.OWNER), open_one(embedded.RETIRER), open_one)


def _keep(scenario: Scenario, stage: Stage, stop: threading.Event) -> None:
    with played(scenario, stage) as lay:
        laid: datetime | None = None
        while not stop.is_set():
            newest = newest_due(ROLLUP, database_now(stage.owner) - SETTLED)
            if newest != laid:
                lay()
                if laid is None:
                    logger.info("the scenario %s is in place", scenario.name)
                laid = newest
            stop.wait(1)


def start() -> None:
    """Play the scenario of this start, if there is one, in a thread of this process."""
    if settings.SCENARIO:
        threading.Thread(
            target=play,
            args=[find(settings.SCENARIO), threading.Event()],
            name="scenario",
            daemon=True,
        ).start()
