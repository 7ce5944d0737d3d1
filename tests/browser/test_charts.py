"""The charts as they are drawn: a canvas shows only what lies inside it."""

from __future__ import annotations

import json

import pytest

from tests import scenarios

# Every text that is written on a canvas, with its left and right end and the width of the canvas.
WATCH_TEXTS = """() => {
  window.drawn = [];
  const { fillText } = CanvasRenderingContext2D.prototype;
  CanvasRenderingContext2D.prototype.fillText = function (text, x, ...rest) {
    const { actualBoundingBoxLeft: left, actualBoundingBoxRight: right } = this.measureText(text);
    const { e } = this.getTransform();
    drawn.push({ text, left: e + x - left, right: e + x + right, width: this.canvas.width });
    return fillText.call(this, text, x, ...rest);
  };
}"""

DRAW = """(points) => {
  drawn.length = 0;
  document.getElementById("chart-durations").dataset.chartPoints = points;
  document.dispatchEvent(new Event("live:merged"));
}"""


@pytest.mark.parametrize("width", [390, 768, 1440])
def test_the_last_label_of_the_time_axis_is_whole_wherever_the_day_ends(open_page, owner, width):
    scenarios.healthy(owner)
    page = open_page(viewport={"width": width, "height": 900})
    page.add_init_script(f"({WATCH_TEXTS})()")
    page.goto("/")
    page.locator("#chart-durations canvas").wait_for()
    cut = []
    for minutes in range(0, 60, 5):
        midday = 1_764_072_000 + 60 * minutes
        steps = [midday - 300 * 287, *[300] * 287]
        page.evaluate(DRAW, json.dumps([steps, [120] * 288]))
        page.wait_for_function("drawn.some(({ text }) => text.endsWith(':00'))")
        cut += page.evaluate(
            "drawn.filter(({ left, right, width }) => left < 0 || right > width)"
            ".map(({ text }) => text)"
        )
    assert cut == []


def test_a_chart_does_not_widen_the_page_while_it_is_still_drawn_for_another_width(
    open_page, owner
):
    scenarios.healthy(owner)
    page = open_page(viewport={"width": 1440, "height": 900})
    page.add_init_script("window.ResizeObserver = class { observe() {} disconnect() {} }")
    page.goto("/")
    page.locator("#chart-durations canvas").wait_for()
    page.set_viewport_size({"width": 390, "height": 900})
    assert page.evaluate("document.querySelector('.uplot').clientWidth") > 390
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def texts_of(page, name):
    page.locator(f"#{name} canvas").wait_for()
    page.wait_for_function("drawn.some(({ text }) => text.endsWith(':00'))")
    return page.evaluate("drawn.map(({ text }) => text)")


def test_both_limits_of_the_lag_are_named_and_its_end_is_now(page, owner, expect):
    scenarios.stopped(owner)
    page.add_init_script(f"({WATCH_TEXTS})()")
    page.goto("/")
    texts = texts_of(page, "chart-lags")
    assert [text for text in texts if "a warning from 20 min" in text]
    assert [text for text in texts if "critical from 1 h 5 min" in text]
    last = """() => {
      const [steps, values] = JSON.parse(document.getElementById("chart-lags").dataset.chartPoints);
      return [steps.reduce((sum, step) => sum + step, 0), values.at(-1)];
    }"""
    at, lag = page.evaluate(last)
    now = owner.execute("SELECT extract(epoch FROM now()) AS now").fetchone()["now"]
    assert abs(float(now) - at) < 120
    assert lag > 3600


def test_a_point_leads_to_its_plan(page, owner, expect):
    scenarios.healthy(owner)
    page.goto("/")
    for name in ("chart-durations", "chart-lags"):
        page.locator(f"#{name} .u-over").click(position={"x": 200, "y": 60})
        expect(page.locator(".plan-title")).to_be_visible()
        page.go_back()


def test_under_a_finger_the_first_tap_shows_a_point_and_the_second_opens_its_plan(
    open_page, owner, expect
):
    scenarios.healthy(owner)
    page = open_page(viewport={"width": 390, "height": 844}, has_touch=True)
    page.goto("/")
    over = page.locator("#chart-durations .u-over")
    over.tap(position={"x": 120, "y": 60})
    assert page.evaluate("location.pathname") == "/"
    expect(page.locator("#chart-durations .u-legend")).to_contain_text("ms")
    over.tap(position={"x": 120, "y": 60})
    expect(page.locator(".plan-title")).to_be_visible()


def test_the_legend_of_a_chart_is_in_our_typeface(page, owner):
    scenarios.healthy(owner)
    page.goto("/")
    page.locator("#chart-lags canvas").wait_for()
    font = "(selector) => getComputedStyle(document.querySelector(selector)).fontFamily"
    assert page.evaluate(font, "#chart-lags .u-legend") == page.evaluate(font, "body")


@pytest.mark.usefixtures("quick")
def test_a_table_that_a_reader_opened_stays_open_and_the_other_folded(page, owner, expect):
    world = scenarios.healthy(owner)
    page.goto("/")
    tables = page.locator("details.chart-table")
    expect(page.locator("details.chart-table[open]")).to_have_count(0)
    tables.first.locator("summary").click()
    world.change(0, exhausted=True)
    world.write()
    expect(page.locator(".plan-strip a.plan-failed")).to_have_count(1)
    expect(page.locator("details.chart-table[open]")).to_have_count(1)
    expect(tables.first).to_have_attribute("open", "")


def test_a_figure_leads_to_its_page_and_says_its_extremes(page, owner, expect):
    scenarios.healthy(owner)
    page.goto("/")
    figure = page.locator(".figure").nth(1)
    expect(figure.locator(".figure-range")).to_contain_text("24 h")
    expect(figure.locator(".band")).to_have_count(1)
    figure.click(position={"x": 40, "y": 90})
    assert page.url.endswith("/rollup/")
