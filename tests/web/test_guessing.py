"""Guesses at a password are counted before it is checked, per account and per address."""

from __future__ import annotations

import threading
from contextlib import suppress

import pytest
from django.contrib.auth import hashers
from django.contrib.auth.signals import user_login_failed
from django.db import connections, transaction
from django.test import Client

from executions.accounts import guessing
from executions.accounts.guessing import CONFIRM, SIGN_IN, TooManyGuesses
from executions.accounts.turns import Turns
from executions.database import old_rows
from executions.database.own_clock import from_now
from executions.models import GuessCount
from tests.people import PASSWORD, just_signed_in, make_user
from tests.waiting import HANG

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)


@pytest.fixture
def checks(monkeypatch):
    """One entry for each time that a password was hashed."""
    made = []
    encode = hashers.get_hasher().encode

    def counted(_self, password, salt, iterations=None):
        made.append(password)
        return encode(password, salt, iterations)

    monkeypatch.setattr(type(hashers.get_hasher()), "encode", counted)
    return made


def sign_in(name, password="wrong", address="192.0.2.1", client=None):
    form = {"username": name, "password": password}
    return (client or Client()).post("/login/", form, REMOTE_ADDR=address)


def guesses(count, name="ada", purpose=SIGN_IN, address="192.0.2.1"):
    for _number in range(count):
        guessing.begin(purpose, name, address)


def minutes_left(answer):
    return int(answer.headers["Retry-After"]) / 60


def at_once(number, act):
    def alone():
        act()
        connections.close_all()

    threads = [threading.Thread(target=alone) for _number in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG)
        assert not thread.is_alive()


def test_fifty_guesses_at_once_get_no_more_than_the_limit():
    begun = []

    def begin():
        with suppress(TooManyGuesses):
            guesses(1)
            begun.append(True)

    at_once(50, begin)
    assert len(begun) == SIGN_IN.per_account


def test_fifty_guesses_at_once_are_checked_as_often_as_they_were_let_in(ada):
    checked, statuses = [], []

    def failed(**_signal):
        checked.append(True)

    user_login_failed.connect(failed)
    at_once(50, lambda: statuses.append(sign_in("ada").status_code))
    user_login_failed.disconnect(failed)
    assert set(statuses) == {200, 429}
    assert len(statuses) == 50
    assert len(checked) == statuses.count(200) <= SIGN_IN.per_account


def test_a_refused_guess_waits_for_no_turn(ada, checks):
    guesses(SIGN_IN.per_account)
    statuses = []
    with guessing.CHECKS.place("another address") as ticket:
        guessing.CHECKS.take(ticket)
        at_once(1, lambda: statuses.append(sign_in("ada", PASSWORD).status_code))
    assert (statuses, checks) == ([429], [])


@pytest.mark.parametrize("name", ["ada", "nobody"])
def test_too_many_at_once_are_told_to_try_again_soon_and_not_counted(
    ada, checks, monkeypatch, name
):
    monkeypatch.setattr(guessing, "CHECKS", Turns(0))
    answer = sign_in(name, PASSWORD)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "3")
    assert (
        "Too many passwords are being checked at this moment. Try again in a few seconds."
        in answer.content.decode()
    )
    assert checks == []
    assert not GuessCount.objects.exists()


def test_a_refused_guess_is_one_line_in_the_log(ada, caplog, monkeypatch):
    guesses(SIGN_IN.per_account)
    sign_in("ada")
    monkeypatch.setattr(guessing, "CHECKS", Turns(0))
    sign_in("ada", address="192.0.2.2")
    assert [(line.getMessage(), line.address) for line in caplog.records] == [
        ("Too many guesses", "192.0.2.1"),
        ("Too many passwords at once", "192.0.2.2"),
    ]


@pytest.mark.parametrize("name", ["ada", "nobody"])
def test_the_answer_says_when_to_try_again_and_not_whether_the_account_exists(ada, checks, name):
    guesses(SIGN_IN.per_account, name)
    answer = sign_in(name, PASSWORD)
    assert (answer.status_code, checks) == (429, [])
    assert "There were too many tries. Try again in 10 minutes." in (answer.content.decode())
    assert 9 <= minutes_left(answer) <= 10


def test_known_unknown_inactive_and_passwordless_names_cost_one_hash_each(ada, checks):
    make_user("ivan", password=PASSWORD)
    type(ada).objects.filter(username="ivan").update(is_active=False)
    make_user("paula")
    pages = []
    for name in ("ada", "nobody", "ivan", "paula"):
        checks.clear()
        pages.append(sign_in(name).content.decode().replace(name, "…"))
        assert len(checks) == 1, name
    assert {page.split("<h1")[1].split("csrf")[0] for page in pages} == {
        pages[0].split("<h1")[1].split("csrf")[0]
    }


