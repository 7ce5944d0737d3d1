"""Behind a real nginx, and in bin/audit behind a real Caddy: TLS, a path prefix, a unix socket.

The proxies have the configuration of deploy/. One dashboard with a path prefix serves most cases.
"""

from __future__ import annotations

import http.client
import re
import ssl
from contextlib import closing
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from django.contrib.auth.models import User
from django.urls import resolve

from tests import scenarios
from tests.people import PASSWORD
from tests.proxies import (
    CADDY_WAYS,
    HOST,
    NAME,
    NGINX_WAYS,
    PREFIX,
    Caddy,
    Dashboard,
    Nginx,
)
from tests.sizes import AT_FULL_SIZE, few
from tests.waiting import HANG

# What takes forms only, and what a script completes with a number.
EXPECTED = {405, 400}
FETCH = """async (address) => {
  const answer = await fetch(address);
  const headers = Object.fromEntries(answer.headers);
  return {status: answer.status, headers, text: await answer.text()};
}"""
# An attribute that leads to an address of this server.
ADDRESS = re.compile(r'\s(?!aria-)[\w-]+="(/[^"#]*)')


@pytest.fixture(scope="module")
def prefixed(cluster, django_db_setup):
    with Dashboard.serving(PREFIX) as served:
        yield served


@pytest.fixture(scope="module")
def whole(prefixed):
    """The dashboard without a prefix. bin/test only asks its probes, which both answer alike."""
    if not AT_FULL_SIZE:
        yield prefixed
        return
    with Dashboard.serving() as served:
        yield served


@pytest.fixture(scope="module")
def nginx(whole, prefixed):
    with Nginx.serving(whole, prefixed) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def caddy(whole, prefixed):
    with Caddy.serving(whole, prefixed) as proxy:
        yield proxy


class Visitor:
    """A browser behind a proxy. It collects every answer that says no."""

    def __init__(self, page, url):
        self.page, self.url = page, url
        self.prefix = urlsplit(url).path
        self.refused = []
        page.on("response", lambda answer: self._note(answer.url, answer.status))

    def _note(self, address, status):
        if status >= 400 or not address.startswith(f"{self.url}/"):
            self.refused.append((address, status))

    def sign_in(self, path):
        self.page.goto(self.url + path)
        assert self.page.url == f"{self.url}/login/?next={self.prefix}{path}"
        self.page.get_by_label("Username").fill("ada")
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url(self.url + path)

    def get(self, address):
        """The page asks for an address of its server; redirects are followed."""
        return self.page.evaluate(FETCH, address)

    def addresses(self, path):
        """Every address of this server that the page names, all of them below the prefix."""
        answer = self.get(self.prefix + path)
        assert answer["status"] == 200, path
        found = set(ADDRESS.findall(answer["text"]))
        assert not [one for one in found if not one.startswith(f"{self.prefix}/")], path
        return found


@pytest.fixture
def visitor(request, open_page, whole, prefixed):
    proxy, way = request.param
    url = request.getfixturevalue(proxy).url(way)
    visitor = Visitor(open_page(signed_in=False, ignore_https_errors=True), url)
    yield visitor
    assert visitor.refused == []
    said = [*whole.process.errors, *prefixed.process.errors]
    doubted = [line for line in said if "no trusted proxy" in line]
    assert doubted == []


@pytest.mark.parametrize("visitor", few(NGINX_WAYS + CADDY_WAYS, 1), indirect=True, ids=" ".join)
def test_everything_works_behind_a_proxy(visitor, owner, every_page, expect, console):
    scenarios.healthy(owner)
    User.objects.create_superuser("ada", password=PASSWORD)
    page = visitor.page
    visitor.sign_in("/executions/")
    # The header's verdict asks by itself, and a window of the strip comes in place.
    page.wait_for_function("() => document.querySelector('[data-live][data-version=healthy]')")
    page.goto(f"{visitor.url}/")
    page.get_by_role("link", name="7 days").click()
    page.wait_for_url(f"{visitor.url}/?window=7d")
    expect(page.locator(".plan-strip")).to_be_visible()
    for language, code in (("简体中文", "zh-hans"), ("English", "en")):
        page.locator("summary.tool-user").click()
        page.get_by_role("button", name=language).click()
        page.wait_for_url(f"{visitor.url}/?window=7d")
        expect(page.locator("html")).to_have_attribute("lang", code)
    for cookie in page.context.cookies():
        assert cookie["path"] == f"{visitor.prefix}/", cookie["name"]
        assert cookie["secure"], cookie["name"]
    seen = set()
    found = {address for path in every_page for address in visitor.addresses(path)}
    for address in sorted(found):
        path = urlsplit(address).path.removeprefix(visitor.prefix)
        kind = path if path.startswith("/static/") else resolve(path).view_name
        if kind not in seen:
            seen.add(kind)
            assert visitor.get(address)["status"] in {200, *EXPECTED}, address
    download = visitor.get(f"{visitor.prefix}/executions/export.csv")["headers"]
    assert download["content-disposition"].startswith("attachment")
    assert download["strict-transport-security"] == "max-age=31536000"
    visitor.refused = [one for one in visitor.refused if one[1] not in EXPECTED]
    console.clear()  # which has a line for each of those
    page.goto(f"{visitor.url}/accounts/auth/user/")
    page.get_by_role("link", name="ada").click()
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_url(f"{visitor.url}/accounts/auth/user/")
    page.goto(f"{visitor.url}/")
    page.locator("summary.tool-user").click()
    page.get_by_role("button", name="Sign out", exact=True).click()
    page.wait_for_url(f"{visitor.url}/login/")


