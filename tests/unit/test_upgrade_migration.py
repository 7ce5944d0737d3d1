"""The steps about migration 103 and the duration of a backfill: facts in, steps out."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from executions.health.facts import StateRow
from executions.health.facts.pg_cron import Visibility
from executions.health.upgrade.answer import UpgradeOutcome, judge
from executions.health.upgrade.estimate import backfill_time
from executions.health.upgrade.facts import (
    Migrator,
    RawUsage,
)
from executions.health.upgrade.step import StepCode, StepState
from executions.rollup.versions import Range, Version
from executions.text.beyond import FAR_FUTURE
from tests.upgrading import (
    BEFORE,
    HOUR,
    HOURLY,
    MIGRATOR,
    MINUTE,
    NEWEST,
    NOW,
    OWN,
    PROBLEM,
    SCHEDULER,
    STOPPED,
    THEIRS,
    USAGE,
    V0_3_12,
    V0_3_17,
    codes,
    facts,
    step,
    with_jobs,
)

# --- Migration 103 -------------------------------------------------------------------------------


@pytest.mark.parametrize("versions", [HOURLY, SCHEDULER, NEWEST])
def test_migration_103_is_no_subject_once_it_has_run(versions: Range) -> None:
    assert not {StepCode.GUARD, StepCode.DAILY_JOBS} & set(codes(judge(facts(versions))))


def test_that_migrate_up_backfills_by_itself_is_said_first() -> None:
    found = step(judge(facts(BEFORE)), StepCode.GUARD)
    assert found.state is StepState.OK
    assert str(found.summary).startswith("“migrate up” of v0.3.17 and newer looks by itself")
    assert "watermark in 1970, so by itself it would refuse" in str(found.summary)


@pytest.mark.parametrize("versions", [BEFORE, STOPPED])
def test_a_release_that_does_not_backfill_by_itself_is_not_safe(versions: Range) -> None:
    answer = judge(facts(versions), V0_3_12)
    found = step(answer, StepCode.GUARD)
    assert answer.outcome is UpgradeOutcome.NOT_YET
    assert "v0.3.12 does not do that by itself" in str(answer.summary)
    assert "Upgrade to v0.3.17 or newer in one step" in str(found.todo)
    # Our backfill needs the hourly tables.
    assert bool(found.commands) == versions.stopped


@pytest.mark.parametrize("target", [V0_3_12, V0_3_17])
def test_without_usage_migration_103_passes(target: Version) -> None:
    empty = RawUsage(0, True, 0, None, None)
    answer = judge(facts(BEFORE, usage=empty), target)
    assert answer.outcome is UpgradeOutcome.SAFE
    assert "It passes: task_usage is empty." in str(step(answer, StepCode.GUARD).summary)
    assert StepCode.DURATION not in codes(answer)


@pytest.mark.parametrize(("behind", "passes"), [(HOUR, True), (HOUR + MINUTE / 60, False)])
def test_the_guard_lets_the_watermark_trail_by_an_hour(behind: timedelta, passes: bool) -> None:
    state = StateRow(NOW - 10 * MINUTE - behind)
    answer = judge(facts(STOPPED, state=state), V0_3_12)
    found = step(answer, StepCode.GUARD)
    assert found.evidence["passes"] is passes
    assert (answer.outcome is UpgradeOutcome.SAFE) is passes
    assert (StepCode.DURATION in codes(answer)) is not passes


@pytest.mark.parametrize("newest", [NOW + 56 * MINUTE, FAR_FUTURE])
@pytest.mark.parametrize("versions", [BEFORE, STOPPED])
def test_usage_from_the_future_keeps_migration_103_from_ever_passing(
    versions: Range, newest: datetime
) -> None:
    answer = judge(facts(versions, usage=replace(USAGE, newest=newest)))
    assert answer.outcome is UpgradeOutcome.NOT_YET
    assert "usage with a time in the future" in str(answer.summary)
    assert "55 minutes" in step(answer, StepCode.GUARD).statement


def test_usage_a_little_ahead_of_the_clock_harms_nothing() -> None:
    answer = judge(facts(BEFORE, usage=replace(USAGE, newest=NOW + 54 * MINUTE)))
    assert answer.outcome is UpgradeOutcome.SAFE


@pytest.mark.parametrize(
    ("target", "outcome"), [(V0_3_12, UpgradeOutcome.UNKNOWN), (V0_3_17, UpgradeOutcome.SAFE)]
)
@pytest.mark.parametrize("fact", ["usage", "state"])
def test_a_guard_that_cannot_be_judged_matters_only_without_the_backfill(
    fact: str, target: Version, outcome: UpgradeOutcome
) -> None:
    answer = judge(facts(STOPPED, **{fact: PROBLEM}), target)
    assert answer.outcome is outcome


# --- Legacy daily jobs ---------------------------------------------------------------------------


def test_a_job_of_another_owner_that_the_migration_sees_makes_it_fail() -> None:
    answer = judge(facts(BEFORE, daily_jobs=with_jobs(OWN, THEIRS)))
    found = step(answer, StepCode.DAILY_JOBS)
    assert answer.outcome is UpgradeOutcome.NOT_YET
    assert "rollup_task_usage_daily (7, postgres)" in str(answer.summary)
    assert found.statement == "SELECT cron.unschedule(7);"


def test_a_job_of_another_owner_that_the_migration_does_not_see_stays_behind() -> None:
    migrator = replace(MIGRATOR, sees_all=False)
    answer = judge(facts(BEFORE, migrator=migrator, daily_jobs=with_jobs(THEIRS)))
    assert answer.outcome is UpgradeOutcome.SAFE
    assert step(answer, StepCode.DAILY_JOBS).state is StepState.DO


def test_jobs_of_the_migrating_role_are_unscheduled_by_it() -> None:
    answer = judge(facts(BEFORE, daily_jobs=with_jobs(OWN)))
    assert step(answer, StepCode.DAILY_JOBS).state is StepState.OK


@pytest.mark.parametrize("visibility", [Visibility.FILTERED, Visibility.NO_ACCESS])
def test_jobs_that_cannot_be_seen_are_not_the_same_as_none(visibility: Visibility) -> None:
    answer = judge(facts(BEFORE, daily_jobs=with_jobs(visibility=visibility)))
    found = step(answer, StepCode.DAILY_JOBS)
    assert answer.outcome is UpgradeOutcome.UNKNOWN
    assert answer.outcome.exit_status == 3
    assert "not the same as none" in str(found.summary)
    assert "cron.job" in found.statement


def test_jobs_that_the_migration_cannot_see_either_need_not_be_seen() -> None:
    hidden = with_jobs(visibility=Visibility.NO_ACCESS)
    answer = judge(facts(BEFORE, migrator=replace(MIGRATOR, sees_all=False), daily_jobs=hidden))
    assert answer.outcome is UpgradeOutcome.SAFE


def test_a_migrating_role_without_a_right_to_pg_cron_makes_the_migration_fail() -> None:
    migrator = Migrator('o"dd', may_create=True, may_look=False, sees_all=False)
    answer = judge(facts(BEFORE, migrator=migrator))
    assert answer.outcome is UpgradeOutcome.NOT_YET
    assert 'GRANT USAGE ON SCHEMA cron TO "o""dd";' in step(answer, StepCode.DAILY_JOBS).statement


def test_jobs_without_names_make_the_migration_fail() -> None:
    """Objects of a pg_cron before 1.3. Its jobs cannot be read then either."""
    nameless = replace(MIGRATOR, jobs_have_names=False)
    answer = judge(facts(BEFORE, migrator=nameless, daily_jobs=PROBLEM))
    assert answer.outcome is UpgradeOutcome.NOT_YET
    found = step(answer, StepCode.DAILY_JOBS)
    assert "whose jobs have no names" in str(found.summary)
    assert found.statement == "ALTER EXTENSION pg_cron UPDATE;"


@pytest.mark.parametrize(
    "visibility", [Visibility.ABSENT, Visibility.ELSEWHERE, Visibility.UNKNOWN]
)
def test_without_pg_cron_in_the_database_nothing_is_unscheduled(visibility: Visibility) -> None:
    answer = judge(facts(BEFORE, migrator=PROBLEM, daily_jobs=with_jobs(visibility=visibility)))
    assert answer.outcome is UpgradeOutcome.SAFE
    assert step(answer, StepCode.DAILY_JOBS).state is StepState.OK


# --- The backfill --------------------------------------------------------------------------------


def test_the_estimate_is_what_was_measured_and_grows_with_each_agents_rows() -> None:
    assert backfill_time(120_000, 20) == (timedelta(seconds=151), timedelta(seconds=571))
    assert backfill_time(240_000, 40)[0] == timedelta(seconds=302)
    assert backfill_time(240_000, 20)[0] == timedelta(seconds=604)
    assert backfill_time(1, 0)[0] == timedelta(seconds=1)
    assert backfill_time(10**12, 1)[1] == timedelta(days=365)


def test_the_estimate_says_its_basis_and_that_multica_is_away() -> None:
    said = str(step(judge(facts(BEFORE)), StepCode.DURATION).summary)
    assert "about 2 min 31 s to 9 min 31 s for 120,000 rows of raw usage and 20 agents" in said
    assert "rough estimate" in said
    assert "Multica is away until it ends" in said


def test_estimated_rows_are_said_to_be_so() -> None:
    usage = replace(USAGE, is_exact=False)
    assert "about 120,000 rows" in str(
        step(judge(facts(BEFORE, usage=usage)), StepCode.DURATION).summary
    )


def test_little_usage_takes_a_moment() -> None:
    said = str(step(judge(facts(BEFORE, usage=replace(USAGE, rows=40))), StepCode.DURATION).summary)
    assert (
        said == "A backfill by Multica's own function takes a few seconds for 40 rows of raw usage."
    )


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (StateRow(datetime(1970, 1, 1, tzinfo=UTC)), "catches up one day with each plan"),
        (None, "state row is missing"),
    ],
)
def test_a_rollup_far_behind_is_backfilled_after_the_upgrade(
    state: StateRow | None, words: str
) -> None:
    answer = judge(facts(HOURLY, state=state))
    assert answer.outcome is UpgradeOutcome.SAFE
    assert words in str(step(answer, StepCode.BACKFILL).summary)
    assert "is away" not in str(step(answer, StepCode.DURATION).summary)
    assert StepCode.BACKFILL not in codes(judge(facts(HOURLY)))


def test_what_called_the_rollup_becomes_redundant_with_the_scheduler() -> None:
    assert StepCode.SCHEDULES in codes(judge(facts(HOURLY)))
    assert StepCode.SCHEDULES not in codes(judge(facts(SCHEDULER)))
    assert StepCode.SCHEDULES not in codes(judge(facts(BEFORE), V0_3_12))
