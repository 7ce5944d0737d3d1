"""What a page weighs on the wire, as a browser counts it, and that its style sheet is whole."""

from __future__ import annotations

import pytest

from benchmarks.wire import CHANGED, FIRST_LOAD, UNCHANGED, watch
from frontend.made import MADE, WHOLE_SHEET
from frontend.reduce import classes_of
from tests import scenarios

CLASSES = """() => [...new Set([...document.querySelectorAll("[class]")]
  .flatMap((one) => [...one.classList]))]"""


def test_every_class_on_a_page_has_its_rules_in_the_reduced_style_sheet(page, pages, console):
    styled = classes_of(WHOLE_SHEET.read_text("utf-8"))
    kept = classes_of(next(iter(MADE)).read_text("utf-8"))
    lost = set()
    for path in pages:
        page.goto(path)
        lost |= {f"{path}: {name}" for name in set(page.evaluate(CLASSES)) & (styled - kept)}
    console[:] = [line for line in console if "400 (Bad Request)" not in line]
    assert lost == set(), "run bin/vendor and commit what it writes"


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("day", ["healthy", "busy"])
def test_the_overview_weighs_little_at_first_and_at_a_refresh(open_page, owner, request, day):
    world = request.getfixturevalue("busy_day") if day == "busy" else scenarios.healthy(owner)
    page = open_page(is_cold=True)
    wire = watch(page)
    page.goto("/")
    page.locator("#chart-lags canvas").wait_for()
    unchanged = wire.refresh(page, 204)
    first = wire.total - sum(wire.of(204))
    wire.forget()
    page.evaluate("performance.clearResourceTimings()")
    world.change(0, exhausted=True)
    world.write()
    changed = wire.refresh(page, 200)
    assert first <= FIRST_LOAD
    assert unchanged <= UNCHANGED
    assert changed <= CHANGED