# --- Without a browser ----------------------------------------------------------------------------


def ask(connection, path, *, host=HOST, form=None, **headers):
    body = urlencode(form) if form else None
    sent = {"Host": host, "Accept": "text/html", **headers}
    if form:
        sent["Content-Type"] = "application/x-www-form-urlencoded"
    with closing(connection):
        connection.request("POST" if form else "GET", path, body, sent)
        with connection.getresponse() as answer:
            return answer, answer.read().decode()


def by_tls(url):
    trusting = ssl.create_default_context()
    trusting.check_hostname = False  # it is asked by address
    trusting.verify_mode = ssl.CERT_NONE
    port = urlsplit(url).port
    return http.client.HTTPSConnection("127.0.0.1", port, timeout=HANG, context=trusting)


@pytest.mark.parametrize("path", ["/", PREFIX, f"{PREFIX}/"])
def test_a_redirect_leads_to_the_address_that_the_browser_knows(prefixed, path):
    answer, _page = ask(prefixed.connection(), path)
    assert answer.status == 302
    assert answer.headers["Location"] == f"{PREFIX}/login/?next={PREFIX}/"


def test_nginx_leaves_the_prefix_completes_it_and_leads_to_tls(nginx):
    url = nginx.url("left tcp")
    answer, _page = ask(by_tls(url), f"{PREFIX}/")
    assert answer.headers["Location"] == f"{PREFIX}/login/?next={PREFIX}/"
    answer, _page = ask(by_tls(url), PREFIX)
    assert urlsplit(answer.headers["Location"]).path == f"{PREFIX}/"
    answer, _text = ask(by_tls(nginx.url("whole")), "/livez")
    assert answer.status == 200
    plain = http.client.HTTPConnection("127.0.0.1", nginx.plain, timeout=HANG)
    answer, _page = ask(plain, "/schedules/?job=1", host=NAME)
    assert answer.headers["Location"] == f"https://{NAME}/schedules/?job=1"


def test_an_identity_provider_leads_back_to_the_address_that_the_browser_knows(prefixed):
    answer, _page = ask(prefixed.connection(), f"{PREFIX}/login/dingtalk/")
    assert answer.status == 302
    sent = parse_qs(urlsplit(answer.headers["Location"]).query)
    assert sent["redirect_uri"] == [f"https://{HOST}{PREFIX}/login/dingtalk/callback/"]


def sign_in(prefixed, host, origin):
    User.objects.create_superuser("ada", password=PASSWORD)
    answer, page = ask(prefixed.connection(), f"{PREFIX}/login/", host=host)
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)[1]
    form = {"csrfmiddlewaretoken": token, "username": "ada", "password": PASSWORD}
    cookie = answer.headers["Set-Cookie"].split(";")[0]
    answer, _page = ask(
        *(prefixed.connection(), f"{PREFIX}/login/"), host=host, form=form, Cookie=cookie,
        Origin=origin,
    )  # fmt: skip
    return answer


@pytest.mark.parametrize(
    "origin",
    [
        f"https://{HOST}",  # a proxy that sends a Host of its own
        "http://127.0.0.1:8000",  # past the proxy, through a tunnel
    ],
)
def test_signing_in_works_under_the_dashboards_own_address(prefixed, origin):
    answer = sign_in(prefixed, "127.0.0.1:8000", origin)
    assert answer.status == 302
    assert answer.headers["Location"] == f"{PREFIX}/"


@pytest.mark.parametrize("origin", [f"http://{HOST}", "https://evil.example"])
def test_a_form_from_elsewhere_is_refused(prefixed, origin):
    assert sign_in(prefixed, HOST, origin).status == 403
