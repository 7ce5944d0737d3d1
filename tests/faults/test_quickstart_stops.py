"""A start that is told to stop, at any moment before it serves."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from multica_admin import embedded
from tests.processes import free_port
from tests.sizes import sized
from tests.starting import (
    EMPTY_START,
    QUICKSTART,
    after_a_first_start,
    start,
    started_before,
    var,
)
from tests.waiting import HANG, until

__all__ = ["after_a_first_start", "start", "started_before", "var"]


def test_ctrl_c_ends_everything_at_once_and_without_a_traceback(start, started_before, var):
    for _again in range(sized(1, 3)):
        process = start(*EMPTY_START, str(free_port()))
        for _both in range(2):
            process.wait_for("The runner starts")
        os.killpg(process.popen.pid, signal.SIGINT)
        assert process.end() == 0
        assert not any("Traceback" in line or "SIGKILL" in line for line in process.seen)
        assert not embedded.cluster(var).answers()


STOPS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
A_STOP = sized([(signal.SIGTERM, 143)], STOPS)


def assert_stopped(process, status, var):
    assert process.end() == status
    assert process.errors[-1] == "multica-admin: Stopped before it had started."
    assert not any("Traceback" in line for line in process.seen)
    assert not embedded.cluster(var).answers()


@pytest.mark.parametrize(("number", "status"), STOPS)
def test_stopped_while_it_makes_its_postgresql_it_leaves_nothing_half_made(
    start, var, number, status
):
    process = start(*QUICKSTART, str(free_port()))
    until((var / "postgres.new" / "PG_VERSION").exists)
    process.popen.send_signal(number)
    assert_stopped(process, status, var)
    assert not (var / "postgres.new").exists()
    assert not (var / "postgres").exists()


def call_once_postgresql_answers(caller, var):
    """The first call of a start that has its own PostgreSQL. Earlier calls are dropped."""
    while True:
        call = caller.calls.get(timeout=HANG)
        if embedded.cluster(var).answers():
            return call
        call.close()


@pytest.mark.parametrize(("number", "status"), A_STOP)
def test_stopped_before_it_serves_it_stops_its_postgresql(
    start, started_before, var, caller, number, status
):
    process = start(*QUICKSTART, str(free_port()), DATABASE_URL=caller.url)
    with call_once_postgresql_answers(caller, var):
        process.popen.send_signal(number)
        assert_stopped(process, status, var)


def test_stopped_before_it_serves_it_leaves_a_postgresql_that_another_uses(
    start, started_before, var, caller
):
    other = start(*EMPTY_START, str(free_port()), WEB_CONCURRENCY="1")
    other.wait_for("Listening at")
    process = start(*EMPTY_START, str(free_port()), DATABASE_URL=caller.url)
    with call_once_postgresql_answers(caller, var):
        process.popen.send_signal(signal.SIGTERM)
        assert process.end() == 143
    assert embedded.cluster(var).answers()


@pytest.mark.parametrize("number", sized([signal.SIGINT], [signal.SIGINT, signal.SIGTERM]))
def test_a_signal_between_the_start_and_gunicorns_own_handlers_ends_it_as_any_later_one(
    start, started_before, var, number
):
    process = start(*EMPTY_START, str(free_port()))
    command = Path(f"/proc/{process.popen.pid}/cmdline")
    until(lambda: b"gunicorn" in command.read_bytes())
    process.popen.send_signal(number)
    assert process.end() == 0
    assert not any("Traceback" in line for line in process.seen)
    assert not embedded.cluster(var).answers()
