"""Chinese letters are drawn, and have the room that they need."""

from __future__ import annotations

import pytest

# Draws a character and says which of its points are inked.
DRAWN = """character => {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = 40;
    const pen = canvas.getContext("2d");
    pen.font = "32px " + getComputedStyle(document.body).fontFamily;
    pen.fillText(character, 4, 34);
    return [...pen.getImageData(0, 0, 40, 40).data].filter((_, at) => at % 4 === 3).join();
}"""


def test_chinese_characters_are_drawn_and_are_no_boxes(open_page):
    page = open_page(locale="zh-CN")
    page.goto("/")
    drawn = {page.evaluate(DRAWN, character) for character in "用量汇总"}
    assert len(drawn) == 4


# How far each label of the plan strip goes beyond its column.
BEYOND = """() => [...document.querySelectorAll(".plan-label")].map(
    label => label.scrollWidth - label.clientWidth
)"""


@pytest.mark.parametrize("width", [1440, 390])
def test_the_name_of_a_day_fits_beside_its_plans(open_page, busy_day, width):
    page = open_page(locale="zh-CN", viewport={"width": width, "height": 900})
    page.goto("/")
    beyond = page.evaluate(BEYOND)
    assert beyond
    assert max(beyond) == 0
