"""Signing in by a code: by real mail, by Resend, by the log; and what a stranger cannot learn."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from django.contrib.auth.models import User
from django.core import mail as django_mail
from django.db import connection
from django.test import Client

from executions.accounts.ways import mail
from executions.pages.ways_in import ASK, GIVE
from multica_admin.mail import MailSetting
from multica_admin.ways import Ways
from tests.people import make_user
from tests.receiving import HttpReceiver, MailReceiver
from tests.retiring import audited, jobid, pg_cron, press
from tests.signing_in import with_ways
from tests.waiting import until
from tests.wizard import confirmed_by_somebody, sent, step

__all__ = ["jobid", "pg_cron"]
pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

ADDRESS = "ada@example.com"


@pytest.fixture
def ada():
    user = make_user("ada")
    User.objects.filter(pk=user.pk).update(email=ADDRESS)
    user.refresh_from_db()
    return user


@pytest.fixture
def by_code():
    with with_ways(Ways(code=True)) as ways:
        yield ways


def logged_code(caplog):
    (code,) = re.findall(
        rf"(?mi)^\[DEV\] Verification code for {ADDRESS}: (\d{{6}})$", messages(caplog)
    )
    return code


def messages(caplog):
    return "\n".join(record.getMessage() for record in caplog.records)


def ask(client, address=ADDRESS, wanted="/jobs/"):
    answer = client.post("/login/code/", {"email": address, "next": wanted})
    assert answer.status_code == 302, answer.content
    return answer["Location"]


def wrong(code):
    return "000000" if code != "000000" else "111111"


def test_without_mail_the_code_is_in_the_log_and_signs_in_once(client, ada, by_code, caplog):
    page = ask(client, "ADA@example.com")
    code = logged_code(caplog)
    assert "is on its way" in client.get(page).content.decode()
    answer = client.post(page, {"code": f" {code[:3]} {code[3:]} ", "next": "/jobs/"})
    assert answer["Location"] == "/jobs/"
    assert client.get("/jobs/").status_code == 200
    client.logout()
    assert client.post(page, {"code": code}).status_code == 403
    assert client.get("/jobs/").status_code == 302


def test_the_mail_and_the_pages_speak_the_language_of_who_asks(ada, by_code):
    server = MailReceiver()
    setting = MailSetting(sender="admin@example.com", host="127.0.0.1", port=server.port)
    client = Client(headers={"Accept-Language": "zh-CN"})
    try:
        with with_ways(replace(by_code, mail=setting)):
            assert "发送验证码" in client.get("/login/").content.decode()
            page = ask(client)
            until(lambda: server.got)
    finally:
        server.close()
    assert "验证码是" in server.got[0]
    assert "输入验证码" in client.get(page).content.decode()


def test_a_code_is_of_no_use_in_another_browser(client, ada, by_code, caplog):
    page = ask(client)
    assert Client().post(page, {"code": logged_code(caplog)}).status_code == 403


def test_a_stranger_learns_nothing(ada, by_code, caplog):
    pages = {}
    for address in (ADDRESS, "nobody@example.com"):
        stranger = Client()
        where = ask(stranger, address)
        texts = [where, stranger.get(where).content.decode()]
        for given in ("no", "-", "000"):
            answer = stranger.post(where, {"code": given})
            texts.append(f"{answer.status_code} {answer.content.decode()}")
        pages[address] = [
            re.sub(r'value="\w{64}"', "", text).replace(address, "ADDRESS") for text in texts
        ]
    assert pages[ADDRESS] == pages["nobody@example.com"]
    assert "third wrong code" in pages[ADDRESS][-1]
    assert messages(caplog).count("[DEV]") == 1
    assert not django_mail.outbox


def test_three_wrong_codes_end_it(client, ada, by_code, caplog):
    page = ask(client)
    code = logged_code(caplog)
    for _try in range(2):
        assert "That is not the code." in client.post(page, {"code": wrong(code)}).content.decode()
    assert client.post(page, {"code": wrong(code)}).status_code == 403
    assert client.post(page, {"code": code}).status_code == 403
    assert client.get("/").status_code == 302


def test_a_code_ends_after_ten_minutes(client, ada, by_code, caplog):
    page = ask(client)
    session = client.session
    session["account_login"]["state"]["stages"]["login_by_code"]["data"]["at"] -= 601
    session.save()
    assert client.post(page, {"code": logged_code(caplog)}).status_code == 403


@pytest.mark.parametrize("changes", [{"is_active": False}, {"email": "other@example.com"}])
def test_an_account_that_changed_meanwhile_stays_out(client, ada, by_code, caplog, changes):
    page = ask(client)
    User.objects.filter(pk=ada.pk).update(**changes)
    answer = client.post(page, {"code": logged_code(caplog)})
    assert answer.status_code == 403
    assert client.get("/").status_code == 302


def test_an_address_of_two_accounts_gets_no_code(client, ada, by_code, caplog):
    make_user("twin")
    User.objects.filter(username="twin").update(email=ADDRESS.upper())
    ask(client)
    assert "[DEV]" not in messages(caplog)


@pytest.fixture
def capitals_alike():
    """A database as most are, in which "\u0131" and "i" have one capital letter."""
    changed = "ALTER TABLE auth_user ALTER email TYPE varchar(254) COLLATE"
    with connection.cursor() as cursor:
        cursor.execute(f'{changed} "und-x-icu"')
    yield
    with connection.cursor() as cursor:
        cursor.execute(f'{changed} "default"')


@pytest.mark.parametrize(
    ("known", "alike"),
    [("ada@ma\u0131l.example", "ada@mail.example"), ("ma\u017fk@b.example", "mask@b.example")],
)
def test_a_letter_that_looks_alike_makes_another_address(
    client, ada, by_code, caplog, capitals_alike, known, alike
):
    User.objects.filter(pk=ada.pk).update(email=known)
    assert User.objects.filter(email__iexact=alike).exists()
    ask(client, alike)
    assert "[DEV]" not in messages(caplog)
    make_user("the one")
    User.objects.filter(username="the one").update(email=alike.title())
    ask(client, alike)
    assert f"[DEV] Verification code for {alike}: " in messages(caplog)


@pytest.mark.parametrize("address", ["", "no address", "a@b\r\nBcc: c@d.e", "a" * 400 + "@b.c"])
def test_nonsense_is_no_address(client, by_code, address):
    assert client.post("/login/code/", {"email": address}).status_code == 403


def test_the_page_of_the_code_needs_a_code_that_was_asked_for(client, by_code):
    answer = client.get("/login/code/confirm/")
    assert answer.status_code == 403
    assert "No code is waited for" in answer.content.decode()


def test_a_fixed_code_is_that_of_development(client, ada, by_code):
    with with_ways(replace(by_code, fixed_code="888888")):
        assert client.post(ask(client), {"code": "888888"}).status_code == 302


def test_guesses_at_once_get_no_more_than_the_limit(client, ada, by_code, caplog):
    """Each of these requests finds the session as it was before all of them."""
    page = ask(client)
    code = logged_code(caplog)
    kept = dict(client.session)
    statuses = []
    for _guess in range(GIVE.per_account):
        statuses.append(client.post(page, {"code": wrong(code)}).status_code)
        session = client.session
        session.update(kept)
        session.save()
    assert set(statuses) == {200}
    refused = client.post(page, {"code": code})
    assert refused.status_code == 429
    assert int(refused["Retry-After"]) > 0
    assert client.get("/").status_code == 302


def test_nobody_is_flooded_with_codes(client, ada, by_code, caplog):
    for address in [ADDRESS] * ASK.per_account:
        ask(Client(), address)
    for address in (ADDRESS, ADDRESS.upper()):
        refused = client.post("/login/code/", {"email": address})
        assert refused.status_code == 429
        assert "There were too many tries. Try again in" in refused.content.decode()
    assert messages(caplog).count("[DEV]") == ASK.per_account


# --- The mail ---------------------------------------------------------------------------------


def test_a_real_mail_server_gets_the_code_and_the_log_does_not(client, ada, by_code, caplog):
    server = MailReceiver()
    setting = MailSetting(sender="admin@example.com", host="127.0.0.1", port=server.port)
    try:
        with with_ways(replace(by_code, mail=setting)):
            page = ask(client)
            until(lambda: server.got)
            (code,) = re.findall(r"is (\d{6})\.", server.got[0])
            assert client.post(page, {"code": code}).status_code == 302
    finally:
        server.close()
    assert code not in messages(caplog)


def test_resend_gets_the_code_with_its_key(client, ada, by_code, caplog):
    server = HttpReceiver()
    setting = MailSetting(
        sender="admin@example.com",
        resend_key="re_marked7secret",
        resend_url=f"http://127.0.0.1:{server.port}",
    )
    try:
        with with_ways(replace(by_code, mail=setting)):
            page = ask(client)
            until(lambda: server.got["/emails"])
            sent = server.got["/emails"][0]
            assert (sent["from"], sent["to"]) == ("admin@example.com", [ADDRESS])
            (code,) = re.findall(r"is (\d{6})\.", sent["text"])
            assert client.post(page, {"code": code}).status_code == 302
            server.answers["/emails"] = 401
            ask(Client())
            until(lambda: "Resend answered 401" in messages(caplog))
    finally:
        server.close()
    assert not [one for one in (code, "marked7secret") if one in messages(caplog)]


def test_a_server_that_is_away_is_told_to_the_log_without_a_secret(ada, by_code, caplog):
    setting = MailSetting(
        sender="admin@example.com",
        host="127.0.0.1",
        port=1,
        username="me",
        password="marked7secret",
    )
    mail._send(setting, ADDRESS, "subject", "marked7secret")
    assert "A sign-in code was not sent: ConnectionRefusedError" in messages(caplog)
    assert "marked7secret" not in caplog.text


# --- Signing in again ---------------------------------------------------------------------------


@pytest.fixture
def tired(client, ada, by_code, caplog):
    """An administrator who signed in by a code, and whose ten minutes are over."""
    User.objects.filter(pk=ada.pk).update(is_superuser=True)
    page = ask(client)
    client.post(page, {"code": logged_code(caplog)})
    assert client.get("/accounts/").status_code == 200
    session = client.session
    del session["confirmed_at"]
    session.save()
    caplog.clear()
    return client


def test_signing_in_again_asks_for_another_code(tired, caplog):
    page = tired.get("/confirm/?next=/accounts/").content.decode()
    assert 'type="password"' not in page
    form = tired.post("/login/code/again/", {"next": "/accounts/"})["Location"]
    assert "is on its way" in tired.get(form).content.decode()
    assert tired.post(form, {"code": "no", "next": "/accounts/"}).status_code == 200
    assert tired.get("/accounts/").status_code == 302
    answer = tired.post(form, {"code": logged_code(caplog), "next": "/accounts/"})
    assert answer["Location"] == "/accounts/"
    assert tired.get("/accounts/").status_code == 200


def test_a_waiting_act_goes_on_after_the_code(tired, caplog, jobid, pg_cron):
    retirement = confirmed_by_somebody(jobid)
    page = tired.get(tired.post(step("pause", retirement), press(retirement))["Location"])
    form = tired.post("/login/code/again/", sent(page))["Location"]
    assert "this goes on" in tired.get(form).content.decode()
    tired.post(form, sent(tired.get(form)) | {"code": logged_code(caplog)})
    assert audited(retirement) == [("pause", "intended"), ("pause", "done")]


def test_three_wrong_codes_end_signing_in_again(tired, caplog):
    form = tired.post("/login/code/again/", {})["Location"]
    for status in (200, 200, 403):
        assert tired.post(form, {"code": "no"}).status_code == status
    assert tired.post(form, {"code": logged_code(caplog)}).status_code == 403
    assert tired.get("/accounts/").status_code == 302


def test_without_an_address_there_is_a_sentence(tired):
    User.objects.update(email="")
    answer = tired.post("/login/code/again/", {})
    assert "has no address any more" in answer.content.decode()


def test_a_stranger_signs_in_before_signing_in_again(client, by_code):
    assert client.get("/login/code/again/")["Location"].startswith("/login/?next=")
