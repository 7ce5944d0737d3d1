"""The sentences about another writer: who it may be, in which tense, and what may be hidden."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from executions.health.assessment import assess
from executions.health.facts import ScheduleChange
from executions.health.facts.pg_cron import JobRun, Match, PgCron, PgCronJob, RollupCall, Visibility
from executions.health.findings import Case
from executions.health.findings.writer import is_over, other_writer
from executions.health.writers import jumps, pairs
from executions.text.problem import Problem
from executions.text.sentences import quoted
from tests.pictures import CADENCE, SECOND, executions, facts, plan_time

MINUTE = timedelta(minutes=1)
JOB = PgCronJob(17, "rollup", "*/5 * * * *", "SELECT 1", "multica", "postgres", active=True)
CALL = RollupCall(JOB, Match.EXACT, "rollup_task_usage_hourly")
ALL_SEEN = PgCron(Visibility.FULL, "1.4", "multica", runs_since=plan_time(300))
# Between the runs of the plans of age 4 and age 3.
AT = plan_time(3) + CADENCE - MINUTE


def written_before(*ages, **columns):
    """Something else moved the watermark before the plans of those ages."""
    moved = {"watermark_before": plan_time(0) - CADENCE, **columns}
    return {
        age: moved | {"watermark_before": plan_time(age) - CADENCE + 30 * SECOND} for age in ages
    }


def paused(at=AT, jobid=17, *, stops=True):
    label = quoted(f"pg_cron job {jobid}" if jobid else "systemd timer x")
    return ScheduleChange(at, label, stops=stops)


def run(age, jobid=17):
    """A run of a job just before the run of the plan of that age."""
    at = plan_time(age) + CADENCE - 30 * SECOND
    return JobRun(jobid, at, at + SECOND, calls=True)


def look(*ages, pg_cron=ALL_SEEN, changes=()):
    known = facts(executions=executions(written_before(*ages)), pg_cron=pg_cron, changes=changes)
    case = Case.of(known)
    assert case is not None
    return other_writer(case), str(assess(known).verdict.summary)


def clock(moment):
    return f"{moment:%H:%M}"


EARLIER = (4, 5, 6, 7, 8)


def test_what_a_paused_job_did_is_told_in_the_past():
    finding, verdict = look(*EARLIER, changes=(paused(),))
    assert is_over(finding)
    said = f"Until {clock(AT)} UTC something besides the scheduler moved the watermark as well"
    assert said in str(finding.summary)
    assert "nobody has since" in str(finding.summary)
    assert "pg_cron job 17 was stopped then" in str(finding.summary)
    assert said in verdict
    assert "can be removed" not in verdict


def test_the_job_that_ran_at_each_jump_is_named():
    seen = replace(ALL_SEEN, runs=tuple(map(run, EARLIER)))
    finding, verdict = look(*EARLIER, pg_cron=seen, changes=(paused(),))
    assert f"Until {clock(AT)} UTC pg_cron job 17 moved the watermark as well" in str(
        finding.summary
    )
    assert finding.evidence["jobs"] == [{"jobid": 17, "jumps": 5}]
    assert "pg_cron job 17" in verdict


def test_a_job_that_somebody_else_removed_is_told_by_its_runs():
    seen = replace(ALL_SEEN, runs=tuple(map(run, EARLIER)))
    finding, verdict = look(*EARLIER, pg_cron=seen)
    assert is_over(finding)
    assert "pg_cron job 17 moved the watermark as well; nobody has since" in str(finding.summary)
    assert "can be removed" not in verdict


def test_a_role_that_is_not_shown_every_job_concludes_nothing_from_a_job_that_is_not_shown():
    seen = replace(ALL_SEEN, visibility=Visibility.FILTERED, runs=tuple(map(run, EARLIER)))
    finding, _verdict = look(*EARLIER, pg_cron=seen)
    assert not is_over(finding)


def test_what_goes_on_after_a_change_is_told_in_the_present():
    finding, verdict = look(0, 1, 2, *EARLIER, changes=(paused(),))
    assert not is_over(finding)
    assert finding.evidence["jumps_in_the_last_12_pairs"] == 3
    assert "repeats the work" in verdict


def test_a_single_jump_after_the_change_is_told_beside_the_past():
    finding, verdict = look(1, *EARLIER, changes=(paused(),))
    assert is_over(finding)
    assert "once more since" in str(finding.summary)
    assert "nobody has since" not in str(finding.summary)
    assert "can be removed" not in verdict


def test_right_after_a_change_nothing_is_claimed_of_the_time_since():
    at = plan_time(0) + CADENCE + 2 * SECOND
    finding, _verdict = look(*EARLIER, changes=(paused(at),))
    assert is_over(finding)
    assert "No plan has told yet whether that goes on" in str(finding.summary)


@pytest.mark.parametrize("since", [(), (0, 1)])
def test_a_job_that_was_put_back_is_judged_by_what_follows(since):
    finding, _verdict = look(*since, *EARLIER, changes=(paused(stops=False), paused(AT - HOUR)))
    assert finding is None


HOUR = timedelta(hours=1)


def test_a_schedule_outside_that_was_removed_is_named():
    finding, _verdict = look(*EARLIER, changes=(paused(jobid=None),))
    assert "systemd timer x was stopped then" in str(finding.summary)


def test_a_change_before_all_evidence_changes_nothing():
    finding, verdict = look(*EARLIER, changes=(paused(AT - 3 * HOUR),))
    assert not is_over(finding)
    assert "repeats the work" in verdict


def test_what_is_silent_for_longer_than_ever_is_told_in_the_past_without_a_record_of_its_end():
    finding, verdict = look(*range(3, 288))
    assert is_over(finding)
    said = "something besides the scheduler moved the watermark as well; nobody has since"
    assert said in str(finding.summary)
    assert "stopped then" not in str(finding.summary)
    assert said in verdict
    assert "repeats the work" not in verdict
    after_a_trial = (paused(AT - 2 * HOUR),)
    assert is_over(look(*range(3, 288), changes=after_a_trial)[0])


@pytest.mark.parametrize("ages", [range(2, 288), (3, *range(7, 288, 4)), (0, 2, 5, 9, 200)])
def test_a_silence_that_is_usual_ends_nothing(ages):
    finding, _verdict = look(*ages)
    assert finding is None or not is_over(finding)


@pytest.mark.parametrize(
    "pg_cron",
    [
        Problem("It cannot be read.", "Look."),
        *(
            PgCron(visibility)
            for visibility in Visibility
            if visibility not in {Visibility.FULL, Visibility.ABSENT}
        ),
    ],
)
def test_where_jobs_may_be_hidden_the_caller_is_not_said_to_be_outside(pg_cron):
    finding, verdict = look(*EARLIER, pg_cron=pg_cron)
    assert not is_over(finding)
    assert "may be a pg_cron job that this role may not see" in verdict


@pytest.mark.parametrize("pg_cron", [ALL_SEEN, PgCron(Visibility.ABSENT)])
def test_where_every_job_is_known_the_caller_is_outside(pg_cron):
    _finding, verdict = look(*EARLIER, pg_cron=pg_cron)
    assert "outside the database repeats the work" in verdict


@pytest.mark.parametrize(
    "changed",
    [
        {"runs_since": None},
        {"runs_since": plan_time(4)},
        {"runs_unseen": Problem("It cannot be read.", "Look.")},
    ],
)
def test_where_no_run_details_tell_of_that_time_the_caller_is_not_said_to_be_outside(changed):
    _finding, verdict = look(*EARLIER, pg_cron=replace(ALL_SEEN, **changed))
    assert "a pg_cron job that is gone or paused by now may have done it" in verdict
    assert "outside the database repeats the work" not in verdict


def test_the_visible_job_that_ran_is_named_in_the_present():
    seen = replace(ALL_SEEN, jobs=(JOB,), calls=(CALL,), runs=tuple(map(run, EARLIER)))
    finding, verdict = look(*EARLIER, pg_cron=seen)
    assert "pg_cron job 17 ran at 5 of these times" in str(finding.summary)
    assert "pg_cron job 17 repeats the work" in verdict


# --- Who runs the plans -------------------------------------------------------------------------


def by_whom(ours, count=289):
    """The verdict where our own runner won the plans of these ages, and Multica's the others."""
    changed = {age: {"runner_id": "ours"} for age in ours}
    known = facts(executions=executions(changed, count), own_runners=frozenset({"ours"}))
    return str(assess(known).verdict.summary)


@pytest.mark.parametrize(
    ("ours", "said"),
    [
        ((), "Multica's backend does this by itself."),
        (range(289), "This installation's own runner does this."),
        ((0, 2, 4), "share the work"),
        ((0, 1), "share the work"),
        ((0, 1, 2), f"Multica's backend won a plan for the last time at {clock(plan_time(3))}"),
        ((3, 4, 5), "Multica's backend does this by itself."),
        ((2,), "share the work"),
    ],
)
def test_the_work_is_shared_only_by_those_who_both_won_a_plan_just_now(ours, said):
    assert said in by_whom(ours)
    assert ("share the work" in by_whom(ours)) is (said == "share the work")


def test_a_plan_that_a_failed_attempt_began_names_no_other_writer():
    retried = {age: moved | {"attempt": 2} for age, moved in written_before(*EARLIER).items()}
    assert not jumps(pairs(executions(retried).rows))
    assert len(jumps(pairs(executions(written_before(*EARLIER)).rows))) == len(EARLIER)