@pytest.mark.parametrize("spelling", ["ADA", " ada ", "\uff41da"])
def test_other_spellings_of_a_name_are_the_same_account(ada, spelling):
    guesses(SIGN_IN.per_account)
    assert sign_in(spelling).status_code == 429


def test_a_right_password_clears_the_account_and_is_no_guess_of_its_address(ada):
    guesses(SIGN_IN.per_account - 1)
    before = set(GuessCount.objects.values_list("guesses", flat=True))
    assert sign_in("ada", PASSWORD).status_code == 302
    assert set(GuessCount.objects.values_list("guesses", flat=True)) == before
    assert GuessCount.objects.count() == 1
    assert sign_in("ada").status_code == 200


def test_an_address_that_guesses_at_many_accounts_is_stopped_and_others_are_not(ada):
    for number in range(SIGN_IN.per_address):
        guesses(1, f"name {number}")
    assert sign_in("ada", PASSWORD).status_code == 429
    assert sign_in("ada", PASSWORD, "192.0.2.2").status_code == 302


def test_a_refused_address_cannot_use_up_the_guesses_of_an_account(ada):
    for number in range(SIGN_IN.per_address):
        guesses(1, f"name {number}")
    for _time in range(SIGN_IN.per_account):
        assert sign_in("ada").status_code == 429
    assert sign_in("ada", PASSWORD, "192.0.2.2").status_code == 302


def test_the_addresses_of_one_ipv6_network_count_as_one(ada):
    for number in range(SIGN_IN.per_address):
        guesses(1, f"name {number}", address=f"2001:db8:0:1::{number:x}")
    assert sign_in("ada", PASSWORD, "2001:db8:0:1:ffff::1").status_code == 429
    assert sign_in("ada", PASSWORD, "2001:db8:0:2::1").status_code == 302


def test_the_limit_is_over_when_its_time_is(ada):
    guesses(SIGN_IN.per_account)
    assert sign_in("ada", PASSWORD).status_code == 429
    GuessCount.objects.update(until=from_now(-SIGN_IN.span))
    assert sign_in("ada", PASSWORD).status_code == 302


def test_signing_in_again_has_a_limit_of_its_own(ada, checks):
    client = just_signed_in(ada)
    guesses(SIGN_IN.per_account)
    statuses = [
        client.post("/confirm/", {"password": "wrong"}).status_code
        for _time in range(CONFIRM.per_account + 1)
    ]
    assert statuses == [403] * CONFIRM.per_account + [429]
    checks.clear()
    answer = client.post("/confirm/", {"password": PASSWORD})
    assert (answer.status_code, checks) == (429, [])
    assert "Try again in 10 minutes." in answer.content.decode()
    assert 9 <= minutes_left(answer) <= 10


def test_the_old_password_of_a_change_is_a_guess_too(ada, checks):
    client = just_signed_in(ada)
    guesses(CONFIRM.per_account, purpose=CONFIRM)
    form = {"old_password": PASSWORD, "new_password1": "x" * 12, "new_password2": "x" * 12}
    answer = client.post("/password/", form)
    assert (answer.status_code, checks) == (429, [])
    GuessCount.objects.all().delete()
    wrong = client.post("/password/", form | {"old_password": "wrong"})
    assert wrong.status_code == 200
    assert GuessCount.objects.filter(guesses=1).count() == 2
    assert client.post("/password/", form).status_code == 302


def test_the_table_names_no_account_and_no_address(ada):
    sign_in("ada")
    for row in GuessCount.objects.values_list("whose", flat=True):
        assert "ada" not in row
        assert "192" not in row


def test_a_count_is_never_undone_by_its_callers_transaction():
    with transaction.atomic(), pytest.raises(RuntimeError, match="durable"):
        guessing.begin(SIGN_IN, "ada", "192.0.2.1")


def test_counts_whose_time_is_over_are_removed_in_small_steps(monkeypatch):
    monkeypatch.setattr(old_rows, "REMOVED_AT_ONCE", 3)
    for number in range(4):
        guesses(1, f"name {number}")
    GuessCount.objects.update(until=from_now(-guessing.KEPT - SIGN_IN.span))
    for left in (3, 2):
        guesses(1, "ada")
        assert GuessCount.objects.count() == left
