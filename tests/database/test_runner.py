"""A runner's step and loop, and each place where it is deliberately more careful than Go's."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from itertools import count
from time import monotonic
from uuid import UUID, uuid4

import psycopg
import pytest

from executions.scheduler import clock, finishing, heartbeat, leases, plans, run, runner
from executions.scheduler.bounds import ERROR_BYTES, RESULT_BYTES
from executions.scheduler.cutting import cancel_and_cut
from executions.scheduler.leases import ClaimOutcome, Failure, Lease, Plan, Success
from executions.scheduler.plans import floor
from executions.scheduler.runner import JobRunner
from executions.scheduler.spec import ErrorCode, HandlerError, Scope
from tests.scheduling import age, execution, executions
from tests.short_jobs import Held, every_plan, job, seconds
from tests.waiting import HANG, until

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
MAIN = "multica-admin runner"
HANDLER = "multica-admin test_job"
HEARTBEAT = "multica-admin heartbeat"
EVERYWHERE = Scope()


@contextmanager
def ticking(runner):
    """A tick in a thread of its own; gives its future."""
    with ThreadPoolExecutor(1) as pool, runner:
        yield pool.submit(runner.tick)


def ours(reach, *specs, **options):
    return JobRunner(specs, reach, runner_id="ours", **options)


def one_tick(reach, *specs):
    with ours(reach, *specs) as runner:
        return runner.tick()


def bucket(connection, cadence=DAY):
    return floor(connection.execute("SELECT now() AS now").fetchone()["now"], cadence)


def begin(connection, spec, plan_time, runner_id="other", scope=EVERYWHERE):
    plan = Plan(spec, scope, plan_time)
    return leases.claim(connection, plan, runner_id=runner_id, new_id=uuid4()).lease


def fail(connection, spec, plan_time):
    lease = begin(connection, spec, plan_time)
    leases.finish(connection, lease, Failure(ErrorCode.HANDLER_ERROR, "no luck"), 1)


# --- Planning and claiming ----------------------------------------------------------------------


def test_each_claim_of_a_tick_has_the_time_of_its_own_claim(owner, reach):
    first, second = Held(), Held()
    specs = job(name="a", handler=first), job(name="b", handler=second)
    with ticking(ours(reach, *specs)) as done:
        first.began.wait(HANG)
        between = owner.execute("SELECT now() AS now").fetchone()["now"]
        first.release.set()
        second.began.wait(HANG)
        later = executions(owner)[1]
        second.release.set()
        done.result(HANG)
    assert later["started_at"] > between
    assert later["stale_after"] - later["started_at"] == specs[1].stale_timeout


def test_an_old_failed_bucket_inside_the_window_is_not_stranded(owner, reach):
    spec = every_plan(cadence=DAY, catch_up_window=10 * DAY)
    today = bucket(owner)
    fail(owner, spec, today - 5 * DAY)
    begin(owner, spec, today - DAY)
    reports = one_tick(reach, spec)
    assert [(report.plan_time, report.outcome) for report in reports] == [
        (today - 5 * DAY, ClaimOutcome.RETRIED),
        (today, ClaimOutcome.WON),
    ]


def test_a_failed_bucket_outside_the_window_is_left_alone(owner, reach):
    spec = every_plan(cadence=DAY, catch_up_window=3 * DAY)
    today = bucket(owner)
    fail(owner, spec, today - 5 * DAY)
    begin(owner, spec, today)
    (report,) = one_tick(reach, spec)
    assert report.outcome is None


def succeed(connection, lease):
    leases.finish(connection, lease, Success(0, "{}"), 1)


def break_down(connection, lease):
    leases.finish(connection, lease, Failure(ErrorCode.HANDLER_ERROR, "no luck"), 1)


@pytest.mark.parametrize(
    ("end", "status"),
    [(succeed, "SUCCESS"), (break_down, "FAILED"), (lambda *_claimed: None, "RUNNING")],
)
@pytest.mark.parametrize("scopes", [1, 2, 7])
def test_an_idle_tick_costs_two_statements_however_many_scopes_its_job_has(
    owner, reach, scopes, end, status
):
    scopes = tuple(Scope("team", str(number)) for number in range(scopes))
    spec = job(cadence=DAY, scopes=scopes, retry_backoff=(HOUR,))
    for scope in scopes:
        end(owner, begin(owner, spec, bucket(owner), scope=scope))
    before = executions(owner)
    with ours(reach, spec) as runner:
        runner.tick()
        sent = count_statements(reach.opened[MAIN][0])
        reports = runner.tick()
    assert [(report.scope, report.outcome, report.status, report.holder) for report in reports] == [
        (scope, ClaimOutcome.CONFLICT, status, "other") for scope in scopes
    ]
    assert len(sent) == 2
    assert [{**row, "now": None} for row in executions(owner)] == [
        {**row, "now": None} for row in before
    ]


@pytest.mark.parametrize("scopes", [1, 7])
def test_a_tick_with_nothing_planned_costs_two_statements_too(owner, reach, scopes):
    scopes = tuple(Scope("team", str(number)) for number in range(scopes))
    with ours(reach, job(planner=lambda _spec, _standing: [], scopes=scopes)) as runner:
        runner.tick()
        sent = count_statements(reach.opened[MAIN][0])
        runner.tick()
    assert len(sent) == 2


def test_a_scope_is_planned_by_the_time_after_the_run_of_the_one_before(owner, reach):
    held = Held()
    seen = []

    def planner(_spec, standing):
        seen.append(standing.now)
        return [bucket(owner)]

    scopes = (Scope("team", "a"), Scope("team", "b"))
    with ticking(ours(reach, job(handler=held, planner=planner, scopes=scopes))) as done:
        assert held.began.wait(HANG)
        during = owner.execute("SELECT now() AS now").fetchone()["now"]
        held.release.set()
        done.result(HANG)
    first, second = seen
    assert first < during < second


def test_what_was_seen_before_a_run_is_not_relied_on_after_it(owner, reach):
    today = bucket(owner)

    def lose_the_holder(_context):
        owner.execute(
            "UPDATE sys_cron_executions SET stale_after = now() WHERE runner_id = 'other'"
        )
        return 0, {}

    spec = job(handler=lose_the_holder, planner=lambda _spec, _standing: [today - DAY, today])
    begin(owner, spec, today)
    reports = one_tick(reach, spec)
    assert [report.outcome for report in reports] == [ClaimOutcome.WON, ClaimOutcome.STOLEN]


@pytest.mark.parametrize("reentrant", [True, False])
def test_a_plan_that_ended_as_stale_is_run_again_only_where_the_job_allows_reentry(
    owner, reach, reentrant
):
    spec = job(cadence=DAY, allow_stale_reentry=reentrant)
    begin(owner, spec, bucket(owner))
    age(owner, HOUR)
    (report,) = one_tick(reach, spec)
    row = execution(owner)
    if reentrant:
        assert (report.outcome, row["status"], row["attempt"]) == (
            ClaimOutcome.RETRIED,
            "SUCCESS",
            2,
        )
    else:
        assert (report.outcome, row["error_code"], row["attempt"]) == (
            ClaimOutcome.CONFLICT,
            "stale_timeout",
            1,
        )


def test_every_scope_of_a_job_is_planned_for_itself(owner, reach):
    scopes = (Scope("team", "a"), Scope("team", "b"))
    reports = one_tick(reach, job(scopes=scopes))
    assert [report.scope for report in reports] == list(scopes)
    assert [row["scope_id"] for row in executions(owner)] == ["a", "b"]


@pytest.mark.parametrize("error", [LookupError, SystemExit, KeyboardInterrupt, GeneratorExit])
def test_a_planner_that_crashes_harms_its_own_job_alone(owner, reach, caplog, error):
    def crash(_spec, _standing):
        raise error("no plan")

    reports = one_tick(reach, job(name="a", planner=crash), job(name="b"))
    assert [(report.job, report.status) for report in reports] == [("a", None), ("b", "SUCCESS")]
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert (record.job, record.exc_info[0]) == ("a", error)


@pytest.mark.parametrize("step", ["sweep", "read_standings", "claim"])
@pytest.mark.parametrize("error", [OverflowError, SystemExit, psycopg.DataError])
def test_what_a_job_meets_harms_it_alone_and_is_said_once(
    owner, reach, monkeypatch, caplog, step, error
):
    plainly = getattr(leases, step)

    def stumble(connection, subject, *arguments, **options):
        spec = subject.spec if step == "claim" else subject
        if spec.name == "a":
            raise error("too far")
        return plainly(connection, subject, *arguments, **options)

    monkeypatch.setattr(leases, step, stumble)
    with ours(reach, job(name="a"), job(name="b")) as runner:
        for _tick in range(2):
            with pytest.raises(error, match="too far"):
                runner.tick()
    assert {(row["job_name"], row["status"]) for row in executions(owner)} == {("b", "SUCCESS")}
    (record,) = [record for record in caplog.records if "this job alone" in record.getMessage()]
    assert (record.job, record.levelno) == ("a", logging.ERROR)


@pytest.mark.parametrize(
    "spec", [job(name="a"), every_plan(name="a")], ids=lambda spec: spec.catch_up
)
@pytest.mark.parametrize("status", ["SUCCESS", "RUNNING", "FAILED"])
@pytest.mark.parametrize("value", ["infinity", "-infinity", "12026-01-01 UTC", "0044-03-15 UTC BC"])
def test_a_stored_plan_outside_the_calendar_stops_no_job(owner, reach, value, status, spec):
    owner.execute(
        "INSERT INTO sys_cron_executions (job_name, plan_time, status, lease_token, stale_after)"
        " VALUES ('a', %s, %s, gen_random_uuid(), now() - interval '1 hour')",
        [value, status],
    )
    with ours(reach, spec, job(name="b")) as runner:
        runner.tick()
    rows = owner.execute(
        "SELECT job_name FROM sys_cron_executions"
        " WHERE status = 'SUCCESS' AND runner_id IS NOT NULL"
    ).fetchall()
    assert {row["job_name"] for row in rows} == {"a", "b"}
    assert (
        owner.execute("SELECT FROM sys_cron_executions WHERE plan_time = %s", [value]).rowcount == 1
    )


def test_a_lost_database_is_not_tried_for_each_job(reach):
    tried = []

    def away(application_name):
        tried.append(application_name)
        raise psycopg.OperationalError("the database is away")

    with ours(away, job(name="a"), job(name="b")) as runner, pytest.raises(psycopg.Error):
        runner.tick()
    assert tried == [MAIN]


@pytest.mark.parametrize(
    "planned",
    [["2026-01-01T00:00:00Z"], [datetime(2026, 1, 1)], [None], 5],
    ids=["text", "naive", "nothing", "no list"],
)
def test_a_planner_that_returns_no_moments_harms_its_own_job_alone_and_burns_no_claim(
    owner, reach, caplog, planned
):
    first = floor(owner.execute("SELECT now() AS now").fetchone()["now"], DAY)
    plans = [first, *planned] if isinstance(planned, list) else planned
    reports = one_tick(reach, job(name="a", planner=lambda *_: plans), job(name="b"))
    assert [(report.job, report.status) for report in reports] == [("a", None), ("b", "SUCCESS")]
    assert [row["job_name"] for row in executions(owner)] == ["b"]
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.job == "a"


def test_a_planner_without_an_end_is_cut_at_the_most_plans_of_a_tick(owner, reach, monkeypatch):
    monkeypatch.setattr(plans, "MOST_PLANS", 3)
    first = bucket(owner)
    reports = one_tick(reach, job(planner=lambda *_: (first - DAY * n for n in count())))
    assert [report.plan_time for report in reports] == [first, first - DAY, first - 2 * DAY]


@pytest.mark.parametrize("stop", [JobRunner.drain, JobRunner.cancel])
def test_a_planner_without_an_end_does_not_keep_a_runner_that_is_to_stop(
    owner, reach, monkeypatch, stop
):
    monkeypatch.setattr(plans, "MOST_PLANS", 10**9)
    begun, given_up = threading.Event(), threading.Event()

    def planner(_spec, standing):
        while not given_up.is_set():
            begun.set()
            yield standing.now

    runner = ours(reach, job(planner=planner))
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(runner.run)
        assert begun.wait(HANG)
        stop(runner)
        try:
            done.result(HANG)
        finally:
            given_up.set()
    assert executions(owner) == []


def test_a_planners_moments_are_stored_and_reported_in_utc(owner, reach):
    tokyo = timezone(timedelta(hours=9))
    planned = datetime(2026, 1, 1, 9, tzinfo=tokyo)
    (report,) = one_tick(reach, job(planner=lambda *_: [planned]))
    assert report.plan_time == execution(owner)["plan_time"] == planned
    assert report.plan_time.tzinfo is UTC


def test_a_claim_whose_answer_was_lost_is_not_lost_itself(owner, reach, monkeypatch):
    claim = leases.claim

    def claim_and_lose_the_answer(connection, *arguments, **options):
        monkeypatch.setattr(leases, "claim", claim)
        claim(connection, *arguments, **options)
        connection.close()
        raise psycopg.OperationalError("the answer never came")

    monkeypatch.setattr(leases, "claim", claim_and_lose_the_answer)
    with ours(reach, job(cadence=DAY)) as runner:
        with pytest.raises(psycopg.OperationalError):
            runner.tick()
        assert execution(owner)["status"] == "RUNNING"
        (report,) = runner.tick()
    assert (report.outcome, report.status) == (ClaimOutcome.WON, "SUCCESS")
    assert execution(owner)["attempt"] == 1


# --- The handler --------------------------------------------------------------------------------


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


# --- The lease ----------------------------------------------------------------------------------


def test_the_heartbeat_beats_during_a_run_on_a_connection_of_its_own(owner, reach):
    held = Held()
    spec = job(handler=held, heartbeat_interval=seconds(0.05))
    with ticking(ours(reach, spec)) as done:
        held.began.wait(HANG)
        wait_for(owner, "heartbeat_at > started_at + interval '100 milliseconds'")
        row = execution(owner)
        held.release.set()
        done.result(HANG)
    assert row["stale_after"] - row["heartbeat_at"] == spec.stale_timeout
    assert len(reach.opened[HEARTBEAT]) == 1
    assert execution(owner)["status"] == "SUCCESS"


def test_a_short_run_opens_no_connection_for_its_heartbeat(owner, reach):
    one_tick(reach, job())
    assert set(reach.opened) == {MAIN, HANDLER}


def test_a_heartbeat_that_failed_is_tried_again_on_a_new_connection(owner, reach, superuser):
    held = Held()
    with ticking(ours(reach, job(handler=held, heartbeat_interval=seconds(0.05)))) as done:
        held.began.wait(HANG)
        wait_for(owner, "heartbeat_at > started_at")
        superuser.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s",
            [HEARTBEAT],
        )
        since = owner.execute("SELECT clock_timestamp() AS now").fetchone()["now"]
        wait_for(owner, "heartbeat_at > %s", since)
        held.release.set()
        done.result(HANG)
    # Under load a beat may be tried again more than once.
    assert len(reach.opened[HEARTBEAT]) >= 2
    assert execution(owner)["status"] == "SUCCESS"


def test_a_lost_lease_cancels_the_handler_and_leaves_the_row_to_its_new_owner(owner, reach):
    held = Held()
    spec = job(handler=held, heartbeat_interval=seconds(0.05))
    with ticking(ours(reach, spec)) as done:
        held.began.wait(HANG)
        with owner.transaction():  # no heartbeat may come in between
            age(owner, HOUR)
            stolen = begin(owner, spec, execution(owner)["plan_time"], "thief")
        (report,) = done.result(HANG)
    row = execution(owner)
    assert held.contexts[0].cancelled.is_set()
    assert (report.status, report.error_code) == (None, "lease_lost")
    assert (row["status"], row["attempt"], row["runner_id"]) == ("RUNNING", 2, "thief")
    assert row["lease_token"] == stolen.token


def test_a_lost_lease_stops_the_statement_under_way_on_the_server(owner, reach):
    def sleep(context):
        context.connection.execute("SELECT pg_sleep(600)")

    spec = job(handler=sleep, heartbeat_interval=seconds(0.05))
    with ticking(ours(reach, spec)) as done:
        wait_for(owner, "heartbeat_at > started_at")
        owner.execute("UPDATE sys_cron_executions SET lease_token = gen_random_uuid()")
        done.result(HANG)
    until(lambda: not (backends(owner, HANDLER)))
    assert execution(owner)["status"] == "RUNNING"


def test_a_connection_that_is_cut_has_its_statement_stopped_on_the_server_first(owner, reach):
    """Where the backend itself does not look whether its client is still there."""
    connection = reach("cut")
    pid = connection.info.backend_pid
    connection.execute("SET client_connection_check_interval = 0")

    def is_busy():
        query = "SELECT FROM pg_stat_activity WHERE pid = %s AND query LIKE %s AND state = 'active'"
        return owner.execute(query, [pid, "SELECT pg_sleep%"]).fetchall()

    with ThreadPoolExecutor(1) as pool:
        sleeping = pool.submit(connection.execute, "SELECT pg_sleep(600)")
        until(is_busy)
        cancel_and_cut(connection)
        with pytest.raises(psycopg.OperationalError):
            sleeping.result(HANG)
    until(lambda: not is_busy())


def test_a_runner_that_cannot_heartbeat_gives_its_lease_up_before_anybody_may_steal_it(
    owner, reach, slow
):
    def connect(application_name):
        if application_name == HEARTBEAT:
            raise psycopg.OperationalError("no heartbeat today")
        return reach(application_name)

    left = []

    def watch(context):
        context.cancelled.wait(HANG)
        row = owner.execute("SELECT stale_after - now() AS left FROM sys_cron_executions")
        left.append(row.fetchone()["left"])
        raise HandlerError("cancelled")

    spec = job(
        handler=watch,
        run_timeout=seconds(1.98 * slow),
        stale_timeout=seconds(2 * slow),
        heartbeat_interval=seconds(0.4 * slow),
    )
    one_tick(connect, spec)
    assert left[0] > timedelta()
    assert execution(owner)["error_code"] == "lease_lost"


def test_a_job_may_beat_rarely_and_still_succeed(owner, reach, slow):
    def outlast_a_beat(context):
        beaten = "heartbeat_at > started_at"
        while not owner.execute(f"SELECT FROM sys_cron_executions WHERE {beaten}").fetchall():
            if context.cancelled.wait(0.01):
                raise HandlerError("cancelled")
        return 1, {}

    spec = job(
        handler=outlast_a_beat,
        run_timeout=seconds(3.9 * slow),
        stale_timeout=seconds(4 * slow),
        heartbeat_interval=seconds(3.7 * slow),
    )
    one_tick(reach, spec)
    assert execution(owner)["status"] == "SUCCESS"


@pytest.mark.parametrize("interval", [0.001, 30, 1200, 1700, 1799])
def test_trust_ends_after_the_next_beat_is_due_and_before_the_lease_does(interval):
    stale = 1800
    spec = job(
        run_timeout=seconds(1500),
        stale_timeout=seconds(stale),
        heartbeat_interval=seconds(interval),
    )
    lease = Lease(
        Plan(spec, Scope(), datetime(2026, 1, 1, tzinfo=UTC)),
        "ours",
        UUID(int=1),
        UUID(int=2),
        1,
        expires=5000.0,
    )
    beat = heartbeat.Heartbeat(lease, None, lambda: None)
    begun = lease.expires - stale
    assert begun + interval < beat.trusted_until < beat.expires


def test_a_lease_that_is_taken_up_late_is_extended_when_its_beat_was_due(owner, reach):
    spec = job(cadence=DAY, heartbeat_interval=seconds(15))
    lease = begin(owner, spec, bucket(owner))
    age(owner, seconds(20))
    late = replace(lease, expires=lease.expires - 20)
    beat = heartbeat.Heartbeat(late, reach, lambda: None)
    beat.start()
    try:
        wait_for(owner, "heartbeat_at > started_at")
    finally:
        beat.stop()
    assert no_thread_beats()


@pytest.fixture
def suspend(monkeypatch):
    """Moves the scheduler's clock forward by this much, as a suspended machine does."""
    slept = 0.0

    def sleep(duration):
        nonlocal slept
        slept += duration.total_seconds()

    for module in (leases, heartbeat, run, runner):
        monkeypatch.setattr(module, "elapsed", lambda: clock.elapsed() + slept)
    return sleep


