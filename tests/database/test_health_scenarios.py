"""Every finding with real rows: it appears with its evidence and nothing unfounded beside it.

Each has a near miss: a setting that looks alike but gives no finding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest

from executions.database.connections import Connection
from executions.health.assessment import Assessment, assess
from executions.health.findings import Finding, FindingCode, Severity
from executions.health.read import read_facts
from executions.health.verdict import Level
from executions.rollup.lock import read_lock
from tests import scenarios
from tests.factories import usage
from tests.rights import let_read
from tests.scenarios import CADENCE, World, sound, still_moment

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@pytest.fixture
def now(owner):
    return still_moment(owner)


def look(world: World) -> Assessment:
    return assess(read_facts(fetch=world.fetch))


def shown(assessment: Assessment) -> dict[FindingCode, Finding]:
    """The findings that stand by themselves."""
    found = {}
    for finding in assessment.verdict.findings:
        assert finding.code not in found or finding.code is FindingCode.NOT_AVAILABLE
        found[finding.code] = finding
    return found


def everything(assessment: Assessment) -> set[FindingCode]:
    """The findings, also those that another explains."""

    def unfold(findings: Iterable[Finding]) -> Iterator[FindingCode]:
        for finding in findings:
            yield finding.code
            yield from unfold(finding.explains)

    return set(unfold(assessment.verdict.findings))


def only(assessment: Assessment, code: FindingCode) -> Finding:
    found = shown(assessment)
    assert list(found) == [code], [str(finding.summary) for finding in found.values()]
    return found[code]


def explained(finding: Finding) -> list[FindingCode]:
    return [one.code for one in finding.explains]


# --- Near misses --------------------------------------------------------------------------------
# Worlds that look as if something were wrong.


def a_single_run(owner, now):
    return sound(owner, now, plans=1).write()


def a_little_late(owner, now):
    world = sound(owner, now)
    world.drop([0])
    return world.write()


def just_past_its_lease(owner, now):
    world = sound(owner, now)
    world.change(0, running=True, stale_after=now - timedelta(seconds=50))
    return world.write()


def one_long_run(owner, now):
    world = sound(owner, now)
    world.change(3, duration_ms=270_000)
    return world.write()


def one_attempt_left(owner, now):
    world = sound(owner, now)
    world.change(0, failed=True, attempt=2)
    return world.write()


def a_long_run_that_was_not_held(owner, now):
    world = sound(owner, now)
    world.change(3, duration_ms=240_000, finished_at=world.started_at(3) + 4.2 * MINUTE)
    return world.write()


def odd_times_that_can_be(owner, now):
    world = sound(owner, now)
    world.change(5, duration_ms=0)
    world.add(plan_time=world.plan_time(9) + MINUTE, job_name="autopilot_schedule_dispatch")
    return world.write()


def results_without_watermarks(owner, now):
    world = sound(owner, now)
    world.change(range(3), result={})
    return world.write()


def almost_in_the_future(owner, now):
    world = sound(owner, now)
    world.state = {"watermark_at": now - 5 * MINUTE + timedelta(seconds=59)}
    return world.write()


def idle_runs(owner, now):
    world = sound(owner, now)
    world.change(range(12), rows_affected=0)
    return world.write()


def lagging_by_a_little(owner, now):
    return scenarios.lagging(owner, now, behind=4 * MINUTE)


def behind_and_staying_there(owner, now):
    return scenarios.lagging(owner, now, behind=40 * DAY)


def two_jumps(owner, now):
    return scenarios.other_writer(owner, now, ages=(2, 6))


def test_a_healthy_install_has_no_finding(owner, now):
    assessment = look(scenarios.healthy(owner, now))
    assert shown(assessment) == {}
    assert assessment.verdict.level is Level.HEALTHY
    assert str(assessment.verdict.summary) == (
        f"Usage is up to date to {now - 7 * MINUTE:%H:%M} UTC."
        " Multica's backend does this by itself."
    )


def test_one_runner_that_wins_every_plan_is_no_finding(owner, now):
    world = sound(owner, now)
    world.change(range(300), runner_id="the only one")
    assert shown(look(world.write())) == {}


# --- Progress -----------------------------------------------------------------------------------


@contextmanager
def renamed(owner, table):
    owner.execute(f"ALTER TABLE {table} RENAME TO set_aside")
    try:
        yield
    finally:
        owner.execute(f"ALTER TABLE set_aside RENAME TO {table}")


def test_without_the_executions_table_multica_is_too_old(owner, now):
    world = scenarios.healthy(owner, now)
    with renamed(owner, "sys_cron_executions"):
        assessment = look(world)
    finding = only(assessment, FindingCode.SCHEDULER_NOT_INSTALLED)
    assert finding.severity is Severity.CRITICAL
    assert finding.evidence["missing_table"] == "sys_cron_executions"
    assert assessment.verdict.level is Level.FAILING


def test_before_the_hourly_rollup_multica_is_too_old_as_well(owner, now):
    world = scenarios.healthy(owner, now)
    with renamed(owner, "sys_cron_executions"):
        owner.execute("ALTER TABLE task_usage_hourly_rollup_state RENAME TO state_aside")
        try:
            assessment = look(world)
        finally:
            owner.execute("ALTER TABLE state_aside RENAME TO task_usage_hourly_rollup_state")
    assert next(iter(shown(assessment))) is FindingCode.SCHEDULER_NOT_INSTALLED
    assert assessment.verdict.level is Level.FAILING


def test_an_empty_executions_table_is_not_a_missing_one(owner, now):
    assert FindingCode.SCHEDULER_NOT_INSTALLED not in shown(look(scenarios.never_ran(owner, now)))


def test_a_database_of_something_else_is_not_called_an_old_multica(owner, now):
    world = scenarios.healthy(owner, now)
    with renamed(owner, "sys_cron_executions"):
        owner.execute("ALTER TABLE task_usage RENAME TO usage_aside")
        try:
            assessment = look(world)
        finally:
            owner.execute("ALTER TABLE usage_aside RENAME TO task_usage")
    assert assessment.verdict.level is Level.UNKNOWN
    assert FindingCode.SCHEDULER_NOT_INSTALLED not in shown(assessment)


def test_no_executions_at_all_is_critical_and_explains_the_silence(owner, now):
    assessment = look(scenarios.never_ran(owner, now))
    finding = only(assessment, FindingCode.NO_EXECUTIONS)
    assert finding.severity is Severity.CRITICAL
    assert finding.evidence["executions"] == 0
    assert finding.evidence["database_known_since"] == now - DAY
    assert explained(finding) == [FindingCode.LATEST_STALE]
    assert assessment.verdict.level is Level.FAILING


def test_a_fresh_install_is_given_its_first_minutes(owner, now):
    assessment = look(scenarios.fresh(owner, now))
    assert only(assessment, FindingCode.NO_EXECUTIONS).severity is Severity.INFO
    assert assessment.verdict.level is Level.HEALTHY


def test_an_old_install_without_usage_is_known_by_its_migrations(owner, now):
    world = sound(owner, now, plans=0).write()
    owner.execute("CREATE TABLE schema_migrations (version text, applied_at timestamptz)")
    try:
        owner.execute("GRANT SELECT (applied_at) ON schema_migrations TO multica_view")
        owner.execute("INSERT INTO schema_migrations VALUES ('001', %s)", [now - 12 * MINUTE])
        owner.execute("UPDATE task_usage_hourly_rollup_state SET last_run_finished_at = NULL")
        finding = shown(look(world))[FindingCode.NO_EXECUTIONS]
    finally:
        owner.execute("DROP TABLE schema_migrations")
    assert finding.severity is Severity.CRITICAL
    assert finding.evidence["database_known_since"] == now - 12 * MINUTE


def test_a_server_that_was_started_just_now_makes_no_database_new(owner, now):
    """The tests' own server is young; nothing else here tells an age."""
    world = sound(owner, now, plans=0)
    world.state = {"watermark_at": now - 5 * MINUTE, "last_run_finished_at": None}
    finding = only(look(world.write()), FindingCode.NO_EXECUTIONS)
    assert finding.severity is Severity.CRITICAL
    assert finding.evidence["database_known_since"] == now
    assert "cannot tell how old" in str(finding.summary)


