"""What an account without a role sees, and what a refusal says about the role that is needed."""

from __future__ import annotations

import re
from importlib import import_module

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.urls import reverse

from executions.accounts import watchers
from executions.accounts.roles import OPERATOR, VIEWER, ensure_roles
from tests import scenarios
from tests.people import PASSWORD, make_user

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)


@pytest.fixture
def nora():
    return User.objects.create_user("nora", password=PASSWORD)


@pytest.fixture
def without_role(nora, root):
    client = Client()
    answer = client.post("/login/", {"username": "nora", "password": PASSWORD})
    assert answer.status_code == 302
    return client


def signed_in(user):
    client = Client()
    client.force_login(user)
    return client


def text(answer):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", answer.content.decode())).strip()


EXPORTS = ("/audit/export.csv", "/executions/export.csv", "/executions/export.jsonl")
AN_EXECUTION = "/executions/00000000-0000-0000-0000-000000000001/"


def test_an_account_without_a_role_is_told_whom_to_ask_and_shown_nothing_else(
    without_role, every_page, owner
):
    scenarios.healthy(owner)
    for path in (*every_page, *EXPORTS, AN_EXECUTION, "/retire/1/"):
        answer = without_role.get(path)
        assert answer.status_code == 403, path
        assert "rollup_task_usage_hourly" not in answer.content.decode(), path
    told = text(without_role.get("/"))
    assert "You are signed in as nora" in told
    assert "this account has no role yet" in told
    assert "Ask an administrator (root) for the role viewer" in told


@pytest.mark.parametrize("headers", [{"HX-Request": "true"}, {"Accept": "application/json"}])
def test_a_refresh_without_a_role_gets_one_sentence(without_role, headers):
    answer = without_role.get("/", headers=headers)
    assert answer.status_code == 403
    assert "this account has no role yet" in answer.content.decode()
    assert "<" not in answer.content.decode()


def test_a_form_without_a_role_does_nothing(without_role):
    assert without_role.post(reverse("retire_choose", args=[1])).status_code == 403


def test_an_account_without_a_role_can_sign_out_and_change_its_password(without_role):
    page = without_role.get("/").content.decode()
    assert reverse("logout") in page
    assert reverse("password_change") in page
    assert without_role.get(reverse("password_change")).status_code == 200
    assert without_role.post(reverse("logout")).status_code == 302
    assert without_role.get("/").status_code == 302


@pytest.mark.parametrize("role", [VIEWER, OPERATOR])
def test_either_role_opens_the_pages(owner, role):
    scenarios.healthy(owner)
    assert signed_in(make_user("ada", role)).get("/").status_code == 200


def test_the_first_user_needs_no_group(root, owner):
    scenarios.healthy(owner)
    client = signed_in(root)
    assert not root.groups.exists()
    for path in ("/", "/retire/", *EXPORTS):
        assert client.get(path).status_code == 200, path


def test_a_permission_without_a_group_is_as_good(owner, nora):
    scenarios.healthy(owner)
    nora.user_permissions.add(*Group.objects.get(name=VIEWER).permissions.all())
    assert signed_in(nora).get("/").status_code == 200


def test_a_refusal_names_the_role_that_is_needed_and_whom_to_ask(root):
    client = signed_in(make_user("vera"))
    for path, role in ((reverse("retire"), "operator"), (reverse("admin:index"), "administrator")):
        answer = client.get(path)
        assert answer.status_code == 403
        assert f"for the role {role}" in text(answer)
        assert f"Ask an administrator (root) for the role {role}" in text(answer)
    told = text(client.post(reverse("retire_choose", args=[1])))
    assert "vera may not retire schedules" in told
    assert "Ask an administrator (root) for the role operator" in told


def test_no_more_than_a_few_administrators_are_named(root):
    for number in range(8):
        User.objects.create_superuser(f"admin{number}")
    User.objects.create_superuser("aaa", is_active=False)
    told = text(signed_in(make_user("vera")).get(reverse("retire")))
    assert "(admin0, admin1, admin2)" in told


def test_where_nobody_can_give_a_role_the_way_to_an_administrator_is_told(nora):
    User.objects.create_superuser("gone", is_active=False)
    told = text(signed_in(nora).get("/"))
    assert "()" not in told
    assert "make one with “manage.py createsuperuser”" in told


# --- A role that is taken away while a page is open -----------------------------------------------


class Clock:
    now = 1_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def open_page(owner, monkeypatch):
    """A viewer's browser that has refreshed, and the clock of the process that remembers it."""
    scenarios.healthy(owner)
    clock = Clock()
    monkeypatch.setattr(watchers, "_watchers", watchers.Watchers(clock))
    vera = make_user("vera")
    client = signed_in(vera)
    assert [refresh(client), refresh(client)] == [200, 200]
    return client, vera, clock


def refresh(client):
    return client.get("/", headers={"HX-Request": "true"}).status_code


TAKEN = {
    "the role": lambda vera: vera.groups.clear(),
    "the role's members": lambda vera: Group.objects.get(name=VIEWER).user_set.clear(),
    "the role's right": lambda vera: Group.objects.get(name=VIEWER).permissions.clear(),
    "the group": lambda vera: Group.objects.get(name=VIEWER).delete(),
}


@pytest.mark.parametrize("what", TAKEN)
def test_a_role_taken_away_by_this_process_ends_refreshes_at_once(open_page, what):
    client, vera, _clock = open_page
    TAKEN[what](vera)
    assert refresh(client) == 403
    assert client.get("/").status_code == 403


def test_a_role_taken_away_by_another_process_ends_refreshes_within_seconds(open_page):
    client, _vera, clock = open_page
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM auth_user_groups")
    clock.now += watchers.LOOK_SECONDS
    assert refresh(client) == 403


def test_a_role_given_back_lets_the_page_go_on(open_page):
    client, vera, _clock = open_page
    vera.groups.clear()
    assert refresh(client) == 403
    vera.groups.add(Group.objects.get(name=OPERATOR))
    assert refresh(client) == 200


# --- Those who were there before ------------------------------------------------------------------


def test_the_migration_gives_existing_accounts_the_role_viewer(nora):
    make_user("olga", OPERATOR)
    Group.objects.get(name=VIEWER).delete()
    migration = import_module("executions.migrations.0005_existing_accounts_are_viewers")
    migration.give_the_role(apps, connection.schema_editor())
    ensure_roles()
    roles = {user.username: [group.name for group in user.groups.all()]
             for user in User.objects.all()}  # fmt: skip
    assert roles == {"nora": [VIEWER], "olga": [OPERATOR]}
    assert User.objects.get(pk=nora.pk).has_perm("executions.view_dashboard")
