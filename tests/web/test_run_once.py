"""An operator runs the rollup once: who may, what it does, and what a returned 0 means."""

import re
import threading
from datetime import timedelta
from html import unescape

import psycopg
import pytest
from django.test import Client

from executions.accounts.roles import OPERATOR
from executions.models.retirement import AuditEvent
from executions.pages.rollup import once as page_of_once
from executions.scheduler import once
from tests.factories import put_state, usage
from tests.near_misses import MINUTE, hold_lock
from tests.people import PASSWORD, just_signed_in, make_user
from tests.scenarios import database_now
from tests.waiting import HANG, until

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

DAY = timedelta(days=1)
ADDRESS = "/rollup/run/"
# Waits until the test lets lock 1 go, as a day with much usage makes a run take long.
SLOW = """
CREATE OR REPLACE FUNCTION rollup_task_usage_hourly() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(1);
    RETURN 7;
END $$
"""


def text(answer):
    """What a reader sees, in one line."""
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", answer.content.decode()))).strip()


@pytest.fixture
def olga(db):
    return just_signed_in(make_user("olga", OPERATOR))


@pytest.fixture
def slow(owner, connect):
    """The function waits until the test lets it go."""
    row = owner.execute(
        "SELECT pg_get_functiondef('rollup_task_usage_hourly()'::regprocedure) AS source"
    ).fetchone()
    owner.execute(SLOW)
    gate = connect("multica")
    gate.execute("SELECT pg_advisory_lock(1)")
    yield gate
    gate.execute("SELECT pg_advisory_unlock_all()")
    until(lambda: not [one for one in threading.enumerate() if one.name == "run once"])
    owner.execute(row["source"])


def away(_fetch):
    raise psycopg.OperationalError("away")


def lines():
    events = AuditEvent.objects.order_by("pk")
    return [(event.user_name, event.action, event.outcome) for event in events]


def press(client):
    """Send the form, wait for the run's end, and return the page."""
    assert client.post(ADDRESS).status_code == 302
    until(lambda: not [one for one in threading.enumerate() if one.name == "run once"])
    return text(client.get(ADDRESS))


def watermark(owner):
    row = owner.execute("SELECT watermark_at FROM task_usage_hourly_rollup_state").fetchone()
    return row["watermark_at"]


def test_a_run_sums_usage_and_moves_the_watermark_on_the_record(olga, owner):
    began = database_now(owner)
    put_state(owner, watermark_at=began - timedelta(hours=3))
    usage(owner, began - timedelta(hours=1))
    page = press(olga)
    assert "It wrote or removed 1 bucket, and the watermark moved from" in page
    assert "This was one run; it restores no scheduling." in page
    assert began - watermark(owner) < timedelta(minutes=6)
    assert lines() == [("olga", "run once", "intended"), ("olga", "run once", "done")]
    done = AuditEvent.objects.get(outcome="done")
    assert done.evidence["rows"] == 1
    assert done.statement == "SELECT rollup_task_usage_hourly();"
    assert "run once" in text(olga.get("/audit/?action=run+once"))
    assert owner.execute("SELECT count(*) AS n FROM sys_cron_executions").fetchone()["n"] == 0


def test_a_run_that_is_days_behind_says_what_is_left(olga, owner):
    put_state(owner, watermark_at=database_now(owner) - 10 * DAY)
    page = press(olga)
    assert "no usage that counts changed between" in page
    assert "It is still 9 d behind: a run does at most a day." in page


def test_a_zero_is_explained(olga, owner, connect):
    put_state(owner, watermark_at=database_now(owner) - timedelta(hours=1))
    assert "nothing was to be summed: no usage that counts changed between" in press(olga)
    assert "It returned 0" in press(olga)
    put_state(owner, watermark_at=database_now(owner) - 4 * MINUTE)
    assert "a run ended a moment ago" in press(olga)
    put_state(owner, watermark_at=database_now(owner) + timedelta(hours=1))
    assert "the watermark lies in the future" in press(olga)
    put_state(owner, watermark_at=database_now(owner) - timedelta(hours=1))
    holder = connect("multica")
    hold_lock(holder)
    page = press(olga)
    assert "another session held lock 4246" in page
    assert f"It is held by pid {holder.info.backend_pid}, test multica." in page
    holder.close()
    owner.execute("DELETE FROM task_usage_hourly_rollup_state")
    assert "its state row is missing" in press(olga)


def test_only_an_operator_may_and_nothing_runs_without_a_press(viewer, olga, owner):
    began = database_now(owner) - timedelta(hours=3)
    put_state(owner, watermark_at=began)
    assert viewer.get(ADDRESS).status_code == 403
    assert viewer.post(ADDRESS).status_code == 403
    page = text(olga.get(ADDRESS))
    assert "It does not restore scheduling." in page
    assert watermark(owner) == began
    assert lines() == []
    assert ADDRESS not in viewer.get("/rollup/").content.decode()
    assert ADDRESS in olga.get("/rollup/").content.decode()


def test_a_zero_beside_usage_that_does_not_count_is_not_called_no_usage(olga, owner):
    began = database_now(owner)
    put_state(owner, watermark_at=began - timedelta(hours=3))
    usage(owner, began - timedelta(hours=1))
    owner.execute("UPDATE agent_task_queue SET runtime_id = NULL")
    page = press(olga)
    assert "no usage changed" not in page
    assert "Usage of tasks without a runtime does not count." in page