def test_a_failed_row_dated_in_the_future_makes_nothing_fail(owner, now):
    world = scenarios.healthy(owner, now)
    world.add(plan_time=world.plan_time(0) + DAY, exhausted=True, finished_at=now)
    assessment = look(world.write())
    only(assessment, FindingCode.CLOCK_OR_FOREIGN_WRITER)
    assert assessment.verdict.level is Level.DEGRADED


def test_27_minutes_without_a_success_is_a_warning_that_explains_the_lag(owner, now):
    assessment = look(scenarios.stale(owner, now))
    finding = only(assessment, FindingCode.LATEST_STALE)
    assert finding.severity is Severity.WARNING
    assert finding.evidence["latest_success_plan_time"] == now - 32 * MINUTE
    assert explained(finding) == [FindingCode.WATERMARK_LAG]
    assert assessment.verdict.level is Level.DEGRADED


def test_more_than_an_hour_without_a_success_is_critical(owner, now):
    assessment = look(scenarios.stopped(owner, now))
    assert only(assessment, FindingCode.LATEST_STALE).severity is Severity.CRITICAL
    assert assessment.verdict.level is Level.FAILING


def test_the_latest_success_is_found_however_old_it_is(owner, now):
    world = sound(owner, now, plans=0)
    world.plans = {1000: {}, 1001: {}}
    world.state = {"watermark_at": world.started_at(1000)}
    finding = only(look(world.write()), FindingCode.LATEST_STALE)
    assert finding.evidence["latest_success_plan_time"] == world.plan_time(1000)


def test_a_plan_that_is_a_few_minutes_late_is_not_stale(owner, now):
    assert shown(look(a_little_late(owner, now))) == {}


def test_a_run_past_its_lease_that_nobody_closed_is_critical(owner, now):
    finding = only(look(scenarios.abandoned_run(owner, now)), FindingCode.RUNNING_STALE)
    assert finding.severity is Severity.CRITICAL
    assert finding.evidence["count"] == 1
    assert finding.evidence["executions"][0]["stale_after"] == now - 20 * MINUTE


