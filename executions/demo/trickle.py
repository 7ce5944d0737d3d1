"""Writes new demo usage every few seconds, in one of our processes, so every plan has work."""

import logging
import random
import threading
from datetime import UTC, datetime
from uuid import uuid4

import psycopg
from django.conf import settings

from executions.database.connections import Connection
from executions.database.our_locks import OurLock
from executions.database.problems import first_line
from executions.demo.fill import SQL, is_demo, trickle_connection
from executions.demo.history import some_usage, world

logger = logging.getLogger(__name__)

EVERY_SECONDS = 5.0
AGAIN_SECONDS = 30.0


def trickle_once(connection: Connection, chance: random.Random) -> None:
    """Write one task and its usage with the database's own clock."""
    row = some_usage(chance, datetime.now(UTC))
    task = uuid4()
    agent, runtime, issue = world().of(row)
    tokens = dict(zip(("input", "output", "cache_read", "cache_write"), row.tokens, strict=True))
    with connection.transaction():
        connection.execute(
            SQL.trickle_task,
            {"id": task, "agent_id": agent, "runtime_id": runtime, "issue_id": issue},
        )
        connection.execute(
            SQL.trickle_usage,
            {
                "task_id": task,
                "provider": row.provider,
                "model": row.model,
                "cost": row.cost_usd_ticks,
                **tokens,
            },
        )


def trickle(stop: threading.Event) -> None:
    """Trickle until ``stop``. Wait while another process trickles or the database is away."""
    chance = random.Random()
    while not stop.is_set():
        try:
            with trickle_connection() as connection:
                if not is_demo(connection):
                    return
                (turn,) = connection.execute(SQL.trickle_lock, {"key": OurLock.TRICKLE})
                while turn["won"] and not stop.wait(EVERY_SECONDS):
                    trickle_once(connection, chance)
        except psycopg.Error as error:
            logger.warning("demo usage pauses: %s", first_line(error))
        stop.wait(AGAIN_SECONDS)


def start() -> None:
    """Trickle in a thread of this process until it ends, if the database holds the plain demo."""
    if settings.MULTICA_IS_EMBEDDED and not settings.SCENARIO:
        threading.Thread(
            target=trickle, args=[threading.Event()], name="demo usage", daemon=True
        ).start()
