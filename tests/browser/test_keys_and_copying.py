"""The key of the search, and copying: also without TLS, where a browser has no clipboard."""

from __future__ import annotations

import pytest

from tests import scenarios

FOCUSED = "document.activeElement.id"
# Browsers offer no clipboard on an address that is neither https nor this machine.
PLAIN_HTTP = "Object.defineProperty(Navigator.prototype, 'clipboard', { value: undefined })"


@pytest.fixture(autouse=True)
def world(owner):
    return scenarios.healthy(owner)


@pytest.mark.parametrize("path", ["/executions/", "/audit/"])
def test_a_slash_leads_to_the_search_which_says_so(page, expect, path):
    page.goto(path)
    expect(page.locator("label[for=filter-q] kbd")).to_be_visible()
    page.keyboard.press("/")
    assert page.evaluate(FOCUSED) == "filter-q"
    page.keyboard.type("a/b")
    assert page.locator("#filter-q").input_value() == "a/b"


def test_2_1_4_the_key_can_be_turned_off_which_is_remembered(page, expect):
    page.goto("/executions/")
    page.locator(".tool-user").click()
    switch = page.get_by_role("button", name="“/” to search")
    expect(switch).to_have_attribute("aria-pressed", "true")
    switch.click()
    expect(switch).to_have_attribute("aria-pressed", "false")
    page.reload()
    expect(page.locator("label[for=filter-q] kbd")).to_be_hidden()
    page.keyboard.press("/")
    assert page.evaluate(FOCUSED) != "filter-q"


@pytest.mark.parametrize("on_plain_http", [False, True])
def test_a_button_copies_and_says_so(open_page, expect, on_plain_http):
    page = open_page(permissions=["clipboard-read", "clipboard-write"])
    if on_plain_http:
        page.add_init_script(PLAIN_HTTP)
    page.goto("/executions/?job=rollup_task_usage_hourly")
    page.locator("tbody .cell-main a").first.click()
    button = page.locator("[data-copy=lease-token]")
    button.click()
    expect(button).to_have_text("Copied")
    assert page.evaluate("getSelection().isCollapsed")
    token = page.locator("#lease-token").inner_text()
    page.goto("/executions/")
    page.locator("#filter-q").press("Control+V")
    assert page.locator("#filter-q").input_value() == token