def test_a_run_that_was_abandoned_long_ago_is_for_information(owner, now):
    world = sound(owner, now)
    world.plans[2000] = {"stale": True}
    assert only(look(world.write()), FindingCode.RUNNING_STALE).severity is Severity.INFO


def test_a_run_under_a_live_lease_and_one_just_past_it_are_not_abandoned(owner, now):
    world = sound(owner, now)
    world.change(0, running=True, stale_after=now + 20 * MINUTE)
    assert shown(look(world.write())) == {}
    assert shown(look(just_past_its_lease(owner, now))) == {}


def test_an_abandoned_run_of_another_job_is_not_the_rollups(owner, now):
    world = sound(owner, now)
    world.add(plan_time=world.plan_time(9), job_name="autopilot_schedule_dispatch", stale=True)
    assert shown(look(world.write())) == {}


def test_plans_that_nobody_began_are_a_gap(owner, now):
    finding = only(look(scenarios.gap(owner, now)), FindingCode.PLAN_GAP)
    assert finding.severity is Severity.WARNING
    assert finding.evidence["missing_plans"] == 3
    assert finding.evidence["gaps"] == [
        {"first": now - 32 * MINUTE, "last": now - 22 * MINUTE, "plans": 3}
    ]
    assert "no numbers are missing" in str(finding.summary)


def test_a_gap_of_some_hours_ago_is_for_information(owner, now):
    finding = only(look(scenarios.gap(owner, now, ages=(50, 51))), FindingCode.PLAN_GAP)
    assert finding.severity is Severity.INFO


def test_a_long_run_is_no_gap(owner, now):
    assert shown(look(one_long_run(owner, now))) == {}


# --- Attempts -----------------------------------------------------------------------------------


def test_two_abandoned_plans_among_the_last_twelve_are_a_warning(owner, now):
    finding = only(look(scenarios.abandoned_plans(owner, now)), FindingCode.PLAN_ABANDONED)
    assert finding.severity is Severity.WARNING
    assert [row["plan_time"] for row in finding.evidence["executions"]] == [
        now - 27 * MINUTE,
        now - 42 * MINUTE,
    ]
    assert finding.evidence["executions"][0]["error_code"] == "handler_error"


def test_one_abandoned_plan_is_for_information(owner, now):
    world = sound(owner, now)
    world.change((4, 20), failed=True)
    assert only(look(world.write()), FindingCode.PLAN_ABANDONED).severity is Severity.INFO


def test_a_failed_newest_plan_that_is_still_retried_is_not_abandoned(owner, now):
    assert shown(look(scenarios.retrying(owner, now))) == {}


def test_a_newest_plan_without_attempts_is_critical_and_explains_the_rest(owner, now):
    finding = only(look(scenarios.exhausted(owner, now)), FindingCode.EXHAUSTED_FAILURE)
    assert finding.severity is Severity.CRITICAL
    assert finding.evidence["executions"][0]["plan_time"] == now - 7 * MINUTE
    assert explained(finding) == [FindingCode.PLAN_ABANDONED]


def test_an_older_failure_without_attempts_is_as_an_abandoned_plan(owner, now):
    world = sound(owner, now)
    world.change(8, exhausted=True)
    assert only(look(world.write()), FindingCode.EXHAUSTED_FAILURE).severity is Severity.INFO
    world.change(4, exhausted=True)
    assert only(look(world.write()), FindingCode.EXHAUSTED_FAILURE).severity is Severity.WARNING


def test_a_second_attempt_that_failed_with_one_left_is_not_exhausted(owner, now):
    assert shown(look(one_attempt_left(owner, now))) == {}


def test_six_retried_plans_of_twelve_are_a_warning(owner, now):
    finding = only(look(scenarios.retried_often(owner, now)), FindingCode.MASKED_RETRIES)
    assert finding.severity is Severity.WARNING
    assert finding.evidence["of_the_last_12"] == 6


def test_first_attempts_that_succeed_or_fail_hide_no_error(owner, now):
    world = sound(owner, now)
    world.change((4, 9), failed=True)
    assert FindingCode.MASKED_RETRIES not in shown(look(world.write()))


def test_a_single_retried_plan_is_for_information(owner, now):
    world = sound(owner, now)
    world.change(7, retried=True)
    finding = only(look(world.write()), FindingCode.MASKED_RETRIES)
    assert (finding.severity, finding.evidence["count"]) == (Severity.INFO, 1)


def test_five_retried_plans_of_twelve_are_for_information(owner, now):
    world = sound(owner, now)
    world.change(range(1, 11, 2), retried=True)
    finding = only(look(world.write()), FindingCode.MASKED_RETRIES)
    assert (finding.severity, finding.evidence["count"]) == (Severity.INFO, 5)


def test_a_run_held_six_minutes_longer_than_it_took_is_a_warning(owner, now):
    finding = only(look(scenarios.blocked(owner, now)), FindingCode.BLOCKED_TICK)
    assert finding.severity is Severity.WARNING
    assert finding.evidence["executions"][0]["waited_seconds"] == 359.9


def test_a_run_held_for_two_minutes_is_for_information(owner, now):
    world = scenarios.blocked(owner, now, held=2 * MINUTE)
    assert only(look(world), FindingCode.BLOCKED_TICK).severity is Severity.INFO


