"""A reader who knows only the guide "Retiring an old schedule" gets a job retired, in a browser.

What the reader looks for on a page is what stands in bold in the guide, in the guide's language.
"""

from __future__ import annotations

import pytest

from executions.models.retirement import Retirement, RetirementState
from tests.browser.test_wizard import (
    NAME,
    jobid,
    live_parts_ask_every_second,
    until,
)
from tests.markdown_pages import GUIDES, MarkdownPage
from tests.people import PASSWORD
from tests.retiring import acting_as, jobs, pg_cron, role
from tests.short_plans import backend, short_rules, ticking
from tests.sizes import sized

__all__ = [
    "acting_as", "backend", "jobid", "live_parts_ask_every_second", "pg_cron", "role",
    "short_rules",
]  # fmt: skip

GUIDE = MarkdownPage(GUIDES / "retiring.md")


@pytest.mark.parametrize(
    ("locale", "guide"), sized([("zh-CN", GUIDE.translation)], [
        ("en", GUIDE), ("zh-CN", GUIDE.translation),
    ]), ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_the_guide_leads_from_the_overview_to_a_retired_job_and_back(
    open_page, expect, jobid, pg_cron, backend, short_rules, locale, guide
):
    called = dict(zip(GUIDE.strong, guide.strong, strict=True))
    page = open_page(locale=locale)

    def link(name):
        return page.get_by_role("link", name=called[name], exact=True)

    def button(name):
        return page.get_by_role("button", name=called[name], exact=True)

    with ticking(short_rules(backend)):
        page.goto("/")
        link("Schedules").click()
        button("Check whether it can be retired").click()
        button("Go on to the confirmation").click()
        way = page.get_by_role("region", name=called["Remove"], exact=True)
        way.get_by_role("textbox").first.fill(NAME)
        way.locator("button[type=submit]").click()
        page.locator("[type=password]").fill(PASSWORD)
        page.locator("main button[type=submit]").first.click()
        until(page, expect, RetirementState.VERIFIED)
        assert jobs(pg_cron).keys().isdisjoint([jobid])

        link("Audit").click()
        expect(page.locator(".audit-head").first).to_be_visible()
        link("Schedules").click()
        listed = page.get_by_role("region", name=called["Retirements"], exact=True)
        listed.get_by_role("link").first.click()
        button("Put it back").click()
        until(page, expect, RetirementState.PUT_BACK)
    assert jobs(pg_cron)[Retirement.objects.get().put_back_jobid]["jobname"] == NAME
