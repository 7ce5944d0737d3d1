"""Error pages: sentences for people, and one line in the log for each reference."""

from __future__ import annotations

import html
import io
import json
import logging
import re

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from psycopg import OperationalError, errors

from executions.health import snapshots
from multica_admin.logging import JsonFormatter, TextFormatter
from tests import scenarios
from tests.people import PASSWORD, just_signed_in

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)


@pytest.fixture
def stderr(monkeypatch):
    """What the configured handler writes: with its own formatter and its own filters."""
    (handler,) = (
        one
        for one in logging.getLogger().handlers
        if isinstance(one.formatter, JsonFormatter | TextFormatter)
    )
    stream = io.StringIO()
    monkeypatch.setattr(handler, "stream", stream)
    return stream


@pytest.fixture
def root():
    user = User.objects.create_superuser("root", password=PASSWORD)
    return just_signed_in(user, raise_request_exception=False)


def raising(error):
    def read(*_arguments):
        raise error

    return read


def told(answer, stderr):
    """The one line that carries the page's reference; no other line is written."""
    page = answer.content.decode()
    reference = re.search(r"Reference in the log:\s*(?:<code>)?([0-9a-f]{8})", page)[1]
    lines = [json.loads(line) for line in stderr.getvalue().splitlines()]
    assert [line.get("reference") for line in lines] == [reference]
    assert "Traceback" not in page
    return lines[0]


MISTAKES = {
    "a bad filter": ("/executions/?status=NOPE", {}, 400, "NOPE"),
    "a filter of two lines": ("/executions/?status=A%0AB", {}, 400, "status"),
    "no such page": ("/nothing/", {}, 404, "No page or record"),
    "no such execution": (
        "/executions/00000000-0000-0000-0000-000000000000/",
        {},
        404,
        "No page or record",
    ),
    "an unknown host": ("/", {"Host": "10.0.0.7:8000"}, 400, "PUBLIC_URL is not set"),
    "a field that the accounts do not show": ("/accounts/auth/user/?password=x", {}, 400, ""),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_clients_mistake_is_one_line_without_traceback(root, stderr, mistake):
    path, headers, status, said = MISTAKES[mistake]
    answer = root.get(path, headers=headers)
    assert answer.status_code == status
    line = told(answer, stderr)
    assert said in line["message"]
    assert "\n" not in line["message"]
    assert line["path"] == path.partition("?")[0]
    assert "traceback" not in line


def test_a_role_that_does_not_suffice_is_one_line(viewer, stderr):
    answer = viewer.get("/accounts/")
    assert answer.status_code == 403
    line = told(answer, stderr)
    assert line["code"] == "forbidden"
    assert "traceback" not in line


def test_a_refused_form_is_one_line(root, stderr):
    strict = Client(enforce_csrf_checks=True, headers={"Origin": "https://admin.example.com"})
    answer = strict.post("/login/", {"username": "ada"})
    assert answer.status_code == 403
    assert told(answer, stderr)["code"] == "csrf"


REFUSED_BY_DJANGO = {
    "too many fields in a form": lambda: {
        "path": "/login/",
        "data": {f"field{number}": "x" for number in range(1_001)},
    },
    "too many files": lambda: {
        "path": "/login/",
        "data": {f"file{number}": io.BytesIO(b"x") for number in range(101)},
    },
    "too large a form": lambda: {
        "path": "/login/",
        "data": f"username={'x' * 3_000_000}",
        "content_type": "application/x-www-form-urlencoded",
    },
    "a form without a boundary": lambda: {
        "path": "/login/",
        "data": b"x",
        "content_type": "multipart/form-data; boundary=",
    },
}


@pytest.mark.parametrize("case", REFUSED_BY_DJANGO)
def test_what_django_refuses_is_one_line_that_names_no_setting_of_its(root, stderr, case):
    answer = root.post(**REFUSED_BY_DJANGO[case]())
    assert answer.status_code == 400
    line = told(answer, stderr)
    assert "traceback" not in line
    for text in (answer.content.decode(), line["message"]):
        assert "settings" not in text
        assert not re.search(r"\b[A-Z]+(?:_[A-Z]+){2,}\b", text)


def test_a_page_that_cannot_be_read_says_when_the_database_last_was(root, owner, monkeypatch):
    away = raising(OperationalError("connection refused"))
    monkeypatch.setattr("executions.pages.common.shared", away)
    snapshots.forget()
    assert "was last read" not in root.get("/jobs/").content.decode()
    scenarios.healthy(owner)
    known = snapshots.fresh().checked_at
    page = root.get("/jobs/")
    assert page.status_code == 503
    shown = re.sub(r"<[^>]+>", "", page.content.decode())
    assert f"Multica's database was last read at {known:%H:%M} UTC, " in html.unescape(shown)


@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}], ids=["page", "part"])
def test_a_mistake_of_ours_is_one_line_with_its_traceback(root, stderr, monkeypatch, headers):
    monkeypatch.setattr("executions.pages.common.shared", raising(ZeroDivisionError("by us")))
    answer = root.get("/jobs/", headers=headers)
    assert answer.status_code == 500
    line = told(answer, stderr)
    assert "by us" in line["message"]
    assert "ZeroDivisionError" in line["traceback"]


