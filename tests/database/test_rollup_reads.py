"""Reading who holds lock 4246, the dirty queue and the guard of migration 103."""

from __future__ import annotations

from datetime import timedelta

import pytest

from executions.database.reading import fetch_for_dashboard, fetch_on
from executions.rollup.lock import read_lock
from executions.rollup.queue import read_queue
from tests.scenarios import database_now

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

HOUR = timedelta(hours=1)


def test_who_holds_the_lock_is_seen_without_any_right_to_look_at_sessions(owner, connect):
    idle, busy, writer = connect("multica"), connect("multica"), connect("postgres")
    idle.execute("SELECT pg_advisory_lock_shared(4246)")
    with busy.transaction(), writer.transaction():
        busy.execute("SELECT pg_advisory_xact_lock_shared(4246)")
        writer.execute("LOCK TABLE task_usage_hourly IN ROW EXCLUSIVE MODE")
        lock = read_lock(fetch_for_dashboard)
    seen = {(one.pid, one.application_name, one.user, one.idle) for one in lock.holders}
    assert seen == {
        (idle.info.backend_pid, "test multica", "multica", True),
        (busy.info.backend_pid, "test multica", "multica", False),
    }
    assert [one.pid for one in lock.writers] == [writer.info.backend_pid]
    assert lock.idle_holder is not None
    assert lock.idle_holder.state is None  # hidden from this role


def test_a_role_that_may_see_sessions_is_told_their_state(connect):
    holder = connect("multica")
    holder.execute("SELECT pg_advisory_lock(4246)")
    (seen,) = read_lock(fetch_on(connect("postgres"))).holders
    assert seen.state == "idle"
    assert seen.since is not None


def test_other_advisory_locks_are_not_this_one(connect):
    other = connect("multica")
    other.execute("SELECT pg_advisory_lock(4246, 0), pg_advisory_lock(4247)")
    other.execute("SELECT pg_advisory_lock((1::bigint << 32) | 4246)")
    assert read_lock(fetch_for_dashboard).holders == ()


def test_a_reader_of_the_lock_is_not_taken_for_a_writer(connect):
    reader = connect("postgres")
    other = connect("postgres")
    with reader.transaction():
        read_lock(fetch_on(reader))
        assert read_lock(fetch_on(other)).writers == ()


def test_the_queue_is_as_old_as_its_oldest_entry(owner):
    assert read_queue(fetch_for_dashboard).oldest is None
    owner.execute(
        "INSERT INTO task_usage_hourly_dirty"
        " SELECT now(), gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), NULL, 'p', 'm',"
        "        now() - n * interval '1 hour' FROM generate_series(0, 2) AS n"
    )
    waited = database_now(owner) - read_queue(fetch_for_dashboard).oldest
    assert 2 * HOUR <= waited < 3 * HOUR
