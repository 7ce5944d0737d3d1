"""A job's settings: those of the rollup, and the rules that every job keeps."""

from __future__ import annotations

from datetime import timedelta

import pytest

from executions.scheduler.jobs import JOBS, ROLLUP
from executions.scheduler.spec import CatchUp, InvalidJob, Scope, registry
from tests.short_jobs import job, seconds

MINUTE = timedelta(minutes=1)
CENTURY = timedelta(days=36_525)
MOMENT = timedelta.resolution


def test_the_rollup_has_the_settings_of_multicas_own_replicas():
    assert ROLLUP.name == "rollup_task_usage_hourly"
    assert (ROLLUP.cadence, ROLLUP.schedule_delay) == (5 * MINUTE, 5 * MINUTE)
    assert ROLLUP.catch_up is CatchUp.LATEST_ONLY
    assert (ROLLUP.run_timeout, ROLLUP.stale_timeout) == (25 * MINUTE, 30 * MINUTE)
    assert ROLLUP.heartbeat_interval == timedelta(seconds=30)
    assert ROLLUP.max_attempts == 3
    assert ROLLUP.allow_stale_reentry
    assert [str(scope) for scope in ROLLUP.scopes] == ["global/global"]
    assert JOBS[ROLLUP.name] is ROLLUP


def test_the_last_retry_pause_repeats_and_none_follows_the_last_attempt():
    spec = job(retry_backoff=(MINUTE, 5 * MINUTE, 15 * MINUTE), max_attempts=6)
    pauses = [spec.backoff_after(attempt) for attempt in range(1, 7)]
    assert pauses == [MINUTE, 5 * MINUTE, 15 * MINUTE, 15 * MINUTE, 15 * MINUTE, None]


def test_a_job_without_retry_pauses_is_tried_again_at_once():
    assert job(retry_backoff=()).backoff_after(1) == timedelta()


def own_planner(_spec, _standing):
    return []


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"name": " "}, "needs a name"),
        ({"handler": None}, "needs a handler"),
        ({"scopes": ()}, "needs at least one scope"),
        ({"cadence": seconds(0)}, "needs a cadence above zero"),
        ({"schedule_delay": seconds(-1)}, "needs a schedule delay"),
        ({"run_timeout": seconds(0)}, "needs a run timeout above zero"),
        ({"run_timeout": seconds(900)}, "needs a stale timeout that is longer"),
        ({"heartbeat_interval": seconds(0)}, "needs a heartbeat interval between"),
        ({"heartbeat_interval": seconds(900)}, "needs a heartbeat interval between"),
        ({"max_attempts": 0}, "needs at least one attempt"),
        ({"retry_backoff": (seconds(-1),)}, "needs retry pauses"),
        ({"max_plans_per_tick": -1}, "needs a maximum per tick"),
        ({"catch_up": CatchUp.EVERY_PLAN}, "needs a maximum of plans per tick"),
        (
            {
                "catch_up": CatchUp.EVERY_PLAN,
                "max_plans_per_tick": 1,
                "catch_up_window": seconds(0),
            },
            "needs a catch-up window above zero",
        ),
    ],
)
def test_a_job_that_breaks_a_rule_is_refused_by_name(settings, complaint):
    refused(settings, complaint)


def refused(settings, complaint):
    with pytest.raises(InvalidJob, match=complaint) as refusal:
        job(**settings)
    assert str(refusal.value).startswith("The job '")


@pytest.mark.parametrize(
    ("most", "more", "complaint"),
    [
        ({"cadence": CENTURY}, {"cadence": CENTURY + MOMENT}, "a cadence of at most 36,525 days"),
        (
            {"schedule_delay": CENTURY},
            {"schedule_delay": timedelta.max},
            "a schedule delay of at most",
        ),
        (
            {"catch_up_window": CENTURY},
            {"catch_up_window": CENTURY + MOMENT},
            "a catch-up window of at most",
        ),
        (
            {"stale_timeout": CENTURY},
            {"stale_timeout": timedelta.max},
            "a stale timeout of at most",
        ),
        (
            {"retry_backoff": (MINUTE, CENTURY)},
            {"retry_backoff": (timedelta.max, MINUTE)},
            "retry pauses of at most",
        ),
        (
            {"run_timeout": timedelta(days=24), "stale_timeout": timedelta(days=30)},
            {"run_timeout": timedelta(days=25), "stale_timeout": timedelta(days=30)},
            "a run timeout of at most 24 days",
        ),
        ({"max_attempts": 2**31 - 1}, {"max_attempts": 2**31}, "up to 2,147,483,647"),
        ({"max_plans_per_tick": 10_000}, {"max_plans_per_tick": 10_001}, "up to 10,000"),
        ({"name": "ä" * 200}, {"name": "ä" * 201}, "a name that has at most 200 letters"),
        ({"name": "\ufffd"}, {"name": "a\0b"}, "a name that has"),
        ({"name": "\U0001f600"}, {"name": "a\ud800"}, "a name that has"),
        (
            {"scopes": (Scope("a", "b"), Scope("x" * 200, "y" * 200))},
            {"scopes": (Scope("a", "b"), Scope("x", "a\0"))},
            "scopes of which each part has",
        ),
        ({}, {"scopes": (Scope("x\udfff", "a"),)}, "scopes of which each part has"),
    ],
)
def test_each_setting_has_a_maximum_that_can_be_reckoned_with_and_stored(most, more, complaint):
    assert job(**most)
    refused(more, complaint)


@pytest.mark.parametrize(
    "settings",
    [{"cadence": seconds(0)}, {"catch_up": CatchUp.EVERY_PLAN, "max_plans_per_tick": 0}],
)
def test_a_planner_of_the_jobs_own_relaxes_the_rules_about_cadence_and_maximum(settings):
    assert job(planner=own_planner, **settings).planner is own_planner


def test_a_planner_of_the_jobs_own_relaxes_nothing_else():
    with pytest.raises(InvalidJob, match="stale timeout"):
        job(planner=own_planner, run_timeout=seconds(900))


def test_no_two_jobs_share_a_name():
    with pytest.raises(InvalidJob, match="Two jobs are named 'twice'"):
        registry(
            [job(name="once"), job(name="twice"), job(name="twice", scopes=(Scope("a", "b"),))]
        )
