"""A real browser in front of the real dashboard: Debian's Chromium, driven by Playwright.

Tests say ``page.goto("/")``; see `remote.py` for why that works beside the ORM. After each test the
console must be empty, unless the test asks for ``console`` and looks at it itself.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from executions.accounts.roles import OPERATOR
from executions.health import snapshots
from tests import scenarios
from tests.browser.remote import PlaywrightThread, Remote
from tests.browser.server import Server
from tests.browser.tabs import Tabs
from tests.factories import ExecutionFactory
from tests.people import PASSWORD, make_user

CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test here has both databases, with rows that other connections can see."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(
                pytest.mark.django_db(databases=["default", "multica"], transaction=True)
            )


@pytest.fixture(scope="session")
def playwright_thread() -> Iterator[PlaywrightThread]:
    thread = PlaywrightThread()
    yield thread
    thread.stop()


@pytest.fixture(scope="session")
def browser(playwright_thread: PlaywrightThread) -> Iterator[Remote]:
    if not CHROMIUM.exists():
        pytest.fail(f"These tests need Chromium at {CHROMIUM}: run bin/test, which installs it.")
    browser = playwright_thread.playwright.chromium.launch(
        executable_path=str(CHROMIUM),
        args=FLAGS,
    )
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def server(django_db_setup: None) -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def expect(playwright_thread: PlaywrightThread) -> Callable[[Remote], Any]:
    return playwright_thread.expect


@pytest.fixture
def operator(db: None) -> User:
    return make_user("olga", OPERATOR, PASSWORD)


@pytest.fixture(scope="session")
def tabs(playwright_thread: PlaywrightThread, browser: Remote, server: Server) -> Tabs:
    return Tabs(playwright_thread, browser, server.url)


@pytest.fixture
def console(tabs: Tabs) -> list[str]:
    """What any page of the test wrote to its console. A test that empties it has looked at it."""
    tabs.console.clear()
    return tabs.console


@pytest.fixture
def open_page(
    tabs: Tabs, server: Server, operator: User, console: list[str]
) -> Iterator[Callable[..., Remote]]:
    """Opens a page of a browser of its own, signed in unless ``signed_in=False``.

    ``is_cold`` is for measuring a first visit: nothing of an earlier one is in the cache.
    """

    def open_one(*, signed_in: bool = True, is_cold: bool = False, **options: Any) -> Remote:
        tab = tabs.open(is_cold=is_cold, options=options)
        if signed_in:
            client = Client()
            client.force_login(operator)
            value = client.cookies[settings.SESSION_COOKIE_NAME].value
            tabs.add_cookie(
                tab, {"name": settings.SESSION_COOKIE_NAME, "value": value, "url": server.url}
            )
        return tab

    yield open_one
    tabs.put_back()
    server.wait_until_idle()
    assert console == []


@pytest.fixture
def page(open_page: Callable[..., Remote]) -> Remote:
    return open_page()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Live parts refresh every second."""
    monkeypatch.setattr(snapshots, "QUIET_SECONDS", 1.0)
    monkeypatch.setattr(snapshots, "BUSY_SECONDS", 1.0)


# Longer and stranger than anything that a scheduler writes, without a place to break a line.
NASTY = "<b>bold</b> \u202eturned\u202c \x1b[31m\x07" + "x" * 300
MESSAGE = "canceling_statement_due_to_user_request:\x1b[0m" + "a_very_long_token" * 230
CODE = "handler_panic_" * 14
RESULT = {"detail": "y" * 16_000}
SCOPES = """
INSERT INTO sys_cron_executions (job_name, scope_kind, scope_id, plan_time, status, runner_id,
    lease_token, started_at, finished_at, duration_ms)
SELECT 'autopilot_schedule_dispatch', 'autopilot_trigger', md5(number::text)::uuid::text,
       %(plan_time)s, 'SUCCESS', 'r', gen_random_uuid(), %(plan_time)s, %(plan_time)s, 5
  FROM generate_series(1, 10000) AS number
"""


@pytest.fixture
def busy_day(owner: Any) -> scenarios.DayOfPlans:
    """A day with every kind of plan in it, texts that no layout expects, and another job."""
    world = scenarios.sound(owner)
    world.change((20, 90, 91), retried=True)
    hostile = {"error_msg": MESSAGE, "runner_id": NASTY, "error_code": CODE, "result": RESULT}
    world.change(60, exhausted=True, **hostile)
    world.change((61, 2), failed=True, **hostile)
    world.change(100, finished_at=world.started_at(97))
    world.change(range(200, 288), runner_id="9d5c7f00-0000-4000-8000-000000000001")
    world.drop([30, 31, 32, 150])
    world.add(plan_time=world.plan_time(40) + scenarios.CADENCE / 2)
    world.write()
    owner.execute(SCOPES, {"plan_time": world.plan_time(1)})
    for number in range(30):
        ExecutionFactory(
            connection=owner,
            job_name=NASTY,
            scope_kind=NASTY,
            scope_id=f"{number:08}-{NASTY}",
            plan_time=world.plan_time(number),
        )
    return world


@pytest.fixture
def pages(every_page: list[str], busy_day: scenarios.DayOfPlans, owner: Any) -> list[str]:
    """Every page, including those that need an argument, those without a sign-in, and an error."""
    failed = owner.execute(
        "SELECT id FROM sys_cron_executions WHERE error_code = %s AND attempt = 3", [CODE]
    ).fetchone()
    return [
        *every_page,
        "/?window=7d",
        "/executions/?status=FAILED&q=nothing-like-it",
        reverse("execution", args=[failed["id"]]),
        reverse("explain", args=["lock_leaked"]),
        reverse("explain", args=["latest_stale"]),
        reverse("password_change"),
        reverse("confirm"),
        "/executions/?status=WRONG",
    ]