def test_a_machine_that_was_suspended_past_its_lease_cancels_the_run(owner, reach, suspend):
    held = Held()
    with ticking(ours(reach, job(handler=held, heartbeat_interval=seconds(29)))) as done:
        held.began.wait(HANG)
        age(owner, HOUR)
        suspend(HOUR)
        (report,) = done.result(HANG)
    assert held.contexts[0].cancelled.is_set()
    assert report.duration_ms < HANG * 1000


def test_a_claim_without_an_answer_is_forgotten_once_its_lease_has_ended(
    owner, reach, monkeypatch, suspend
):
    def lose(*_arguments, **_options):
        raise psycopg.OperationalError("the statement never arrived")

    asked = []
    begun = leases.begun
    with ours(reach, job(planner=lambda _spec, _standing: planned)) as runner:
        planned = [bucket(owner)]
        with monkeypatch.context() as patch:
            patch.setattr(leases, "claim", lose)
            with pytest.raises(psycopg.OperationalError):
                runner.tick()
        planned = []
        monkeypatch.setattr(
            leases, "begun", lambda *given, **named: asked.append(1) or begun(*given, **named)
        )
        runner.tick()
        suspend(HOUR)
        runner.tick()
        runner.tick()
    assert len(asked) == 2


def test_a_heartbeat_that_gets_no_answer_is_cut_off(owner, reach, connect, monkeypatch):
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.1)
    held = Held()
    rival = connect()
    with ticking(ours(reach, job(handler=held, heartbeat_interval=seconds(0.05)))) as done:
        held.began.wait(HANG)
        with rival.transaction():
            rival.execute("SELECT FROM sys_cron_executions FOR UPDATE")
            until(lambda: not (len(reach.opened.get(HEARTBEAT, ())) < 2))
        held.release.set()
        done.result(HANG)
    assert execution(owner)["status"] == "SUCCESS"


