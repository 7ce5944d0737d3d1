"""What the main pages weigh on the wire, headers included, as Chromium counts it.

Each page is opened by a browser that has nothing cached, signed in, over 200,000 executions. Then
it is left open: for a refresh that finds nothing new, and for one that brings everything anew.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import django
import psycopg
from psycopg.conninfo import make_conninfo

from benchmarks.pages import BUCKETS, fill

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
PAGES = {
    "overview": "/",
    "plans": "/executions/",
    "rollup": "/rollup/",
    "schedules": "/schedules/",
    "audit": "/audit/",
}
FIRST_LOAD, CHANGED, UNCHANGED = 130_000, 20_000, 1_000
FORGET = "for (const part of document.querySelectorAll('[data-live]')) part.dataset.version = ''"
ANSWERED = """(status) => performance.getEntriesByType("resource")
  .some((one) => one.initiatorType === "fetch" && one.responseStatus === status)"""


@dataclass(frozen=True)
class Row:
    """One line of the table, in bytes."""

    name: str
    value: float
    bound: float | None
    unit: str = "bytes"
    ratio: float | None = None

    @property
    def holds(self) -> bool:
        return self.bound is None or self.value <= self.bound


@dataclass
class Wire:
    """The answers that a page has got: for each request its kind, status and bytes."""

    answers: dict[str, tuple[str, int]] = field(default_factory=dict)
    bytes: dict[str, int] = field(default_factory=dict)

    def begun(self, event: dict[str, Any]) -> None:
        number, response = event["requestId"], event["response"]
        self.answers[number] = (event["type"], response["status"])
        if response["status"] == 204:  # has headers only, and Chromium tells no end of it
            self.bytes[number] = int(response["encodedDataLength"])

    def ended(self, event: dict[str, Any]) -> None:
        self.bytes[event["requestId"]] = int(event["encodedDataLength"])

    def forget(self) -> None:
        self.answers.clear()
        self.bytes.clear()

    @property
    def requests(self) -> int:
        return len(self.bytes)

    @property
    def total(self) -> int:
        return sum(self.bytes.values())

    def of(self, status: int) -> list[int]:
        """The bytes of each refresh that was answered with that status and has ended."""
        return [
            self.bytes[number]
            for number, (kind, found) in self.answers.items()
            if kind == "Fetch" and found == status and number in self.bytes
        ]

    def refresh(self, page: Any, status: int) -> int:
        """The bytes of the greatest refresh with that status, once there is one."""
        page.wait_for_function(ANSWERED, arg=status)
        while not self.of(status):
            page.evaluate("new Promise(requestAnimationFrame)")  # the events come meanwhile
        return max(self.of(status))


def watch(page: Any) -> Wire:
    """Counts what the page gets from now on."""
    wire = Wire()
    session = page.context.new_cdp_session(page)
    session.on("Network.responseReceived", wire.begun)
    session.on("Network.loadingFinished", wire.ended)
    session.send("Network.enable")
    return wire


def run(conninfo: str) -> list[Row]:
    """Every main page: its first load, and both kinds of refresh."""
    django.setup()
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("CREATE DATABASE wire")
    database = make_conninfo(conninfo, dbname="wire")
    with psycopg.connect(database, autocommit=True) as connection:
        fill(connection, BUCKETS["200,000"])
    snapshots: Any = import_module("executions.health.snapshots")  # it needs Django to be set up
    site = import_module("benchmarks.site").Site({"multica": database})
    snapshots.QUIET_SECONDS = snapshots.BUSY_SECONDS = 1.0
    with _served() as address, _browser() as browser:
        return [
            row
            for name, path in PAGES.items()
            for row in _measured(browser, name, f"{address}{path}", site.session)
        ]


def _measured(browser: Any, name: str, address: str, session: dict[str, str]) -> Iterator[Row]:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.add_cookies([{**session, "url": address}])
    page = context.new_page()
    wire = watch(page)
    page.goto(address, wait_until="networkidle")
    is_overview = name == "overview"
    bound = FIRST_LOAD if is_overview else None
    yield Row(f"{name}, first load ({wire.requests} requests)", wire.total, bound)
    if is_overview:
        for status, kind, most in (
            (204, "a refresh with nothing new", UNCHANGED),
            (200, "a refresh with everything new", CHANGED),
        ):
            wire.forget()
            if status == 200:
                page.evaluate(FORGET)
            page.evaluate("performance.clearResourceTimings()")
            yield Row(f"{name}, {kind}", wire.refresh(page, status), most)
    context.close()


@contextmanager
def _served() -> Iterator[str]:
    """The project on a free port of loopback."""
    servers = import_module("django.core.servers.basehttp")
    handler = type("Quiet", (servers.WSGIRequestHandler,), {"log_message": lambda *_parts: None})
    server = servers.ThreadedWSGIServer(("127.0.0.1", 0), handler)
    server.set_app(import_module("multica_admin.wsgi").application)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://localhost:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def _browser() -> Iterator[Any]:
    sync_api = import_module("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()
