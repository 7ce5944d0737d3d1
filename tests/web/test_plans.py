"""The plan history in the browser's eyes: rows, totals, paging, empty states, refreshes."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from executions.models import Runner
from executions.pages.history import walks
from tests.factories import BACKEND, ExecutionFactory
from tests.time_limits import cut_off

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

MINUTE = timedelta(minutes=1)
LIVE = {"HX-Request": "true", "HX-Target": "plans"}


def plan(owner, now, age=10, **columns):
    return ExecutionFactory(connection=owner, plan_time=now - age * MINUTE, **columns)


def page(viewer, query="", **headers):
    answer = viewer.get(f"/executions/{query}", headers=headers)
    assert answer.status_code == 200
    return answer.content.decode()


def plans_part(html):
    """The list alone: the header's verdict refreshes at its own pace."""
    return html[html.index('<div id="plans"') :]


def rows(html):
    return re.findall(r'<tr id="execution-([0-9a-f-]{36})"', html)


def text(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def test_a_row_tells_the_plan_its_state_and_whose_runner_it_was(viewer, owner, now):
    Runner.objects.create(runner_id="web-1:1:aa", kind="web", host="web-1", pid=1, version="0")
    ours = plan(owner, now, 10, runner_id="web-1:1:aa", rows_affected=1234, duration_ms=1500)
    plan(owner, now, 15, runner_id=BACKEND, exhausted=True)
    html = page(viewer)
    assert f'href="/executions/{ours["id"]}/"' in html
    shown = text(html)
    assert "Success" in shown
    assert "Failed" in shown
    assert "3 of 3" in shown
    assert "1,234" in shown
    assert "1.5 s" in shown
    assert re.search(r"web-1:1:aa\s+ours", shown)
    assert not re.search(rf"{BACKEND}\s+ours", shown)
    assert "canceling statement due to statement timeout" in shown


def test_a_lease_that_ended_shows_as_stale_and_a_failure_to_be_retried_as_retrying(
    viewer, owner, now
):
    plan(owner, now, 90, stale=True, stale_after=now - MINUTE)
    plan(owner, now, 5, failed=True)
    table = text(page(viewer)).partition("Plan time")[2]
    assert "Stale" in table
    assert "Retrying" in table


def test_a_failure_with_attempts_left_is_over_once_a_newer_plan_has_begun(viewer, owner, now):
    plan(owner, now, 10, failed=True)
    plan(owner, now, 5)
    table = text(page(viewer)).partition("Plan time")[2]
    assert "Failed" in table
    assert "Retrying" not in table


def test_filters_stay_in_the_form_and_in_every_link(viewer, owner, now):
    plan(owner, now, runner_id="a b&c")
    html = page(viewer, "?runner=a+b%26c&job=rollup_task_usage_hourly")
    assert 'value="a b&amp;c"' in html
    assert "export.csv?job=rollup_task_usage_hourly&amp;runner=a+b%26c" in html
    assert len(rows(html)) == 1


def test_pages_lead_to_each_other_and_back(viewer, owner, now):
    made = [plan(owner, now, 5 * n) for n in range(1, 121)]
    seen, query = [], ""
    for _number in range(3):
        html = page(viewer, query)
        seen += rows(html)
        older = re.search(r'rel="next" href="/executions/(\?[^"]+)"', html)
        query = older.group(1).replace("&amp;", "&") if older else ""
    assert seen == [str(row["id"]) for row in made]
    assert not query
    newer = re.search(r'rel="prev" href="/executions/(\?[^"]+)"', html)
    assert rows(page(viewer, newer.group(1).replace("&amp;", "&"))) == seen[50:100]


def test_a_short_look_says_how_far_it_reached_and_offers_to_go_on(viewer, owner, now, monkeypatch):
    monkeypatch.setattr(walks, "WINDOW", 4)
    for n in range(1, 10):
        plan(owner, now, 5 * n)
    wanted = plan(owner, now, 60, runner_id="late")
    html = page(viewer, "?runner=late")
    assert "Nothing matches among them" in text(html)
    assert "Nothing matches these filters" not in html
    for _look in range(5):
        if rows(html):
            break
        onward = re.search(r'rel="next" href="/executions/(\?[^"]+)"', html)
        assert "Look further back" in html
        html = page(viewer, onward.group(1).replace("&amp;", "&"))
    assert rows(html) == [str(wanted["id"])]


def test_nothing_yet_and_nothing_like_this_are_told_apart(viewer, owner, now):
    assert "No plan has run yet" in page(viewer)
    assert "No plan has run yet" in page(viewer, "?status=FAILED")
    plan(owner, now)
    empty = page(viewer, "?status=FAILED")
    assert "No plan has run yet" not in empty
    assert "Nothing matches these filters" in empty
    assert "No execution" not in page(viewer, "?job=unheard_of")
    assert "Nothing matches these filters" in page(viewer, "?job=unheard_of")


def test_totals_are_exact_while_that_is_cheap_and_say_so_when_they_are_not(
    viewer, owner, now, monkeypatch
):
    for n in range(1, 9):
        plan(owner, now, 5 * n)
    assert "8 executions" in page(viewer)
    monkeypatch.setattr(walks, "WINDOW", 5)
    owner.execute("ANALYZE sys_cron_executions")
    assert "about 8 executions" in page(viewer)
    assert "more than 5 executions" in page(viewer, "?status=SUCCESS")


def test_a_refresh_gets_the_list_alone_and_204_while_nothing_changes(viewer, owner, now):
    plan(owner, now)
    whole = page(viewer)
    version = re.search(r'data-version="([0-9a-f]+)"', whole).group(1)
    part = viewer.get("/executions/", headers=LIVE)
    assert "<form" not in part.content.decode()
    assert "<html" not in part.content.decode()
    assert part.headers["X-Data-Version"] == version
    assert "HX-Request" in part.headers["Vary"]
    same = viewer.get("/executions/", headers={**LIVE, "X-Data-Version": version})
    assert same.status_code == 204
    assert same.content == b""


def test_a_running_plan_quickens_the_refresh(viewer, owner, now):
    plan(owner, now)
    assert 'data-live-seconds="15"' in plans_part(page(viewer))
    plan(owner, now, 5, running=True)
    assert 'data-live-seconds="5"' in plans_part(page(viewer))


def test_only_the_newest_page_is_live(viewer, owner, now):
    for n in range(1, 60):
        plan(owner, now, 5 * n)
    html = page(viewer)
    assert "data-live-seconds" in plans_part(html)
    older = re.search(r'rel="next" href="/executions/(\?[^"]+)"', html).group(1)
    assert "data-live-seconds" not in plans_part(page(viewer, older.replace("&amp;", "&")))


def test_many_who_refresh_cost_the_database_what_one_does(viewer, owner, now):
    plan(owner, now)
    page(viewer)
    with CaptureQueriesContext(connections["multica"]) as asked:
        for _viewer in range(20):
            viewer.get("/executions/", headers=LIVE)
    assert len(asked) == 0


def test_a_read_that_takes_too_long_is_told_while_the_page_stands(viewer, owner, now, caplog):
    plan(owner, now)
    with cut_off('ORDER BY "sys_cron_executions"'):
        html = page(viewer)
    assert "The database took too long" in html
    assert "No plan has run yet" not in html
    assert "not counted" in html
    reference = re.search(r"Reference: ([0-9a-f]{8})", html).group(1)
    assert reference in {getattr(record, "reference", None) for record in caplog.records}
    assert "<form" in html


def test_hostile_texts_are_shown_harmless_and_whole_in_their_links(viewer, owner, now):
    evil = "<img src=x onerror=alert(1)>\"'\u202e\x1b[31m" + "x" * 270
    plan(owner, now, job_name=evil, scope_kind="k/", scope_id=evil, runner_id=evil, exhausted=True)
    html = page(viewer)
    assert "<img src=x" not in html
    shown = text(html)
    assert "\u202e" not in shown
    assert "\x1b" not in shown
    assert "[U+202E]" in shown
    links = re.findall(r'href="/executions/(\?[^"]+)"', html)
    for link in (link for link in links if "status=" not in link):  # a tab of another state
        assert len(rows(page(viewer, link.replace("&amp;", "&")))) == 1


def test_nobody_looks_without_signing_in(client):
    assert client.get("/executions/").status_code == 302
    assert client.get("/executions/", headers=LIVE).status_code == 401


def test_only_looking_is_possible(viewer):
    assert viewer.post("/executions/").status_code == 405