# --- The finish ---------------------------------------------------------------------------------


def test_a_finish_that_could_not_be_written_is_tried_again_while_the_lease_lives(
    owner, reach, monkeypatch, caplog
):
    monkeypatch.setattr(finishing, "FINISH_PAUSE_SECONDS", 0.01)
    held = Held()
    with ticking(ours(reach, job(handler=held))) as done:
        held.began.wait(HANG)
        reach.lose()
        held.release.set()
        until(lambda: not (caplog.text.count("A finish could not be written") < 3))
        assert execution(owner)["status"] == "RUNNING"
        reach.away.clear()
        (report,) = done.result(HANG)
    assert report.status == "SUCCESS"
    assert execution(owner)["status"] == "SUCCESS"


def test_a_finish_is_tried_less_and_less_often_but_soon_by_a_cancelled_runner(
    owner, reach, monkeypatch
):
    pauses = []
    away = ours(reach, job(handler=lambda _context: reach.lose()))

    def note(pause, _own, _cancelled):
        pauses.append(pause)
        if len(pauses) == 8:
            away.cancel()
        return len(pauses) == 10

    monkeypatch.setattr(finishing, "_given_up_after", note)
    with away:
        away.tick()
    assert pauses == [0, 0.5, 1, 2, 4, 8, 8, 8, 0.5, 0.5]


