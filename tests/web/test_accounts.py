"""The accounts site: nonsense is no error of ours, and there is always somebody to manage it."""

from __future__ import annotations

import html
import re
import threading
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection, connections, transaction
from django.test import Client

from executions.accounts.roles import (
    ADMINISTRATOR,
    NO_ROLE,
    OPERATOR,
    VIEWER,
    give_role,
    role_held,
)
from executions.database.own_clock import from_now
from executions.models import LastSeen
from executions.pages.accounts import ROLES, last_administrator_among
from tests.marked import unmarked
from tests.people import PASSWORD, make_user
from tests.waiting import HANG, until

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

LAST = "is the last administrator"


@pytest.fixture
def client(root):
    client = Client()
    assert client.post("/login/", {"username": "root", "password": PASSWORD}).status_code == 302
    return client


@pytest.mark.parametrize("wanted", ["/login/", "/login/?next=/login/", "/logout/"])
def test_who_is_signed_in_never_goes_round_in_circles(client, wanted):
    answer = client.get("/login/", {"next": wanted})
    assert answer.headers["Location"] == "/"


def test_who_is_signed_in_goes_where_they_wanted(client):
    assert client.get("/login/", {"next": "/runners/?job=x"}).headers["Location"] == (
        "/runners/?job=x"
    )


ACTS = ("change", "password", "history", "delete")
NONSENSE = [
    "r/1/1/",
    "r/x/y/",
    "nothing/",
    "jsi18n/",
    "autocomplete/",
    "autocomplete/?app_label=auth&model_name=user&field_name=x&term=y",
    "auth/",
    "auth/nothing/",
    "auth/group/",
    "auth/user/abc/",
    "auth/user/abc/change/",
    "auth/user/999999/change/",
    "auth/user/99999999999999999999999/change/",
    "auth/user/-1/change/",
    "auth/user/%00/change/",
    "auth/user/_5F/change/",
    "auth/user/1.5/delete/",
    "auth/user/999999/delete/",
    "auth/user/abc/history/",
    "auth/user/999999/password/",
    "auth/user/abc/password/",
    "auth/user/?q=%00",
    "auth/user/?p=abc",
    "auth/user/?p=999999",
    "auth/user/?o=99.abc",
    "auth/user/?is_active__exact=perhaps",
    "auth/user/?groups__id__exact=99999999999999999999999",
    "auth/user/?role=king",
    "auth/user/?password__startswith=pbkdf2",
    "auth/user/?nonsense=1",
    "auth/user/?_to_field=password",
    "auth/user/?_popup=1",
    "auth/user/?all=",
    "auth/user/add/?_to_field=nonsense",
    "auth/user/add/?groups=abc",
]


@pytest.mark.parametrize("path", NONSENSE)
def test_nonsense_in_an_address_is_answered_and_never_a_mistake_of_ours(client, path):
    answer = client.get(f"/accounts/{path}", follow=True)
    assert answer.status_code in {200, 400, 403, 404, 405}


def test_the_page_that_leads_to_a_page_on_the_site_is_gone(client):
    assert client.get("/accounts/r/1/1/").status_code == 404


def test_in_chinese_the_role_of_an_account_is_no_role_in_a_database(client, root):
    for path in ("", f"{root.pk}/change/", "add/"):
        answer = client.get(f"/accounts/auth/user/{path}", headers={"Accept-Language": "zh-CN"})
        assert "角色" in answer.content.decode()
        assert "数据库角色" not in answer.content.decode()


def test_djangos_own_pages_have_no_english_in_chinese(client, root):
    user, own = f"auth/user/{root.pk}", {"Multica", "Admin", "UTC", "LDAP", "root"}
    pages = ("", "auth/user/", "auth/user/add/", *(f"{user}/{act}/" for act in ACTS))
    for path in pages:
        answer = client.get(f"/accounts/{path}", headers={"Accept-Language": "zh-CN"})
        assert answer.status_code == 200
        texts = unmarked(answer.content.decode())
        assert set(re.findall(r"(?<!\{)\b[A-Za-z]{3,}", " ".join(texts))) <= own, path


def change(client, user, **fields):
    return client.post(
        f"/accounts/auth/user/{user.pk}/change/",
        {"username": user.username, "is_active": "on", "role": ADMINISTRATOR, **fields},
    )


