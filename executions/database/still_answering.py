"""Gives up a server that hangs while a statement runs that may rightly take very long.

No time limit fits a month of a backfill, and a server that hangs ends no statement. So while one
runs, another connection asks now and then whether the server still answers at all.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from django.conf import settings

from executions.database.connections import Connection, cut
from executions.database.problems import Silent

LOOK_SECONDS = 10.0
# How long one look waits for an answer, and how many looks in a row must get none.
ANSWER_SECONDS = 5
MOST_UNANSWERED = 3


@contextmanager
def given_up_if_silent(connection: Connection) -> Iterator[None]:
    """Cut a connection to ``RUNNER_DATABASE_URL`` if that server answers nobody.

    Raises:
        Silent: it was cut.
    """
    done, given_up = threading.Event(), threading.Event()

    def look() -> None:
        unanswered = 0
        while not done.wait(LOOK_SECONDS):
            unanswered = 0 if _answers() else unanswered + 1
            if unanswered >= MOST_UNANSWERED:
                given_up.set()
                cut(connection)
                return

    watch = threading.Thread(target=look, name="still answering", daemon=True)
    watch.start()
    try:
        yield
    except psycopg.Error as error:
        if given_up.is_set():
            raise Silent(int(MOST_UNANSWERED * (LOOK_SECONDS + ANSWER_SECONDS))) from error
        raise
    finally:
        done.set()
        watch.join()


def _answers() -> bool:
    """Whether the server says anything, even no."""
    asked = {**settings.RUNNER_CONNINFO, "connect_timeout": ANSWER_SECONDS}
    try:
        psycopg.connect(**asked).close()
    except psycopg.errors.ConnectionTimeout:
        return False
    except psycopg.Error:
        return True
    return True