def test_a_finish_is_given_up_when_the_lease_has_ended(owner, reach, monkeypatch):
    monkeypatch.setattr(finishing, "FINISH_PAUSE_SECONDS", 0.01)

    def lose(_context):
        reach.lose()
        return 1, {}

    spec = job(
        handler=lose,
        run_timeout=seconds(0.3),
        stale_timeout=seconds(0.4),
        heartbeat_interval=seconds(0.1),
    )
    began = monotonic()
    (report,) = one_tick(reach, spec)
    assert monotonic() - began > 0.3
    assert report.status is None
    assert execution(owner)["status"] == "RUNNING"


@pytest.mark.parametrize(
    "error", [UnicodeEncodeError("latin-1", "–", 0, 1, "no such letter"), psycopg.DataError("no –")]
)
def test_an_end_that_cannot_be_stored_is_stored_as_a_failure(owner, reach, monkeypatch, error):
    finish = leases.finish

    def refuse(connection, lease, outcome, duration_ms):
        if isinstance(outcome, Success):
            raise error
        return finish(connection, lease, outcome, duration_ms)

    monkeypatch.setattr(leases, "finish", refuse)
    (report,) = one_tick(reach, job())
    row = execution(owner)
    assert (row["status"], row["error_code"]) == ("FAILED", "handler_error")
    assert row["error_msg"].startswith("The end of the run could not be stored: ")
    assert row["error_msg"].isascii()
    assert (report.status, report.error_msg, report.rows) == ("FAILED", row["error_msg"], None)


