"""From "usage is late" on the overview to its cause, its statement and the hours that differ."""

from executions.demo.zeros import passed_by
from tests.zero_worlds import stopped_and_waiting


def test_the_overview_leads_to_the_cause_and_its_next_step(page, owner, expect):
    stopped_and_waiting(owner)
    page.goto("/")
    page.get_by_role("link", name="Usage shows zero? Find out why, step by step").click()
    page.wait_for_url("**/rollup/zero/")
    expect(page.locator("#next .zero-cause")).to_contain_text("Usage numbers stop at")
    expect(page.locator("#next .statement").first).to_be_visible()
    asked = page.locator("#question-raw_usage")
    expect(asked.locator(".zero-answer")).to_have_text("Yes")
    asked.locator("summary").click()
    expect(asked.locator("pre")).to_contain_text("FROM task_usage")


def test_drift_is_compared_when_a_window_is_picked(page, owner, expect):
    passed_by(owner)
    page.goto("/rollup/zero/")
    page.get_by_role("link", name="Drift", exact=True).click()
    page.get_by_role("link", name="24 hours").click()
    expect(page.locator(".zero-cause")).to_contain_text(
        "1 of the 1 hour with usage does not add up"
    )
    expect(page.locator("tbody tr")).to_have_count(1)
