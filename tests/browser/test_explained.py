"""From a finding to the command that helps, on a phone."""

from __future__ import annotations

import pytest

from tests import scenarios
from tests.sizes import few


def out_of_attempts(connection):
    world = scenarios.healthy(connection)
    world.change(0, exhausted=True)
    return world.write()


@pytest.mark.parametrize(
    "world",
    few([scenarios.stopped, out_of_attempts, scenarios.never_ran, scenarios.abandoned_run], 2),
)
def test_a_silent_backend_is_one_tap_away_from_the_command_that_shows_its_log(
    open_page, owner, expect, world
):
    world(owner)
    page = open_page(viewport={"width": 390, "height": 844})
    page.goto("/")
    assert page.locator("#verdict-card").get_attribute("data-verdict") == "failing"
    page.locator("#verdict-card .finding-explained").first.click()
    page.wait_for_url("**/explain/**")
    log = page.locator("pre").filter(has_text="logs --timestamps --since 2h backend")
    expect(log).to_be_visible()
    expect(page.locator(f"[data-copy={log.get_attribute('id')}]")).to_be_visible()
