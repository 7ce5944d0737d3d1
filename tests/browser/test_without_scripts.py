"""With JavaScript off: nothing is missing except what moves by itself."""

from __future__ import annotations

import re

import pytest
from django.urls import reverse

from tests.people import PASSWORD


def test_signing_in_leads_to_the_overview(open_page, busy_day, operator):
    page = open_page(signed_in=False, java_script_enabled=False)
    page.goto("/")
    page.get_by_label("Username").fill("olga")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    assert "Overview · " in page.title()


def test_the_overview_is_complete(open_page, busy_day, expect):
    page = open_page(java_script_enabled=False)
    page.goto("/")
    expect(page.locator("#verdict")).to_be_visible()
    expect(page.locator("#findings .finding").first).to_be_visible()
    for figure in ("success", "lag", "kept", "duration"):
        expect(page.locator(f"#figure-{figure}")).to_be_visible()
    assert page.locator(".plan-strip .plan[id]").count() == 288
    assert page.locator(".lane").count() == 3
    # The charts need a script; their tables do not, and are open.
    expect(page.locator("#chart-durations")).to_be_hidden()
    expect(page.locator(".chart-table tbody tr").first).to_be_visible()
    page.locator(".finding-more summary").first.click()
    expect(page.locator(".finding-more .finding-advice").first).to_be_visible()


def test_every_square_of_the_strip_leads_somewhere(open_page, busy_day, expect):
    page = open_page(java_script_enabled=False)
    page.goto("/")
    page.locator(".plan-strip a.plan-missing").first.click()
    expect(page.locator(".gap:target")).to_be_in_viewport()
    page.locator(".plan-strip a.plan-failed").first.click()
    expect(page).to_have_url(re.compile("/executions/[0-9a-f-]{36}/"))
    page.goto("/")
    page.get_by_role("link", name="7 days").click()
    assert page.locator(".plan-week .plan[id]").count() in {168, 169}


@pytest.mark.usefixtures("busy_day")
def test_the_filter_works(open_page):
    page = open_page(java_script_enabled=False)
    page.goto(reverse("plans"))
    page.get_by_label("State").get_by_role("link", name="Failed").click()
    assert "status=FAILED" in page.url
    page.get_by_label("Search").fill("nothing like it")
    page.get_by_role("button", name="Filter").first.click()
    assert "status=FAILED" in page.url
    assert "q=nothing+like+it" in page.url
