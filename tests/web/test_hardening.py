"""Every answer is protected, and every address answers only those who may see it."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.staticfiles.storage import staticfiles_storage
from django.test import Client
from django.urls import URLPattern, get_resolver

from executions.accounts.roles import OPERATOR
from executions.models import AuditEvent, Retirement, Silence
from executions.pages.rollup.once import RUN_ONCE
from multica_admin.arriving import PROBE_PATHS
from tests.people import just_signed_in, make_user
from tests.sizes import sized
from tests.waiting import HANG

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

VALUES = {
    "int": "999999",
    "str": "x",
    "slug": "x",
    "path": "x",
    "uuid": "00000000-0000-0000-0000-000000000000",
}
HTMX, JSON, HTML = {"HX-Request": "true"}, {"Accept": "application/json"}, {"Accept": "text/html"}
WAYS = sized([HTML], [HTML, HTMX, JSON])
FOR_STRANGERS = {"/login/", "/language/", *PROBE_PATHS}
# What an account may do for itself without any role.
FOR_ANY_ACCOUNT = {"/logout/", "/logout/everywhere/", "/password/", "/confirm/"}


def addresses(patterns, before=""):
    """One address for each pattern, with made-up values."""
    for pattern in patterns:
        route = str(pattern.pattern).removeprefix("^").replace("/?$", "").removesuffix("$")
        route = re.sub(r"<(?:(\w+):)?\w+>", lambda found: VALUES[found[1] or "str"], route)
        if isinstance(pattern, URLPattern):
            if "(?P" not in route:
                yield f"/{before}{route}"
        else:
            yield from addresses(pattern.url_patterns, before + route)


ADDRESSES = sorted(set(addresses(get_resolver().url_patterns)))
OURS = [address for address in ADDRESSES if not address.startswith("/accounts/")]
ACCOUNTS = [address for address in ADDRESSES if address.startswith("/accounts/")]
GUARDED = [one for one in OURS if one not in FOR_STRANGERS | FOR_ANY_ACCOUNT]


@pytest.fixture
def people():
    """A browser for each kind of person who signs in."""
    return {
        "without a role": just_signed_in(User.objects.create_user("nora")),
        "viewer": just_signed_in(make_user("vera")),
        "operator": just_signed_in(make_user("olga", OPERATOR)),
        "administrator": just_signed_in(User.objects.create_superuser("root")),
    }


def test_the_addresses_are_those_of_the_project():
    assert {"/", "/executions/", "/retire/999999/remove/", "/rollup/run/", "/login/"} <= set(OURS)
    assert "/accounts/auth/user/add/" in ADDRESSES
    assert len(ADDRESSES) > 60


def test_a_stranger_gets_nothing_but_the_sign_in_and_the_probes():
    client = Client()
    for address in ADDRESSES:
        if address in FOR_STRANGERS:
            continue
        for ask in (client.get, client.head, client.post, client.put, client.delete):
            for headers, statuses in ((HTML, {302, 405}), (HTMX, {401, 405}), (JSON, {401, 405})):
                answer = ask(address, headers=headers)
                if address == "/confirm/" or address.startswith("/accounts/"):
                    statuses |= {302, 401}
                assert answer.status_code in statuses, (address, ask.__name__, headers)
                if answer.status_code == 302:
                    assert answer.headers["Location"].startswith("/login/"), address


def test_an_account_without_a_role_gets_nothing_but_its_own(people):
    client = people["without a role"]
    for address in GUARDED:
        for ask in (client.get, client.head, client.post):
            for headers in WAYS:
                status = ask(address, headers=headers).status_code
                assert status == 403, (address, ask.__name__, headers)


def test_a_viewer_changes_nothing(owner, people):
    client = people["viewer"]
    for address in GUARDED:
        for ask in (client.post, client.put, client.patch, client.delete):
            for headers in WAYS:
                status = ask(address, headers=headers).status_code
                # 404: there is no retirement with that number, which a viewer may know
                assert status in {403, 404, 405}, (address, ask.__name__, headers)


@pytest.mark.parametrize("kind", ["operator", "administrator"])
def test_an_operator_changes_only_by_the_forms_that_there_are(owner, people, kind):
    """An empty form changes nothing, but for the one that runs the rollup and needs no field."""
    client = people[kind]
    for address in GUARDED:
        for ask in (client.post, *sized([], [client.put, client.patch, client.delete])):
            for headers in WAYS:
                answer = ask(address, headers=headers)
                answer.close()
                status = answer.status_code
                assert status < 500, (address, ask.__name__, headers)
                assert status not in {401, 403}, (address, ask.__name__, headers)
                if ask != client.post:
                    assert status in {404, 405}, (address, ask.__name__, headers)
    done = AuditEvent.objects.filter(outcome=AuditEvent.Outcome.DONE)
    assert {line.action for line in done} == {RUN_ONCE}
    assert not Silence.objects.exists()
    assert not Retirement.objects.exists()


@pytest.mark.parametrize("kind", ["without a role", "viewer", "operator"])
def test_nobody_else_writes_to_the_accounts(people, kind):
    client = people[kind]
    before = list(User.objects.order_by("pk").values())
    form = {"username": "mallory", "role": "administrator", "is_superuser": "on", "post": "yes"}
    for address in ACCOUNTS:
        for ask in (client.get, client.head, client.post, client.put, client.patch, client.delete):
            for headers in WAYS:
                options = {"data": form} if ask == client.post else {}
                status = ask(address, headers=headers, **options).status_code
                assert status == 403, (address, ask.__name__, headers)
    assert list(User.objects.order_by("pk").values()) == before


def test_an_administrator_fails_at_no_method_of_the_accounts(people):
    client = people["administrator"]
    for address in ACCOUNTS:
        for ask in (client.get, client.head, client.post, client.put, client.patch, client.delete):
            for headers in WAYS:
                status = ask(address, headers=headers).status_code
                assert status in {200, 302, 400, 403, 404, 405}, (address, ask.__name__, headers)


def test_only_an_administrator_opens_the_accounts(people):
    for kind, client in people.items():
        status = client.get("/accounts/auth/user/", headers=HTML).status_code
        assert (status == 200) == (kind == "administrator"), kind


@pytest.mark.parametrize("kind", sized(["viewer"], ["viewer", "operator", "administrator"]))
def test_head_answers_as_get_does_and_nothing_fails(owner, people, kind):
    client = people[kind]
    for address in OURS:
        if address != "/logout/":
            got, head = client.get(address, headers=HTML), client.head(address, headers=HTML)
            assert got.status_code == head.status_code, address
            assert got.status_code < 500, address
            assert not b"".join(head), address
            got.close()


def test_every_kind_of_answer_has_its_protection(owner, people):
    viewer = people["viewer"]
    static = staticfiles_storage.url("app.css")
    for address in ("/", "/executions/export.csv", "/nowhere/", "/rollup/run/", "/livez", static):
        answer = viewer.get(address, headers=HTML)
        answer.close()
        headers = answer.headers
        assert headers["X-Content-Type-Options"] == "nosniff", address
        assert headers["Referrer-Policy"] == "same-origin", address
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin", address
        assert "camera=()" in headers["Permissions-Policy"], address
        if address != static:
            assert headers["X-Frame-Options"] == "DENY", address
            policy = headers["Content-Security-Policy"]
            assert "default-src 'self'" in policy, address
            assert "frame-ancestors 'none'" in policy, address
            assert "unsafe" not in policy, address


def test_every_form_needs_its_token(owner):
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("root"))
    for address in ADDRESSES:
        answer = client.post(address, headers=HTML)
        assert answer.status_code in {403, 405}, address
    assert Client(enforce_csrf_checks=True).post("/login/").status_code == 403


def test_no_cookie_is_readable_elsewhere():
    assert settings.SESSION_COOKIE_HTTPONLY
    assert settings.SESSION_COOKIE_SAMESITE == settings.CSRF_COOKIE_SAMESITE == "Lax"


def test_djangos_own_check_of_a_deployment_is_silent():
    checked = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "INFO"],
        env=os.environ | {"PUBLIC_URL": "https://x.example", "SECRET_KEY": os.urandom(40).hex()},
        cwd=settings.BASE_DIR, capture_output=True, text=True, timeout=HANG, check=False,
    )  # fmt: skip
    assert (checked.returncode, checked.stderr) == (0, "")
