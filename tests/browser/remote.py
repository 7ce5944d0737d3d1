"""Playwright in a thread of its own, used from the test's thread as if it were there.

Its synchronous interface runs an event loop, and Django refuses every query in a thread with a
running loop. So Playwright's objects are wrapped: each access and each call runs in that thread,
and its result is wrapped again.

A click returns as soon as the next document begins to arrive. So before a test uses a page or a
locator, the wrapper waits until the document has loaded: no test reads half a page.
``page.keyboard`` does not even wait for the next document to begin. A key that leads to another
page needs ``locator.press``, or an ``expect`` of what only the next page has.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from playwright.sync_api import Locator, Page, Playwright, expect, sync_playwright

from tests.waiting import HANG


class PlaywrightThread:
    """Starts Playwright in the thread and keeps it there until ``stop``."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="playwright")
        expect.set_options(timeout=1000 * HANG)
        self._manager = sync_playwright()
        self.playwright: Any = self.wrap(self.call(self._manager.start))

    def call(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        return self._executor.submit(function, *args, **options).result()

    def wrap(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self.wrap(one) for one in value]
        theirs = type(value).__module__.startswith("playwright.")
        return Remote(self, value) if theirs or isinstance(value, Playwright) else value

    def expect(self, remote: Remote) -> Any:
        """Playwright's waiting assertions: ``expect(page.locator("h1")).to_be_visible()``."""
        return self.wrap(self.call(lambda: expect(loaded(unwrap(remote)))))

    def stop(self) -> None:
        self.playwright.stop()
        self._executor.shutdown()


class Remote:
    """Stands for an object that lives in Playwright's thread."""

    def __init__(self, thread: PlaywrightThread, target: Any) -> None:
        self._thread, self._target = thread, target

    def __getattr__(self, name: str) -> Any:
        value = self._thread.call(lambda: getattr(loaded(self._target), name))
        if not callable(value):
            return self._thread.wrap(value)

        def call(*args: Any, **options: Any) -> Any:
            plain = {key: unwrap(one) for key, one in options.items()}
            return self._thread.wrap(self._thread.call(value, *map(unwrap, args), **plain))

        return call


def loaded(target: Any) -> Any:
    """The same object, once its page's document has loaded if it is part of a page."""
    page = target.page if isinstance(target, Locator) else target
    if isinstance(page, Page):
        page.wait_for_load_state()
    return target


def unwrap(value: Any) -> Any:
    return value._target if isinstance(value, Remote) else value