def test_a_mistake_in_the_finish_is_tried_again_and_harms_no_other_job(owner, reach, monkeypatch):
    finish = leases.finish

    def stumble(*arguments):
        monkeypatch.setattr(leases, "finish", finish)
        raise TypeError("a mistake")

    monkeypatch.setattr(leases, "finish", stumble)
    one_tick(reach, job(name="a"), job(name="b"))
    assert [row["status"] for row in executions(owner)] == ["FAILED", "SUCCESS"]


@pytest.mark.parametrize(
    "setting",
    [
        "client_encoding='LATIN1'",
        "client_encoding='EUC_TW'",
        "datestyle='German'",
        "intervalstyle='sql_standard'",
    ],
)
def test_the_settings_of_a_role_do_not_matter(owner, reach, superuser, setting):
    def fail(_context):
        raise HandlerError("price – missing 😀")

    spec = job(handler=fail, cadence=DAY, retry_backoff=(HOUR,))
    superuser.execute(f"ALTER ROLE multica SET {setting}")
    try:
        with ours(reach, spec) as runner:
            runner.tick()
            (report,) = runner.tick()
    finally:
        superuser.execute(f"ALTER ROLE multica RESET {setting.split('=')[0]}")
    assert (report.outcome, report.status) == (ClaimOutcome.CONFLICT, "FAILED")
    row = execution(owner)
    assert (row["error_code"], row["error_msg"]) == ("handler_error", "price – missing 😀")


