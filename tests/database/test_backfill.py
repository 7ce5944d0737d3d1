"""The backfill: every bucket right, the watermark set, the lock held, and every way to stop."""

from __future__ import annotations

import signal
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from tests import environment
from tests.commands import run_command
from tests.database.rollup_world import NOON, World, expected_buckets, number, stored_buckets
from tests.processes import Process
from tests.scheduling import lock_holders
from tests.waiting import until

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

COMMAND = "backfill_task_usage_hourly"
MONTH = timedelta(days=31)
CLOCK = "SELECT now() AS now"
WINDOW = "rollup_task_usage_hourly_window"
WATERMARK = "SELECT watermark_at FROM task_usage_hourly_rollup_state WHERE id = 1"


@pytest.fixture
def world(owner):
    """Usage of three months, some of it corrected in a later month than it was made in."""
    made = World(owner)
    for month in range(3):
        task = made.task(month % 2)
        for day in range(4):
            made.usage(task, NOON + month * MONTH + timedelta(days=day), model=f"m{day}")
    made.usage(made.task(), NOON, updated_at=NOON + 2 * MONTH, model="corrected")
    made.usage(made.task(), NOON + MONTH, updated_at=None, model="old")
    return made


def run(*arguments):
    """The exit status, what was said, and what was refused."""
    return run_command(COMMAND, *arguments)


def test_every_bucket_is_right_and_the_rollup_goes_on_from_there(owner, world):
    before = number(owner, CLOCK)
    status, said, refused = run()
    assert (status, refused) == (0, "")
    assert stored_buckets(owner) == expected_buckets(owner)
    watermark = number(owner, WATERMARK)
    assert before <= watermark + timedelta(minutes=5) <= number(owner, CLOCK)
    assert "Done: usage is summed up to" in said
    assert said.count(" buckets changed in ") == (watermark.year - 2025) * 12 + watermark.month - 2
    assert lock_holders(owner) == 0


def test_the_installed_function_sums_where_it_is_asked_for(owner, world):
    status, said, _refused = run("--use-installed-function")
    assert status == 0
    assert "as --use-installed-function asks" in said
    assert stored_buckets(owner) == expected_buckets(owner)


def test_beside_our_own_function_our_statements_sum_and_it_says_so(owner, world):
    _status, said, _refused = run("--dry-run")
    assert "summed by statements of our own" in said
    assert "Multica Admin (manage.py provision)" in said


def test_a_function_that_nobody_knows_is_used_itself_and_it_says_why(owner, world):
    """A comment is enough to make it another source."""
    found = owner.execute(
        "SELECT prosrc, pg_get_functiondef(oid) AS whole FROM pg_proc WHERE proname = %s", [WINDOW]
    ).fetchone()
    owner.execute(found["whole"].replace(found["prosrc"], f"-- altered{found['prosrc']}"))
    try:
        status, said, _refused = run()
    finally:
        owner.execute(found["whole"])
    assert status == 0
    assert "is none that our own statements were proven equal to" in said
    assert stored_buckets(owner) == expected_buckets(owner)


def test_again_it_changes_nothing(owner, world):
    run()
    before = stored_buckets(owner)
    _status, said, _refused = run()
    assert stored_buckets(owner) == before
    assert not [line for line in said.splitlines() if "changed" in line and ": 0 b" not in line]


def test_looking_changes_nothing_and_takes_no_lock(owner, world, connect):
    holder = connect("multica")
    holder.execute("SELECT pg_advisory_lock(4246)")
    status, said, _refused = run("--dry-run")
    assert status == 0
    assert "2025-03: 2 usage rows" in said
    assert "this was a dry run" in said
    assert stored_buckets(owner) == {}
    assert number(owner, WATERMARK) == datetime(1970, 1, 1, tzinfo=UTC)


