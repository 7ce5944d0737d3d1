"""A handler's run: what it is given, how its end is told, what cancels it."""

from __future__ import annotations

import threading

import psycopg
import pytest

from executions.scheduler import run
from executions.scheduler.bounds import ERROR_BYTES, RESULT_BYTES
from executions.scheduler.spec import HandlerError, Scope
from tests.running import HANDLER, HOUR, no_thread_beats, one_tick, ours, ticking
from tests.scheduling import execution
from tests.short_jobs import Held, job, seconds
from tests.waiting import HANG


def test_a_handler_is_given_its_plan_and_a_connection_bounded_by_the_run_timeout(owner, reach):
    seen = {}

    def look(context):
        seen["context"] = context
        for setting in (
            "statement_timeout",
            "idle_session_timeout",
            "idle_in_transaction_session_timeout",
            "client_connection_check_interval",
        ):
            row = context.connection.execute(
                "SELECT current_setting(%s) AS value", [setting]
            ).fetchone()
            seen[setting] = row["value"]
        return 3, {"seen": True}

    spec = job(handler=look, scopes=(Scope("team", "a"),), run_timeout=seconds(7))
    (report,) = one_tick(reach, spec)
    row = execution(owner)
    context = seen.pop("context")
    assert (context.spec, context.scope, context.attempt) == (spec, Scope("team", "a"), 1)
    assert context.plan_time == row["plan_time"] == report.plan_time
    assert not context.cancelled.is_set()
    assert context.connection.closed
    assert seen.pop("client_connection_check_interval") == "1s"
    assert set(seen.values()) == {"7s"}
    assert (row["rows_affected"], row["result"]) == (3, {"seen": True})
    assert (report.rows, report.duration_ms) == (3, row["duration_ms"])


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (HandlerError("no price list"), "handler_error", "no price list"),
        (psycopg.DataError("out of range"), "handler_error", "out of range"),
        (KeyError("price"), "handler_panic", "KeyError: 'price'"),
        (SystemExit(3), "handler_panic", "SystemExit: 3"),
        (HandlerError("nul \0 is dropped"), "handler_error", "nul  is dropped"),
        (HandlerError("x" + "é" * ERROR_BYTES), "handler_error", "x" + "é" * 1999),
    ],
)
def test_how_a_handler_ends_decides_the_code_and_the_text(owner, reach, error, code, text):
    def end(_context):
        raise error

    (report,) = one_tick(reach, job(handler=end, retry_backoff=(HOUR,)))
    row = execution(owner)
    assert (row["status"], row["error_code"], row["error_msg"]) == ("FAILED", code, text)
    assert row["next_retry_at"] == row["finished_at"] + HOUR
    assert (report.status, report.error_code, report.error_msg) == ("FAILED", code, text)


@pytest.mark.parametrize(
    ("returned", "code"),
    [
        ((0, {"a": "x" * RESULT_BYTES}), "handler_error"),
        ((2**63, {}), "handler_error"),
        ((0, ["no object"]), "handler_error"),
        (None, "handler_panic"),
    ],
)
def test_what_a_handler_returns_and_no_row_can_hold_is_a_failure(owner, reach, returned, code):
    one_tick(reach, job(handler=lambda _context: returned))
    row = execution(owner)
    assert (row["status"], row["error_code"], row["result"]) == ("FAILED", code, {})


def test_a_statement_that_runs_too_long_is_ended_by_the_database_as_a_run_timeout(
    owner, reach, monkeypatch
):
    # Without the guard on this side: the database alone must do it.
    monkeypatch.setattr(run.Run, "_supervise", lambda self, _heartbeat: self._changed.wait(HANG))

    def sleep(context):
        context.connection.execute("SELECT pg_sleep(600)")

    one_tick(reach, job(handler=sleep, run_timeout=seconds(0.2)))
    row = execution(owner)
    assert row["error_code"] == "run_timeout"
    assert row["duration_ms"] >= 200


def test_a_handler_that_takes_too_long_outside_the_database_is_cancelled_as_a_run_timeout(
    owner, reach
):
    one_tick(reach, job(handler=Held(), run_timeout=seconds(0.2)))
    row = execution(owner)
    assert row["error_code"] == "run_timeout"
    assert row["error_msg"] == "The run took longer than its 0.2 seconds and was cancelled."