def test_a_run_that_took_its_time_was_not_blocked(owner, now):
    assert shown(look(a_long_run_that_was_not_held(owner, now))) == {}


def test_impossible_times_are_a_warning_with_each_kind_named(owner, now):
    world = scenarios.wrong_clock(owner, now)
    finding = only(look(world), FindingCode.CLOCK_OR_FOREIGN_WRITER)
    assert finding.severity is Severity.WARNING
    times = {
        kind: [row["plan_time"] for row in finding.evidence[kind]]
        for kind in ("finished_before_started", "in_the_future", "off_the_grid")
    }
    assert times == {
        "finished_before_started": [world.plan_time(5)],
        "in_the_future": [world.plan_time(0) + DAY],
        "off_the_grid": [world.plan_time(9) + 2 * MINUTE],
    }


def test_a_run_that_ends_as_it_begins_and_other_jobs_grids_are_possible(owner, now):
    assert shown(look(odd_times_that_can_be(owner, now))) == {}


# --- The watermark ------------------------------------------------------------------------------


def test_a_missing_state_row_is_critical(owner, now):
    assessment = look(scenarios.stateless(owner, now))
    finding = only(assessment, FindingCode.STATE_ROW_MISSING)
    assert finding.severity is Severity.CRITICAL
    assert finding.evidence == {"state_rows": 0, "successes_without_watermark": 3}


def test_results_without_watermarks_beside_a_state_row_are_nothing(owner, now):
    assert shown(look(results_without_watermarks(owner, now))) == {}


def test_a_watermark_in_the_future_is_critical_and_explains_idle_runs(owner, now):
    finding = only(look(scenarios.ahead_of_time(owner, now)), FindingCode.WATERMARK_FUTURE)
    assert finding.severity is Severity.CRITICAL
    assert finding.evidence["watermark_at"] == now + 2 * HOUR
    assert explained(finding) == [FindingCode.LOCK_LOST]


@pytest.mark.parametrize(
    ("mark", "code"),
    [
        ("0001-01-01T00:00:00Z", FindingCode.WATERMARK_LAG),
        ("9999-12-31T23:59:59Z", FindingCode.WATERMARK_FUTURE),
    ],
)
def test_a_watermark_at_an_end_of_the_calendar_is_critical(owner, now, mark, code):
    world = sound(owner, now)
    world.state = {"watermark_at": datetime.fromisoformat(mark)}
    assessment = look(world.write())
    assert shown(assessment)[code].severity is Severity.CRITICAL
    assert assessment.facts.unreadable == {}


def test_a_watermark_within_a_minute_of_the_newest_possible_is_not_in_the_future(owner, now):
    assert shown(look(almost_in_the_future(owner, now))) == {}


def test_a_watermark_32_minutes_old_while_runs_succeed_is_a_warning(owner, now):
    finding = only(look(scenarios.lagging(owner, now)), FindingCode.WATERMARK_LAG)
    assert finding.severity is Severity.WARNING
    assert len(finding.evidence["latest_runs"]) == 3


def test_a_watermark_more_than_an_hour_old_is_critical(owner, now):
    world = scenarios.lagging(owner, now, behind=2 * HOUR)
    assert only(look(world), FindingCode.WATERMARK_LAG).severity is Severity.CRITICAL


def test_a_watermark_of_eleven_minutes_is_no_lag(owner, now):
    assert shown(look(lagging_by_a_little(owner, now))) == {}


def test_a_lag_that_failures_bring_is_under_the_silence_that_they_are(owner, now):
    world = sound(owner, now)
    world.change((0, 1), exhausted=True)
    world.state = {"watermark_at": world.started_at(2) - CADENCE}
    assert explained(only(look(world.write()), FindingCode.EXHAUSTED_FAILURE)) == []
    world.change(2, exhausted=True)
    world.state = {"watermark_at": world.started_at(3) - CADENCE}
    found = shown(look(world.write()))
    assert list(found) == [FindingCode.EXHAUSTED_FAILURE, FindingCode.LATEST_STALE]
    assert explained(found[FindingCode.LATEST_STALE]) == [FindingCode.WATERMARK_LAG]


@pytest.mark.parametrize(
    "world", [scenarios.lagging_after_a_failure, scenarios.locked_out_for_hours]
)
def test_an_old_failure_hides_no_watermark_that_stands_still(owner, now, world):
    assessment = look(world(owner, now))
    found = shown(assessment)
    assert found[FindingCode.WATERMARK_LAG].severity is Severity.CRITICAL
    assert found[FindingCode.PLAN_ABANDONED].severity is Severity.INFO
    assert assessment.verdict.level is Level.FAILING
    assert str(assessment.verdict.summary).startswith("Usage numbers stop at ")


def test_a_silence_is_as_grave_as_the_lag_from_before_it(owner, now):
    world = sound(owner, now)
    world.drop(range(3))
    world.state = {"watermark_at": now - 3 * HOUR}
    assessment = look(world.write())
    finding = only(assessment, FindingCode.LATEST_STALE)
    assert finding.severity is Severity.CRITICAL
    assert explained(finding) == [FindingCode.WATERMARK_LAG]
    assert assessment.verdict.level is Level.FAILING


