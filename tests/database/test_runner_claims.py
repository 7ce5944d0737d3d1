"""A runner plans and claims due plans in a tick, and one job's mistake harms no other job."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from itertools import count

import psycopg
import pytest

from executions.scheduler import leases, plans
from executions.scheduler.leases import ClaimOutcome, Failure, Success
from executions.scheduler.plans import floor
from executions.scheduler.runner import JobRunner
from executions.scheduler.spec import ErrorCode, Scope
from tests.running import DAY, HOUR, MAIN, begin, bucket, fail, one_tick, ours, ticking
from tests.scheduling import age, execution, executions
from tests.short_jobs import Held, every_plan, job
from tests.waiting import HANG


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


def count_statements(connection):
    """The statements that are sent on the connection from now on, as they are sent."""
    sent = []

    class CountingCursor(psycopg.Cursor):
        def execute(self, query, *arguments, **options):
            sent.append(query)
            return super().execute(query, *arguments, **options)

    connection.cursor_factory = CountingCursor
    return sent