# --- The loop -----------------------------------------------------------------------------------


def test_a_drained_runner_finishes_the_run_in_hand_and_claims_nothing_more(owner, reach):
    held = Held()
    runner = ours(reach, job(name="a", handler=held), job(name="b"))
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(runner.run, 0.05)
        held.began.wait(HANG)
        runner.drain()
        held.release.set()
        running.result(HANG)
    assert (execution(owner)["job_name"], execution(owner)["status"]) == ("a", "SUCCESS")


def test_a_cancelled_runner_writes_canceled_and_closes_its_connections(owner, reach):
    held = Held()
    runner = ours(reach, job(handler=held))
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(runner.run, 0.05)
        held.began.wait(HANG)
        runner.drain()
        runner.cancel()
        running.result(HANG)
    row = execution(owner)
    assert (row["status"], row["error_code"]) == ("FAILED", "canceled")
    assert row["next_retry_at"] is not None
    assert all(connection.closed for connection in reach.opened[MAIN] + reach.opened[HANDLER])


def test_a_cancelled_runner_writes_canceled_even_if_its_own_connection_had_died(owner, reach):
    held = Held()
    runner = ours(reach, job(handler=held))
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(runner.run, 0.05)
        held.began.wait(HANG)
        reach.opened[MAIN][0].close()
        runner.cancel()
        running.result(HANG)
    assert execution(owner)["error_code"] == "canceled"


