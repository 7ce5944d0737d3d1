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
