"""How a web process takes a signal, and what its garbage collector still looks at."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import threading

import pytest
from gunicorn.config import Config

from multica_admin.gunicorn import Worker
from tests.waiting import HANG


@pytest.fixture
def worker():
    worker = Worker(1, 1, [], None, 30, Config(), logging.getLogger(__name__))
    worker.tpool = worker.get_thread_pool()
    yield worker
    worker.tpool.shutdown()
    worker.tmp.close()


def ends(worker, number):
    """Whether the handler got as far as ending the process, in its time."""
    ended = threading.Event()

    def handle():
        try:
            worker.handle_quit(number, None)
        except SystemExit:
            ended.set()

    threading.Thread(target=handle, daemon=True).start()
    return ended.wait(HANG)


def test_it_ends_although_it_was_about_to_hand_a_connection_to_a_thread(worker):
    with worker.tpool._shutdown_lock:
        assert ends(worker, signal.SIGINT)


def test_told_again_while_it_ends_it_just_goes_on_ending(worker):
    assert ends(worker, signal.SIGINT)
    worker.handle_quit(signal.SIGQUIT, None)


SETTLED = """
import gc, weakref
from multica_admin.gunicorn import settle_garbage_collection

class Circle: pass

settle_garbage_collection()
assert gc.get_freeze_count() > 1000
looked = gc.get_stats()[0]["collections"]
page = [[] for _ in range(10_000)]
assert gc.get_stats()[0]["collections"] == looked
del page
circle = Circle()
circle.itself, gone = circle, weakref.ref(circle)
del circle
kept = [[] for _ in range(2 * gc.get_threshold()[0])]
assert gone() is None
"""


def test_what_is_there_is_left_alone_a_page_costs_no_look_and_circles_are_still_collected():
    subprocess.run([sys.executable, "-c", SETTLED], check=True, timeout=HANG)
