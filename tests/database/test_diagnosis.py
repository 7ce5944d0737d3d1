"""The diagnosis of "usage shows zero": each cause by a world, and no other cause for it."""

import pglast
import pytest
from django.db import connections

from executions.database.reading import fetch_on
from executions.database.sql import load
from executions.demo import circumstances
from executions.demo.zeros import (
    DAY,
    HOUR,
    all_is_well,
    multicas_columns,
    one_workspace_is_missing,
    roll,
    runtime_deleted,
    task_ended,
)
from executions.health.assessment import assess
from executions.health.diagnosis.conclude import conclude
from executions.health.diagnosis.look import Answer, CauseCode
from executions.health.diagnosis.read import END_OF_TIME, MOST_USAGE, read_usage
from executions.health.read import read_facts
from tests import scenarios
from tests.factories import usage
from tests.near_misses import MINUTE, hidden, hold_lock, now, sessions_shown
from tests.scenarios import fetch_in
from tests.zero_worlds import ZEROS, stopped_and_nothing_waits

__all__ = ["now"]
pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)


def diagnosed(fetch=None):
    asked = {"fetch": fetch} if fetch else {}
    facts = read_facts(**asked)
    return conclude(assess(facts), read_usage(facts, **asked))


def answers(diagnosis):
    return {one.code: one.answer for one in diagnosis.questions}


def question(diagnosis, code):
    return next(one for one in diagnosis.questions if one.code == code)


@pytest.mark.parametrize("name", ZEROS)
def test_a_world_has_its_cause_and_no_other(owner, name):
    zero = ZEROS[name]
    with zero.made(owner):
        diagnosis = diagnosed()
    assert diagnosis.cause.code is zero.cause, str(diagnosis.cause.summary)


def test_a_leaked_lock_is_the_cause_with_its_pid(owner, connect, superuser, now):
    world = scenarios.locked_out_for_hours(owner, now + 20 * MINUTE)  # two plans after it was taken
    usage(owner, world.now - 30 * MINUTE)
    holder = connect("multica")
    hold_lock(holder)
    with sessions_shown(superuser):
        diagnosis = diagnosed(fetch_in(world))
    assert diagnosis.cause.code is CauseCode.LOCK_LEAKED
    assert f"pid {holder.info.backend_pid}" in str(diagnosis.cause.summary)
    (seen,) = question(diagnosis, "blocked").evidence["holders"]
    assert seen["pid"] == holder.info.backend_pid


def test_a_leak_is_the_cause_before_the_lag_is_late(owner, connect, superuser, now):
    """Nothing comes on while the lock is kept, so the age of the watermark is no excuse."""
    holder = connect("multica")
    hold_lock(holder)
    world = circumstances.shut_out(owner, lost=2)
    usage(owner, world.now - 2 * MINUTE)
    with sessions_shown(superuser):
        diagnosis = diagnosed()
    assert diagnosis.cause.code is CauseCode.LOCK_LEAKED
    assert answers(diagnosis)["watermark_moves"] is Answer.NO


def test_usage_after_the_watermark_is_never_called_summed(owner):
    """Its hour may have a bucket already, whose sums lack it."""
    world = all_is_well(owner)
    owner.execute(
        "UPDATE task_usage_hourly SET bucket_hour = date_trunc('hour', %s::timestamptz, 'UTC')",
        [world.now - 2 * MINUTE],
    )
    owner.execute(
        "UPDATE task_usage SET created_at = %s, updated_at = NULL", [world.now - 2 * MINUTE]
    )
    usage(owner, world.now - 3 * HOUR)
    roll(owner, world.now - DAY, world.now - HOUR)
    diagnosis = diagnosed()
    assert diagnosis.cause.code is CauseCode.USAGE_IS_THERE
    said = str(diagnosis.cause.summary)
    assert f"{world.now - 2 * MINUTE:%H:%M}" not in said
    assert "1 newer row is not in its bucket" in said


def test_usage_that_is_there_is_not_green_beside_a_failing_verdict(owner):
    stopped_and_nothing_waits(owner)
    diagnosis = diagnosed()
    assert diagnosis.cause.code is CauseCode.USAGE_IS_THERE
    assert "the verdict on the rollup is failing: Usage numbers stop at" in str(
        diagnosis.cause.summary
    )


