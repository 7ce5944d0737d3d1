"""Tests read a page only once it is complete, even if it arrives slowly."""

from __future__ import annotations

import pytest


@pytest.fixture
def halting(server, page):
    """From the second page on, every page stops for a second in the middle."""
    page.goto("/")
    server.pause = 1.0
    yield page
    server.pause = 0.0


READS = {
    "content": lambda page: "site-footer" in page.content(),
    "evaluate": lambda page: page.evaluate("document.querySelector('footer').innerText"),
    "count": lambda page: page.locator("footer").count(),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_what_is_read_after_a_click_is_read_from_the_whole_page(halting, read):
    halting.get_by_role("link", name="Schedules").click()
    assert read(halting)


def test_what_must_be_absent_after_a_click_is_looked_for_on_the_whole_page(halting, expect):
    footer = halting.locator("footer")
    halting.get_by_role("link", name="Schedules").click()
    with pytest.raises(AssertionError):
        expect(footer).to_have_count(0, timeout=1)


def test_an_address_that_has_come_does_not_end_the_wait_for_its_page(halting, expect):
    halting.get_by_role("link", name="Schedules").focus()
    halting.keyboard.press("Enter")
    halting.wait_for_url("**/schedules/", wait_until="commit")
    assert halting.locator("footer").count() == 1