def test_days_behind_and_a_day_nearer_with_each_plan_is_catching_up(owner, now):
    finding = only(look(scenarios.catching_up(owner, now)), FindingCode.WATERMARK_CATCHING_UP)
    assert finding.severity is Severity.WARNING
    assert finding.evidence["plans_left"] == 40
    assert explained(finding) == [FindingCode.WATERMARK_LAG]


def test_days_behind_without_getting_nearer_is_a_lag(owner, now):
    world = behind_and_staying_there(owner, now)
    assert only(look(world), FindingCode.WATERMARK_LAG).severity is Severity.CRITICAL


def test_three_runs_in_an_hour_that_lost_the_lock_are_a_warning(owner, now):
    finding = only(look(scenarios.losing_the_lock(owner, now)), FindingCode.LOCK_LOST)
    assert finding.severity is Severity.WARNING
    assert finding.evidence["in_the_last_hour"] == 3


def test_two_lost_locks_are_for_information(owner, now):
    world = sound(owner, now)
    world.lose_the_lock(5, 3)
    assert only(look(world.write()), FindingCode.LOCK_LOST).severity is Severity.INFO


def test_idle_runs_lost_no_lock(owner, now):
    assert shown(look(idle_runs(owner, now))) == {}


def test_watermarks_that_jump_between_plans_betray_another_writer(owner, now):
    assessment = look(scenarios.other_writer(owner, now))
    finding = only(assessment, FindingCode.OTHER_WRITER)
    assert finding.severity is Severity.INFO
    assert finding.evidence["jumps_in_the_last_12_pairs"] == 4
    assert assessment.verdict.level is Level.HEALTHY
    assert "Something besides the scheduler moved the watermark" in str(assessment.verdict.summary)


def test_one_jump_or_two_are_a_backfill_or_a_call_by_hand(owner, now):
    assert shown(look(two_jumps(owner, now))) == {}


def test_a_run_that_outlived_its_successor_is_no_other_writer(owner, now):
    world = sound(owner, now)
    for age in (2, 5, 8, 11):
        world.lose_the_lock(age)
        world.change(age + 1, duration_ms=301_000)
        world.marks[age - 1] = (
            world.started_at(age + 1) - CADENCE,
            world.started_at(age - 1) - CADENCE,
        )
        before = world.reached_before(age + 1)
        world.marks[age] = (before, before)
    assert list(shown(look(world.write()))) == [FindingCode.LOCK_LOST]


def test_a_failed_attempt_that_moved_the_watermark_is_no_other_writer(owner, now):
    world = sound(owner, now)
    for age in (2, 5, 8):
        world.change(age, retried=True)
        world.marks[age] = (world.started_at(age) - CADENCE, world.started_at(age) - CADENCE)
    assert list(shown(look(world.write()))) == [FindingCode.MASKED_RETRIES]


def test_runs_that_lose_to_another_writer_are_explained_by_it(owner, now):
    assessment = look(scenarios.rival_wins(owner, now))
    finding = only(assessment, FindingCode.OTHER_WRITER)
    assert explained(finding) == [FindingCode.LOCK_LOST]
    assert assessment.verdict.level is Level.HEALTHY


# --- Lock 4246 ----------------------------------------------------------------------------------


def hold_lock(session):
    session.execute("SELECT pg_advisory_lock(4246)")


@contextmanager
def sessions_shown(superuser):
    """The dashboard's role may see since when another role's session is idle."""
    superuser.execute("GRANT pg_read_all_stats TO multica_view")
    try:
        yield
    finally:
        superuser.execute("REVOKE pg_read_all_stats FROM multica_view")


@pytest.fixture
def sees_sessions(superuser):
    with sessions_shown(superuser):
        yield


@pytest.mark.usefixtures("sees_sessions")
def test_an_idle_session_that_keeps_the_lock_is_a_leak(owner, connect, now):
    world = scenarios.locked_out(owner, now + 20 * MINUTE)  # two plans after it was taken
    holder = connect("multica")
    hold_lock(holder)
    finding = only(look(world), FindingCode.LOCK_LEAKED)
    assert finding.severity is Severity.CRITICAL
    assert finding.evidence["pid"] == holder.info.backend_pid
    assert finding.evidence["application_name"] == "test multica"
    assert explained(finding) == [FindingCode.LOCK_LOST]


def test_a_backfill_that_holds_the_lock_on_an_idle_session_is_no_leak(owner, connect, now):
    world = scenarios.locked_out(owner, now)
    hold_lock(connect("multica"))
    with connect("multica").transaction() as slice_of_backfill:
        slice_of_backfill.connection.execute(
            "SELECT rollup_task_usage_hourly_window(now() - interval '1 hour', now())"
        )
        assert list(shown(look(world))) == [FindingCode.LOCK_LOST]


@pytest.mark.usefixtures("sees_sessions")
def test_a_backfill_between_two_slices_is_no_leak(owner, connect, now):
    world = scenarios.locked_out(owner, now)
    backfill = connect("multica")
    hold_lock(backfill)
    backfill.execute("SELECT rollup_task_usage_hourly_window(now() - interval '1 hour', now())")
    finding = only(look(world), FindingCode.LOCK_LOST)
    assert [one["pid"] for one in finding.evidence["holders"]] == [backfill.info.backend_pid]


