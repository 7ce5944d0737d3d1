"""Our own runners are remembered in our own table, by the database's clock."""

from __future__ import annotations

import os
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import connection

from executions.models import Runner as Row
from executions.scheduler import registry
from executions.scheduler.registry import RememberedRunner, new_runner_id
from executions.scheduler.runner import JobRunner
from multica_admin import __version__
from tests.scheduling import executions
from tests.short_jobs import job
from tests.waiting import HANG, until

pytestmark = pytest.mark.django_db(transaction=True)


def remembered(runner_id="ours"):
    return RememberedRunner(runner_id, Row.Kind.COMMAND)


def test_a_runners_id_is_its_host_its_pid_and_something_random():
    first, second = new_runner_id(), new_runner_id()
    pattern = rf"{re.escape(socket.gethostname())}-{os.getpid()}-[0-9a-f]{{6}}"
    assert re.fullmatch(pattern, first)
    assert first != second


def test_a_runners_row_says_who_it_is_and_when_it_started_ticked_and_stopped():
    presence = remembered()
    presence.started()
    row = Row.objects.get()
    assert (row.runner_id, row.kind, row.host) == ("ours", "command", socket.gethostname())
    assert (row.pid, row.version) == (os.getpid(), __version__)
    assert (row.last_tick_at, row.stopped_at) == (None, None)
    presence.ticked()
    presence.stopped()
    ended = Row.objects.get()
    assert row.started_at == ended.started_at < ended.last_tick_at < ended.stopped_at


def test_an_id_that_is_used_again_begins_anew():
    before = remembered()
    before.started()
    before.stopped()
    began = Row.objects.get().started_at
    remembered().started()
    row = Row.objects.get()
    assert row.started_at > began
    assert row.stopped_at is None


def test_a_runner_keeps_its_row_up_to_date_once_a_tick(owner, reach, django_assert_num_queries):
    presence = remembered()
    with JobRunner(
        [job(name="a"), job(name="b")], reach, runner_id="ours", presence=presence
    ) as ours:
        assert Row.objects.get().last_tick_at is None
        with django_assert_num_queries(1):
            ours.tick()
    row = Row.objects.get()
    assert row.stopped_at - row.last_tick_at < timedelta(seconds=10)


def test_a_runner_in_a_long_run_is_seen_to_tick(owner, reach):
    seen = []
    look = job(handler=lambda _context: (seen.append(last_ticks()), {}))
    with JobRunner([look], reach, runner_id="ours", presence=remembered()) as ours:
        ours.tick()
    assert None not in seen[0]


def last_ticks():
    """The row as another thread sees it on a connection of its own."""
    try:
        return list(Row.objects.values_list("last_tick_at", flat=True))
    finally:
        connection.close()


def test_a_row_that_was_deleted_comes_back_with_the_next_tick(owner, reach):
    with JobRunner([job()], reach, runner_id="ours", presence=remembered()) as ours:
        Row.objects.all().delete()
        ours.tick()
        assert Row.objects.get().last_tick_at is not None
    assert Row.objects.get().stopped_at is not None


def test_a_runner_goes_on_without_our_own_tables_says_so_once_and_catches_up(owner, reach, caplog):
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE executions_runner RENAME TO executions_runner_away")
    try:
        with JobRunner([job()], reach, runner_id="ours", presence=remembered()) as ours:
            ours.tick()
            ours.tick()
            said = [record for record in caplog.records if "own tables" in record.message]
            with connection.cursor() as cursor:
                cursor.execute("ALTER TABLE executions_runner_away RENAME TO executions_runner")
            assert len(said) == 1
            assert executions(owner)[0]["status"] == "SUCCESS"
            ours.tick()
        assert Row.objects.get().last_tick_at is not None
    finally:
        with connection.cursor() as cursor:
            cursor.execute(
                "ALTER TABLE IF EXISTS executions_runner_away RENAME TO executions_runner"
            )


@contextmanager
def locked(connect):
    """Every write to our own table of runners waits."""
    holding = connect("postgres")
    with holding.transaction():
        holding.execute("LOCK TABLE multica_admin.executions_runner")
        yield


def a_write_waits(superuser):
    return superuser.execute(
        "SELECT FROM pg_locks JOIN pg_class ON pg_class.oid = relation"
        " WHERE NOT granted AND relname = 'executions_runner'"
    ).fetchall()


def test_a_lock_on_our_own_table_stops_no_runner(owner, reach, connect, caplog):
    with ThreadPoolExecutor(1) as pool, locked(connect):
        ours = JobRunner([job()], reach, runner_id="ours", presence=remembered())
        pool.submit(one_tick, ours).result(HANG)
        assert executions(owner)[0]["status"] == "SUCCESS"
    assert len([record for record in caplog.records if "own tables" in record.message]) == 1


def one_tick(runner):
    with runner:
        runner.tick()


def test_an_own_database_that_does_not_even_keep_its_limits_stops_no_runner(
    owner, reach, connect, monkeypatch
):
    monkeypatch.setattr(registry, "LIMITS", "SELECT")
    monkeypatch.setattr(registry, "CUT_SECONDS", 0.2)
    with ThreadPoolExecutor(1) as pool, locked(connect):
        ours = JobRunner([job()], reach, runner_id="ours", presence=remembered())
        pool.submit(one_tick, ours).result(HANG)
        assert executions(owner)[0]["status"] == "SUCCESS"


def test_a_cancelled_runner_does_not_wait_for_our_own_table(
    owner, reach, connect, superuser, monkeypatch
):
    monkeypatch.setattr(registry, "LIMITS", "SELECT")
    monkeypatch.setattr(registry, "CUT_SECONDS", 2 * HANG)
    ours = JobRunner([job()], reach, runner_id="ours", presence=remembered())
    with ThreadPoolExecutor(1) as pool, ours, locked(connect):
        done = pool.submit(ours.run)
        until(lambda: a_write_waits(superuser))
        ours.cancel()
        done.result(HANG)
    assert executions(owner) == []


def test_a_cancelled_runner_is_remembered_as_stopped(owner, reach):
    with JobRunner([job()], reach, runner_id="ours", presence=remembered()) as ours:
        ours.cancel()
    assert Row.objects.get().stopped_at is not None
