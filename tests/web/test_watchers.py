"""The refreshes of open pages cost our own tables little, and a sign-out takes effect soon."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from executions.accounts import watchers
from executions.database.schema import time_limit
from executions.models import AccountSession
from tests import scenarios
from tests.waiting import HANG, until

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

LOOKS = ("executions_accountsession", "auth_user")


class Clock:
    now = 1_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(watchers, "_watchers", watchers.Watchers(clock))
    return clock


@pytest.fixture
def open_pages(owner, clock, ada):
    """Opens a page in that many browsers. Each has refreshed once and was checked."""
    scenarios.healthy(owner)

    def open_some(count):
        clients = [Client() for _number in range(count)]
        for client in clients:
            client.force_login(ada)
            assert refresh(client) == 200
        assert {refresh(client) for client in clients} == {200}
        return clients

    return open_some


def refresh(client):
    return client.get("/", headers={"HX-Request": "true"}).status_code


def without_trace(change):
    """Changes rows as another process would, so that nothing here is told of it."""
    with connections["default"].cursor() as cursor:
        cursor.execute(*change)


def test_however_many_refresh_our_tables_are_asked_what_one_costs(open_pages, clock):
    clients = open_pages(12)
    for _round in range(3):
        clock.now += watchers.LOOK_SECONDS
        with CaptureQueriesContext(connections["default"]) as asked:
            assert {refresh(client) for client in clients} == {200}
        of_people = [one["sql"] for one in asked if any(table in one["sql"] for table in LOOKS)]
        assert len(of_people) == len(LOOKS)


def test_signing_out_holds_at_once_and_for_that_browser_alone(open_pages):
    one, other = open_pages(2)
    one.cookies, kept = one.cookies.copy(), one.cookies.copy()
    assert one.post("/logout/").status_code == 302
    one.cookies = kept
    assert refresh(one) == 401
    assert refresh(other) == 200


GONE = {
    "signed out": lambda ada: AccountSession.objects.all().delete(),
    "deactivated": lambda ada: User.objects.get(pk=ada.pk).delete(),
    "given another password": lambda ada: (ada.set_password("something else"), ada.save()),
}


@pytest.mark.parametrize("how", GONE)
def test_who_is_sent_away_by_this_process_is_out_at_once(open_pages, ada, how):
    (client,) = open_pages(1)
    GONE[how](ada)
    assert refresh(client) == 401


ELSEWHERE = {
    "signed out": ("DELETE FROM executions_accountsession",),
    "out of time": ("UPDATE executions_accountsession SET expire_date = %s", [timezone.now()]),
    "deactivated": ("UPDATE auth_user SET is_active = false",),
    "given another password": ("UPDATE auth_user SET password = 'pbkdf2_sha256$1$a$b'",),
}


@pytest.mark.parametrize("how", ELSEWHERE)
def test_who_is_sent_away_by_another_process_is_out_within_seconds(open_pages, clock, how):
    (client,) = open_pages(1)
    without_trace(ELSEWHERE[how])
    assert refresh(client) == 200  # as docs/architecture.md says
    clock.now += watchers.LOOK_SECONDS
    assert refresh(client) == 401


def test_who_signed_out_while_a_refresh_was_answered_is_out_at_the_next(open_pages, ada):
    (client,) = open_pages(1)
    key = client.session.session_key
    AccountSession.objects.all().delete()
    watchers.current().remember(key, ada)
    assert refresh(client) == 401


def test_a_page_that_is_opened_is_never_remembered(open_pages):
    (client,) = open_pages(1)
    without_trace(ELSEWHERE["signed out"])
    assert client.get("/").status_code == 302


def test_a_new_role_is_seen_at_the_next_look(open_pages, clock, ada):
    (client,) = open_pages(1)
    User.objects.filter(pk=ada.pk).update(username="adax")
    clock.now += watchers.LOOK_SECONDS
    answer = client.get("/", headers={"HX-Request": "true"})
    assert answer.wsgi_request.user.username == "adax"


@pytest.fixture
def held_look(open_pages, clock, connect):
    """A look that waits for our own tables: the browser that began it, others, and its end."""
    first, *others = open_pages(3)
    clock.now += watchers.LOOK_SECONDS
    rival, observer = connect("postgres"), connect("postgres")
    with ThreadPoolExecutor(1) as pool, rival.transaction():
        rival.execute("LOCK TABLE multica_admin.executions_accountsession")
        answer = pool.submit(refresh_and_close, first)
        until(lambda: a_look_waits(observer))
        yield others, lambda: (rival.execute("ROLLBACK"), answer.result(HANG))[1]


def refresh_and_close(client):
    try:
        with time_limit(0):
            return refresh(client)
    finally:
        connections.close_all()


def a_look_waits(observer):
    return observer.execute(
        "SELECT FROM pg_locks JOIN pg_class ON pg_class.oid = relation"
        " WHERE NOT granted AND relname = 'executions_accountsession'"
    ).fetchall()


def key_of(client):
    return client.cookies[settings.SESSION_COOKIE_NAME].value


def test_while_one_looks_nobody_else_waits_for_our_own_tables(held_look, clock, ada):
    others, end = held_look
    known = watchers.current()
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(known.find, key_of(others[0]))
        try:
            assert found.result(HANG) == ada
            clock.now += watchers.LOOK_SECONDS
            assert known.find(key_of(others[0])) is None  # known for too long: Django is asked
            known.forget_session(key_of(others[1]))
        finally:
            assert end() == 200
    assert known.find(key_of(others[0])) == ada
    assert known.find(key_of(others[1])) is None


def test_a_look_that_began_before_a_role_was_taken_makes_nobody_known(held_look, monkeypatch):
    others, end = held_look
    known = watchers.current()
    known.look_again()
    assert known.find(key_of(others[0])) is None
    end()
    during_the_next = []

    def look(_watching):
        during_the_next.append(known.find(key_of(others[1])))
        return {}

    monkeypatch.setattr(watchers, "_signed_in", look)
    known.find(key_of(others[0]))
    assert during_the_next == [None]


def test_who_has_closed_the_page_is_no_longer_looked_at(open_pages, clock):
    gone, there = open_pages(2)
    clock.now += watchers.GONE_SECONDS - 1
    assert refresh(there) == 200
    clock.now += watchers.LOOK_SECONDS
    with CaptureQueriesContext(connections["default"]) as asked:
        assert refresh(there) == 200
    (look,) = [one["sql"] for one in asked if "executions_accountsession" in one["sql"]]
    assert there.session.session_key in look
    assert gone.session.session_key not in look


def test_what_a_refresh_answers_depends_on_the_cookie(open_pages):
    (client,) = open_pages(1)
    answer = client.get("/", headers={"HX-Request": "true"})
    assert "Cookie" in answer["Vary"]
