"""Whoever guesses at an account elsewhere never stops it in a browser where it has signed in."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.core import signing
from django.test import Client

from executions.accounts import devices, guessing
from executions.accounts.guessing import SIGN_IN
from executions.models import GuessCount
from tests.people import PASSWORD, make_user

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

OTHER = "another horse battery"
ELSEWHERE = "192.0.2.1"


@pytest.fixture
def known(ada):
    """A browser in which ada has signed in, and out again."""
    browser = Client()
    assert sign_in(browser) == 302
    browser.post("/logout/")
    return browser


def sign_in(browser, password=PASSWORD, name="ada"):
    return browser.post("/login/", {"username": name, "password": password}).status_code


def locked(name="ada"):
    """Somebody elsewhere guesses until the account takes no more."""
    for _number in range(SIGN_IN.per_account):
        guessing.begin(SIGN_IN, name, ELSEWHERE)


@pytest.mark.parametrize("spelling", ["ada", " ADA"])
def test_a_locked_account_gets_in_where_it_has_signed_in_before(known, spelling):
    locked()
    assert sign_in(Client()) == 429
    expected = 302 if spelling == "ada" else 200  # another spelling is wrong, and was looked at
    assert sign_in(known, name=spelling) == expected


def test_getting_in_there_gives_those_elsewhere_no_further_guess(known):
    locked()
    assert sign_in(known) == 302
    assert sign_in(Client()) == 429


def test_a_known_browser_has_as_many_guesses_as_an_account_and_uses_up_no_other(known):
    statuses = [sign_in(known, "wrong") for _time in range(SIGN_IN.per_account + 1)]
    assert statuses == [200] * SIGN_IN.per_account + [429]
    assert sign_in(known) == 429
    assert sign_in(Client()) == 302


def test_signing_in_again_and_again_gives_no_further_guesses(known):
    first = known.cookies[devices.COOKIE].value
    assert sign_in(known) == 302
    known.post("/logout/")
    one, other = Client(), Client()
    one.cookies[devices.COOKIE], other.cookies[devices.COOKIE] = (
        first,
        known.cookies[devices.COOKIE].value,
    )
    for _time in range(SIGN_IN.per_account):
        assert sign_in(one, "wrong") == 200
    assert sign_in(other) == 429


def test_it_is_known_to_the_account_that_signed_in_and_to_no_other(known):
    make_user("vera", password=PASSWORD)
    locked("vera")
    assert sign_in(known, name="vera") == 429


def test_a_wrong_password_makes_no_browser_known(ada):
    browser = Client()
    assert sign_in(browser, "wrong") == 200
    assert devices.COOKIE not in browser.cookies


def test_another_password_makes_every_other_browser_unknown(known, ada):
    here = Client()
    sign_in(here)
    form = {"old_password": PASSWORD, "new_password1": OTHER, "new_password2": OTHER}
    assert here.post("/password/", form).status_code == 302
    here.post("/logout/")
    GuessCount.objects.all().delete()
    locked()
    assert sign_in(known, OTHER) == 429
    assert sign_in(here, OTHER) == 302


def test_a_browser_is_forgotten_after_its_time(known, monkeypatch):
    locked()
    monkeypatch.setattr(devices, "KEPT", 0 * devices.KEPT)
    assert sign_in(known) == 429


def test_a_cookie_of_ones_own_making_is_worth_nothing(known, ada):
    locked()
    value = f"{ada.pk}:x:{ada.get_session_auth_hash()}"
    for forged in (value, signing.get_cookie_signer(salt="another").sign(value), ":", ""):
        browser = Client()
        browser.cookies[devices.COOKIE] = forged
        assert sign_in(browser) == 429


def test_a_removed_account_is_known_nowhere(known, ada):
    User.objects.filter(pk=ada.pk).delete()
    locked()
    assert sign_in(known) == 429
    GuessCount.objects.all().delete()
    assert sign_in(known) == 200


def test_the_cookie_is_kept_from_scripts_and_from_other_paths(known, settings):
    cookie = known.cookies[devices.COOKIE]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    assert cookie["path"] == settings.SESSION_COOKIE_PATH
    assert cookie["max-age"] == devices.KEPT.total_seconds()
