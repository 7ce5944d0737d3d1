"""The overview and the lists on a phone: what matters first, the rest on tap."""

from __future__ import annotations

import pytest

from tests import scenarios
from tests.factories import ExecutionFactory

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True}
TOPS = """(ids) => ids.map((id) => document.getElementById(id).getBoundingClientRect().top)"""
HEIGHT = "(element) => element.getBoundingClientRect().height"


@pytest.fixture
def informed(owner):
    """A healthy install with findings that are for information only."""
    world = scenarios.sound(owner)
    world.change(40, exhausted=True)
    world.change((60, 62), retried=True)
    return world.write()


@pytest.mark.usefixtures("informed")
def test_when_nothing_is_wrong_the_figures_are_on_the_first_screen_and_the_rest_is_folded(
    open_page, expect
):
    page = open_page(**PHONE)
    page.goto("/")
    assert page.locator("#verdict-card").get_attribute("data-verdict") == "healthy"
    tops = page.evaluate(TOPS, ["verdict-card", "figures", "findings", "plan-strip"])
    assert tops == sorted(tops)
    assert page.locator("#figures").evaluate(HEIGHT) < 220
    assert tops[-1] < 844
    finding = page.locator("#findings .finding").first
    expect(finding).to_be_hidden()
    page.locator("#findings-folded > summary").tap()
    expect(finding).to_be_visible()


def test_a_finding_that_is_a_warning_is_not_folded(open_page, owner, expect):
    scenarios.gap(owner, ages=(3, 4, 5))
    page = open_page(**PHONE)
    page.goto("/")
    assert page.locator("#verdict-card").get_attribute("data-verdict") == "degraded"
    expect(page.locator("#findings-folded")).to_have_count(0)


@pytest.mark.usefixtures("informed")
@pytest.mark.parametrize("scripts", [True, False])
@pytest.mark.parametrize("path", ["/", "/executions/?job=rollup_task_usage_hourly"])
def test_a_plan_is_one_line_and_the_rest_comes_on_tap(open_page, expect, path, scripts):
    rows = "tbody tr:has(.cell-rest)"
    page = open_page(**PHONE, java_script_enabled=scripts)
    page.goto(path)
    row = page.locator(rows).first
    for cell in ("cell-main", "cell-end", "cell-duration"):
        expect(row.locator(f".{cell}")).to_be_visible()
    expect(row.locator(".cell-runner")).to_be_hidden()
    assert row.bounding_box()["height"] < 60
    row.tap(position={"x": row.bounding_box()["width"] / 2, "y": 20})
    expect(row.locator(".cell-runner")).to_be_visible()
    expect(page.locator(rows).nth(1).locator(".cell-runner")).to_be_hidden()


@pytest.mark.usefixtures("quick")
def test_a_plan_that_is_open_stays_open_when_another_comes(open_page, informed, expect):
    page = open_page(**PHONE)
    page.goto("/")
    first = page.locator("#recent tbody tr").first.get_attribute("id")
    page.locator(f"#{first} summary").tap()
    informed.change(0, retried=True)
    informed.write()
    expect(page.locator("#recent .raised").first).to_be_attached()
    expect(page.locator(f"#{first} .cell-runner")).to_be_visible()


def test_on_a_wide_screen_a_plan_is_one_line_whatever_it_shows(open_page, informed, owner):
    other = {"job_name": "other", "scope_kind": "project", "scope_id": "p" * 40}
    ExecutionFactory(connection=owner, plan_time=informed.now, **other)
    page = open_page(viewport={"width": 1440, "height": 900})
    page.goto("/executions/")
    expected = {"Job and scope", "Error"}
    assert expected <= set(page.locator("#plans thead th").all_inner_texts())
    heights = page.evaluate(
        "[...document.querySelectorAll('#plans tr')].map((row) => row.clientHeight)"
    )
    assert max(heights) < 48


@pytest.mark.usefixtures("informed")
@pytest.mark.parametrize("path", ["/", "/executions/"])
def test_lists_are_tables_from_600_pixels_on(open_page, path):
    page = open_page(viewport={"width": 600, "height": 900})
    page.goto(path)
    row = page.locator("tr[id] .cell-main").first.locator("..")
    assert row.evaluate("(one) => getComputedStyle(one).display") == "table-row"
    assert page.evaluate("document.documentElement.scrollWidth") == 600
