"""Pages show times that Python cannot hold in words, and do not fail."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest
from django.core.management import call_command

from tests import scenarios

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

# Ages and times that are made of the marks which stand for such a time.
IMPOSSIBLE = re.compile(r"\d,\d{3} d\b|9999-12-31T|0001-01-01T|_seconds.: -?\d{9}")


@pytest.mark.parametrize("value", ["infinity", "-infinity"])
def test_every_page_stands_and_says_it_in_words(viewer, owner, value):
    world = scenarios.healthy(owner)
    owner.execute(
        "UPDATE sys_cron_executions SET plan_time = %(value)s, started_at = %(value)s,"
        " finished_at = %(value)s, heartbeat_at = %(value)s, stale_after = %(value)s,"
        " next_retry_at = %(value)s, created_at = %(value)s, updated_at = %(value)s"
        " WHERE plan_time = %(plan)s",
        {"value": value, "plan": world.plan_time(3)},
    )
    owner.execute("UPDATE task_usage_hourly_rollup_state SET last_run_finished_at = %s", [value])
    (row,) = owner.execute(
        "SELECT id FROM sys_cron_executions WHERE NOT isfinite(plan_time)"
    ).fetchall()
    words = "a time after the year 9999" if value == "infinity" else "a time before the year 1"
    told = 0
    for path in (
        "/",
        "/executions/",
        f"/executions/{row['id']}/",
        "/runners/",
        "/errors/",
        "/jobs/",
        "/rollup/",
        "/schedules/",
        "/executions/export.csv",
        "/executions/export.jsonl",
    ):
        answer = viewer.get(path)
        assert answer.status_code == 200, path
        content = b"".join(answer) if answer.streaming else answer.content
        told += words in content.decode()
        assert not IMPOSSIBLE.search(content.decode()), path
    assert told >= 2


@pytest.mark.parametrize(
    ("value", "words"),
    [("infinity", "after the year 9999"), ("0044-03-15 12:00:00+00 BC", "before the year 1")],
)
def test_a_watermark_without_an_age_shows_no_number(viewer, owner, capsys, value, words):
    scenarios.healthy(owner)
    owner.execute(
        "UPDATE task_usage_hourly_rollup_state"
        " SET watermark_at = %(value)s, last_run_finished_at = %(value)s",
        {"value": value},
    )
    page = viewer.get("/").content.decode()
    assert f'<p class="figure-value">{words}</p>' in page
    assert not IMPOSSIBLE.search(page)
    with pytest.raises(SystemExit):
        call_command("checkrollup", "--json")
    shown = capsys.readouterr().out
    assert not IMPOSSIBLE.search(shown)
    answer = json.loads(shown)
    assert answer["figures"]["watermark_lag_seconds"] is None
    assert answer["figures"]["last_run_age_seconds"] is None
    assert answer["findings"][0]["evidence"]["watermark_at"] == words


def test_in_a_silence_such_a_watermark_has_words_in_place_of_its_age(viewer, owner):
    world = scenarios.healthy(owner)
    owner.execute("UPDATE task_usage_hourly_rollup_state SET watermark_at = '-infinity'")
    owner.execute(
        "DELETE FROM sys_cron_executions WHERE plan_time > %s",
        [world.now - timedelta(minutes=45)],
    )
    page = viewer.get("/").content.decode()
    assert "The watermark is from before the year 1 and stands still" in page
