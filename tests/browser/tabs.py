"""Tabs that tests use one after another.

A browser context of its own costs a second of processor time for each test: another process, an
empty cache, and every script compiled anew. So a tab goes from test to test. In between it forgets
what a page can keep, and a tab that was changed in a way that it cannot forget is closed.
"""

from __future__ import annotations

from typing import Any

from tests.browser.remote import PlaywrightThread, Remote, unwrap
from tests.waiting import HANG

VIEWPORT = {"width": 1440, "height": 900}
MEDIA = {
    "color_scheme": "light",
    "contrast": "no-preference",
    "forced_colors": "none",
    "reduced_motion": "no-preference",
}
# What a test does with these ends with its page or is undone. What it does with any other stays
# with the tab, or happens outside of its page.
PASSING = {
    "content",
    "emulate_media",
    "evaluate",
    "get_by_label",
    "get_by_role",
    "go_back",
    "go_forward",
    "goto",
    "keyboard",
    "locator",
    "mouse",
    "reload",
    "set_viewport_size",
    "title",
    "url",
    "wait_for_function",
    "wait_for_load_state",
    "wait_for_selector",
    "wait_for_timeout",
    "wait_for_url",
}
FORGET = "() => { localStorage.clear(); sessionStorage.clear(); }"


class Tab(Remote):
    """A page, and whether another test may have it afterwards."""

    def __init__(self, thread: PlaywrightThread, target: Any) -> None:
        super().__init__(thread, target)
        self.is_changed = False

    def __getattr__(self, name: str) -> Any:
        if name not in PASSING:
            self.is_changed = True
        return super().__getattr__(name)


class Tabs:
    """Opens tabs with the options of a browser context; keeps those that no test has now.

    ``console`` has what the tabs wrote to their consoles. Each test empties it.
    """

    def __init__(self, thread: PlaywrightThread, browser: Remote, url: str) -> None:
        self._thread, self._browser, self._url = thread, browser, url
        self._idle: dict[str, Tab] = {}
        self._open: list[tuple[Tab, dict[str, Any]]] = []
        self.console: list[str] = []

    def open(self, *, is_cold: bool, options: dict[str, Any]) -> Tab:
        """A tab with these options. A cold one has an empty cache, because it is new."""
        size = options.pop("viewport", VIEWPORT)
        options = {"base_url": self._url} | options
        tab = None if is_cold else self._idle.pop(repr(options), None)
        tab = tab or self._thread.call(self._made, options)
        tab.set_viewport_size(size)
        self._open.append((tab, options))
        return tab

    def _made(self, options: dict[str, Any]) -> Tab:
        context = unwrap(self._browser).new_context(**options)
        context.set_default_timeout(1000 * HANG)
        page = context.new_page()
        page.on("console", lambda message: self.console.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.console.append(f"error: {error}"))
        return Tab(self._thread, page)

    def add_cookie(self, tab: Tab, cookie: dict[str, str]) -> None:
        self._thread.call(lambda: unwrap(tab).context.add_cookies([cookie]))

    def put_back(self) -> None:
        """Ends what the open tabs are doing. No page of theirs asks the server any more."""
        while self._open:
            tab, options = self._open.pop()
            key = repr(options)
            is_spare = tab.is_changed or key in self._idle
            if not is_spare and tab.url.startswith(f"{self._url}/"):
                self._thread.call(self._forget, unwrap(tab), options)
                self._idle[key] = tab
            else:
                self._thread.call(unwrap(tab).context.close)

    def _forget(self, page: Any, options: dict[str, Any]) -> None:
        for other in page.context.pages:
            if other != page:
                other.close()
        page.evaluate(FORGET)
        page.goto("about:blank")
        session = page.context.new_cdp_session(page)
        session.send("Page.resetNavigationHistory")
        session.detach()
        page.mouse.move(0, 0)
        page.context.clear_cookies()
        page.emulate_media(media="null", **{name: options.get(name, MEDIA[name]) for name in MEDIA})