@pytest.mark.parametrize("change_to", [{"role": OPERATOR}, {"role": NO_ROLE}, {"is_active": ""}])
def test_the_last_administrator_is_neither_demoted_nor_deactivated(client, root, change_to):
    answer = change(client, root, **change_to)
    assert answer.status_code == 200
    assert LAST in answer.content.decode()
    root.refresh_from_db()
    assert (root.is_superuser, root.is_active) == (True, True)


def test_the_last_administrator_may_change_everything_else(client, root):
    assert change(client, root, email="root@example.com").status_code == 302
    root.refresh_from_db()
    assert root.email == "root@example.com"


def test_the_last_administrator_keeps_a_password(client, root):
    answer = client.post(
        f"/accounts/auth/user/{root.pk}/password/",
        {"usable_password": "false", "unset-password": "x"},
    )
    assert answer.status_code == 200
    assert LAST in answer.content.decode()
    root.refresh_from_db()
    assert root.check_password(PASSWORD)


def test_the_last_administrator_is_not_deleted(client, root):
    for answer in (
        client.get(f"/accounts/auth/user/{root.pk}/delete/"),
        client.post(f"/accounts/auth/user/{root.pk}/delete/", {"post": "yes"}),
    ):
        assert LAST in answer.content.decode()
    assert User.objects.filter(pk=root.pk).exists()