def test_who_holds_the_lock_is_said_after_the_stated_time(owner, world, connect):
    holder = connect("multica")
    holder.execute("SELECT pg_advisory_lock(4246)")
    status, _said, refused = run("--lock-timeout", "50ms")
    assert status == 1
    assert f"process {holder.info.backend_pid} (test multica, multica)" in refused
    assert stored_buckets(owner) == {}


def test_leaving_older_usage_out_takes_two_words(owner, world):
    status, _said, refused = run("--months-back", "1")
    assert status == 1
    assert "There is usage from 2025-03" in refused
    assert "from 2025-03-30 to " in refused
    assert "would be abandoned" in refused
    assert stored_buckets(owner) == {}
    status, _said, _refused = run("--months-back", "1", "--force-partial")
    assert status == 0
    assert stored_buckets(owner) == {}
    assert number(owner, WATERMARK) > NOON


def test_without_usage_only_the_watermark_is_set(owner):
    status, said, _refused = run()
    assert status == 0
    assert "no usage to sum" in said
    assert number(owner, CLOCK) - number(owner, WATERMARK) < timedelta(minutes=6)


def test_a_state_row_that_was_lost_is_there_again(owner, world):
    owner.execute("DELETE FROM task_usage_hourly_rollup_state")
    status, _said, _refused = run()
    assert status == 0
    assert number(owner, WATERMARK) > NOON


def test_a_watermark_in_the_future_is_set_right(owner, world):
    owner.execute(
        "UPDATE task_usage_hourly_rollup_state SET watermark_at = now() + interval '1 year'"
    )
    run()
    assert number(owner, WATERMARK) < number(owner, CLOCK)


def test_a_runner_without_rights_is_told_so(world, settings):
    settings.RUNNER_CONNINFO = settings.MULTICA_CONNINFO
    status, _said, refused = run()
    assert status == 1
    assert "permission denied" in refused
    assert "watermark was not moved" in refused


@pytest.mark.parametrize(
    "wrong",
    [
        ("--lock-timeout", "soon"),
        ("--sleep-between-slices", "-2s"),
        ("--months-back", "-1"),
        ("--months-back", "x"),
    ],
)
def test_a_bad_argument_is_named(wrong):
    with pytest.raises(CommandError, match=wrong[0]):
        call_command(COMMAND, *wrong)


def test_a_database_that_is_away_is_said(settings):
    settings.RUNNER_CONNINFO = settings.RUNNER_CONNINFO | {"host": "/nowhere"}
    status, _said, refused = run()
    assert status == 1
    assert "Traceback" not in refused


# --- Real processes, really interrupted -----------------------------------------------------------


@pytest.fixture
def process(owner):
    started = []

    def start(*arguments):
        made = Process(
            "manage.py",
            COMMAND,
            *arguments,
            env={
                "DATABASE_URL": environment.url("multica_view"),
                "ADMIN_DATABASE_URL": environment.url("multica_admin"),
                "RUNNER_DATABASE_URL": environment.url("multica"),
                "SECRET_KEY": "only-for-tests",
                "VAR_DIR": str(environment.ROOT / "var"),
            },
        )
        started.append(made)
        return made

    yield start
    for made in started:
        made.kill_group()


def test_it_says_within_ten_seconds_that_it_is_still_at_work(owner, world, process, connect):
    blocking = connect("multica")
    with blocking.transaction():
        blocking.execute("LOCK TABLE task_usage_hourly IN SHARE MODE")
        running = process()
        running.wait_for("Still summing 2025-03, month 1 of ")
        lock_holders(owner, at_least=1)
    assert running.end() == 0


def test_it_says_within_ten_seconds_that_it_still_waits_for_the_lock(
    owner, world, process, connect
):
    holder = connect("multica")
    with holder.transaction():
        holder.execute("SELECT pg_advisory_xact_lock(4246)")
        running = process("--lock-timeout", "1h")
        running.wait_for("Still waiting for lock 4246, for ")
    assert running.end() == 0


