"""Behind a proxy with a path prefix and TLS: the real server, asked as a proxy would ask it."""

from __future__ import annotations

import http.client
import os
import re
from contextlib import closing
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import User

from tests.processes import Process, free_port
from tests.waiting import HANG

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "correct horse battery"
PUBLIC = "admin.example.com"


@pytest.fixture(scope="module")
def port(cluster, django_db_setup):
    number = free_port()
    server = Process(
        *("-m", "gunicorn", "--config", "python:multica_admin.gunicorn"),
        *("--bind", f"127.0.0.1:{number}", "multica_admin.wsgi:application"),
        env=os.environ
        | {
            "PUBLIC_URL": f"https://{PUBLIC}/ops",
            "WEB_CONCURRENCY": "1",
            "ROLLUP_SCHEDULER": "off",
        },
    )
    server.wait_for("Booting")
    yield number
    server.stop()


@pytest.fixture
def ask(port):
    def one(path, *, host=PUBLIC, form=None, **headers):
        body = urlencode(form) if form else None
        sent = {"Host": host, "Accept": "text/html", **headers}
        if form:
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=HANG)) as connection:
            connection.request("POST" if form else "GET", path, body, sent)
            with connection.getresponse() as answer:
                return answer, answer.read().decode(errors="replace")

    return one


@pytest.mark.parametrize("stripped", ["", "/ops"], ids=["stripped", "left"])
def test_a_page_and_everything_it_links_to_is_found(ask, stripped):
    answer, page = ask(f"{stripped}/login/")
    assert answer.status == 200
    links = set(re.findall(r'(?:href|src|action)="([^"#]+)"', page))
    assert {link for link in links if "static" in link}
    for link in links:
        assert link.startswith("/ops/"), link
        found, _text = ask(link.removeprefix("/ops") if not stripped else link)
        assert found.status in {200, 302, 405}, link


def test_a_redirect_leads_to_the_address_that_the_browser_knows(ask):
    for path in ("/", "/ops/", "/ops"):
        answer, _page = ask(path)
        assert answer.status == 302
        assert answer.headers["Location"].startswith("/ops/login/?next=/ops/"), path


def test_browsers_are_told_to_keep_to_https(ask):
    answer, _page = ask("/ops/login/")
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"


def sign_in(ask, host, origin, **headers):
    User.objects.create_superuser("ada", password=PASSWORD)
    answer, page = ask("/ops/login/", host=host)
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)[1]
    cookie = answer.headers["Set-Cookie"]
    assert "Secure" in cookie
    assert "Path=/ops/" in cookie
    form = {"csrfmiddlewaretoken": token, "username": "ada", "password": PASSWORD}
    answer, _page = ask(
        "/ops/login/", host=host, form=form, Cookie=cookie.split(";")[0], Origin=origin
    )
    return answer


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        (PUBLIC, f"https://{PUBLIC}"),
        ("127.0.0.1:8000", f"https://{PUBLIC}"),  # a proxy that sends a Host of its own
        ("127.0.0.1:8000", "http://127.0.0.1:8000"),  # past the proxy, through a tunnel
    ],
)
def test_signing_in_works_through_the_proxy_and_past_it(ask, host, origin):
    answer = sign_in(ask, host, origin)
    assert answer.status == 302
    assert answer.headers["Location"] == "/ops/"


@pytest.mark.parametrize("origin", [f"http://{PUBLIC}", "https://evil.example"])
def test_a_form_from_elsewhere_is_refused(ask, origin):
    assert sign_in(ask, PUBLIC, origin).status == 403
