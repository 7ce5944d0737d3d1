"""Who ran the plans of a job: what each runner won, and what silence does not mean."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest

from executions.health.remedies import Place
from executions.models import Runner
from executions.pages.history import walks
from executions.pages.history.filters import Filters
from executions.pages.history.runners import read_runners
from executions.pages.history.tags import runner_mark
from executions.text.runner_names import short_name
from tests.factories import BACKEND, ExecutionFactory
from tests.time_limits import cut_off

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

MINUTE = timedelta(minutes=1)


def plan(owner, now, age, runner, **columns):
    return ExecutionFactory(
        connection=owner, plan_time=now - age * MINUTE, runner_id=runner, **columns
    )


def show(viewer, query=""):
    answer = viewer.get(f"/runners/{query}")
    assert answer.status_code == 200
    return answer.content.decode()


def text(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html)).replace("&#x27;", "'")


def tallies(query=None):
    return {one.runner_id: one for one in read_runners(query or Filters()).tallies}


def test_each_runner_has_its_plans_outcomes_share_and_durations(owner, now):
    for n, duration in enumerate((100, 200, 300), 1):
        plan(owner, now, 5 * n, "a", duration_ms=duration)
    plan(owner, now, 20, "a", retried=True, duration_ms=400)
    plan(owner, now, 25, "b", exhausted=True, duration_ms=None, finished_at=now - 10 * MINUTE)
    found = tallies()
    a, b = found["a"], found["b"]
    assert (a.plans, a.succeeded, a.failed, a.retried, a.share) == (4, 4, 0, 1, 0.8)
    assert (a.p50_ms, a.p95_ms) == (250, 385)
    assert a.first_seen == now - 15 * MINUTE + timedelta(seconds=1)
    assert (b.failed, b.p50_ms, b.share) == (1, None, 0.2)
    assert b.last_error.error_code == "handler_error"


def test_what_runs_now_is_named(viewer, owner, now):
    running = plan(owner, now, 5, "a", running=True)
    html = show(viewer)
    assert f'href="/executions/{running["id"]}/"' in html
    assert "Runs now" in text(html)


def test_what_a_runner_left_behind_past_its_lease_is_not_said_to_run(viewer, owner, now):
    left = plan(owner, now, 95, "a", stale=True)
    html = show(viewer)
    assert f'href="/executions/{left["id"]}/"' in html
    assert "Abandoned while it ran" in text(html)
    assert "Runs now" not in text(html)
    assert "Stale" in text(html)


def test_our_own_are_told_from_multicas_also_when_they_won_nothing(viewer, owner, now):
    for runner_id, ticked in (("ours-1", None), ("ours-2", datetime.now(UTC))):
        Runner.objects.create(
            runner_id=runner_id, kind="web", host="h", pid=7, version="0", last_tick_at=ticked
        )
    plan(owner, now, 5, "ours-1")
    plan(owner, now, 10, "11111111-2222-4333-8444-555555555555")
    shown = text(show(viewer))
    assert re.search(r"ours-1 ours", shown)
    assert re.search(r"11111111 Multica's", shown)
    assert re.search(r"ours-2 ours It ticks and has won no plan", shown)
    assert "Our web process on h, process 7" in shown


def test_it_says_that_a_runner_that_wins_nothing_writes_nothing(viewer, owner, now):
    plan(owner, now, 5, "a")
    assert "A runner that wins nothing writes nothing" in text(show(viewer))


def test_the_command_finds_the_runner_whatever_its_id_holds(owner, now):
    plan(owner, now, 5, "a'; rm -rf / #")
    plan(owner, now, 10, "\x1b[31mred-runner-7\u202e")
    plan(owner, now, 15, "plain-7")
    commands = {one.runner_id: one.log_commands for one in tallies().values()}
    wanted = {
        "plain-7": "plain-7",
        "a'; rm -rf / #": """'a'"'"'; rm -rf / #'""",
        "\x1b[31mred-runner-7\u202e": "'[31mred-runner-7'",
    }
    for runner_id, words in wanted.items():
        for command in commands[runner_id].values():
            assert command.endswith(f" | grep -F -e {words}")


def test_the_command_is_the_one_that_findings_advise_in_every_place(viewer, owner, now):
    """Multica's own Compose file is no docker-compose.yml, so the command names it."""
    plan(owner, now, 5, "plain-7")
    (commands,) = (one.log_commands for one in tallies().values())
    assert commands.keys() == {Place.COMPOSE, Place.KUBERNETES, Place.HOST}
    assert commands[Place.COMPOSE].startswith("docker compose -f docker-compose.selfhost.yml logs")
    assert all(unescape(command) in unescape(show(viewer)) for command in commands.values())


def test_the_window_is_a_day_and_by_a_link_a_week(viewer, owner, now):
    plan(owner, now, 60, "today")
    plan(owner, now, 60 * 30, "yesterday")
    html = show(viewer)
    assert "today" in html
    assert "yesterday" not in html
    assert 'href="/runners/?window=7d"' in html
    assert "yesterday" in show(viewer, "?window=7d")
    assert "yesterday" in show(viewer, f"?since={now - 31 * 60 * MINUTE:%Y-%m-%d}")


