"""One execution in full: its life, lease, result and error, and the plans around it."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from html import unescape
from uuid import uuid4

import pytest
from django.utils.html import escape

from tests import scenarios
from tests.factories import ExecutionFactory, rollup_result

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

MINUTE = timedelta(minutes=1)


@pytest.fixture
def show(viewer):
    def show(row):
        answer = viewer.get(f"/executions/{row['id']}/")
        assert answer.status_code == 200
        return answer.content.decode()

    return show


def text(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html)).replace("&#x27;", "'")


def life(html):
    """The titles of the timeline, in their order, with what stands beside them."""
    return [
        text(moment).strip()
        for moment in re.findall(r'<li class="life-moment.*?</li>', html, re.DOTALL)
    ]


def test_a_success_was_planned_due_claimed_and_finished(owner, now, show):
    html = show(ExecutionFactory(connection=owner, plan_time=now - 10 * MINUTE))
    told = life(html)
    assert [moment.split(" 20")[0].split(" plan time")[0][:10] for moment in told] == [
        "Planned fo",
        "Due",
        "Claimed by",
        "Succeeded",
    ]
    due = now - 5 * MINUTE
    assert f"{due:%Y-%m-%d %H:%M:%S}" in told[1]


def test_a_retry_says_that_the_first_attempt_was_written_over(owner, now, show):
    told = life(show(ExecutionFactory(connection=owner, retried=True, plan_time=now)))
    assert told[2].startswith("First claimed")
    assert "attempt 2 of 3" in told[3]


def test_a_running_one_has_a_lease_ahead_and_a_stale_one_behind(owner, now, show):
    running = ExecutionFactory(
        connection=owner,
        plan_time=now - 5 * MINUTE,
        running=True,
        heartbeat_at=now,
        stale_after=now + 30 * MINUTE,
    )
    told = life(show(running))
    assert told[-2].startswith("Last heartbeat")
    assert told[-1].startswith("Lease lasts until")
    stale = ExecutionFactory(connection=owner, plan_time=now - 90 * MINUTE, stale=True)
    told = life(show(stale))
    assert told[-1].startswith("Lease ended")
    assert "takes it over" in told[-1]


@pytest.mark.parametrize(
    ("columns", "newer", "title", "note"),
    [
        ({"failed": True}, False, "Next retry", "at the next tick"),
        ({"failed": True}, True, "No further retry", "never returns to an older one"),
        ({"exhausted": True}, False, "No further retry", "No attempt is left"),
        (
            {"failed": True, "job_name": "other"},
            True,
            "No further retry",
            "most runners return to the newest one only",
        ),
    ],
)
def test_a_failure_says_whether_it_is_tried_again(owner, now, show, columns, newer, title, note):
    row = ExecutionFactory(connection=owner, plan_time=now - 5 * MINUTE, **columns)
    if newer:
        job = {"job_name": row["job_name"]}
        ExecutionFactory(connection=owner, plan_time=now, **job)
    last = life(show(row))[-1]
    assert last.startswith(title)
    assert note in last


def test_a_retry_that_has_a_time_shows_it(owner, now, show):
    at = now + 4 * MINUTE
    row = ExecutionFactory(connection=owner, plan_time=now, failed=True, next_retry_at=at)
    assert f"{at:%Y-%m-%d %H:%M:%S}" in life(show(row))[-1]


def test_a_sweep_is_named_as_what_closed_it(owner, now, show):
    row = ExecutionFactory(
        connection=owner, plan_time=now, exhausted=True, error_code="stale_timeout"
    )
    assert "A sweep closed it" in text(show(row))


def test_a_job_that_is_not_ours_has_no_due_time(owner, now, show):
    told = life(show(ExecutionFactory(connection=owner, plan_time=now, job_name="other")))
    assert not any(moment.startswith("Due") for moment in told)


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        (-10, -5, "It moved on by 5 min."),
        (-5, -5, "It did not move."),
        (-5, -10, "stands earlier after the run than before it"),
        (None, None, "the rollup's state row was missing"),
        (-5, None, "The watermark was gone after the run"),
    ],
)
def test_what_the_watermark_did_is_a_sentence(owner, now, show, before, after, sentence):
    moments = [now + minutes * MINUTE if minutes else None for minutes in (before, after)]
    result = rollup_result(*moments)
    html = show(ExecutionFactory(connection=owner, plan_time=now, result=result))
    assert sentence in text(html)


def test_what_moved_the_watermark_between_two_plans_is_told(owner, now, show):
    for age, (before, after) in {10: (-20, -15), 5: (-12, -5)}.items():
        row = ExecutionFactory(
            connection=owner,
            plan_time=now - age * MINUTE,
            result=rollup_result(now + before * MINUTE, now + after * MINUTE),
        )
    assert "something else moved it on by 3 min" in text(show(row))


def test_a_result_of_another_kind_says_nothing_of_a_watermark(owner, now, show):
    row = ExecutionFactory(connection=owner, plan_time=now, result={"dispatched": 3})
    assert "watermark" not in show(row)


def test_the_plans_around_it_are_of_the_same_job_and_scope(owner, now, show):
    older, middle, newer = (
        ExecutionFactory(connection=owner, plan_time=now - age * MINUTE) for age in (15, 10, 5)
    )
    ExecutionFactory(connection=owner, plan_time=now - 9 * MINUTE, scope_id="else")
    html = show(middle)
    assert re.search(rf'rel="prev" href="/executions/{older["id"]}/"', html)
    assert re.search(rf'rel="next" href="/executions/{newer["id"]}/"', html)
    assert "This is the newest plan" in show(newer)
    assert "No older plan" in show(older)


def test_the_whole_error_and_the_whole_result_are_shown_harmless(owner, now, show):
    message = "<script>alert(1)</script>\u202e\x1b\u2028" + "m" * 3_900 + "end"
    result = {"text": "</pre><b>" + "r" * 16_000, "שלום": "\u202egnp"}
    html = show(
        ExecutionFactory(
            connection=owner, plan_time=now, exhausted=True, error_msg=message, result=result
        )
    )
    assert "<script>alert" not in html
    assert "</pre><b>" not in html
    assert "m" * 3_900 + "end" in html
    assert escape(json.dumps("</pre><b>" + "r" * 16_000)) in html
    assert "שלום" in html
    assert "\u202e" not in html
    assert "[U+202E][U+001B][U+2028]" in html


def test_the_numbers_of_a_result_are_shown_exactly_as_they_are_stored(owner, now, show):
    exact = "0.1000000000000000055511151231257827"
    stored = f'{{"cost": 1.10, "more": [{exact}, 7], "text": "1.50, [2.50]", "none": []}}'
    row = ExecutionFactory(connection=owner, plan_time=now)
    owner.execute(
        "UPDATE sys_cron_executions SET result = %s::jsonb || %s::jsonb WHERE id = %s",
        [stored, '{"huge": 1e30, "tiny": 1e-10}', row["id"]],
    )
    shown = unescape(show(row))
    assert '\n  "cost": 1.10,\n' in shown
    assert f'"more": [\n    {exact},\n    7\n  ]' in shown
    assert '"text": "1.50, [2.50]"' in shown
    assert '"none": []' in shown
    assert f'"huge": 1{30 * "0"},' in shown
    assert '"tiny": 0.0000000001' in shown


def test_a_result_nested_deeper_than_anything_is_shown_as_it_is(owner, now, show):
    row = ExecutionFactory(connection=owner, plan_time=now)
    deep = "[" * 4_000 + "]" * 4_000
    owner.execute("UPDATE sys_cron_executions SET result = %s", [deep])
    assert deep in show(row)


def test_a_refresh_gets_the_part_alone_and_204_while_nothing_changes(viewer, owner, now):
    row = ExecutionFactory(connection=owner, plan_time=now, running=True)
    address = f"/executions/{row['id']}/"
    part = viewer.get(address, headers={"HX-Request": "true"})
    assert "<html" not in part.content.decode()
    assert part.headers["X-Live-Seconds"] == "5"
    version = part.headers["X-Data-Version"]
    known = {"HX-Request": "true", "X-Data-Version": version}
    assert viewer.get(address, headers=known).status_code == 204


def test_one_that_is_gone_is_a_404_and_a_wrong_id_too(viewer, owner):
    assert viewer.get(f"/executions/{uuid4()}/").status_code == 404
    assert viewer.get("/executions/7/").status_code == 404


def test_it_takes_no_filters(viewer, owner, now):
    row = ExecutionFactory(connection=owner, plan_time=now)
    answer = viewer.get(f"/executions/{row['id']}/?status=FAILED")
    assert answer.status_code == 400
    assert "this page takes no filters" in answer.content.decode()


def test_a_skipped_occurrence_of_autopilot_says_that_nothing_was_dispatched(owner, now, show):
    row = ExecutionFactory(
        connection=owner,
        plan_time=now,
        job_name="autopilot_schedule_dispatch",
        scope_kind="autopilot_trigger",
        result={"skipped_reason": "<too_late>"},
    )
    said = "It succeeded, but nothing was dispatched. The reason is on record: &lt;too_late&gt;."
    assert said in show(row)
    row = ExecutionFactory(connection=owner, plan_time=now, scope_id="x", result={"n": 1})
    assert "nothing was dispatched" not in show(row)


def test_a_run_under_a_watermark_in_the_future_lost_no_lock(owner, now, show):
    plan = now - 10 * MINUTE
    ahead = now + 60 * MINUTE
    html = show(
        ExecutionFactory(
            connection=owner, plan_time=plan, rows_affected=0, result=rollup_result(ahead, ahead)
        )
    )
    assert "It did not move, because it is ahead of all that a run may process" in html
    assert "held its lock" not in html


def test_a_time_without_an_execution_leads_to_the_plans_around_it(viewer, owner):
    world = scenarios.gap(owner, ages=(3,))
    missing = world.plan_time(3)
    answer = viewer.get(f"/executions/at/{int(missing.timestamp())}/", follow=True)
    ((there, _status),) = answer.redirect_chain
    assert there.startswith("/executions/?job=rollup_task_usage_hourly&since=")
    html = answer.content.decode()
    assert f"{world.plan_time(2):%H:%M}" in html
    assert f"{world.plan_time(4):%H:%M}" in html


def test_a_number_that_is_no_time_of_the_calendar_is_not_found(viewer, owner):
    scenarios.healthy(owner)
    assert viewer.get("/executions/at/99999999999999999999/").status_code == 404
    assert viewer.get("/executions/at/253402300799/").status_code == 404
