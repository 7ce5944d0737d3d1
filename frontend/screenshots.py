"""Takes the pictures in docs/screenshots/, light and dark: ``bin/screenshots``.

Each start is a real one, `manage.py quickstart`, of the demo or of one of its scenarios, with a
private PostgreSQL in a folder that goes away. Chromium signs in and looks at it.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "docs" / "screenshots"
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
PASSWORD = "only-for-pictures"
DESK, PHONE = (1440, 1100), (390, 844)
DEMO = ""
PATIENCE = 120_000  # milliseconds


@dataclass(frozen=True)
class View:
    """A page of one start, and how large the windows are through which it is seen."""

    name: str
    path: str
    windows: tuple[tuple[int, int], ...] = (DESK,)


# The verdict that each start comes to, and what is looked at then.
VIEWS = {
    DEMO: (
        "healthy",
        (
            View("overview", "/", (DESK, PHONE)),
            View("plans", "/executions/"),
            View("schedules", "/schedules/"),
        ),
    ),
    "silent-backend": ("failing", (View("failing", "/", (DESK, PHONE)),)),
    "failing-runs": ("failing", (View("zero", "/rollup/zero/"),)),
}


@contextmanager
def served(scenario: str) -> Iterator[str]:
    """The address of a dashboard that shows the demo or the scenario."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    folder = Path(tempfile.mkdtemp(prefix="multica-admin-screenshots-"))
    folder.chmod(0o711)
    own = {"VAR_DIR": str(folder / "var"), "MULTICA_ADMIN_PASSWORD": PASSWORD, "LOG_FORMAT": "text"}
    options = ["--scenario", scenario] if scenario else []
    process = subprocess.Popen(
        [sys.executable, "manage.py", "quickstart", "--port", port, *options],
        cwd=ROOT,
        env=os.environ | own,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        sign = f"the scenario {scenario} is in place" if scenario else "Listening at"
        told = []
        for line in process.stdout:
            told.append(line)
            if sign in line:
                break
        else:
            sys.exit("".join([*told, f"{scenario or 'The demo'} did not start."]))
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate()
        shutil.rmtree(folder, ignore_errors=True)


def sign_in(page: Page, address: str, verdict: str) -> None:
    """Sign in, and wait until the overview's own refreshes have brought the verdict."""
    page.goto(f"{address}/login/")
    page.fill("[name=username]", "admin")
    page.fill("[name=password]", PASSWORD)
    page.click("button[type=submit]")
    page.wait_for_selector(f"#verdict-card[data-verdict={verdict}]")


def look(browser: Browser, address: str, verdict: str, view: View) -> None:
    """A picture of the view in each theme, through each window."""
    for theme in ("light", "dark"):
        context = browser.new_context(color_scheme=theme, reduced_motion="reduce")
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        sign_in(page, address, verdict)
        for width, height in view.windows:
            page.set_viewport_size({"width": width, "height": height})
            page.goto(f"{address}{view.path}", wait_until="networkidle")
            page.wait_for_selector(f"#site-verdict [data-verdict={verdict}]")
            file = FOLDER / f"{view.name}-{theme}-{width}.png"
            page.screenshot(path=file)
            print(file.relative_to(ROOT), flush=True)
        context.close()


def main() -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for scenario, (verdict, views) in VIEWS.items():
            with served(scenario) as address:
                for view in views:
                    look(browser, address, verdict, view)
        browser.close()


if __name__ == "__main__":
    main()
