"""A signal during the start of a web process ends it like any later signal."""

from __future__ import annotations

import signal

import pytest

from multica_admin import gunicorn as served
from tests.processes import Process, free_port
from tests.waiting import HANG

# The project's own configuration, but a new process waits for the signal before it goes on.
SLOW = """
from multica_admin.gunicorn import *

workers = 1

def post_fork(server, worker):
    import signal, time
    from tests.waiting import HANG

    came = []
    taken = signal.getsignal(signal.SIGTERM)
    for number in (signal.SIGTERM, signal.SIGQUIT):
        signal.signal(number, lambda sig, frame: (came.append(sig), taken(sig, frame)))
    print("forked", flush=True)
    end = time.monotonic() + HANG
    while not came and not signal.sigpending() and time.monotonic() < end:
        time.sleep(0.01)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_before_a_process_has_handlers_of_its_own_is_not_lost(tmp_path, number):
    assert served.graceful_timeout < HANG
    (tmp_path / "slow.py").write_text(SLOW)
    process = Process(
        *("-m", "gunicorn", "--config", str(tmp_path / "slow.py")),
        *("--bind", f"127.0.0.1:{free_port()}", "multica_admin.wsgi"),
        env={
            "VAR_DIR": str(tmp_path),
            "SECRET_KEY": "only-for-tests",
            "ROLLUP_SCHEDULER": "off",
            "DJANGO_SETTINGS_MODULE": "multica_admin.settings",
        },
    )
    process.wait_for("forked")
    process.popen.send_signal(number)
    assert process.end() == 0
    assert any("Worker exiting" in line for line in process.seen)
