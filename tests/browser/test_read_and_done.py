"""A reader who presses what the Chinese README names, in a Chinese browser, retires the job."""

from __future__ import annotations

from executions.models.retirement import RetirementState
from tests.browser.test_wizard import (
    NAME,
    PASSWORD,
    jobid,
    live_parts_ask_every_second,
    row,
    until,
)  # fmt: skip
from tests.markdown_pages import ROOT, MarkdownPage
from tests.retiring import pg_cron
from tests.short_plans import backend, short_rules, ticking

__all__ = ["backend", "jobid", "live_parts_ask_every_second", "pg_cron", "short_rules"]

README = MarkdownPage(ROOT / "README.zh.md")


def test_the_chinese_readme_leads_from_the_overview_to_a_retired_job(
    open_page, expect, jobid, pg_cron, backend, short_rules
):
    overview, schedules, check, confirm, remove, put_back, audit = README.strong[:7]
    page = open_page(locale="zh-CN")
    with ticking(short_rules(backend)):
        page.goto("/")
        expect(page.get_by_role("heading", level=1)).to_have_text(overview)
        page.get_by_role("link", name=schedules, exact=True).click()
        page.get_by_role("button", name=check).click()
        page.get_by_role("button", name=confirm).click()
        page.locator("#typed-remove").fill(NAME)
        page.get_by_role("button", name=remove, exact=True).click()
        page.locator("#password").fill(PASSWORD)
        page.locator(".form-buttons button").click()
        assert row(pg_cron, jobid) is None
        until(page, expect, RetirementState.VERIFIED)
        expect(page.get_by_role("button", name=put_back, exact=True)).to_be_visible()
        page.get_by_role("link", name=audit, exact=True).click()
        expect(page.get_by_role("heading", level=1)).to_have_text(audit)
        expect(page.locator(".audit-head")).to_have_count(2)