@pytest.mark.usefixtures("sees_sessions")
def test_a_backfill_on_two_connections_between_two_slices_is_no_leak(owner, connect, now):
    world = scenarios.locked_out(owner, now + 20 * MINUTE)
    holder, slicing = connect("multica"), connect("multica")
    hold_lock(holder)
    slicing.execute("SELECT rollup_task_usage_hourly_window(now() - interval '1 hour', now())")
    only(look(world), FindingCode.LOCK_LOST)
    assert read_lock(world.fetch, lately=timedelta()).writers == ()


def test_our_own_backfill_between_two_slices_is_no_leak_though_its_state_is_hidden(
    owner, connect, now
):
    """On one session or two: its name suffices, which every role is shown."""
    world = scenarios.locked_out(owner, now + 20 * MINUTE)
    hold_lock(connect("multica_view"))  # the dashboard's own role: since when is shown
    only(look(world), FindingCode.LOCK_LEAKED)
    backfill = connect("multica")
    backfill.execute("SET application_name = 'multica-admin backfill'")
    finding = only(look(world), FindingCode.LOCK_LOST)
    assert len(finding.evidence["holders"]) == 1


@pytest.mark.usefixtures("sees_sessions")
@pytest.mark.parametrize(
    ("name", "statement", "said"),
    [
        ("multica-admin backfill", None, "probably a backfill that was started from here"),
        ("multica-admin runner", None, "probably this installation's own runner"),
        ("pg_cron", None, "probably a run of a pg_cron job"),
        ("x", "SELECT rollup_task_usage_hourly()", "probably another run of the rollup"),
        (
            "x",
            "SELECT rollup_task_usage_hourly_window(now(), now())",
            "probably a backfill of Multica's",
        ),
        (
            "x",
            "DELETE FROM workspace WHERE id = gen_random_uuid()",
            "probably Multica, which deletes a workspace",
        ),
        (
            "x",
            "SELECT set_config('multica.workspace_teardown', 'on', true)",
            "probably Multica, which deletes a workspace",
        ),
        ("x", "SELECT 'codex'", "probably Multica's codex-usage backfill"),
        ("x", "SELECT 1", "Its statements do not tell what it is for"),
    ],
)
def test_a_lost_lock_names_who_holds_it_and_what_that_probably_is(
    owner, connect, now, name, statement, said
):
    world = scenarios.locked_out(owner, now)
    holder = connect("multica")
    holder.execute("SELECT set_config('application_name', %s, false)", [name])
    with holder.transaction():
        hold_lock(holder)
        if statement:
            holder.execute(statement)
        finding = only(look(world), FindingCode.LOCK_LOST)
    assert f"pid {holder.info.backend_pid}, {name}" in str(finding.summary)
    assert said in str(finding.summary)
    for legitimate in ("a workspace", "codex-usage backfill"):
        assert legitimate in str(finding.advice)


def test_an_idle_session_whose_state_is_hidden_is_not_called_a_leak(owner, connect, now):
    world = scenarios.locked_out(owner, now + 20 * MINUTE)
    hold_lock(connect("multica"))
    assert "this role may not see" in str(only(look(world), FindingCode.LOCK_LOST).summary)


def test_a_lock_that_is_held_at_work_or_made_nobody_wait_is_no_leak(owner, connect, now):
    world = scenarios.locked_out(owner, now)
    busy = connect("multica")
    with busy.transaction():
        hold_lock(busy)
        assert list(shown(look(world))) == [FindingCode.LOCK_LOST]
    world = scenarios.healthy(owner, now)
    assert shown(look(world)) == {}


def test_a_lock_of_another_database_is_not_ours(owner, connect, now):
    world = scenarios.locked_out(owner, now)
    hold_lock(connect("postgres", database="postgres"))
    assert list(shown(look(world))) == [FindingCode.LOCK_LOST]


# --- Drift, growth, what cannot be read -----------------------------------------------------------


def roll_up_some(owner, now):
    world = scenarios.healthy(owner, now)
    row = usage(owner, now - 3 * HOUR)
    owner.execute(
        "SELECT rollup_task_usage_hourly_window(%s, %s)", [now - 24 * HOUR, now - 10 * MINUTE]
    )
    return world, row


@pytest.fixture
def rolled_up(owner, now):
    """A healthy world with usage of three hours ago, rolled up; and that usage."""
    return roll_up_some(owner, now)


def test_a_bucket_that_does_not_add_up_is_drift(owner, now, rolled_up):
    world, _row = rolled_up
    assert shown(look(world)) == {}
    owner.execute("UPDATE task_usage_hourly SET input_tokens = input_tokens + 1")
    finding = only(look(world), FindingCode.ROLLUP_DRIFT)
    assert finding.severity is Severity.WARNING
    hour = (now - 3 * HOUR).replace(minute=0)
    assert finding.evidence["hours"] == [
        {
            "hour": hour,
            "usage_events": 1,
            "bucket_events": 1,
            "usage_tokens": 1200,
            "bucket_tokens": 1201,
            "keys": 1,
        }
    ]