def text(answer):
    """What a person reads: without tags, and with single spaces."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", answer.content.decode())).split())


@pytest.mark.parametrize("role", ROLES)
def test_an_account_is_made_together_with_its_role(client, role):
    form = {"username": "grace", "usable_password": "true", "role": role}
    form |= {"password1": PASSWORD, "password2": PASSWORD}
    assert client.post("/accounts/auth/user/add/", form).status_code == 302
    grace = User.objects.get(username="grace")
    assert role_held(grace) == role
    assert grace.has_perm("executions.view_dashboard") == (role != NO_ROLE)
    assert grace.has_perm("executions.operate") == (role in {OPERATOR, ADMINISTRATOR})


def test_no_account_is_made_without_choosing_a_role(client):
    form = {"username": "grace", "password1": PASSWORD, "password2": PASSWORD}
    answer = client.post("/accounts/auth/user/add/", form)
    assert answer.status_code == 200
    assert "This field is required." in text(answer)
    assert not User.objects.filter(username="grace").exists()


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("before", ROLES)
def test_another_role_takes_the_one_before_and_no_other_group(root, before, role):
    grace = User.objects.create_user("grace")
    grace.groups.add(Group.objects.create(name="friends"))
    give_role(grace, before)
    give_role(grace, role)
    grace = User.objects.get(pk=grace.pk)
    assert role_held(grace) == role
    assert grace.is_superuser == (role == ADMINISTRATOR)
    assert {group.name for group in grace.groups.all()} == {"friends", role} & {
        "friends",
        VIEWER,
        OPERATOR,
    }


def test_the_page_of_an_account_changes_its_role(client):
    grace = make_user("grace")
    assert change(client, grace, role=OPERATOR).status_code == 302
    assert role_held(User.objects.get(pk=grace.pk)) == OPERATOR
    history = text(client.get(f"/accounts/auth/user/{grace.pk}/history/"))
    assert re.search(r"\d\d:\d\d UTC · root · Changed Role", history)


def test_the_list_says_the_role_in_a_sentence_and_when_somebody_was_last_seen(client):
    grace = make_user("grace", OPERATOR)
    make_user("vera")
    User.objects.create_user("nora", is_active=False)
    LastSeen.objects.create(account=grace, at=from_now(timedelta(days=-1)))
    seen = LastSeen.objects.get(account=grace).at.strftime("%Y-%m-%d %H:%M UTC")
    page = text(client.get("/accounts/auth/user/"))
    assert f"grace {ROLES[OPERATOR]} Last seen {seen} may sign in" in page
    assert f"vera {ROLES[VIEWER]} Last seen never may sign in" in page
    assert f"nora {ROLES[NO_ROLE]} Last seen never may not sign in" in page
    assert f"Last seen {seen}" in text(client.get(f"/accounts/auth/user/{grace.pk}/change/"))


@pytest.mark.parametrize("role", ROLES)
def test_the_list_shows_those_of_one_role(client, role):
    people = {name: User.objects.create_user(f"the {name}") for name in ROLES}
    for name, user in people.items():
        give_role(user, name)
    page = text(client.get("/accounts/auth/user/", {"role": role}))
    assert [name for name in ROLES if f"the {name} " in page] == [role]


def test_no_page_shows_anything_of_a_password(client, root):
    grace = make_user("grace", password=PASSWORD)
    algorithm, _iterations, salt, digest = grace.password.split("$")
    for path in ("", f"{grace.pk}/change/", f"{grace.pk}/password/", f"{grace.pk}/delete/"):
        page = client.get(f"/accounts/auth/user/{path}").content.decode()
        for part in (algorithm, salt[:6], digest[:6]):
            assert part not in page, path
    assert "A password is set." in text(client.get(f"/accounts/auth/user/{grace.pk}/change/"))
    grace.set_unusable_password()
    grace.save()
    assert "No password is set." in text(client.get(f"/accounts/auth/user/{grace.pk}/change/"))


def delete_together(client, *users):
    return client.post(
        "/accounts/auth/user/",
        {"action": "delete_selected", "post": "yes", "_selected_action": [u.pk for u in users]},
    )


def test_all_administrators_are_not_deleted_together(client, root):
    second = User.objects.create_superuser("second", password=PASSWORD)
    bystander = User.objects.create_user("vera")
    answer = delete_together(client, root, second, bystander)
    assert LAST in answer.content.decode()
    assert User.objects.count() == 3


def test_another_administrator_makes_all_of_it_possible(client, root):
    second = User.objects.create_superuser("second", password=PASSWORD)
    third = User.objects.create_superuser("third", password=PASSWORD)
    assert change(client, second, role=VIEWER).status_code == 302
    assert delete_together(client, second, third).status_code == 302
    assert User.objects.get() == root


@pytest.mark.parametrize("lacking", [{"is_active": False}, {"password": "!"}])
def test_an_administrator_who_cannot_sign_in_is_no_other(client, root, lacking):
    second = User.objects.create_superuser("second", password=PASSWORD)
    User.objects.filter(pk=second.pk).update(**lacking)
    assert LAST in change(client, root, role=VIEWER).content.decode()


def test_two_administrators_who_demote_each_other_leave_one(root):
    second = User.objects.create_superuser("second", password=PASSWORD)
    waiting, verdicts = threading.Event(), []

    def rival():
        with transaction.atomic():
            waiting.set()
            verdicts.append(last_administrator_among(User.objects.filter(pk=root.pk)))
        connections["default"].close()

    with transaction.atomic():
        assert last_administrator_among(User.objects.filter(pk=second.pk)) is None
        User.objects.filter(pk=second.pk).update(is_superuser=False)
        thread = threading.Thread(target=rival)
        thread.start()
        assert waiting.wait(HANG)
        wait_for_a_blocked_session()
    thread.join(HANG)
    assert verdicts == [root]


def wait_for_a_blocked_session():
    """Until the rival waits for our locks; a transaction sees other sessions as they are now."""
    for _attempt in range(10_000):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            if cursor.fetchone()[0]:
                return
    raise AssertionError("the rival never waited")


def waiting_for_a_rival(observer):
    observer.execute("SELECT count(*) AS n FROM pg_locks WHERE NOT granted")
    return observer.fetchone()["n"]


def test_a_name_that_eight_people_take_at_once_is_an_error_of_the_form(client, connect):
    """All eight forms are valid when they are checked: the name is taken, but not committed yet."""
    rival = connect("multica_admin")
    observer = connect("postgres").cursor()
    answers = []

    def add():
        browser = Client(raise_request_exception=False)
        browser.cookies = client.cookies
        form = {"username": "ada", "role": VIEWER, "password1": PASSWORD, "password2": PASSWORD}
        answers.append(browser.post("/accounts/auth/user/add/", form))
        connections.close_all()

    threads = [threading.Thread(target=add) for _number in range(8)]
    with rival.transaction():
        rival.execute(
            "INSERT INTO multica_admin.auth_user (username, password, is_superuser, is_staff,"
            " is_active, first_name, last_name, email, date_joined)"
            " VALUES ('ada', '!', false, false, true, '', '', '', now())"
        )
        for thread in threads:
            thread.start()
        until(lambda: waiting_for_a_rival(observer) == len(threads))
        assert not answers
    for thread in threads:
        thread.join(HANG)
    assert [answer.status_code for answer in answers] == [200] * 8
    for answer in answers:
        page = answer.content.decode()
        assert "A user with that username already exists." in page
        assert 'value="ada"' in page
    assert User.objects.filter(username="ada").count() == 1
