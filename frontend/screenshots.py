"""Takes the pictures in docs/screenshots/, in each language and theme: ``bin/screenshots``.

Each start is a real one, `manage.py quickstart`, of the demo or of one of its scenarios, with a
private PostgreSQL in a folder that goes away. Chromium signs in and looks at it.

``--check`` takes none. It names the pages whose templates or styles are newer than their pictures.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "docs" / "screenshots"
# What each page was made of when its pictures were taken.
SHOWN = FOLDER / "shown.json"
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
PASSWORD = "only-for-pictures"
DESK, PHONE = (1440, 1100), (390, 844)
DEMO = ""
PATIENCE = 120_000  # milliseconds
_PARTS = re.compile(r'{% (extends|include|static) "([^"]+\.(?:html|css))"')


# What a file's name has between the view and the theme, and what the browser asks for.
LANGUAGES = {"": "en", "-zh": "zh-CN"}
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


@dataclass(frozen=True)
class View:
    """A page of one start, and how large the windows are through which it is seen.

    ``template`` is below ``templates/executions/``. ``after`` is done once before. Without a
    ``path`` the page is the one that this led to.
    """

    name: str
    template: str
    path: str = ""
    windows: tuple[tuple[int, int], ...] = (DESK,)
    after: Callable[[Page], None] | None = None


def choose(page: Page) -> None:
    """From the page Schedules into the wizard."""
    page.goto("/schedules/")
    page.click("form[id^=choose-] button")


def go_on(page: Page) -> None:
    """The button is there once every condition holds."""
    page.click("#go-on button")


def remove(page: Page) -> None:
    page.fill("#typed-remove", page.inner_text("#form-remove .typed-name"))
    for box in page.locator("#form-remove [type=checkbox]").all():
        box.check()
    page.click("#form-remove button")


# The verdict that each start comes to, and what is looked at then.
VIEWS = {
    DEMO: (
        "healthy",
        (
            View("overview", "overview/overview.html", "/", (DESK, PHONE)),
            View("plans", "history/plans.html", "/executions/"),
            View("schedules", "schedules/schedules.html", "/schedules/"),
            View("retire-check", "wizard/check.html", after=choose),
            View("retire-confirm", "wizard/confirm.html", after=go_on),
            View("retire-watch", "wizard/watch.html", after=remove),
        ),
    ),
    "silent-backend": (
        "failing",
        (View("failing", "overview/overview.html", "/", (DESK, PHONE)),),
    ),
    "failing-runs": ("failing", (View("zero", "rollup/zero.html", "/rollup/zero/"),)),
}
ALL = tuple(view for _verdict, views in VIEWS.values() for view in views)


def files(view: View) -> list[str]:
    """The names of all pictures of the view."""
    return [
        _file(view, f"{language}-{theme}", width)
        for language in LANGUAGES
        for theme in THEMES
        for width, _height in view.windows
    ]


def _file(view: View, whose: str, width: int) -> str:
    return f"{view.name}{whose}-{width}.png"


def made_of(view: View) -> str:
    """A digest of the page's template, of all that it includes, and of their styles."""
    found: dict[Path, bytes] = {}
    wanted = [ROOT / "templates" / "executions" / view.template]
    while wanted:
        path = wanted.pop()
        if path in found:
            continue
        found[path] = path.read_bytes()
        for kind, name in _PARTS.findall(found[path].decode()):
            wanted.append(ROOT / ("static" if kind == "static" else "templates") / name)
    whole = hashlib.sha256()
    for path in sorted(found):
        whole.update(f"{path.relative_to(ROOT)}\0".encode() + found[path] + b"\0")
    return whole.hexdigest()


def shown() -> dict[str, str]:
    return {view.name: made_of(view) for view in ALL}


def check() -> str:
    """Which pictures are older than their pages, as a sentence; empty if none is."""
    then = json.loads(SHOWN.read_text("utf-8"))
    older = [name for name, now in shown().items() if then.get(name) != now]
    if not older:
        return ""
    return f"Older than their pages are the pictures of {', '.join(older)}: run bin/screenshots."


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


def sign_in(page: Page, verdict: str) -> None:
    """Sign in, and wait until the overview's own refreshes have brought the verdict."""
    page.set_default_timeout(PATIENCE)
    page.goto("/login/")
    page.fill("[name=username]", "admin")
    page.fill("[name=password]", PASSWORD)
    page.click("button[type=submit]")
    page.wait_for_selector(f"#verdict-card[data-verdict={verdict}]")


def visitors(browser: Browser, address: str, verdict: str) -> dict[str, Page]:
    """A signed-in person for each language and theme, by what the names of their pictures have."""
    found = {}
    for language, locale in LANGUAGES.items():
        for theme in THEMES:
            context = browser.new_context(
                base_url=address, locale=locale, color_scheme=theme, reduced_motion="reduce"
            )
            found[f"{language}-{theme}"] = context.new_page()
            sign_in(found[f"{language}-{theme}"], verdict)
    return found


def look(page: Page, path: str, verdict: str, view: View, whose: str) -> None:
    """A picture of the view through each of its windows."""
    for width, height in view.windows:
        page.set_viewport_size({"width": width, "height": height})
        page.goto(path, wait_until="networkidle")
        page.wait_for_selector(f"#site-verdict [data-verdict={verdict}]")
        file = FOLDER / _file(view, whose, width)
        page.screenshot(path=file)
        print(file.relative_to(ROOT), flush=True)


def main() -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for scenario, (verdict, views) in VIEWS.items():
            with served(scenario) as address:
                people = visitors(browser, address, verdict)
                first = next(iter(people.values()))
                for view in views:
                    if view.after:
                        view.after(first)
                    path = view.path or first.url
                    for whose, page in people.items():
                        look(page, path, verdict, view, whose)
                for page in people.values():
                    page.context.close()
        browser.close()
    SHOWN.write_text(json.dumps(shown(), indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        sys.exit(check() or 0)
    main()
