"""The accounts site: nonsense is no error of ours, and there is always somebody to manage it."""

from __future__ import annotations

import threading

import pytest
from django.contrib.auth.models import User
from django.db import connection, connections, transaction
from django.test import Client

from executions.pages.accounts import last_administrator_among
from tests.waiting import HANG, until

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

PASSWORD = "correct horse battery"
LAST = "is the last administrator"


@pytest.fixture
def root():
    return User.objects.create_superuser("root", password=PASSWORD)


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
    "auth/user/?groups__id__exact=abc",
    "auth/user/?groups__id__exact=99999999999999999999999",
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


def change(client, user, **fields):
    return client.post(
        f"/accounts/auth/user/{user.pk}/change/",
        {"username": user.username, "is_active": "on", "is_superuser": "on", **fields},
    )


@pytest.mark.parametrize("field", ["is_superuser", "is_active"])
def test_the_last_administrator_is_neither_demoted_nor_deactivated(client, root, field):
    answer = change(client, root, **{field: ""})
    assert answer.status_code == 200
    assert LAST in answer.content.decode()
    root.refresh_from_db()
    assert getattr(root, field)


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
    assert change(client, second, is_superuser="").status_code == 302
    assert delete_together(client, second, third).status_code == 302
    assert User.objects.get() == root


@pytest.mark.parametrize("lacking", [{"is_active": False}, {"password": "!"}])
def test_an_administrator_who_cannot_sign_in_is_no_other(client, root, lacking):
    second = User.objects.create_superuser("second", password=PASSWORD)
    User.objects.filter(pk=second.pk).update(**lacking)
    assert LAST in change(client, root, is_superuser="").content.decode()


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
        form = {"username": "ada", "password1": PASSWORD, "password2": PASSWORD}
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
