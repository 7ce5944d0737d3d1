"""The overview's card about a schedule that is not needed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from executions.health.facts.pg_cron import PgCron, PgCronJob, Visibility
from tests import scenarios
from tests.overviews import page, text
from tests.retiring import note_a_run, pg_cron

__all__ = ["pg_cron"]
pytestmark = [
    pytest.mark.django_db(databases=["default", "multica"], transaction=True),
    pytest.mark.usefixtures("one_snapshot"),
]


JOB = PgCronJob(
    jobid=17,
    jobname="rollup_task_usage_hourly",
    schedule="*/5 * * * *",
    command="SELECT rollup_task_usage_hourly()",
    database="multica",
    owner="postgres",
    active=True,
)


def test_a_pg_cron_job_that_repeats_the_work_has_a_card(viewer, owner, monkeypatch):
    scenarios.healthy(owner)
    jobs = PgCron(Visibility.FULL, "1.4", "multica", (JOB,))
    monkeypatch.setattr("executions.health.read_pg_cron.visible_jobs", lambda _fetch: jobs)
    shown = text(page(viewer))
    assert "A schedule repeats the work" in shown
    assert "pg_cron job 17, rollup_task_usage_hourly: every 5 minutes, owner postgres" in shown
    assert "Nothing breaks if you leave it." in shown


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("SELECT rollup_task_usage_daily()", "which this database does not have: every run of it"),
        ("SELECT 1; SELECT rollup_task_usage_hourly()", "and does other things beside it"),
    ],
)
def test_a_job_that_does_not_just_repeat_the_work_is_not_called_superfluous(
    viewer, owner, monkeypatch, command, said
):
    scenarios.healthy(owner)
    jobs = PgCron(Visibility.FULL, "1.4", "multica", (replace(JOB, command=command),))
    monkeypatch.setattr("executions.health.read_pg_cron.visible_jobs", lambda _fetch: jobs)
    shown = text(page(viewer))
    assert "A schedule calls the rollup too" in shown
    assert said in shown
    assert "can be removed" not in shown
    assert "only no longer needed" not in shown


@pytest.mark.parametrize("command", ["VACUUM", "SELECT 1 -- instead of rollup_task_usage_hourly()"])
def test_a_job_that_only_names_the_rollup_has_no_card(viewer, owner, monkeypatch, command):
    scenarios.healthy(owner)
    jobs = PgCron(Visibility.FULL, "1.4", "multica", (replace(JOB, command=command),))
    monkeypatch.setattr("executions.health.read_pg_cron.visible_jobs", lambda _fetch: jobs)
    assert 'id="redundant"' not in page(viewer)


def test_the_way_to_the_wizard_is_shown_to_who_may_go_it(viewer, admin_client, owner, monkeypatch):
    scenarios.healthy(owner)
    jobs = PgCron(Visibility.FULL, "1.4", "multica", (JOB,))
    monkeypatch.setattr("executions.health.read_pg_cron.visible_jobs", lambda _fetch: jobs)
    assert 'href="/retire/"' in page(admin_client)
    assert 'href="/retire/"' not in page(viewer)


def test_a_schedule_is_not_called_superfluous_while_the_verdict_is_failing(
    viewer, owner, monkeypatch
):
    scenarios.stopped(owner)
    jobs = PgCron(Visibility.FULL, "1.4", "multica", (JOB,))
    monkeypatch.setattr("executions.health.read_pg_cron.visible_jobs", lambda _fetch: jobs)
    shown = text(page(viewer))
    assert "Leave it for now" in shown
    assert "only no longer needed" not in shown
    assert "See whether it can be retired" not in shown


def test_a_schedule_that_only_shows_in_the_watermark_has_the_card_too(viewer, owner, pg_cron):
    note_a_run(pg_cron)
    scenarios.other_writer(owner)
    assert "Something outside the database moves the watermark too" in text(page(viewer))


def test_where_jobs_may_be_hidden_the_card_does_not_say_that_the_caller_is_outside(
    viewer, owner, settings
):
    settings.RETIRE_CONNINFO = settings.MULTICA_CONNINFO
    scenarios.other_writer(owner)
    shown = text(page(viewer))
    assert "a pg_cron job that this role may not see, or cron" in shown
    assert "may be a pg_cron job that this role may not see" in shown


def test_without_a_schedule_there_is_no_such_card(viewer, owner):
    scenarios.healthy(owner)
    assert "A schedule repeats the work" not in text(page(viewer))
