"""Every scenario of the gallery, as people see it: the overview, and the page of its finding."""

from __future__ import annotations

import pytest

from executions.demo.gallery import SCENARIOS, played
from executions.demo.stage import Stage
from executions.health.findings import FindingCode
from tests.waiting import let_a_near_plan_come_due

FINDINGS = [one for one in SCENARIOS.values() if isinstance(one.shows, FindingCode)]


@pytest.mark.parametrize("scenario", FINDINGS, ids=lambda one: one.name)
def test_the_overview_shows_the_finding_and_leads_to_its_page(
    page, owner, superuser, connect, expect, scenario
):
    let_a_near_plan_come_due(owner)
    with played(scenario, Stage(owner, superuser, connect)) as lay:
        lay()
        page.goto("/")
        page.evaluate(
            "() => document.querySelectorAll('details').forEach((one) => one.open = true)"
        )
        page.locator(f"a.finding-explained[href='/explain/{scenario.shows}/']").first.click()
        page.wait_for_url(f"**/explain/{scenario.shows}/")
        expect(page.locator("main")).to_contain_text("Present now.")
        expect(page.locator("#command-scenario")).to_have_text(scenario.command)