def test_a_database_that_fails_is_one_line_without_traceback(root, stderr, monkeypatch):
    monkeypatch.setattr("executions.pages.common.shared", raising(OperationalError("gone")))
    answer = root.get("/jobs/")
    assert answer.status_code == 503
    line = told(answer, stderr)
    assert "gone" in line["message"]
    assert "traceback" not in line


def test_an_error_that_nobody_knows_keeps_its_sqlstate_and_its_traceback(root, stderr, monkeypatch):
    class Strange(errors.DatabaseError):
        sqlstate = "ZX123"

    monkeypatch.setattr("executions.pages.common.shared", raising(Strange("odd")))
    answer = root.get("/jobs/")
    page = answer.content.decode()
    assert answer.status_code == 503
    assert "unknown error" in page
    assert "ZX123" in page
    line = told(answer, stderr)
    assert "ZX123" in line["message"]
    assert "Strange" in line["traceback"]


FRAMED = {
    "a bad filter": ("/executions/?status=NOPE", 400),
    "no such page": ("/nothing/", 404),
    "not for this role": ("/accounts/", 403),
    "a mistake of ours": ("/jobs/", 500),
    "a database that is away": ("/jobs/", 503),
}


def broken(monkeypatch, status):
    if status >= 500:
        error = OperationalError("gone") if status == 503 else ZeroDivisionError("by us")
        monkeypatch.setattr("executions.pages.common.shared", raising(error))


@pytest.mark.parametrize("case", FRAMED)
def test_an_error_page_keeps_the_frame_for_those_who_may_look(viewer, monkeypatch, case):
    path, status = FRAMED[case]
    viewer.raise_request_exception = False
    broken(monkeypatch, status)
    answer = viewer.get(path)
    page = answer.content.decode()
    assert answer.status_code == status
    assert page.count("<h1") == 1
    assert '<nav class="doors"' in page
    assert 'id="site-verdict"' in page
    assert "Reference in the log:" in page


def test_an_error_page_has_no_frame_for_others(client, viewer, monkeypatch):
    monkeypatch.setattr("executions.pages.problems.may_look", raising(OperationalError("gone")))
    for browser in (client, viewer):
        answer = browser.get("/nothing/")
        assert answer.status_code in {302, 404}
        assert '<nav class="doors"' not in answer.content.decode()


def test_a_frame_that_is_broken_gives_the_sentences_without_it(root, monkeypatch):
    monkeypatch.setattr("executions.pages.frame.kept_verdict", raising(ZeroDivisionError("frame")))
    answer = root.get("/nothing/")
    assert answer.status_code == 404
    assert "No page or record has this address." in answer.content.decode()


def test_a_database_that_is_away_is_asked_again_by_itself_unless_something_was_sent(
    root, monkeypatch
):
    broken(monkeypatch, 503)
    monkeypatch.setattr("executions.pages.rollup.once.is_confirmed", raising(OperationalError("x")))
    shown, sent = root.get("/jobs/"), root.post("/rollup/run/")
    assert (shown.status_code, sent.status_code) == (503, 503)
    assert shown.headers["Retry-After"] == sent.headers["Retry-After"] == "15"
    assert 'data-retry="15"' in shown.content.decode()
    told = root.get("/jobs/", headers={"Accept-Language": "zh-CN"}).content.decode()
    assert '此页面会在 <time data-relative="countdown" datetime=""></time>自动再次尝试。' in told
    assert re.search(r'src="/static/retry\.\w+\.js"', shown.content.decode())
    assert "data-retry" not in sent.content.decode()
    assert "Try again" in sent.content.decode()


