"""What a page weighs on the wire, as a browser counts it."""

from __future__ import annotations

import pytest

from benchmarks.wire import CHANGED, FIRST_LOAD, UNCHANGED, watch
from tests import scenarios


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