def test_a_missing_bucket_and_a_bucket_of_nothing_are_drift(owner, now, rolled_up):
    world, _row = rolled_up
    owner.execute("UPDATE task_usage_hourly SET model = 'another'")
    finding = only(look(world), FindingCode.ROLLUP_DRIFT)
    assert finding.evidence["hours"][0]["keys"] == 2


def test_two_errors_that_cancel_out_in_an_hour_are_still_drift(owner, now, rolled_up):
    world, row = rolled_up
    usage(owner, now - 3 * HOUR)
    owner.execute(
        "SELECT rollup_task_usage_hourly_window(%s, %s)", [now - 24 * HOUR, now - 10 * MINUTE]
    )
    owner.execute(
        "UPDATE task_usage_hourly SET input_tokens = input_tokens"
        " + CASE WHEN agent_id = %s THEN 5 ELSE -5 END",
        [row["agent_id"]],
    )
    assert only(look(world), FindingCode.ROLLUP_DRIFT).evidence["hours"][0]["keys"] == 2


def test_usage_that_the_rollup_has_yet_to_see_is_no_drift(owner, now, rolled_up):
    world, _row = rolled_up
    owner.execute("UPDATE task_usage SET input_tokens = 9, updated_at = %s", [now])
    assert shown(look(world)) == {}


def test_a_queued_key_is_no_drift(owner, now, rolled_up):
    world, _row = rolled_up
    owner.execute("DELETE FROM task_usage")
    assert shown(look(world)) == {}


def test_usage_without_a_runtime_is_no_drift(owner, now, rolled_up):
    world, _row = rolled_up
    usage(owner, now - 3 * HOUR, with_runtime=False)
    assert shown(look(world)) == {}


def test_buckets_of_a_deleted_agent_are_no_drift(owner, now, rolled_up):
    world, _row = rolled_up
    owner.execute("DELETE FROM agent")
    assert owner.execute("SELECT count(*) AS n FROM task_usage_hourly").fetchone()["n"] == 1
    assert shown(look(world)) == {}


@pytest.mark.parametrize(("rows", "found"), [(1_500_000, True), (999_999, False)])
def test_a_table_past_a_million_rows_is_for_information(owner, superuser, now, rows, found):
    world = scenarios.healthy(owner, now)
    superuser.execute(
        "UPDATE pg_class SET reltuples = %s WHERE oid = 'sys_cron_executions'::regclass", [rows]
    )
    findings = shown(look(world))
    assert list(findings) == ([FindingCode.TABLE_GROWTH] if found else [])
    if found:
        assert findings[FindingCode.TABLE_GROWTH].evidence["rows_estimated"] == rows


@contextmanager
def hidden(owner, table):
    owner.execute(f"REVOKE SELECT ON {table} FROM multica_view")
    try:
        yield
    finally:
        let_read(owner)


def test_a_table_that_may_not_be_read_is_said_and_the_rest_stands(owner, now):
    world = scenarios.gap(owner, now)
    with hidden(owner, "task_usage_hourly_dirty"):
        assessment = look(world)
    found = shown(assessment)
    assert list(found) == [FindingCode.PLAN_GAP, FindingCode.NOT_AVAILABLE]
    evidence = found[FindingCode.NOT_AVAILABLE].evidence
    assert evidence["what"] == ["dirty_queue"] or evidence["what"] == ["dirty_queue", "drift"]
    assert "permission denied" in evidence["reason"]
    assert assessment.verdict.level is Level.DEGRADED


@pytest.mark.parametrize("table", ["sys_cron_executions", "task_usage_hourly_rollup_state"])
def test_without_a_basic_the_verdict_is_unknown_and_says_why(owner, now, table):
    world = scenarios.healthy(owner, now)
    with hidden(owner, table):
        assessment = look(world)
    assert assessment.verdict.level is Level.UNKNOWN
    assert "permission denied" in str(assessment.verdict.summary)
    assert list(shown(assessment)) == [FindingCode.NOT_AVAILABLE]


def test_a_role_that_may_not_look_at_pg_cron_says_so(owner, now, settings):
    settings.RETIRE_CONNINFO = settings.MULTICA_CONNINFO
    (finding,) = look(scenarios.healthy(owner, now)).verdict.findings
    assert finding.code is FindingCode.NOT_AVAILABLE
    assert finding.evidence["visibility"] == "no_access"
    assert "not the same as none" in str(finding.summary)


# --- Every finding ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stage:
    """What a setting is made with."""

    owner: Connection
    superuser: Connection
    connect: Callable[..., Connection]
    now: datetime


Setting = Callable[[Stage], AbstractContextManager[World]]


def in_world(make: Callable[[Connection, datetime], World]) -> Setting:
    @contextmanager
    def setting(stage: Stage) -> Iterator[World]:
        yield make(stage.owner, stage.now)

    return setting


def without(table: str) -> Setting:
    @contextmanager
    def setting(stage: Stage) -> Iterator[World]:
        world = scenarios.healthy(stage.owner, stage.now)
        with renamed(stage.owner, table):
            yield world

    return setting


