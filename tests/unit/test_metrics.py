"""The gauges of /metrics tell known facts. An unknown fact has no gauge, never a 0."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from executions.health.assessment import assess
from executions.health.facts import Queue
from executions.health.facts.pg_cron import Match, PgCron, PgCronJob, RollupCall, Visibility
from executions.health.facts.sessions import DatabaseSession, Lock
from executions.health.findings import FindingCode
from executions.health.metrics import MessageState, Scrape, exposition
from executions.health.verdict import Level
from executions.text.problem import Problem
from tests.pictures import CADENCE, NOW, executions, facts

AWAY = Problem("It is away.", "Look.")
SESSION = DatabaseSession(1, "multica", "multica", "idle", NOW, idle=True)


def told(**known):
    """Every sample, by its name and labels, of a process that has just read these facts."""
    assessment = assess(facts(**known))
    return scraped(Scrape("1.2", "https://a.example", False, assessment.verdict.level, assessment,
                        timedelta(seconds=3)))  # fmt: skip


def scraped(told):
    text, content_type = exposition(told, "")
    assert content_type.startswith("text/plain")
    return {
        (sample.name.removeprefix("multica_admin_"), *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_a_healthy_day_is_told_in_full():
    samples = told()
    assert samples["info", "1.2", "https://a.example"] == 1
    assert samples["verdict", "healthy"] == 1
    assert samples["verdict", "failing"] == samples["verdict", "unknown"] == 0
    assert samples["reading_age_seconds",] == 3
    assert samples["plans", "kept"] == 288
    assert samples["plans", "missing"] == 0
    assert samples["last_success_age_seconds",] == 118
    assert samples["run_duration_seconds", "95"] == 1
    assert samples["running",] == samples["stale",] == samples["lock_holders",] == 0
    assert samples["dirty_queue_age_seconds",] == 0
    assert samples["demo",] == 0
    severities = {
        name[1]: value for name, value in samples.items() if name[0] == "finding_severity"
    }
    assert severities == dict.fromkeys(FindingCode, 0)


def test_every_gauge_has_a_prefix_and_a_meaning():
    text, _ = exposition(Scrape("1", "", True, Level.UNKNOWN, assess(facts()), timedelta()), "")
    families = list(text_string_to_metric_families(text.decode()))
    assert all(one.name.startswith("multica_admin_") for one in families)
    assert {one.type for one in families} == {"gauge"}
    assert all(one.documentation.endswith(".") or "," in one.documentation for one in families)


def test_plans_runs_and_their_runners_are_counted():
    rows = executions(
        {
            0: {"status": "RUNNING", "stale_after": NOW + CADENCE, "runner_id": "web-1"},
            1: {"status": "RUNNING", "stale_after": NOW - CADENCE},
            2: None,
            3: {"status": "FAILED", "error_code": "x"},
            4: {"attempt": 2},
        }
    )
    rows = replace(rows, stale=(rows.rows[1],))
    samples = told(executions=rows, own_runners=frozenset({"web-1", "web-gone"}))
    plans = {name[1]: value for name, value in samples.items() if name[0] == "plans"}
    assert plans == {
        "kept": 283, "kept_late": 0, "retried": 1, "failed": 1, "running": 1, "stale": 1,
        "missing": 1, "blind": 0, "waiting": 0,
    }  # fmt: skip
    assert (samples["running",], samples["stale",]) == (1, 1)
    assert samples["runners", "ours"] == 1
    assert samples["runners", "multica"] == 1


def test_holders_of_the_lock_the_queue_and_redundant_schedules_are_counted():
    job = PgCronJob(7, "rollup", "*/5 * * * *", "SELECT 1", "multica", "postgres", True)
    calls = (RollupCall(job, Match.EXACT, "f"), RollupCall(job, Match.WRAPPED, "f"))
    samples = told(
        lock=Lock(holders=(SESSION,), waiters=(SESSION, SESSION)),
        pg_cron=PgCron(Visibility.FILTERED, calls=calls),
        queue=Queue(NOW - timedelta(minutes=2)),
    )
    assert (samples["lock_holders",], samples["lock_waiters",]) == (1, 2)
    assert samples["redundant_schedules",] == 1
    assert samples["schedules_all_visible",] == 0
    assert samples["dirty_queue_age_seconds",] == 120


def test_a_finding_has_its_severity_and_says_whether_another_explains_it():
    old = facts().state
    samples = told(
        executions=executions(dict.fromkeys(range(12))),
        state=replace(old, watermark_at=NOW - timedelta(hours=1)),
    )
    assert samples["verdict", "failing"] == 1
    assert samples["finding_severity", "latest_stale"] == 3
    assert samples["finding_explained", "latest_stale"] == 0
    assert samples["finding_severity", "watermark_lag"] == 2
    assert samples["finding_explained", "watermark_lag"] == 1


@pytest.mark.parametrize(
    ("fact", "gauges"),
    [
        ("lock", {"lock_holders", "lock_waiters"}),
        ("queue", {"dirty_queue_age_seconds"}),
        ("pg_cron", {"redundant_schedules", "schedules_all_visible"}),
        ("own_runners", {"runners"}),
    ],
)
def test_what_cannot_be_read_is_left_out(fact, gauges):
    before, after = ({name for name, *_ in samples} for samples in (told(), told(**{fact: AWAY})))
    assert before - after == gauges


def test_without_the_basics_only_the_verdict_and_what_cannot_be_read_are_told():
    samples = told(**dict.fromkeys(("ground", "executions", "state", "queue", "lock", "pg_cron",
                                    "drift", "own_runners"), AWAY))  # fmt: skip
    assert samples["verdict", "unknown"] == 1
    assert {name for name, *_ in samples} == {
        "info", "demo", "verdict", "reading_age_seconds", "finding_severity", "finding_explained",
    }  # fmt: skip
    assert samples["finding_severity", "not_available"] > 0


def test_before_the_first_reading_nothing_is_claimed():
    samples = scraped(Scrape("1.2", "", False, Level.UNKNOWN))
    assert {name for name, *_ in samples} == {"info", "demo", "verdict"}
    assert samples["verdict", "unknown"] == 1


def test_an_old_reading_is_told_with_its_age_under_the_verdict_unknown():
    samples = scraped(Scrape("1", "", False, Level.UNKNOWN, assess(facts()), timedelta(seconds=90)))
    assert samples["verdict", "unknown"] == 1
    assert samples["verdict", "healthy"] == 0
    assert samples["reading_age_seconds",] == 90
    assert samples["plans", "kept"] == 288


def test_openmetrics_is_spoken_to_whom_it_is_asked_by():
    text, content_type = exposition(
        Scrape("1", "", False, Level.UNKNOWN), "application/openmetrics-text;version=1.0.0"
    )
    assert content_type.startswith("application/openmetrics-text")
    assert text.endswith(b"# EOF\n")


def test_silences_and_receivers_that_take_no_alarms_are_told_without_hiding_a_finding():
    told_so = Scrape(
        "1", "", False, Level.UNKNOWN, messages=MessageState(("latest_stale",), (3, 0))
    )
    samples = scraped(told_so)
    assert (samples["silences", "everything"], samples["silences", "finding"]) == (0, 1)
    assert samples["finding_silenced", "latest_stale"] == 1
    assert samples["finding_silenced", "lock_lost"] == 0
    assert (samples["failing_receivers",], samples["undelivered_alarms",]) == (2, 3)
    everything = scraped(Scrape("1", "", False, Level.UNKNOWN, messages=MessageState(("",))))
    assert everything["finding_silenced", "lock_lost"] == 1
