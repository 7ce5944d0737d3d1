"""A page that is no longer confirmed does not look healthy, in a real browser and real failures."""

from __future__ import annotations

import os
import re
import signal
import tempfile

import pytest
from django.db import connections
from psycopg.conninfo import make_conninfo

from executions.database.connections import connect
from multica_admin.databases import reader_alias
from tests import scenarios
from tests.faults.conftest import cluster_of_its_own
from tests.processes import Process, free_port

PASSWORD = "correct horse battery staple"
WHILE = 120_000  # milliseconds that only a hang takes
KNOWN = "document.querySelector('#verdict-card').dataset.verdict"
ICON = "document.querySelector('#icon').getAttribute('href')"


@pytest.fixture(scope="module")
def own_cluster():
    with cluster_of_its_own() as cluster:
        yield cluster


@pytest.fixture
def multica(own_cluster):
    """A healthy Multica in a PostgreSQL of the test's own, which the test may kill."""
    own_cluster.start()
    with connect(own_cluster.conninfo("postgres"), application_name="test") as owner:
        scenarios.healthy(owner)
    return own_cluster.conninfo("postgres")


@pytest.fixture
def product(multica):
    """The whole product as a process before that PostgreSQL, and its address."""
    url = make_conninfo(**multica)
    with tempfile.TemporaryDirectory() as var:
        port = free_port()
        process = Process(
            "manage.py", "quickstart", "--port", str(port),
            env={
                "VAR_DIR": var, "DATABASE_URL": url, "ADMIN_DATABASE_URL": url,
                "MULTICA_ADMIN_PASSWORD": PASSWORD, "WEB_CONCURRENCY": "1", "LOG_FORMAT": "text",
            },
        )  # fmt: skip
        try:
            process.wait_for("Listening at")
            yield process, f"http://127.0.0.1:{port}"
        finally:
            process.kill_group()


@pytest.fixture
def multica_elsewhere(multica, server, monkeypatch):
    """Our own server looks at that PostgreSQL, and keeps our own tables in another."""
    connections["multica"].close_pool()
    default = connections["default"].settings_dict
    aliases = {"default": default, "multica": reader_alias(multica)}
    found = connections.configure_settings(aliases)["multica"]
    monkeypatch.setitem(connections.settings, "multica", found)
    yield
    server.wait_until_idle()
    connections["multica"].close_pool()


@pytest.fixture
def visitor(open_page, product):
    page = open_page(signed_in=False, base_url=product[1])
    page.goto("/login/")
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    return page


def ask_every_second(page):
    """The live parts' pace, from now on; an unchanged part keeps it."""
    page.evaluate(
        """() => {
          for (const part of document.querySelectorAll("[data-live]")) {
            part.dataset.liveSeconds = 1;
          }
          document.dispatchEvent(new Event("visibilitychange"));
        }"""
    )


SINCE = re.compile(r"Unknown since \d\d:\d\d UTC; last known: healthy")


def toned(tone):
    return re.compile(rf"(^| )tone-{tone}( |$)")


def kill_postgresql(cluster):
    """``kill -9`` of the server. Its child processes notice and end."""
    os.kill(int((cluster.data / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)


def test_a_killed_database_turns_the_open_page_grey_until_it_is_back(
    visitor, product, own_cluster, expect, console
):
    process, _url = product
    card, head = visitor.locator("#verdict-card"), visitor.locator("#site-verdict [data-verdict]")
    expect(card).to_have_attribute("data-verdict", "healthy")
    calm = visitor.evaluate(ICON)
    ask_every_second(visitor)

    kill_postgresql(own_cluster)
    expect(card).to_have_attribute("data-verdict", "unknown", timeout=WHILE)
    for place in (card, head):
        expect(place).to_have_class(toned("mute"))
        expect(place).to_contain_text(SINCE)
    assert visitor.title().startswith("Unknown · Overview")
    assert visitor.evaluate(ICON) != calm
    expect(visitor.locator(".live-notice")).to_contain_text("the server answers, but its database")

    own_cluster.start()
    expect(card).to_have_attribute("data-verdict", "healthy", timeout=WHILE)
    for place in (card, head):
        expect(place).to_have_class(toned("good"))
        expect(place).not_to_contain_text("last known")
    assert visitor.title().startswith("Overview")
    assert visitor.evaluate(ICON) == calm
    expect(visitor.locator(".live-notice")).to_be_hidden()

    process.kill_group()
    expect(card).to_have_attribute("data-verdict", "unknown", timeout=WHILE)
    expect(visitor.locator(".live-notice")).to_contain_text("the server did not answer")
    assert all("503" in line or "ERR_" in line for line in console), console
    console.clear()


def test_where_only_multicas_database_dies_the_header_still_says_what_was_last_known(
    page, multica_elsewhere, quick, own_cluster, expect, console
):
    page.goto("/")
    expect(page.locator("#verdict-card")).to_have_attribute("data-verdict", "healthy")
    page.goto("/audit/")
    head = page.locator("#site-verdict [data-verdict]")
    expect(head).to_have_attribute("data-verdict", "healthy")
    kill_postgresql(own_cluster)
    ask_every_second(page)
    expect(head).to_have_attribute("data-verdict", "unknown", timeout=WHILE)
    expect(head).to_contain_text(SINCE)
    assert page.title().startswith("Unknown · Audit")

    own_cluster.start()
    ask_every_second(page)
    expect(head).to_have_attribute("data-verdict", "healthy", timeout=WHILE)
    expect(head).not_to_contain_text("last known")
    assert head.get_attribute("title") is None
    console.clear()
