"""A viewer's choices of time zone and theme are remembered, and the page follows them."""

from __future__ import annotations

import pytest

from tests import scenarios

THEME = "document.documentElement.dataset.bsTheme"


@pytest.fixture(autouse=True)
def world(owner):
    return scenarios.healthy(owner)


def test_the_theme_follows_the_system_until_one_is_chosen_which_is_remembered(open_page):
    page = open_page(color_scheme="dark")
    page.goto("/")
    assert page.evaluate(THEME) == "dark"
    page.emulate_media(color_scheme="light")
    page.wait_for_function(f"() => {THEME} === 'light'")
    page.locator("details[data-menu] > summary").first.click()
    page.locator("[data-theme-choice=dark]").click()
    assert page.evaluate(THEME) == "dark"
    page.goto("/executions/")
    assert page.evaluate(THEME) == "dark"


def test_charts_are_drawn_in_the_colours_of_the_theme(open_page):
    page = open_page(color_scheme="light")
    page.goto("/")
    picture = "document.querySelector('#chart-durations canvas').toDataURL()"
    before = page.evaluate(picture)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"(before) => {picture} !== before", arg=before)


def test_the_zone_of_times_is_remembered_and_the_server_writes_it_too(open_page, world, expect):
    page = open_page(timezone_id="Asia/Kolkata")
    page.goto("/")
    shown = page.locator("#verdict time").first
    expect(shown).to_contain_text("UTC")
    assert "UTC+5:30" not in shown.inner_text()
    page.locator("[data-zone=local]").click()
    expect(shown).to_contain_text("UTC+5:30")
    page.reload()
    expect(shown).to_contain_text("UTC+5:30")
    # As the server writes it, before any script has run.
    assert "UTC+5:30" in page.context.request.get("/").text()
    page.locator("[data-zone=utc]").click()
    page.reload()
    expect(shown).not_to_contain_text("UTC+5:30")
    assert "UTC+5:30" not in page.context.request.get("/").text()


def test_the_zone_of_a_chart_is_that_of_the_times_beside_it(open_page):
    page = open_page(timezone_id="Asia/Kolkata")
    page.goto("/")
    picture = "document.querySelector('#chart-durations canvas').toDataURL()"
    before = page.evaluate(picture)
    page.locator("[data-zone=local]").click()
    page.wait_for_function(f"(before) => {picture} !== before", arg=before)


def test_an_age_goes_on_between_refreshes(page):
    page.goto("/")
    page.wait_for_function(
        "() => parseInt(document.querySelector('[data-checked] time').textContent) >= 2"
    )


IN_VIEW = """(id) => {
  const { top } = document.getElementById(id).getBoundingClientRect();
  return top >= 0 && top < innerHeight / 2;
}"""


def test_without_scripts_another_window_begins_at_its_strip(open_page, expect):
    page = open_page(viewport={"width": 390, "height": 844}, java_script_enabled=False)
    page.goto("/")
    title = page.locator("#strip-title")
    for name in ("7 days", "24 hours"):
        page.get_by_role("link", name=name).click()
        expect(title).to_contain_text(name)
        expect(title).to_be_in_viewport()
    page.go_back()
    expect(title).to_contain_text("7 days")


def test_paging_goes_on_in_the_list_and_so_does_the_keyboard(open_page):
    page = open_page(viewport={"width": 390, "height": 844})
    page.goto("/executions/")
    page.get_by_role("link", name="Older").click()
    assert "cursor=" in page.evaluate("location.search")
    page.wait_for_function(IN_VIEW, arg="plans")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('#plans') !== null")


def test_seven_days_come_in_place_and_what_is_read_stays_where_it_is(page, expect):
    """Without the page being loaded again, and back and forward go through the windows."""
    page.goto("/")
    page.evaluate("window.stays = true")
    choice = page.locator("#plan-strip").get_by_role("link", name="7 days")
    choice.scroll_into_view_if_needed()
    page.mouse.wheel(0, 150)
    before = choice.bounding_box()["y"]
    choice.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#strip-title")).to_contain_text("7 days")
    assert abs(choice.bounding_box()["y"] - before) < 2
    assert page.evaluate("document.activeElement.textContent") == "7 days"
    assert page.evaluate("location.search") == "?window=7d"
    assert "#" not in page.url
    page.go_back()
    expect(page.locator("#strip-title")).to_contain_text("24 hours")
    page.go_forward()
    expect(page.locator("#strip-title")).to_contain_text("7 days")
    assert page.evaluate("window.stays")


def test_a_window_that_does_not_come_is_loaded_as_a_page(page, expect, console):
    page.goto("/")
    page.route("**/?window=7d", lambda route: (
        route.abort() if "hx-request" in route.request.headers else route.continue_()
    ))  # fmt: skip
    page.locator("#plan-strip").get_by_role("link", name="7 days").click()
    expect(page.locator("#strip-title")).to_contain_text("7 days")
    assert page.evaluate("location.search") == "?window=7d"
    console[:] = [line for line in console if "ERR_FAILED" not in line]


def test_plans_stand_under_the_day_of_the_chosen_zone(open_page, expect):
    page = open_page(timezone_id="Pacific/Kiritimati")  # 14 hours ahead
    page.goto("/executions/")
    days = page.locator("tr.day time")
    before = days.all_inner_texts()
    page.locator("[data-zone=local]").click()
    expect(days.first).not_to_have_text(before[0])
    page.wait_for_function(
        """() => [...document.querySelectorAll("tr.day")].every((day) =>
             day.querySelector("time").textContent
               === day.nextElementSibling.querySelector("time").title.slice(0, 10))"""
    )