def test_a_database_that_does_not_answer_does_not_keep_a_cancelled_runner(
    owner, reach, connect, monkeypatch
):
    monkeypatch.setattr(runner, "GIVE_UP_SECONDS", 0.1)
    rival = connect()
    stuck = ours(reach, job())
    with ThreadPoolExecutor(1) as pool, rival.transaction():
        rival.execute("LOCK TABLE sys_cron_executions")
        running = pool.submit(stuck.run, 30)
        until(lambda: reach.opened.get(MAIN))
        stuck.cancel()
        running.result(HANG)
    assert executions(owner) == []


def test_a_finish_that_gets_no_answer_does_not_keep_a_cancelled_runner(
    owner, reach, connect, monkeypatch, caplog
):
    monkeypatch.setattr(runner, "GIVE_UP_SECONDS", 0.5)
    held, rival = Held(), connect()
    stuck = ours(reach, job(handler=held))
    with ThreadPoolExecutor(1) as pool, rival.transaction():
        running = pool.submit(stuck.run, 30)
        held.began.wait(HANG)
        rival.execute("LOCK TABLE sys_cron_executions")
        # The second try is under way when the runner gives up: that one is cut, too.
        reach.opened[MAIN][0].close()
        began = monotonic()
        stuck.cancel()
        running.result(HANG)
        assert monotonic() - began > 0.4
    assert "A finish was given up" in caplog.text


def test_a_connection_that_is_opened_after_a_runner_gave_up_is_cut_at_once(
    owner, reach, connect, monkeypatch
):
    monkeypatch.setattr(runner, "GIVE_UP_SECONDS", 0.1)
    held, rival, opening = Held(), connect(), threading.Event()

    def connect_late(application_name):
        connection = reach(application_name)
        if len(reach.opened.get(MAIN, ())) > 1:
            opening.wait(HANG)
        return connection

    late = ours(connect_late, job(handler=held))
    with ThreadPoolExecutor(1) as pool, rival.transaction():
        running = pool.submit(late.run, 30)
        held.began.wait(HANG)
        rival.execute("LOCK TABLE sys_cron_executions")
        reach.opened[MAIN][0].close()
        late.cancel()
        assert late._own.given_up.wait(HANG)
        opening.set()
        running.result(HANG)