REFUSED = {
    "one of few words": (
        "/executions/?status=NOPE&runner=a+b&cursor=x",
        "/executions/?runner=a+b",
        {"status": "", "runner": "a b"},
    ),
    "a time": (
        "/audit/?since=soon&q=olga&action=remove",
        "/audit/?q=olga&action=remove",
        {"since": "soon", "q": "olga", "action": "remove"},
    ),
    "a filter of another page": ("/audit/?runner=x&q=olga", "/audit/?q=olga", {"q": "olga"}),
    "two that are unknown": ("/audit/?wat=1&foo=2&q=olga", "/audit/?q=olga", {"q": "olga"}),
    "a position": ("/audit/?cursor=x&q=olga", "/audit/?q=olga", {"q": "olga"}),
    "nothing else": ("/?status=x", "/", {}),
    "hostile": ("/audit/?since=%22%3E%3Cimg%3E%00&q=%FF", "/audit/", {"since": '"><img>[U+0000]'}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refused_filter_can_be_corrected_or_left_out_and_the_rest_stays(viewer, case):
    path, without, fields = REFUSED[case]
    page = viewer.get(path).content.decode()
    assert f'href="{html.escape(without)}" id="without"' in page
    given = dict(
        re.findall(
            r'<input class="form-control[^"]*" id="filter-[^>]* name="(\w+)" value="([^"]*)"', page
        )
    )
    given |= dict.fromkeys(re.findall(r'<select[^>]* name="(\w+)" aria-invalid', page), "")
    assert {name: html.unescape(value) for name, value in given.items()} == fields
    assert page.count("aria-invalid") == len(set(fields) & {"since", "status"})


@pytest.fixture
def our_tables_away(root):
    """The database of our own tables refuses every connection, in words that tell of the inside."""
    before = connection.settings_dict
    connection.close()
    connection.settings_dict = before | {"USER": "inside_role", "NAME": "inside_database"}
    yield
    connection.close()
    connection.settings_dict = before


INSIDE = ("inside_role", "inside_database", "socket", "PGSQL", "does not exist", "DATABASE_URL")


@pytest.mark.parametrize("path", ["/login/", "/", "/executions/", "/readyz", "/healthz"])
@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}], ids=["page", "part"])
def test_nothing_of_the_inside_is_told_to_people_who_have_not_signed_in(
    our_tables_away, root, stderr, path, headers
):
    """Whether the cookie is somebody's cannot be known, so they count as not signed in."""
    for browser in (root, Client(raise_request_exception=False)):
        answer = browser.get(path, headers=headers)
        told_them = answer.content.decode() + str(answer.headers)
        assert not [word for word in INSIDE if word in told_them]


def test_the_log_has_under_the_reference_what_the_sign_in_page_does_not_say(
    our_tables_away, stderr
):
    client = Client(raise_request_exception=False, headers={"Cookie": "x=y"})
    answer = client.post("/login/", {"username": "ada", "password": "x"})
    assert answer.status_code == 503
    line = told(answer, stderr)
    assert 'role "inside_role" does not exist' in line["message"]


@pytest.mark.parametrize(
    ("headers", "advice"),
    [
        ({"Host": "Admin.Example.com:8000"}, "PUBLIC_URL to http://admin.example.com:8000 and"),
        (
            {"Host": "admin.example.com", "X-Forwarded-Proto": "https"},
            "PUBLIC_URL to https://admin.example.com and",
        ),
        ({"Host": "under_score"}, "PUBLIC_URL to the address that people use"),
        ({"Host": "<script>"}, "PUBLIC_URL to the address that people use"),
    ],
)
def test_an_unknown_host_names_the_variable_and_its_value(client, headers, advice):
    answer = client.get("/", headers=headers)
    page = answer.content.decode()
    assert answer.status_code == 400
    assert advice in page
    assert "ALLOWED_HOSTS" not in page


@pytest.mark.parametrize("held", [True, False])
def test_a_page_says_demo_data_only_where_the_embedded_database_holds_it(
    our_tables_away, client, settings, held
):
    settings.MULTICA_IS_EMBEDDED = True
    settings.HOLDS_DEMO = held
    settings.RUNNER_CONNINFO = {"host": "/nonexistent", "dbname": "x", "user": "x"}
    client.raise_request_exception = False
    answer = client.post("/login/", {"username": "ada", "password": "x"})
    assert answer.status_code == 503
    assert ("Demo data" in answer.content.decode()) is held
