"""Who gets in, who may do what, and signing in again before something changes."""

from __future__ import annotations

import time

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.http import HttpResponse
from django.test import Client

from executions.accounts import confirmation
from executions.accounts.roles import OPERATOR, VIEWER
from tests.people import PASSWORD

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)


def signed_in(user):
    client = Client()
    answer = client.post("/login/", {"username": user.username, "password": PASSWORD})
    assert answer.status_code == 302
    return client


def test_a_browser_is_sent_to_sign_in_and_back(client, every_page):
    for path in every_page:
        if path in {"/healthz", "/livez", "/readyz"}:
            continue
        answer = client.get(path)
        assert answer.status_code == 302, path
        assert answer.headers["Location"].startswith("/login/?next=")


@pytest.mark.parametrize(
    ("referer", "page"),
    [
        ("http://testserver/retire/7/confirm/?a=b", "/retire/7/confirm/%3Fa%3Db"),
        ("http://elsewhere.example/retire/7/confirm/", "/"),
        (None, "/"),
    ],
)
def test_a_form_that_outlived_its_session_leads_back_to_its_page(client, referer, page):
    headers = {"Referer": referer} if referer else {}
    answer = client.post("/retire/7/remove/", headers=headers)
    assert answer.headers["Location"] == f"/login/?next={page}"


@pytest.mark.parametrize("headers", [{"HX-Request": "true"}, {"Accept": "application/json"}])
def test_a_machine_is_told_to_sign_in_and_nothing_else(client, headers):
    answer = client.get("/", headers=headers)
    assert answer.status_code == 401
    assert answer.content == b"Sign in first.\n"


def test_an_unknown_address_tells_a_stranger_nothing_of_what_exists(client):
    assert client.get("/accounts/").status_code == 302
    assert client.get("/accounts/nothing/").status_code == 302


def test_a_wrong_password_does_not_get_in(client, ada):
    answer = client.post("/login/", {"username": "ada", "password": "wrong"})
    assert answer.status_code == 200
    assert client.get("/").status_code == 302


def test_signing_in_never_leads_to_another_site(client, ada):
    answer = client.post(
        "/login/?next=https://evil.example/",
        {"username": "ada", "password": PASSWORD, "next": "https://evil.example/"},
    )
    assert answer.headers["Location"] == "/"


def test_signing_out_takes_a_post(ada):
    client = signed_in(ada)
    assert client.get("/logout/").status_code == 405
    client.post("/logout/")
    assert client.get("/").status_code == 302


def test_there_are_two_roles_and_only_the_operator_may_act():
    permissions = {
        name: set(Group.objects.get(name=name).permissions.values_list("codename", flat=True))
        for name in (VIEWER, OPERATOR)
    }
    assert permissions == {
        VIEWER: {"view_dashboard"},
        OPERATOR: {"view_dashboard", "operate"},
    }
    assert Permission.objects.filter(codename="operate", content_type__app_label="executions")


def test_accounts_are_for_administrators(ada):
    answer = signed_in(ada).get("/accounts/")
    assert answer.status_code == 403
    assert "administrator" in answer.content.decode()


def test_accounts_ask_for_the_password_again_after_ten_minutes(root, monkeypatch):
    client = signed_in(root)
    later = time.time() + 601
    monkeypatch.setattr(confirmation.time, "time", lambda: later)
    refused = client.post("/accounts/auth/user/add/", {"username": "mallory"})
    assert refused.headers["Location"].startswith("/confirm/?next=")
    assert not User.objects.filter(username="mallory").exists()


def test_signing_in_again_takes_the_password_of_the_one_who_is_signed_in(ada, root):
    client = signed_in(ada)
    session = client.session
    del session["confirmed_at"]
    session.save()
    wrong = client.post("/confirm/", {"password": "guess", "next": "/"})
    assert wrong.status_code == 403
    assert "confirmed_at" not in client.session
    right = client.post("/confirm/", {"password": PASSWORD, "next": "/accounts/"})
    assert right.headers["Location"] == "/accounts/"
    assert "confirmed_at" in client.session


def test_signing_in_again_never_leads_to_another_site(ada):
    answer = signed_in(ada).post("/confirm/", {"password": PASSWORD, "next": "//evil.example/"})
    assert answer.headers["Location"] == "/"


@pytest.mark.parametrize("forged", ["soon", None, [], 10**12])
def test_a_session_that_says_nonsense_is_not_confirmed(rf, forged):
    request = rf.get("/")
    request.session = {"confirmed_at": forged}
    view = confirmation.confirmation_required(lambda request: HttpResponse("done"))
    assert view(request).status_code == 302


def test_a_form_without_its_token_is_refused_and_names_the_variable(ada):
    client = Client(enforce_csrf_checks=True, headers={"Origin": "https://admin.example.com"})
    client.force_login(ada)
    answer = client.post("/logout/")
    page = answer.content.decode()
    assert answer.status_code == 403
    assert "PUBLIC_URL" in page
    assert "https://admin.example.com" in page


def test_pages_carry_a_policy_that_allows_nothing_inline_or_foreign(client):
    policy = client.get("/login/").headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
