"""The scenarios of the gallery, as people see them: the overview, and the page of the finding.

`bin/audit scenarios` looks at every one. `tests/database/test_gallery.py` judges every one always.
"""

from __future__ import annotations

import pytest

from executions.demo.gallery import SCENARIOS, played
from executions.demo.stage import Stage
from executions.health.findings import FindingCode
from tests.people import PASSWORD
from tests.processes import free_port
from tests.sizes import sized
from tests.starting import after_a_first_start, start, static_files_made, var
from tests.waiting import let_a_near_plan_come_due

__all__ = ["after_a_first_start", "start", "static_files_made", "var"]

FINDINGS = [one for one in SCENARIOS.values() if isinstance(one.shows, FindingCode)]
HERE = [one for one in FINDINGS if one.arrange is None]
OF_OTHER_SERVERS = [one for one in FINDINGS if one.arrange is not None]


def look(page, expect, scenario):
    """From the overview's finding to its page, which names the scenario."""
    page.evaluate(
        "() => document.querySelectorAll('main details').forEach((one) => one.open = true)"
    )
    page.locator(f"a.finding-explained[href='/explain/{scenario.shows}/']").first.click()
    page.wait_for_url(f"**/explain/{scenario.shows}/")
    expect(page.locator("main")).to_contain_text("Present now.")
    expect(page.locator("#command-scenario")).to_have_text(scenario.command)


@pytest.mark.parametrize("scenario", sized(HERE[::4], HERE), ids=lambda one: one.name)
def test_the_overview_shows_the_finding_and_leads_to_its_page(
    page, owner, superuser, connect, expect, scenario
):
    let_a_near_plan_come_due(owner)
    with played(scenario, Stage(owner, superuser, connect)) as lay:
        lay()
        page.goto("/")
        look(page, expect, scenario)


@pytest.mark.usefixtures("static_files_made")
@pytest.mark.parametrize("scenario", OF_OTHER_SERVERS, ids=lambda one: one.name)
def test_a_start_with_other_servers_shows_the_finding_too(start, open_page, expect, scenario):
    port = free_port()
    process = start(
        "manage.py", "quickstart", "--scenario", scenario.name, "--port", str(port),
        WEB_CONCURRENCY="1",  # the page of a finding tells what its own process saw last
    )  # fmt: skip
    process.wait_for(f"the scenario {scenario.name} is in place")
    page = open_page(signed_in=False, base_url=f"http://127.0.0.1:{port}")
    page.goto("/login/")
    page.locator("[name=username]").fill("admin")
    page.locator("[name=password]").fill(PASSWORD)
    page.locator("[name=password]").press("Enter")
    page.wait_for_url(f"http://127.0.0.1:{port}/")
    look(page, expect, scenario)
