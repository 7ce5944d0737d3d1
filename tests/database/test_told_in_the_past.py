"""Pages tell in the past tense what a stopped schedule did: a real pg_cron, and our record."""

from __future__ import annotations

import pytest

from executions.database.reading import fetch_on
from executions.health.assessment import assess
from executions.health.facts.pg_cron import Visibility
from executions.health.findings import FindingCode
from executions.health.read import read_facts
from executions.models.retirement import Act, Retirement
from executions.pages.wizard.watched import read_watched
from executions.retirement import acts, external
from executions.retirement.acts import Order
from executions.retirement.external import Outside
from executions.retirement.rules import current
from tests.retiring import (
    acting_as,
    confirmed,
    lay_plans,
    operator,
    pg_cron,
    press,
    retire,
    role,
    schedule,
)
from tests.rights import let_read

__all__ = ["acting_as", "pg_cron", "role"]
pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)


def interfere(owner, superuser=None, jobid=None):
    """Something moved the watermark before each of the last plans, and a job ran at these times."""
    owner.execute(
        """
        UPDATE sys_cron_executions SET result = result || jsonb_build_object('watermark_before',
            (result->>'watermark_before')::timestamptz + interval '4 seconds')
        """
    )
    if superuser is not None:
        superuser.execute(
            """
            INSERT INTO cron.job_run_details
                (jobid, runid, job_pid, database, username, command, status, start_time, end_time)
            SELECT %(jobid)s, nextval('cron.runid_seq'), 1, 'multica', 'multica',
                   'SELECT rollup_task_usage_hourly()', 'succeeded',
                   started_at - interval '20 seconds', started_at - interval '19 seconds'
              FROM sys_cron_executions ORDER BY plan_time
            """,
            {"jobid": jobid},
        )


def trace():
    """What is concluded now: the finding, if any, and the verdict's sentence."""
    verdict = assess(read_facts()).verdict
    found = [one for one in verdict.findings if one.code is FindingCode.OTHER_WRITER]
    return (str(found[0].summary) if found else None), str(verdict.summary)


@pytest.fixture
def busy(owner, pg_cron):
    """A job that moved the watermark at each of the last plans; its number."""
    lay_plans(owner, count=20)
    jobid = schedule(pg_cron)
    interfere(owner, pg_cron, jobid)
    return jobid


def test_before_anything_was_done_the_job_is_named_in_the_present(busy):
    said, verdict = trace()
    assert f"pg_cron job {busy} ran at 12 of these times" in said
    assert f"pg_cron job {busy} repeats the work" in verdict


@pytest.mark.parametrize("way", ["pause", "remove"])
def test_during_a_trial_and_after_a_removal_nothing_is_said_to_repeat_the_work(busy, way):
    who = operator()
    if way == "pause":
        retirement = confirmed(who, busy)
        acts.pause(Order(who, retirement, current()), **press(retirement))
    else:
        retire(who, busy)
    said, verdict = trace()
    assert f"pg_cron job {busy} moved the watermark as well" in said
    assert said.startswith("Until ")
    assert "repeats the work" not in verdict


def test_a_job_that_somebody_removes_by_sql_is_told_in_the_past(busy, pg_cron):
    pg_cron.execute("SELECT cron.unschedule(%s)", [busy])
    said, verdict = trace()
    assert said.startswith("Until ")
    assert f"pg_cron job {busy} moved the watermark as well" in said
    assert "repeats the work" not in verdict


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("database", "another"),
        ("command", "SELECT 1 -- instead of rollup_task_usage_hourly()"),
        ("status", "failed"),
    ],
)
def test_a_run_that_cannot_have_moved_the_watermark_explains_nothing(busy, pg_cron, column, value):
    pg_cron.execute(f"UPDATE cron.job_run_details SET {column} = %s", [value])
    pg_cron.execute("SELECT cron.unschedule(%s)", [busy])
    said, verdict = trace()
    assert "pg_cron job" not in said
    assert "outside the database repeats the work" in verdict


def test_without_run_details_our_own_record_tells_when_it_stopped(busy, pg_cron):
    pg_cron.execute("DELETE FROM cron.job_run_details")
    retire(operator(), busy)
    said, _verdict = trace()
    assert "something besides the scheduler moved the watermark as well" in said
    assert f"pg_cron job {busy} was stopped then" in said