def test_usage_of_minutes_is_not_called_right_while_the_newest_plan_failed(owner):
    world = scenarios.exhausted(owner)
    usage(owner, world.now - 2 * MINUTE)
    diagnosis = diagnosed()
    assert diagnosis.cause.code is CauseCode.TOO_RECENT
    assert "Nothing is wrong" not in str(diagnosis.cause.summary)
    assert "the verdict on the rollup is failing" in str(diagnosis.cause.summary)
    assert "Look at Multica's usage page again" not in str(diagnosis.cause.next_step)


def test_tasks_that_may_not_be_read_are_not_said_to_be_none(owner):
    scenarios.healthy(owner)
    with hidden(owner, "agent_task_queue"):
        diagnosis = diagnosed()
    assert diagnosis.cause.code is CauseCode.NO_RAW_USAGE
    assert "No task has run" not in str(diagnosis.cause.summary)
    assert "manage.py permissions" in str(diagnosis.cause.summary)


def test_a_backfill_that_holds_the_lock_is_no_leak(owner, connect, superuser):
    world = scenarios.locked_out_for_hours(owner)
    usage(owner, world.now - 30 * MINUTE)
    backfill = connect("multica")
    hold_lock(backfill)
    backfill.execute("SELECT rollup_task_usage_hourly_window(now(), now())")
    with sessions_shown(superuser):
        diagnosis = diagnosed()
    assert diagnosis.cause.code is CauseCode.LOCK_HELD
    assert answers(diagnosis)["blocked"] is Answer.YES


def test_a_healthy_install_is_told_where_to_look(owner):
    all_is_well(owner)
    row = owner.execute("SELECT id FROM workspace").fetchone()
    diagnosis = diagnosed()
    assert str(diagnosis.cause.summary).startswith("It is there:")
    assert f"Look at the usage page of the workspace {row['id']}" in str(diagnosis.cause.next_step)
    answered = answers(diagnosis)
    assert answered["raw_usage"] is answered["buckets"] is answered["watermark_moves"] is Answer.YES
    assert answered["blocked"] is answered["one_workspace"] is Answer.NO


def test_usage_that_is_there_is_not_explained_by_a_silent_scheduler(owner):
    stopped_and_nothing_waits(owner)
    diagnosis = diagnosed()
    assert diagnosis.cause.code is CauseCode.USAGE_IS_THERE
    assert answers(diagnosis)["scheduler_runs"] is Answer.NO


def test_buckets_that_went_with_their_runtime_are_still_explained(owner):
    """Once the rollup has drained the queue, only the schema tells: v0.4.17 requires a runtime."""
    world = runtime_deleted(owner)
    roll(owner, world.now - DAY, world.now + HOUR)
    assert diagnosed().cause.code is CauseCode.TASKS_WITHOUT_RUNTIME
    owner.execute("ALTER TABLE agent_task_queue ADD COLUMN completed_at timestamptz DEFAULT now()")
    try:
        owner.execute(
            "ALTER TABLE agent_task_queue ADD CONSTRAINT needs_runtime"
            " CHECK (runtime_id IS NOT NULL OR completed_at IS NOT NULL)"
        )
        diagnosis = diagnosed()
    finally:
        owner.execute("ALTER TABLE agent_task_queue DROP COLUMN completed_at")
    assert diagnosis.cause.code is CauseCode.RUNTIME_DELETED
    assert answers(diagnosis)["runtime_deleted"] is Answer.YES


@pytest.mark.parametrize("table", ["task_usage", "task_usage_hourly", "agent"])
def test_what_may_not_be_read_is_never_called_zero(owner, table):
    all_is_well(owner)
    with hidden(owner, table):
        diagnosis = diagnosed()
    assert diagnosis.cause.code is CauseCode.CANNOT_TELL
    assert "manage.py permissions" in str(diagnosis.cause.next_step)
    assert Answer.UNKNOWN in answers(diagnosis).values()


def test_a_silent_scheduler_is_named_also_if_usage_cannot_be_read(owner):
    scenarios.stopped(owner)
    usage(owner, scenarios.database_now(owner) - 30 * MINUTE)
    with hidden(owner, "task_usage"):
        diagnosis = diagnosed()
    assert diagnosis.cause.code is CauseCode.SCHEDULER_SILENT
    assert answers(diagnosis)["raw_usage"] is Answer.UNKNOWN