def test_usage_written_while_the_last_month_runs_is_left_to_the_next_run(
    owner, world, process, connect
):
    world.usage(world.task(), number(owner, CLOCK), model="early")
    blocking = connect("multica")
    with blocking.transaction():
        blocking.execute("LOCK TABLE task_usage_hourly IN SHARE MODE")
        running = process("--months-back", "0", "--force-partial")
        lock_holders(owner, at_least=1)
        late = world.usage(world.task(), number(owner, CLOCK), model="late")
    assert running.end() == 0
    written = number(owner, "SELECT updated_at FROM task_usage WHERE id = %s", [late])
    assert number(owner, WATERMARK) < written


@pytest.mark.parametrize("number_of_signal", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_stops_between_two_months_and_says_how_to_go_on(
    owner, world, process, number_of_signal
):
    running = process("--sleep-between-slices", "1h")
    running.wait_for("2025-03: ")
    running.popen.send_signal(number_of_signal)
    assert running.end() == 130
    assert "Run the same command again to go on" in running.errors[-1]
    assert 0 < len(stored_buckets(owner)) < len(expected_buckets(owner))
    assert number(owner, WATERMARK) == datetime(1970, 1, 1, tzinfo=UTC)
    lock_holders(owner, at_most=0)
    run()
    assert stored_buckets(owner) == expected_buckets(owner)


def test_ctrl_c_while_it_waits_for_the_lock_ends_it_at_once(owner, world, process, connect):
    holder = connect("multica")
    holder.execute("SELECT pg_advisory_lock(4246)")
    running = process("--lock-timeout", "1h")
    running.wait_for("months of usage")
    running.popen.send_signal(signal.SIGINT)
    assert running.end() == 130
    assert not any("Traceback" in line for line in running.seen)


def test_a_second_ctrl_c_stops_the_month_in_hand(owner, world, process, connect):
    blocking = connect("multica")
    with blocking.transaction():
        blocking.execute("LOCK TABLE task_usage_hourly IN SHARE MODE")
        running = process()
        running.wait_for("months of usage")
        lock_holders(owner, at_least=1)
        running.popen.send_signal(signal.SIGINT)
        running.popen.send_signal(signal.SIGTERM)  # two of the same kind may arrive as one
        assert running.end() == 130
    assert stored_buckets(owner) == {}
    lock_holders(owner, at_most=0)


def test_killed_it_leaves_the_lock_free_and_can_be_repeated(owner, world, process):
    running = process("--sleep-between-slices", "1h")
    running.wait_for("2025-03: ")
    running.kill_group()
    lock_holders(owner, at_most=0)
    assert run()[0] == 0
    assert stored_buckets(owner) == expected_buckets(owner)


# --- No advice about what was not begun ----------------------------------------------------------


def test_looking_that_fails_says_nothing_of_months_that_were_done(owner, world):
    owner.execute("ALTER TABLE task_usage RENAME TO hidden")
    try:
        for looking in (("--dry-run",), ()):  # the second fails before its first month as well
            status, _said, refused = run(*looking)
            assert status == 1
            assert "onths that were" not in refused
            assert "again" not in refused
            assert refused.rstrip().endswith("Nothing was changed.")
    finally:
        owner.execute("ALTER TABLE hidden RENAME TO task_usage")


@pytest.mark.parametrize("looking", [("--dry-run",), ("--lock-timeout", "1h")])
def test_stopped_before_the_first_month_it_says_that_nothing_was_changed(
    owner, world, process, connect, looking
):
    blocking, watching = connect("multica"), connect("postgres")
    waiting = "SELECT FROM pg_locks WHERE NOT granted AND relation = 'task_usage'::regclass"
    with blocking.transaction():
        blocking.execute("LOCK TABLE task_usage")
        running = process(*looking)
        until(lambda: watching.execute(waiting).fetchall())
        running.popen.send_signal(signal.SIGINT)
        assert running.end() == 130
    assert running.seen[-1] == "multica-admin: Stopped. Nothing was changed."