def test_another_job_is_looked_at_by_a_link(viewer, owner, now):
    plan(owner, now, 5, "a")
    plan(owner, now, 5, "b", job_name="other")
    assert 'href="/runners/?job=other"' in show(viewer)
    assert set(tallies(Filters(job="other"))) == {"b"}


def test_no_more_rows_are_looked_at_than_a_look_may_and_it_says_so(viewer, owner, now, monkeypatch):
    monkeypatch.setattr(walks, "WINDOW", 5)
    for n in range(1, 9):
        plan(owner, now, 5 * n, f"runner-{n}")
    html = show(viewer)
    assert "They reach back to" in text(html)
    assert "runner-4" in html
    assert "runner-5" not in html


def test_nothing_yet_and_nothing_in_this_time_are_told_apart(viewer, owner, now):
    assert "No runner has won a plan yet" in show(viewer)
    plan(owner, now, 60 * 24 * 30, "old")
    assert "No runner won a plan of this job in this time" in show(viewer)


def test_plans_without_a_runner_are_counted_and_named_as_that(viewer, owner, now):
    plan(owner, now, 5, None)
    assert "1 plan names no runner" in text(show(viewer))


def test_a_refresh_costs_a_204_while_nothing_changes(viewer, owner, now):
    plan(owner, now, 5, "a")
    part = viewer.get("/runners/", headers={"HX-Request": "true"})
    known = {"HX-Request": "true", "X-Data-Version": part.headers["X-Data-Version"]}
    assert viewer.get("/runners/", headers=known).status_code == 204


def test_a_read_that_takes_too_long_is_told_while_the_page_stands(viewer, owner, now):
    plan(owner, now, 5, "a")
    with cut_off("GROUP BY"):
        shown = text(show(viewer))
    assert "The database took too long" in shown
    assert "A runner that wins nothing writes nothing" in shown


def our_own(now, runner_id="ours-7", *, started=60 * 20, ticked=0, stopped=None):
    """A runner of ours; its times in minutes before now."""
    return Runner.objects.create(
        runner_id=runner_id,
        kind="web",
        host="h",
        pid=7,
        version="0",
        started_at=now - started * MINUTE,
        last_tick_at=datetime.now(UTC) - ticked * MINUTE,  # ``now`` may be a minute old
        stopped_at=None if stopped is None else now - stopped * MINUTE,
    )


def test_a_stopped_runner_is_said_to_have_stopped_and_when(viewer, owner, now):
    plan(owner, now, 5, "a")
    plan(owner, now, 300, "winner")
    our_own(now, ticked=181, stopped=180)
    our_own(now, "winner", ticked=241, stopped=240)
    shown = text(show(viewer))
    assert re.search(r"ours-7 ours It won no plan in this time\. It stopped 3 h ago", shown)
    assert re.search(r"winner ours .* It stopped 4 h ago", shown)
    assert "It ticks" not in shown


def test_one_that_stopped_before_this_time_is_left_out(viewer, owner, now):
    plan(owner, now, 5, "a")
    our_own(now, ticked=60, stopped=60 * 25)
    assert "ours-7" not in show(viewer)


def test_one_that_ticks_no_more_is_not_called_well(viewer, owner, now):
    plan(owner, now, 5, "a")
    our_own(now, ticked=180)
    shown = text(show(viewer))
    assert "It won no plan in this time, and has not ticked since" in shown
    assert "another runner was first" not in shown
    assert "It ticks" not in shown


def test_a_winner_that_ticks_no_more_is_told_as_that_unless_it_runs_a_plan(viewer, owner, now):
    plan(owner, now, 20, "gone")
    our_own(now, "gone", ticked=2)
    plan(owner, now, 15, "busy", running=True, stale_after=now + 30 * MINUTE)
    our_own(now, "busy", ticked=10)
    shown = text(show(viewer))
    assert re.search(r"gone ours .* It has not ticked since .* 2 min ago", shown)
    assert shown.count("has not ticked since") == 1


def test_another_was_first_only_where_another_began_a_plan_while_it_ticked(viewer, owner, now):
    plan(owner, now, 120, "a")
    our_own(now, "early", started=180)
    our_own(now, "late", started=60)
    shown = text(show(viewer))
    assert re.search(r"early ours It ticks and has won no plan in this time: another", shown)
    assert re.search(r"late ours It ticks and has won no plan in this time, and nobody", shown)


def test_where_nobody_won_anything_nobody_was_first(viewer, owner, now):
    our_own(now)
    assert "nobody else has begun one since it started" in text(show(viewer))


def test_a_runner_has_one_name_and_one_mark_on_every_page(viewer, owner, now):
    made = plan(owner, now, 5, BACKEND)
    mark = str(runner_mark(BACKEND))
    for path in ("/", "/executions/", "/runners/", "/schedules/", f"/executions/{made['id']}/"):
        html = viewer.get(path).content.decode()
        assert f"{mark}<bdi>{short_name(BACKEND)}</bdi>" in html, path
        assert f'title="{BACKEND}"' in html, path


def test_the_whole_id_is_there_to_copy(viewer, owner, now):
    plan(owner, now, 5, BACKEND)
    html = show(viewer)
    (key,) = re.findall(rf'id="(id-[^"]+)">{BACKEND}<', html)
    assert f'data-copy="{key}"' in html
