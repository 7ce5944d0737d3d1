"""The product's words are explained where they stand: by finger, by keyboard, without scripts."""

from __future__ import annotations

import pytest

from tests import scenarios
from tests.browser.test_refreshing import fail_the_newest

MARK, TEXT = '[popovertarget="term-watermark"]', "#term-watermark"
INSIDE = """(element) => {
  const box = element.getBoundingClientRect();
  return box.left >= 0 && box.top >= 0 && box.right <= innerWidth && box.bottom <= innerHeight;
}"""


@pytest.fixture
def world(owner):
    return scenarios.healthy(owner)


def test_a_finger_opens_a_word_without_scripts_and_closes_it(open_page, world, expect):
    page = open_page(
        java_script_enabled=False, has_touch=True, viewport={"width": 390, "height": 844}
    )
    page.goto("/")
    expect(page.locator(TEXT)).to_be_hidden()
    page.locator(MARK).tap()
    expect(page.locator(TEXT)).to_contain_text("the time up to which usage is rolled up")
    expect(page.locator(TEXT)).to_be_visible()
    assert page.locator(TEXT).evaluate(INSIDE)
    page.locator("h1").tap()
    expect(page.locator(TEXT)).to_be_hidden()


@pytest.mark.usefixtures("quick")
def test_the_keyboard_opens_a_word_which_outlives_a_refresh(page, world, expect):
    page.goto("/")
    page.locator(MARK).focus()
    page.keyboard.press("Enter")
    expect(page.locator(TEXT)).to_be_visible()
    assert page.locator(TEXT).evaluate(INSIDE)
    fail_the_newest(world)
    expect(page.locator("#verdict-card")).not_to_have_attribute("data-verdict", "healthy")
    expect(page.locator(TEXT)).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(TEXT)).to_be_hidden()
    expect(page.locator(MARK)).to_be_focused()