@pytest.mark.parametrize(
    "stop", ["SELECT cron.unschedule(%s)", "SELECT cron.alter_job(%s, active := false)"]
)
def test_without_run_details_a_job_stopped_by_sql_is_not_said_to_be_outside(
    busy, pg_cron, stop, admin_client
):
    pg_cron.execute("DELETE FROM cron.job_run_details")
    pg_cron.execute(stop, [busy])
    _said, verdict = trace()
    assert "outside the database repeats the work" not in verdict
    assert "a pg_cron job that is gone or paused by now may have done it" in verdict
    for address in ("/schedules/", "/"):
        page = " ".join(admin_client.get(address).content.decode().split())
        assert "pg_cron job that is gone or paused by now may have done it" in page
        assert "so it comes from outside" not in page
        assert "Something outside the database moves the watermark" not in page


def test_run_details_that_begin_later_do_not_tell_who_wrote_before(busy, pg_cron):
    """For example after somebody deleted the older ones while another job runs on."""
    pg_cron.execute("UPDATE cron.job_run_details SET start_time = now(), end_time = now()")
    pg_cron.execute("UPDATE cron.job_run_details SET jobid = 4711, command = 'SELECT 1'")
    pg_cron.execute("SELECT cron.unschedule(%s)", [busy])
    assert "gone or paused by now may have done it" in trace()[1]


def test_a_schedule_outside_that_the_operator_removed_is_told_in_the_past(owner):
    lay_plans(owner, count=20)
    interfere(owner)
    who = operator()
    retirement = external.choose(who, Outside("systemd", "rollup"))
    assert "may have done it, or a schedule outside the database" in trace()[1]
    external.ran_it(who, retirement, current())
    said, verdict = trace()
    assert "systemd timer rollup was stopped then" in said
    assert "may have done it" not in verdict
    external.put_back_done(who, retirement)
    assert trace()[0] is None


def test_what_a_trial_said_is_not_shown_once_the_job_is_back(busy):
    who = operator()
    retirement = retire(who, busy)
    Retirement.objects.update(
        reason="The latest 3 plans succeeded, the watermark moved and nobody else wrote."
    )
    acts.put_back(Order(who, retirement, current()))
    assert retirement.reason == ""
    assert read_watched(retirement).is_back


def test_a_change_of_long_ago_is_no_longer_asked_for(busy):
    retirement = retire(operator(), busy)
    Act.objects.update(acted_at="2020-01-01T00:00:00Z")
    Retirement.objects.filter(pk=retirement.pk).update(
        watched_since="2020-01-01T00:00:00Z", changed_at="2020-01-01T00:00:00Z"
    )
    assert read_facts().changes == ()


SEES_JOBS = (
    "GRANT USAGE ON SCHEMA cron TO {role}",
    "GRANT SELECT ON cron.job TO {role}",
    "CREATE POLICY {role} ON cron.job FOR SELECT TO {role} USING (true)",
)
SEES_RUNS = "CREATE POLICY {role} ON cron.job_run_details FOR SELECT TO {role} USING (true)"


@pytest.mark.parametrize(
    ("of_runs", "reason"),
    [
        ("REVOKE SELECT ON cron.job_run_details FROM PUBLIC", "permission denied"),
        ("GRANT SELECT ON cron.job_run_details TO {role}", "row security hides rows"),
        (SEES_RUNS, None),
    ],
)
def test_runs_that_are_not_shown_are_not_available_and_never_none(
    busy, owner, pg_cron, role, connect, settings, of_runs, reason
):
    role("sees_jobs", *SEES_JOBS, of_runs)
    try:
        let_read(owner, "sees_jobs")
        settings.MULTICA_CONNINFO = {**settings.MULTICA_CONNINFO, "user": "sees_jobs"}
        settings.RETIRE_CONNINFO = settings.MULTICA_CONNINFO
        facts = read_facts(fetch=fetch_on(connect("sees_jobs")))
        assert facts.pg_cron.visibility is Visibility.FULL
        unread = [
            one for one in assess(facts).verdict.findings if one.code is FindingCode.NOT_AVAILABLE
        ]
        if reason is None:
            assert facts.pg_cron.runs
            assert unread == []
        else:
            assert facts.pg_cron.runs == ()
            (finding,) = unread
            assert "when pg_cron's jobs ran" in str(finding.summary)
            assert reason in str(finding.summary)
            assert "permissions --role" in str(finding.advice)
    finally:
        pg_cron.execute("GRANT SELECT ON cron.job_run_details TO PUBLIC")