def not_shown(table: str) -> Setting:
    @contextmanager
    def setting(stage: Stage) -> Iterator[World]:
        world = scenarios.healthy(stage.owner, stage.now)
        with hidden(stage.owner, table):
            yield world

    return setting


@contextmanager
def lock_kept_by_somebody_idle(stage: Stage) -> Iterator[World]:
    world = scenarios.locked_out(stage.owner, stage.now + 20 * MINUTE)
    hold_lock(stage.connect("multica"))
    with sessions_shown(stage.superuser):
        yield world


@contextmanager
def lock_held_at_work(stage: Stage) -> Iterator[World]:
    world = scenarios.locked_out(stage.owner, stage.now)
    busy = stage.connect("multica")
    with busy.transaction():
        hold_lock(busy)
        yield world


@contextmanager
def buckets_that_add_up(stage: Stage) -> Iterator[World]:
    yield roll_up_some(stage.owner, stage.now)[0]


@contextmanager
def buckets_that_do_not_add_up(stage: Stage) -> Iterator[World]:
    world, _row = roll_up_some(stage.owner, stage.now)
    stage.owner.execute("UPDATE task_usage_hourly SET input_tokens = input_tokens + 1")
    yield world


def of_so_many_rows(rows: int) -> Setting:
    @contextmanager
    def setting(stage: Stage) -> Iterator[World]:
        world = scenarios.healthy(stage.owner, stage.now)
        stage.superuser.execute(
            "UPDATE pg_class SET reltuples = %s WHERE oid = 'sys_cron_executions'::regclass", [rows]
        )
        yield world

    return setting


# For each finding a setting in which it appears, and a similar one in which it does not.
# `tests/faults/test_standby.py` has a real standby; every world here is a near miss of it.
SETTINGS: dict[FindingCode, tuple[Setting, Setting]] = {
    FindingCode.SCHEDULER_NOT_INSTALLED: (
        without("sys_cron_executions"),
        in_world(scenarios.never_ran),
    ),
    FindingCode.NO_EXECUTIONS: (in_world(scenarios.never_ran), in_world(a_single_run)),
    FindingCode.LATEST_STALE: (in_world(scenarios.stale), in_world(a_little_late)),
    FindingCode.STATE_ROW_MISSING: (
        in_world(scenarios.stateless),
        in_world(results_without_watermarks),
    ),
    FindingCode.WATERMARK_FUTURE: (
        in_world(scenarios.ahead_of_time),
        in_world(almost_in_the_future),
    ),
    FindingCode.WATERMARK_LAG: (in_world(scenarios.lagging), in_world(lagging_by_a_little)),
    FindingCode.WATERMARK_CATCHING_UP: (
        in_world(scenarios.catching_up),
        in_world(behind_and_staying_there),
    ),
    FindingCode.LOCK_LOST: (in_world(scenarios.losing_the_lock), in_world(idle_runs)),
    FindingCode.LOCK_LEAKED: (lock_kept_by_somebody_idle, lock_held_at_work),
    FindingCode.RUNNING_STALE: (in_world(scenarios.abandoned_run), in_world(just_past_its_lease)),
    FindingCode.PLAN_GAP: (in_world(scenarios.gap), in_world(one_long_run)),
    FindingCode.PLAN_ABANDONED: (in_world(scenarios.abandoned_plans), in_world(scenarios.retrying)),
    FindingCode.EXHAUSTED_FAILURE: (in_world(scenarios.exhausted), in_world(one_attempt_left)),
    FindingCode.MASKED_RETRIES: (in_world(scenarios.retried_often), in_world(one_attempt_left)),
    FindingCode.OTHER_WRITER: (in_world(scenarios.other_writer), in_world(two_jumps)),
    FindingCode.BLOCKED_TICK: (in_world(scenarios.blocked), in_world(a_long_run_that_was_not_held)),
    FindingCode.CLOCK_OR_FOREIGN_WRITER: (
        in_world(scenarios.wrong_clock),
        in_world(odd_times_that_can_be),
    ),
    FindingCode.ROLLUP_DRIFT: (buckets_that_do_not_add_up, buckets_that_add_up),
    FindingCode.TABLE_GROWTH: (of_so_many_rows(1_500_000), of_so_many_rows(999_999)),
    FindingCode.NOT_AVAILABLE: (not_shown("task_usage_hourly_dirty"), in_world(scenarios.healthy)),
}


@pytest.fixture
def stage(owner, superuser, connect, now):
    return Stage(owner, superuser, connect, now)


def test_no_finding_but_the_standbys_is_without_a_setting():
    assert set(FindingCode) - SETTINGS.keys() == {FindingCode.STANDBY}


@pytest.mark.parametrize("code", list(SETTINGS))
def test_every_finding_has_a_setting_in_which_it_appears(stage, code):
    appears, _near_miss = SETTINGS[code]
    with appears(stage) as world:
        assert code in shown(look(world))


@pytest.mark.parametrize("code", list(SETTINGS))
def test_every_finding_has_a_near_miss_in_which_it_does_not_appear(stage, code):
    _appears, near_miss = SETTINGS[code]
    with near_miss(stage) as world:
        assert {code, FindingCode.STANDBY}.isdisjoint(everything(look(world)))
