"""The header of every page shows the verdict of the kept snapshot and waits for nothing."""

from __future__ import annotations

import re
import time

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from executions.health import snapshots
from tests import scenarios
from tests.people import just_signed_in

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

WORDS = {"healthy": "Healthy", "degraded": "Degraded", "failing": "Failing", "unknown": "Unknown"}


@pytest.fixture
def root():
    return just_signed_in(User.objects.create_superuser("root"))


def header(html):
    return html[html.index("<header") : html.index("</header>")]


def told(html):
    """The verdict in the header, its word, and what title and icon say."""
    shown = re.search(r'data-verdict="(\w+)".*?data-verdict-word>(\w+)<', header(html), re.DOTALL)
    assert shown, header(html)
    title = re.search(r"<title>\s*(.*?)\s*</title>", html, re.DOTALL)[1]
    icon = re.search(r'id="icon"[^>]*? href="[^"]*/icons/icon(?:-(\w+))?\.[^"]*svg"', html)[1]
    return shown[1], shown[2], title, icon or "healthy"


def judge(owner, level):
    """Have a snapshot of that verdict at hand."""
    if level == "healthy":
        scenarios.healthy(owner)
    elif level == "degraded":
        world = scenarios.sound(owner)
        world.change(range(1, 13, 2), retried=True)
        world.write()
    else:
        scenarios.stopped(owner)
    assert snapshots.fresh().verdict.level == level


@pytest.mark.parametrize("level", ["healthy", "degraded", "failing"])
def test_every_page_says_it_in_header_title_and_icon(root, owner, every_page, level):
    judge(owner, level)
    pages = [*every_page, reverse("password_change"), reverse("admin:auth_user_changelist")]
    for path in pages:
        html = root.get(path).content.decode()
        verdict, word, title, icon = told(html)
        assert (verdict, word, icon) == (level, WORDS[level], level), path
        assert title.startswith(f"{word} · ") is (level != "healthy"), path
        assert f'href="{reverse("overview")}" data-verdict' in " ".join(header(html).split()), path


def test_without_a_snapshot_it_is_unknown_and_nothing_is_waited_for(root, owner, monkeypatch):
    scenarios.healthy(owner)
    snapshots.forget()

    def taken(*_arguments):
        raise AssertionError("a page has waited for a snapshot")

    monkeypatch.setattr(snapshots._keeper, "_take", taken)
    verdict, word, title, icon = told(root.get("/audit/").content.decode())
    assert (verdict, word, icon) == ("unknown", "Unknown", "unknown")
    assert title.startswith("Unknown · Audit")


def test_a_snapshot_that_is_old_counts_for_nothing(root, owner, monkeypatch):
    scenarios.healthy(owner)
    snapshots.fresh()
    assert told(root.get("/audit/").content.decode())[0] == "healthy"
    later = time.monotonic() + snapshots.KEPT_SECONDS
    monkeypatch.setattr(snapshots._keeper._kept, "_clock", lambda: later)
    assert told(root.get("/audit/").content.decode())[0] == "unknown"


def test_the_header_asks_for_the_verdict_by_itself_but_on_the_overview(root, owner):
    scenarios.healthy(owner)
    assert f'data-live="{reverse("verdict")}"' in header(root.get("/audit/").content.decode())
    assert "data-live=" not in header(root.get("/").content.decode())
    asked = root.get(reverse("verdict"), headers={"HX-Request": "true"})
    assert asked.status_code == 200
    assert 'data-verdict="healthy"' in asked.content.decode()
    assert "<html" not in asked.content.decode()
    again = root.get(
        reverse("verdict"),
        headers={"HX-Request": "true", "X-Data-Version": asked["X-Data-Version"]},
    )
    assert (again.status_code, again["X-Live-Seconds"]) == (204, "15")
    assert root.get(reverse("verdict")).url == reverse("overview")


def test_an_account_without_a_role_learns_no_verdict(owner):
    scenarios.healthy(owner)
    snapshots.fresh()
    client = Client()
    client.force_login(User.objects.create_user("nora"))
    for path in (reverse("password_change"), "/", reverse("verdict")):
        assert "data-verdict=" not in client.get(path).content.decode()


def test_who_has_not_signed_in_learns_no_verdict(client, owner):
    scenarios.healthy(owner)
    snapshots.fresh()
    assert client.get(reverse("verdict"), headers={"HX-Request": "true"}).status_code == 401
    for path in ("/login/", "/nothing-here/"):
        assert "data-verdict=" not in client.get(path, follow=True).content.decode()