def test_a_press_asks_for_the_password_unless_it_was_given_lately(owner):
    otto = Client()
    otto.force_login(make_user("otto", OPERATOR, PASSWORD))
    began = database_now(owner) - timedelta(hours=3)
    put_state(owner, watermark_at=began)
    asked = otto.post(ADDRESS, follow=True)
    assert asked.redirect_chain == [("/confirm/?next=%2Frollup%2Frun%2F", 302)]
    assert (watermark(owner), lines()) == (began, [])
    back = otto.post("/confirm/", {"next": ADDRESS, "password": PASSWORD}, follow=True)
    assert back.redirect_chain == [(ADDRESS, 302)]
    assert "Nothing was begun yet" in text(back)
    assert (watermark(owner), lines()) == (began, [])
    press(otto)
    assert watermark(owner) > began
    assert [outcome for *_, outcome in lines()] == ["intended", "done"]


def test_an_unexpected_error_is_an_end_on_the_record(olga, owner, monkeypatch):
    put_state(owner, watermark_at=database_now(owner) - timedelta(hours=1))
    monkeypatch.setattr(page_of_once, "said", lambda ran: 1 / 0)
    page = press(olga)
    assert "An unexpected error came between, which the log of Multica Admin has." in page
    assert lines()[-1] == ("olga", "run once", "failed")


def test_a_form_from_elsewhere_is_refused(owner):
    client = just_signed_in(make_user("otto", OPERATOR), enforce_csrf_checks=True)
    assert client.post(ADDRESS).status_code == 403
    assert lines() == []


def test_of_two_presses_at_once_one_runs_and_the_page_does_not_wait(olga, owner, slow, monkeypatch):
    monkeypatch.setattr(page_of_once, "WAIT_SECONDS", 0.0)
    assert "The run is at work." in text(olga.post(ADDRESS, follow=True))
    assert "It is at work." in text(olga.get(ADDRESS))
    second = text(olga.post(ADDRESS, follow=True))
    assert "olga has asked for a run that is still at work. Nothing was begun." in second
    slow.execute("SELECT pg_advisory_unlock(1)")
    page = until(lambda: shown if "7 buckets" in (shown := text(olga.get(ADDRESS))) else "")
    assert "It is at work." not in page
    assert sorted(outcome for *_, outcome in lines()) == ["done", "intended", "refused"]


def test_a_run_that_takes_too_long_is_stopped_and_changes_nothing(olga, owner, slow, monkeypatch):
    monkeypatch.setattr(once, "LONGEST", timedelta(milliseconds=300))
    assert "It was stopped: it reached its time limit" in press(olga)
    assert lines()[-1] == ("olga", "run once", "failed")


def test_a_run_whose_process_was_stopped_is_told_as_that(olga, owner, monkeypatch):
    """At once if no process has the turn any more, else when a run would have ended."""
    put_state(owner, watermark_at=database_now(owner) - timedelta(hours=1))
    press(olga)
    intent = AuditEvent.objects.get(outcome="intended")
    AuditEvent.objects.create(
        at=intent.at + MINUTE,
        user_name="olga",
        action="run once",
        subject="x",
        outcome="intended",
        evidence={"run": "lost"},
    )
    lost = "Its end is not on record: its process was stopped."
    assert lost in text(olga.get(ADDRESS))
    turn = once.take_turn(page_of_once.runner_connection)
    try:
        assert "It is at work." in text(olga.get(ADDRESS))
        monkeypatch.setattr(page_of_once, "_CUT_OFF", -DAY)
        assert lost in text(olga.get(ADDRESS))
    finally:
        turn.close()
    monkeypatch.undo()
    monkeypatch.setattr(once, "turn_is_free", away)
    assert "It is at work." in text(olga.get(ADDRESS))


def test_a_missing_right_is_refused_with_what_to_do(olga, owner, settings):
    put_state(owner, watermark_at=database_now(owner) - timedelta(hours=1))
    settings.RUNNER_CONNINFO = settings.MULTICA_CONNINFO
    page = text(olga.post(ADDRESS, follow=True))
    assert "The runner's role lacks" in page
    assert lines() == [("olga", "run once", "refused")]


def test_a_missing_function_is_refused(olga, owner):
    owner.execute("ALTER FUNCTION rollup_task_usage_hourly() RENAME TO hidden")
    try:
        page = text(olga.post(ADDRESS, follow=True))
    finally:
        owner.execute("ALTER FUNCTION hidden() RENAME TO rollup_task_usage_hourly")
    assert "The database has no function rollup_task_usage_hourly()" in page
    assert lines() == [("olga", "run once", "refused")]


def test_a_database_that_is_away_is_refused_with_a_sentence(olga, owner, settings):
    settings.RUNNER_CONNINFO = {**settings.RUNNER_CONNINFO, "dbname": "nowhere"}
    page = text(olga.post(ADDRESS, follow=True))
    assert "RUNNER_DATABASE_URL" in page
    assert lines() == [("olga", "run once", "refused")]


def test_two_threads_that_ask_at_once_begin_one_run(owner):
    turns = []

    def ask():
        try:
            turns.append(once.take_turn(page_of_once.runner_connection))
        except once.AtWork as reason:
            turns.append(reason)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG)
    taken = [turn for turn in turns if not isinstance(turn, once.AtWork)]
    assert len(taken) == 1
    taken[0].close()
