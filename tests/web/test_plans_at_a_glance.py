"""The plan history at a glance: days, columns, states, times, and what the form offers."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from executions.pages.history import walks
from tests.factories import BACKEND, ExecutionFactory
from tests.web.test_plans import MINUTE, page, plan, plans_part, rows, text

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

ROLLUP = "?job=rollup_task_usage_hourly"


def days(html):
    return re.findall(r'<tr class="day">.*?datetime="([0-9-]{10})', html, re.DOTALL)


def headings(html):
    return [text(head).strip() for head in re.findall(r'<th scope="col".*?</th>', html)]


def tabs(html):
    """Label and count of each state that can be chosen; no count is an empty text."""
    (part,) = re.findall(r'<ul class="segmented states".*?</ul>', html, re.DOTALL)
    found = [text(item).split() for item in re.findall(r"<li>.*?</li>", part, re.DOTALL)]
    return {words[0]: "".join(words[1:]) for words in found}


def chosen(html, css):
    (part,) = re.findall(rf'<ul class="{css}".*?</ul>', html, re.DOTALL)
    return text("".join(re.findall(r'<a[^>]*aria-current="true".*?</a>', part, re.DOTALL))).strip()


def test_each_day_is_said_once_and_a_row_has_the_time_alone(viewer, owner, now):
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    for age in (5, 10, 1440, 1445, 2890):
        ExecutionFactory(connection=owner, plan_time=midnight - age * MINUTE)
    html = page(viewer, ROLLUP)
    told = [f"{midnight - timedelta(days=n):%Y-%m-%d}" for n in (1, 2, 3)]
    assert days(html) == told
    first = re.search(r'<td class="cell-main">.*?</td>', html, re.DOTALL).group()
    assert text(first).split()[0] == "23:55"


def test_a_column_that_is_empty_on_the_whole_page_is_left_out(viewer, owner, now):
    plan(owner, now, 10, runner_id=BACKEND)
    heads = headings(page(viewer))
    assert heads == ["Plan time", "Status", "Attempt", "Runner", "Rows", "Duration"]
    plan(owner, now, 15, exhausted=True)
    assert headings(page(viewer))[-1] == "Error"
    plan(owner, now, 20, job_name="other_job")
    assert "Job and scope" in headings(page(viewer))


def test_the_only_job_of_a_page_is_said_once(viewer, owner, now):
    plan(owner, now, 10)
    plan(owner, now, 15)
    assert plans_part(page(viewer)).count(">rollup_task_usage_hourly<") == 1


@pytest.mark.parametrize("query", ["", ROLLUP])
def test_states_are_tabs_counted_by_the_look_that_the_page_takes_anyway(
    viewer, owner, now, monkeypatch, query
):
    plan(owner, now, 5, running=True)
    plan(owner, now, 90, stale=True, stale_after=now - MINUTE)
    for age in (10, 15, 20):
        plan(owner, now, age)
    plan(owner, now, 25, exhausted=True)
    with CaptureQueriesContext(connections["multica"]) as asked:
        html = page(viewer, query)
    assert tabs(html) == {
        "All": "6",
        "Running": "1",
        "Stale": "1",
        "Retrying": "",
        "Failed": "1",
        "Success": "3",
    }
    monkeypatch.setattr(walks, "COUNTED", ())
    with CaptureQueriesContext(connections["multica"]) as without:
        page(viewer, query)
    assert len(asked) == len(without)


def test_the_chosen_state_has_its_count_and_keeps_the_other_filters(viewer, owner, now):
    plan(owner, now, 10, exhausted=True)
    plan(owner, now, 15)
    html = page(viewer, f"{ROLLUP}&status=FAILED")
    assert tabs(html)["Failed"] == "1"
    assert tabs(html)["Success"] == ""
    assert chosen(html, "segmented states").startswith("Failed")
    assert 'href="/executions/?job=rollup_task_usage_hourly&amp;status=SUCCESS"' in html
    assert '<input type="hidden" name="status" value="FAILED">' in html


def test_a_state_that_was_not_seen_whole_has_no_count(viewer, owner, now, monkeypatch):
    monkeypatch.setattr(walks, "WINDOW", 5)
    for age in range(1, 9):
        plan(owner, now, 5 * age)
    assert set(tabs(page(viewer)).values()) == {""}


def test_a_window_before_now_is_a_link_and_holds_for_the_files_too(viewer, owner, now):
    recent = plan(owner, now, 20)
    plan(owner, now, 200)
    html = page(viewer, "?window=1h")
    assert rows(html) == [str(recent["id"])]
    assert chosen(html, "segmented") == "1 hour"
    assert "export.csv?window=1h" in html
    assert "data-live-seconds" in plans_part(html)
    lines = b"".join(viewer.get("/executions/export.jsonl?window=1h").streaming_content)
    assert len(lines.splitlines()) == 1
    assert chosen(page(viewer), "segmented") == "Any time"
    assert chosen(page(viewer, "?since=2026-01-01"), "segmented") == ""
    refused = viewer.get("/executions/?window=1y")
    assert refused.status_code == 400
    assert "window" in refused.content.decode()


def test_the_form_offers_the_runners_and_errors_that_are_known(viewer, owner, now):
    plan(owner, now, 10, runner_id=BACKEND)
    plan(owner, now, 15, exhausted=True, error_code="made_up_code")
    html = page(viewer)
    (runner,) = re.findall(r'<select[^>]*name="runner".*?</select>', html, re.DOTALL)
    assert f'<option value="{BACKEND}">' in runner
    (error,) = re.findall(r'<select[^>]*name="error".*?</select>', html, re.DOTALL)
    assert '<option value="made_up_code">' in error
    assert '<option value="handler_error">' in error
    html = page(viewer, "?runner=nobody&error=nothing")
    assert '<option value="nobody" selected>' in html
    assert '<option value="nothing" selected>' in html
