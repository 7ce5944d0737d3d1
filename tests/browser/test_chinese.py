"""What a Chinese reader sees is drawn."""

from __future__ import annotations

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