def test_a_cancelled_runner_uses_its_time_to_write_canceled(owner, reach, monkeypatch, caplog):
    monkeypatch.setattr(finishing, "FINISH_PAUSE_SECONDS", 0.01)
    held = Held()
    patient = ours(reach, job(handler=held))
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(patient.run, 30)
        held.began.wait(HANG)
        reach.lose()
        patient.cancel()
        until(lambda: not (caplog.text.count("A finish could not be written") < 5))
        reach.away.clear()
        running.result(HANG)
    assert execution(owner)["error_code"] == "canceled"


def test_the_loop_backs_off_while_the_database_is_away_and_comes_back(
    owner, reach, monkeypatch, caplog
):
    monkeypatch.setattr(runner, "FIRST_PAUSE_SECONDS", 0.01)
    caplog.set_level(logging.INFO)
    reported = threading.Event()
    away = ours(reach, job(), report=lambda _report: reported.set())
    reach.away.set()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(away.run, 0.05)
        until(lambda: not ("tries again by itself" not in caplog.text))
        reach.away.clear()
        assert reported.wait(HANG)
        away.drain()
        running.result(HANG)
    assert caplog.text.count("tries again by itself") == 1
    assert "The database answers again" in caplog.text
    assert execution(owner)["status"] == "SUCCESS"


def test_pauses_double_up_to_the_ticks_own_interval(reach, monkeypatch):
    pauses = []
    away = ours(reach, job())
    reach.away.set()

    class Wake(threading.Event):
        def wait(self, timeout=None):
            pauses.append(timeout)
            if len(pauses) == 8:
                self.set()

    monkeypatch.setattr(away, "_wake", Wake())
    away.run(30)
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30]


@pytest.mark.parametrize("error", [TypeError, SystemExit, KeyboardInterrupt, GeneratorExit])
def test_a_mistake_of_this_program_does_not_end_the_loop(owner, reach, monkeypatch, caplog, error):
    monkeypatch.setattr(runner, "FIRST_PAUSE_SECONDS", 0.01)
    sweep = leases.sweep

    def stumble(*arguments):
        monkeypatch.setattr(leases, "sweep", sweep)
        raise error("a mistake")

    monkeypatch.setattr(leases, "sweep", stumble)
    clumsy = ours(reach, job(), report=lambda _report: clumsy.drain())
    clumsy.run(0.05)
    assert execution(owner)["status"] == "SUCCESS"
    assert "A tick failed" in caplog.text


def test_a_report_that_fails_is_logged_once_and_harms_no_job(owner, reach, caplog):
    told = []

    def fail(report):
        told.append(report)
        raise OSError("the disk is full")

    with ours(reach, job(name="a"), job(name="b"), report=fail) as runner:
        runner.tick()
        runner.tick()
    assert {row["job_name"]: row["status"] for row in executions(owner)} == {
        "a": "SUCCESS",
        "b": "SUCCESS",
    }
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "Reporting failed" in record.message
    assert len(told) == 1


def test_what_a_runner_does_is_logged_with_runner_job_plan_time_and_attempt(owner, reach, caplog):
    caplog.set_level(logging.INFO)
    one_tick(reach, job())
    plan_time = f"{execution(owner)['plan_time']:%Y-%m-%dT%H:%M:%SZ}"
    claimed, finished = [record for record in caplog.records if hasattr(record, "job")]
    for record in (claimed, finished):
        assert (record.runner, record.job, record.plan_time, record.attempt) == (
            "ours",
            "test_job",
            plan_time,
            1,
        )
    assert claimed.outcome == "WON"
    assert (finished.status, finished.rows) == ("SUCCESS", 0)


def count_statements(connection):
    """The statements that are sent on the connection from now on, as they are sent."""
    sent = []

    class CountingCursor(psycopg.Cursor):
        def execute(self, query, *arguments, **options):
            sent.append(query)
            return super().execute(query, *arguments, **options)

    connection.cursor_factory = CountingCursor
    return sent


def backends(connection, application_name):
    return connection.execute(
        "SELECT pid FROM pg_stat_activity WHERE application_name = %s", [application_name]
    ).fetchall()


def no_thread_beats():
    """Whether every heartbeat of this process has ended, or does in time."""
    for thread in threading.enumerate():
        if thread.name == "heartbeat":
            thread.join(HANG)
    return "heartbeat" not in [thread.name for thread in threading.enumerate()]


def wait_for(connection, condition, *parameters):
    """Wait until the one execution is as the SQL condition says."""
    query = f"SELECT FROM sys_cron_executions WHERE {condition}"
    until(lambda: connection.execute(query, parameters).fetchall())