def test_many_short_statements_do_not_outlive_the_run_timeout(owner, reach):
    def dawdle(context):
        while True:
            context.connection.execute("SELECT pg_sleep(0.01)")

    one_tick(reach, job(handler=dawdle, run_timeout=seconds(0.2)))
    assert execution(owner)["error_code"] == "run_timeout"


def test_a_statement_that_somebody_cancelled_is_the_handlers_error(owner, reach):
    busy = threading.Event()

    def sleep(context):
        busy.set()
        context.connection.execute("SELECT pg_sleep(600)")

    with ticking(ours(reach, job(handler=sleep))) as done:
        busy.wait(HANG)
        cancelled = False
        while not cancelled:
            rows = owner.execute(
                "SELECT pg_cancel_backend(pid) AS done FROM pg_stat_activity"
                " WHERE application_name = %s AND query LIKE '%%pg_sleep%%' AND state = 'active'",
                [HANDLER],
            ).fetchall()
            cancelled = any(row["done"] for row in rows)
        done.result(HANG)
    assert execution(owner)["error_code"] == "handler_error"


def test_a_handler_that_ignores_its_cancellation_is_left_behind(owner, reach, monkeypatch, caplog):
    monkeypatch.setattr(run, "UNWIND_SECONDS", 0.1)
    free = threading.Event()

    def deaf(_context):
        free.wait(HANG)
        return 0, {}

    one_tick(reach, job(handler=deaf, run_timeout=seconds(0.2)))
    free.set()
    assert execution(owner)["error_code"] == "run_timeout"
    assert any("left behind" in record.message for record in caplog.records)


def test_a_run_that_was_cancelled_before_its_handler_returned_is_no_success(owner, reach):
    def stop_early(context):
        context.cancelled.wait(HANG)
        return 0, {}

    one_tick(reach, job(handler=stop_early, run_timeout=seconds(0.2)))
    assert execution(owner)["status"] == "FAILED"


def test_a_database_that_refuses_the_handler_a_connection_is_its_error(owner, reach):
    def connect(application_name):
        if application_name == HANDLER:
            raise psycopg.OperationalError("too many connections")
        return reach(application_name)

    one_tick(connect, job())
    row = execution(owner)
    assert (row["error_code"], row["error_msg"]) == ("handler_error", "too many connections")


class Unspeakable(Exception):
    """An error that cannot even say what it is."""

    def __str__(self):
        raise ZeroDivisionError


class UnspeakableHandlerError(Unspeakable, HandlerError):
    """The same, for an expected reason."""


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (Unspeakable(), "handler_panic", "Unspeakable: (its text could not be made: Zero"),
        (UnspeakableHandlerError(), "handler_error", "(its text could not be made: Zero"),
    ],
)
def test_an_error_that_cannot_say_what_it_is_ends_the_run_all_the_same(
    owner, reach, error, code, text
):
    def end(_context):
        raise error

    one_tick(reach, job(handler=end))
    row = execution(owner)
    assert (row["error_code"], row["error_msg"]) == (code, f"{text}DivisionError)")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_handlers_thread_that_breaks_off_ends_its_run(owner, reach, monkeypatch):
    def break_off(_run):
        raise MemoryError

    monkeypatch.setattr(run.Run, "_outcome_of_the_call", break_off)
    one_tick(reach, job())
    assert execution(owner)["error_code"] == "handler_panic"


@pytest.mark.parametrize("missing", ["heartbeat", "handler"])
def test_a_thread_that_cannot_start_is_a_failure_that_is_finished(
    owner, reach, monkeypatch, missing
):
    start = threading.Thread.start

    def start_or_not(thread):
        if thread.name == missing:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_or_not)
    (report,) = one_tick(reach, job(heartbeat_interval=seconds(0.05)))
    row = execution(owner)
    assert (row["status"], row["error_code"]) == ("FAILED", "handler_error")
    assert row["error_msg"] == "The run could not begin: can't start new thread."
    assert report.status == "FAILED"
    assert no_thread_beats()


def test_a_run_that_breaks_off_leaves_no_heartbeat_behind(owner, reach, monkeypatch):
    def break_off(_run, _heartbeat):
        raise MemoryError

    monkeypatch.setattr(run.Run, "_supervise", break_off)
    with pytest.raises(MemoryError):
        one_tick(reach, job(heartbeat_interval=seconds(0.05)))
    assert no_thread_beats()
