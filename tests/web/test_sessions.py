"""How long somebody stays signed in, and signing out everywhere."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client

from executions.accounts import watchers
from executions.database import old_rows
from executions.database.own_clock import from_now
from executions.models import AccountSession, LastSeen
from tests.people import PASSWORD, make_user

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

HOUR = 3600
REFRESH = {"HX-Request": "true"}


@pytest.fixture(autouse=True)
def limits(settings):
    settings.SESSION_IDLE, settings.SESSION_AGE = 12 * HOUR, 72 * HOUR


def signed_in(user):
    client = Client()
    client.post("/login/", {"username": user.username, "password": PASSWORD})
    return client


def is_in(client):
    """Whether a page opens, which is a use."""
    return client.get("/password/").status_code == 200


def later(client, seconds):
    """As if so much time had passed: every moment of the session is that much longer ago."""
    session = client.session
    session["begun_at"] -= seconds
    session["used_at"] -= seconds
    session.set_expiry(session.get_expiry_date() - timedelta(seconds=seconds))
    session.save()


def test_a_session_without_use_ends(ada):
    client = signed_in(ada)
    later(client, 11.9 * HOUR)
    assert is_in(client)
    later(client, 12.1 * HOUR)
    assert not is_in(client)


def test_a_session_in_use_goes_on_until_its_age(ada):
    client = signed_in(ada)
    for _quarter in range(11):
        later(client, 6 * HOUR)
        assert is_in(client)
    later(client, 6 * HOUR)
    assert not is_in(client)


def test_a_page_that_refreshes_by_itself_is_no_use(owner, ada):
    client = signed_in(ada)
    for _hour in range(12):
        later(client, HOUR)
        assert client.get("/verdict/", headers=REFRESH).status_code in {200, 204, 401}
    watchers.current().look_again()
    assert client.get("/verdict/", headers=REFRESH).status_code == 401
    assert not is_in(client)


def test_the_browser_forgets_the_session_when_it_ends(ada, settings):
    client = signed_in(ada)
    cookie = client.cookies[settings.SESSION_COOKIE_NAME]
    assert 11.9 * HOUR < cookie["max-age"] <= 12 * HOUR


def test_use_is_not_written_down_with_each_page(ada):
    client = signed_in(ada)
    later(client, 60)
    before = AccountSession.objects.values().get()
    assert is_in(client)
    assert AccountSession.objects.values().get() == before
    later(client, 300)
    assert is_in(client)
    assert AccountSession.objects.get().expire_date > before["expire_date"]


def test_an_account_was_last_seen_when_it_used_a_page(ada):
    client = signed_in(ada)
    LastSeen.objects.update(at=from_now(timedelta(days=-2)))
    before = LastSeen.objects.get(account=ada).at
    later(client, 400)
    assert is_in(client)
    assert LastSeen.objects.get(account=ada).at > before + timedelta(days=1)


def test_signing_out_everywhere_ends_every_session_of_that_account_only(ada):
    here, elsewhere, other = (
        signed_in(ada),
        signed_in(ada),
        signed_in(make_user("vera", password=PASSWORD)),
    )
    answer = here.post("/logout/everywhere/", follow=True)
    assert answer.redirect_chain == [("/login/", 302)]
    assert "You are signed out everywhere." in answer.content.decode()
    assert not is_in(here)
    assert not is_in(elsewhere)
    assert is_in(other)


def test_signing_out_everywhere_takes_a_post_of_somebody_who_is_signed_in(ada):
    client = signed_in(ada)
    assert client.get("/logout/everywhere/").status_code == 405
    assert is_in(client)
    assert Client().post("/logout/everywhere/").headers["Location"].startswith("/login/")


def test_a_new_password_ends_the_other_sessions(ada):
    here, elsewhere = signed_in(ada), signed_in(ada)
    new = "another horse battery"
    form = {"old_password": PASSWORD, "new_password1": new, "new_password2": new}
    assert here.post("/password/", form).status_code == 302
    assert AccountSession.objects.count() == 1
    assert is_in(here)
    assert not is_in(elsewhere)


def test_sessions_that_are_over_are_removed_in_small_steps(ada, monkeypatch):
    monkeypatch.setattr(old_rows, "REMOVED_AT_ONCE", 2)
    for _number in range(3):
        Client().force_login(ada)
    AccountSession.objects.update(expire_date=from_now(timedelta(seconds=-1)))
    for left in (1 + 1, 2):
        signed_in(ada)
        assert AccountSession.objects.count() == left
