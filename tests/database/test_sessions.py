"""A test begins when the sessions that an earlier one closed have really ended."""

import os
import signal
import threading

from tests.waiting import HANG

WINDOW = "SELECT rollup_task_usage_hourly_window(now() - interval '1 hour', now())"


def test_a_session_that_was_closed_is_waited_for_until_the_server_has_ended_it(
    owner, connect, sessions
):
    """The server is slow to end it: its process is stopped for a while."""
    closed = connect()
    closed.execute(WINDOW)
    pid = closed.info.backend_pid
    waiting = threading.Thread(target=sessions.wait_for_the_closed)
    os.kill(pid, signal.SIGSTOP)
    try:
        closed.close()
        waiting.start()
        waiting.join(0.1)
        assert waiting.is_alive()
    finally:
        os.kill(pid, signal.SIGCONT)
    waiting.join(HANG)
    assert not waiting.is_alive()
    assert owner.execute("SELECT FROM pg_stat_activity WHERE pid = %s", [pid]).fetchall() == []


def test_a_session_that_is_still_open_is_not_waited_for(connect, sessions):
    connect().execute(WINDOW)
    sessions.wait_for_the_closed()