def test_a_state_that_cannot_be_read_is_said(owner):
    all_is_well(owner)
    with hidden(owner, "task_usage_hourly_rollup_state"):
        diagnosis = diagnosed()
    assert diagnosis.cause.code is CauseCode.CANNOT_TELL
    assert [one.answer for one in diagnosis.questions] == [Answer.UNKNOWN]


def test_every_statement_shown_can_be_run(owner):
    one_workspace_is_missing(owner)
    for one in diagnosed().questions:
        if one.sql:
            pglast.parse_sql(one.sql)
            with connections["multica"].cursor() as cursor:
                cursor.execute(one.sql.replace("%", "%%"), ())
                assert cursor.description


def test_one_missing_workspace_is_told_from_the_others(owner):
    one_workspace_is_missing(owner)
    missing = owner.execute(
        "SELECT agent.workspace_id AS id FROM task_usage JOIN agent_task_queue AS task"
        " ON task.id = task_id JOIN agent ON agent.id = agent_id ORDER BY created_at DESC"
    ).fetchone()
    diagnosis = diagnosed()
    assert str(missing["id"]) in str(diagnosis.cause.summary)
    assert answers(diagnosis)["one_workspace"] is Answer.YES
    seen = question(diagnosis, "one_workspace").evidence["workspaces"]
    assert {(one["shown"], one["missing"]) for one in seen} == {(1, 0), (0, 1)}


def test_tasks_that_reported_none_are_the_cause(owner):
    with multicas_columns(owner):
        world = scenarios.healthy(owner)
        task_ended(owner, world.now - HOUR)
        diagnosis = diagnosed()
    assert diagnosis.cause.code is CauseCode.TASKS_REPORTED_NONE
    assert answers(diagnosis)["tasks_reported_none"] is Answer.YES


@pytest.mark.parametrize(
    ("tasks", "cause"),
    [(1, CauseCode.USAGE_IS_THERE), (3, CauseCode.TASKS_REPORTED_NONE)],
    ids=["one that failed", "every task since"],
)
def test_tasks_that_stopped_reporting_are_the_cause(owner, tasks, cause):
    with multicas_columns(owner):
        world = all_is_well(owner)
        for minutes in range(tasks):
            task_ended(owner, world.now - HOUR - minutes * MINUTE)
        diagnosis = diagnosed()
    assert diagnosis.cause.code is cause


def test_a_workspace_is_called_by_its_name_where_that_may_be_read(owner):
    with multicas_columns(owner):
        all_is_well(owner)
        assert "Acme" in str(diagnosed().cause.summary)
        owner.execute("REVOKE SELECT (name) ON workspace FROM multica_view")
        unnamed = diagnosed()
    assert unnamed.cause.code is CauseCode.USAGE_IS_THERE
    assert "Acme" not in str(unnamed.cause.summary)
    assert "manage.py permissions" in str(question(unnamed, "one_workspace").summary)


def test_the_sample_reads_a_stated_number_of_rows(owner):
    """Every other row of the table is left alone, also if the planner would like another way."""
    world = scenarios.healthy(owner)
    row = usage(owner, world.now - HOUR)
    owner.execute(
        "INSERT INTO task_usage (task_id, provider, model, created_at, updated_at)"
        " SELECT %s, 'p', number::text, now() - number * interval '1 minute', now()"
        " FROM generate_series(1, 20000) AS number",
        [row["task_id"]],
    )
    owner.execute("ANALYZE task_usage")
    asked = {"before": END_OF_TIME, "watermark": world.now, "most": MOST_USAGE}
    plan = owner.execute("EXPLAIN (FORMAT JSON) " + load("usage").sample, asked).fetchone()
    read = [
        node
        for node in nodes(plan["QUERY PLAN"][0]["Plan"])
        if node.get("Relation Name") == "task_usage"
    ]
    assert [one.get("Index Name") for one in read] == ["idx_task_usage_created_at"]
    assert diagnosed().questions[1].code == "raw_usage"
    sample = read_usage(read_facts(fetch=fetch_on(owner)), fetch_on(owner)).latest
    assert sample.usage == MOST_USAGE


def nodes(plan):
    yield plan
    for one in plan.get("Plans", ()):
        yield from nodes(one)
