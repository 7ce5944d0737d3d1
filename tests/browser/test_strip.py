"""The plan strip for fingers and keyboards: one tab stop, arrow keys, large targets, filters."""

from __future__ import annotations

import pytest

from tests import scenarios

ACTIVE = "document.activeElement"
STOPS = "document.querySelectorAll('#plan-strip a.plan[tabindex=\"0\"]').length"
# Targets whose own box is under 24 pixels, or covered by something else at their corners.
SMALL = """(selector) => [...document.querySelectorAll(selector)].filter((one) => {
  const box = one.getBoundingClientRect();
  return box.width < 24 || box.height < 24;
}).map((one) => `${one.id} ${JSON.stringify(one.getBoundingClientRect())}`).slice(0, 3)"""


def focused(page):
    return page.evaluate(f"{ACTIVE}.id")


def press(page, *keys):
    for key in keys:
        page.keyboard.press(key)
    return focused(page)


@pytest.fixture
def strip(page, owner):
    """A page whose strip has the focus on its newest square."""
    scenarios.gap(owner, ages=(40, 41))
    page.goto("/")
    page.locator("#plan-strip .segmented a").last.focus()
    page.keyboard.press("Tab")
    return page


def test_the_strip_is_one_tab_stop_which_is_the_newest_plan(strip):
    assert strip.evaluate(STOPS) == 1
    newest = strip.locator(".plan-strip a.plan").last.get_attribute("id")
    assert focused(strip) == newest
    strip.keyboard.press("Tab")
    assert not strip.evaluate(f"{ACTIVE}.closest('.plan-strip') !== null")
    strip.keyboard.press("Shift+Tab")
    assert focused(strip) == newest


def test_arrow_keys_walk_through_the_plans_and_rows(strip):
    ids = strip.locator(".plan-strip a.plan").evaluate_all("(all) => all.map((one) => one.id)")
    assert press(strip, "ArrowLeft") == ids[-2]
    assert press(strip, "ArrowRight") == ids[-1]
    assert press(strip, "ArrowRight") == ids[-1]
    hour = 3600
    newest = int(ids[-1].removeprefix("square-"))
    assert press(strip, "ArrowUp", "ArrowUp") == f"square-{newest - 2 * hour}"
    assert press(strip, "ArrowDown") == f"square-{newest - hour}"
    full = newest - newest % hour - hour
    assert press(strip, "Home") == f"square-{full}"
    assert press(strip, "End") == f"square-{full + hour - 300}"
    assert press(strip, "Control+Home") == ids[0]
    assert press(strip, "Control+End") == ids[-1]
    assert strip.evaluate(STOPS) == 1


def test_enter_opens_the_plan_that_has_the_focus(strip, expect):
    press(strip, "ArrowUp")
    name = strip.evaluate(f"{ACTIVE}.textContent")
    strip.locator(":focus").press("Enter")
    expect(strip.locator("h1")).to_contain_text(name.split()[0])


@pytest.mark.usefixtures("quick")
def test_a_refresh_moves_neither_the_focus_nor_the_tab_stop(page, owner, expect):
    world = scenarios.healthy(owner)
    page.goto("/")
    page.locator("#plan-strip .segmented a").last.focus()
    here = press(page, "Tab", "ArrowUp", "ArrowLeft")
    world.change(0, exhausted=True)
    world.write()
    expect(page.locator(".plan-strip a.plan-failed")).to_have_count(1)
    assert focused(page) == here
    assert page.evaluate(STOPS) == 1
    assert page.evaluate(f"{ACTIVE}.tabIndex") == 0


@pytest.mark.parametrize("path", ["/", "/?window=7d"])
def test_every_target_of_the_strip_is_at_least_24_pixels_wide_and_high(open_page, owner, path):
    scenarios.gap(owner, ages=(3, 4, 40))
    page = open_page(has_touch=True)
    page.goto(path)
    for width in (320, 390, 768, 1440):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate(SMALL, ".plan-strip a.plan") == [], width
        assert page.evaluate(SMALL, "#plan-strip .legend a") == [], width
        assert page.evaluate(SMALL, "#plan-strip .segmented a") == [], width
        assert page.evaluate("document.documentElement.scrollWidth") == width


def test_the_legend_leads_to_its_kind_and_shows_only_that(page, owner, expect):
    world = scenarios.sound(owner)
    world.change(17, exhausted=True)
    world.change((30, 60), retried=True)
    world.write()
    page.goto("/")
    failed = page.locator("#legend-failed a")
    failed.click()
    assert page.evaluate(f"{ACTIVE}.className") == "plan plan-failed"
    expect(failed).to_have_attribute("aria-current", "true")
    assert page.locator(".plan-strip").get_attribute("data-only") == "failed"
    page.locator("#legend-retried a").click()
    newest = int(world.plan_time(30).timestamp())
    assert focused(page) == f"square-{newest}"
    page.locator("#legend-retried a").click()
    assert page.locator(".plan-strip").get_attribute("data-only") is None


def test_without_scripts_the_legend_leads_to_the_newest_of_its_kind(open_page, owner, expect):
    world = scenarios.sound(owner)
    world.change((17, 40), exhausted=True)
    world.write()
    page = open_page(java_script_enabled=False)
    page.goto("/")
    page.locator("#legend-failed a").click()
    assert page.url.endswith(f"#square-{int(world.plan_time(17).timestamp())}")
    expect(page.locator(".plan:target")).to_be_in_viewport()


def test_the_strip_has_ticks_and_the_date_at_midnight(page, owner, expect):
    world = scenarios.healthy(owner)
    page.goto("/")
    expect(page.locator(".plan-ticks").first).to_contain_text("+15")
    midnight = world.now.replace(hour=0, minute=0, second=0, microsecond=0)
    label = page.locator(f'.plan-label time[datetime^="{midnight:%Y-%m-%dT00:00}"]')
    expect(label).to_have_text(f"{midnight:%b} {midnight.day}")
    page.goto("/?window=7d")
    expect(page.locator(".plan-ticks").first).to_contain_text("06")
