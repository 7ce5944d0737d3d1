"""The wizard at its true pace, for bin/audit: five-minute plans, the product's own settings.

Everything is as an operator has it after ``bin/run``: the embedded PostgreSQL with its pg_cron job,
gunicorn, the in-process runners, Chromium. The job is paused on trial, removed, verified and put
back. It takes some 35 minutes, so its name keeps pytest from collecting it by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from psycopg.rows import dict_row

from multica_admin import embedded
from tests.browser.conftest import CHROMIUM, FLAGS
from tests.people import PASSWORD
from tests.processes import free_port
from tests.starting import QUICKSTART, start, var

__all__ = ["start", "var"]

NAME = "rollup_task_usage_hourly"
# Three plans of five minutes, each due five minutes after it began, with room for a slow machine.
THREE_PLANS_MS = 25 * 60 * 1000


@pytest.fixture
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def pg_cron(folder: Any) -> Iterator[psycopg.Connection[dict[str, Any]]]:
    conninfo = embedded.conninfo(folder, "postgres")
    with psycopg.connect(**conninfo, autocommit=True, row_factory=dict_row) as connection:
        yield connection


def test_paused_removed_verified_and_put_back_at_the_pace_of_real_plans(start, var, chromium):
    port = free_port()
    process = start(*QUICKSTART, str(port))
    process.wait_for("Listening at")
    page = chromium.new_page(base_url=f"http://127.0.0.1:{port}")
    page.goto("/login/")
    sign_in(page, "admin")
    with pg_cron(var) as database:
        (before,) = jobs(database)
        began = now(database)

        page.goto("/schedules/")
        page.locator(f"#choose-{before['jobid']} button").click()
        page.get_by_role("button", name="Go on to the confirmation").click()
        assert jobs(database) == [before]
        act(page, "pause")
        assert jobs(database) == [before | {"active": False}]
        outcome(page, "trial_passed")

        page.locator("#decide-remove").click()
        act(page, "remove")
        assert jobs(database) == []
        outcome(page, "verified")
        assert now(database) - began > timedelta(minutes=25)
        assert kept_since(database, began) >= 5

        put_back(page)
        outcome(page, "put_back")
        (after,) = jobs(database)
        assert after | {"jobid": before["jobid"]} == before
        assert recorded(database) == [
            ("pause", "intended"),
            ("pause", "done"),
            ("trial", "done"),
            ("remove", "intended"),
            ("remove", "done"),
            ("watch", "done"),
            ("put_back", "intended"),
            ("put_back", "done"),
        ]


def sign_in(page: Page, name: str | None = None) -> None:
    """On the page that asks for it; the second time it asks for the password only."""
    if name:
        page.locator("[name=username]").fill(name)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    with page.expect_navigation():
        page.keyboard.press("Enter")


def act(page: Page, way: str) -> None:
    """Sign in again if ten minutes have passed, type the name and press the button."""
    page.wait_for_load_state()  # the click before returns when the page begins to arrive
    again = page.get_by_role("link", name="Sign in again now")
    if again.count():
        again.click()
        sign_in(page)
    page.locator(f"#typed-{way}").fill(NAME)
    with page.expect_navigation():
        page.locator(f"#form-{way} button").click()


def put_back(page: Page) -> None:
    """A quarter of an hour has passed: the first press leads to signing in again, and back."""
    button = page.get_by_role("button", name="Put it back", exact=True)
    with page.expect_navigation():
        button.click()
    sign_in(page)
    with page.expect_navigation():
        button.click()


def outcome(page: Page, state: str) -> None:
    """Wait like a person who looks and touches nothing."""
    expect(page.locator("#outcome")).to_have_attribute("data-state", state, timeout=THREE_PLANS_MS)


def jobs(database: psycopg.Connection[dict[str, Any]]) -> list[dict[str, Any]]:
    return database.execute("SELECT * FROM cron.job ORDER BY jobid").fetchall()


def now(database: psycopg.Connection[dict[str, Any]]) -> Any:
    return database.execute("SELECT now() AS now").fetchone()["now"]  # type: ignore[index]


def kept_since(database: psycopg.Connection[dict[str, Any]], began: Any) -> int:
    """The number of plans begun since then. Every one must have succeeded."""
    rows = database.execute(
        "SELECT status FROM sys_cron_executions WHERE started_at > %s AND finished_at IS NOT NULL",
        [began],
    ).fetchall()
    assert {row["status"] for row in rows} == {"SUCCESS"}
    return len(rows)


def recorded(database: psycopg.Connection[dict[str, Any]]) -> list[tuple[str, str]]:
    rows = database.execute(
        "SELECT action, outcome FROM multica_admin.executions_auditevent ORDER BY id"
    ).fetchall()
    return [(row["action"], row["outcome"]) for row in rows]
