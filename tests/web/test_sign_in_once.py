"""Password sign-in switched off, and the command that lets somebody in when nothing else does."""

from __future__ import annotations

import io

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client

from executions import quickstart
from executions.accounts.roles import VIEWER
from executions.accounts.ways.once import OnceTokens, make_once_code
from executions.models import AuditEvent
from executions.pages.ways_in import GIVE_ONCE
from multica_admin.ways import Ways
from tests.people import PASSWORD, just_signed_in, make_user
from tests.signing_in import with_ways

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)


@pytest.fixture
def no_passwords():
    with with_ways(Ways(password=False, code=True)):
        yield


def made(name="root"):
    said = io.StringIO()
    call_command("signincode", name, stdout=said)
    *_told, code = said.getvalue().split()
    assert "/login/once/" in said.getvalue()
    return code


def give(client, code):
    return client.post("/login/once/", {"code": code})


def test_no_form_takes_a_password(client, root, no_passwords):
    page = client.get("/login/").content.decode()
    assert 'type="password"' not in page
    assert "/login/once/" in page
    answer = client.post("/login/", {"username": "root", "password": PASSWORD})
    assert answer.status_code == 403
    assert "switched off" in answer.content.decode()
    assert client.get("/").status_code == 302


def test_the_last_administrator_is_the_last_who_can_sign_in_now(root, no_passwords):
    client = just_signed_in(root)
    second = User.objects.create_superuser("second", "second@example.com", password=PASSWORD)

    def demoted(email):
        form = {"username": "second", "email": email, "role": VIEWER}
        return client.post(f"/accounts/auth/user/{second.pk}/change/", form)

    assert "is the last administrator" in demoted("second@example.com").content.decode()
    User.objects.filter(pk=root.pk).update(email="root@example.com")
    taken = demoted("ROOT@example.com")
    assert "Another account has this address" in taken.content.decode()
    assert demoted("second@example.com").status_code == 302


def test_a_session_of_a_password_changes_nothing_any_more(client, root):
    client.post("/login/", {"username": "root", "password": PASSWORD})
    session = client.session
    del session["confirmed_at"]
    session.save()
    with with_ways(Ways(password=False, code=True)):
        assert "switched off by now" in client.get("/confirm/").content.decode()
        client.post("/confirm/", {"password": PASSWORD})
        assert client.get("/accounts/").status_code == 302
        assert client.get("/password/").status_code == 403


def test_the_command_lets_in_once_and_is_on_the_audit(client, root, no_passwords):
    code = made()
    assert give(client, code)["Location"] == "/"
    assert client.get("/accounts/").status_code == 200
    again = give(Client(), code)
    assert again.status_code == 200
    assert "no longer" in again.content.decode()
    lines = list(AuditEvent.objects.order_by("id").values_list("action", "subject", "user_name"))
    assert [line[:2] for line in lines] == [
        ("make a sign-in code", "root"),
        ("sign in once", "root"),
    ]
    assert lines[0][2].endswith("(manage.py)")
    assert code not in repr(list(AuditEvent.objects.values()))
    page = client.get("/audit/").content.decode()
    assert "sign in by a code of the command" in page
    assert "Change password" not in page


def test_the_first_start_names_the_command_and_no_password(client, no_passwords):
    said = []
    quickstart.make_first_user(said.append, "")
    assert said[0] == "User name: admin"
    assert "manage.py signincode admin" in said[1]
    assert give(client, made("admin")).status_code == 302


def test_signing_in_again_after_it_takes_another_code(client, root, no_passwords):
    give(client, made())
    session = client.session
    del session["confirmed_at"]
    session.save()
    assert "make another code" in client.get("/confirm/?next=/accounts/").content.decode()


@pytest.mark.parametrize("code", ["", "x", "1-x-y", "-", "zzzzzzzzzzzzzz-1-2", "\x00"])
def test_nonsense_is_no_code(client, root, no_passwords, code):
    assert give(client, code).status_code == 200
    assert client.get("/").status_code == 302


def test_guessing_ends_for_one_client_and_for_no_other(root, no_passwords):
    guesser = Client(REMOTE_ADDR="192.0.2.7")
    for _guess in range(GIVE_ONCE.per_address):
        assert give(guesser, "1-x-y").status_code == 200
    assert give(guesser, made()).status_code == 429
    assert give(Client(), made()).status_code == 302


def test_another_account_or_a_later_time_is_no_code(client, root, no_passwords, monkeypatch):
    other = make_user("other")
    _number, _dash, token = make_once_code(other).partition("-")
    assert give(client, f"{make_once_code(root).partition('-')[0]}-{token}").status_code == 200
    late = make_once_code(root)
    now = OnceTokens()._num_seconds(OnceTokens()._now())
    monkeypatch.setattr(OnceTokens, "_num_seconds", lambda self, dt: now + 601)
    assert give(client, late).status_code == 200
    User.objects.update(is_active=False)
    monkeypatch.undo()
    assert give(client, make_once_code(root)).status_code == 200


@pytest.mark.parametrize("name", ["nobody", "gone"])
def test_the_command_refuses_an_account_that_is_not_there(no_passwords, name):
    make_user("gone")
    User.objects.update(is_active=False)
    with pytest.raises(CommandError, match="no active account") as refused:
        call_command("signincode", name)
    assert refused.value.returncode == 2
    assert not AuditEvent.objects.exists()


def test_with_passwords_the_command_names_the_one_that_sets_them(root, client):
    with pytest.raises(CommandError, match="changepassword root"):
        call_command("signincode", "root")
    assert client.get("/login/once/").status_code == 404
