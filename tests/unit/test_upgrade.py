"""Is an upgrade safe? Facts in memory in, the answer out."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from executions.health.facts import StateRow
from executions.health.facts.pg_cron import Visibility
from executions.health.upgrade.answer import Answer, Outcome, judge
from executions.health.upgrade.changes import WORDS
from executions.health.upgrade.estimate import backfill_time
from executions.health.upgrade.facts import (
    DailyJob,
    DailyJobs,
    Extension,
    Migrator,
    RawUsage,
    Server,
    Upgraded,
    UpgradeFacts,
    nothing_read,
)
from executions.health.upgrade.report import as_json
from executions.health.upgrade.requirements import EXTENSIONS
from executions.health.upgrade.step import Step, StepCode, StepState
from executions.rollup.versions import Change, Range, Version
from executions.scheduler.jobs import ROLLUP
from executions.text.beyond import FAR_FUTURE
from executions.text.problem import Problem

NOW = datetime(2026, 3, 29, 14, 10, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
BEFORE = Range(None, Version(0, 3, 5))
STOPPED = Range(Version(0, 3, 5), Version(0, 3, 17), stopped=True)
HOURLY = Range(Version(0, 3, 5), Version(0, 3, 17))
SCHEDULER = Range(Version(0, 3, 17), Version(0, 4, 10))
NEWEST = Range(Version(0, 4, 25), None)
V0_3_12, V0_3_17, V0_4_25 = Version(0, 3, 12), Version(0, 3, 17), Version(0, 4, 25)
PROBLEM = Problem("The database was away.", "Try again.")

SERVER = Server("17.6", 17, dict.fromkeys(EXTENSIONS, Extension.INSTALLED))
MIGRATOR = Migrator("multica", may_create=True, may_look=True, sees_all=True)
USAGE = RawUsage(120_000, True, 20, NOW - 30 * 24 * HOUR, NOW - 10 * MINUTE)
CURRENT = StateRow(NOW - 6 * MINUTE)


def facts(versions: Range, **changed: object) -> UpgradeFacts:
    """An install that nothing stands in the way of, unless it is changed."""
    safe = UpgradeFacts(
        spec=ROLLUP,
        now=NOW,
        versions=versions,
        server=SERVER,
        migrator=MIGRATOR,
        daily_jobs=DailyJobs(Visibility.FULL, "multica_view"),
        usage=USAGE,
        state=CURRENT if versions.has(Change.HOURLY) else None,
        upgraded=Upgraded(NOW - 9 * MINUTE, NOW - 5 * MINUTE),
    )
    return replace(safe, **changed)


def step(answer: Answer, code: StepCode) -> Step:
    return next(one for one in answer.steps if one.code is code)


def codes(answer: Answer) -> list[StepCode]:
    return [one.code for one in answer.steps]


def test_tables_that_provision_made_are_not_called_multicas() -> None:
    first = judge(facts(NEWEST, is_ours=True)).steps[0]
    assert first.code is StepCode.TABLES
    assert first.state is StepState.INFO
    assert "Multica Admin made the tables itself" in str(first.summary)
    assert "those of Multica" not in str(first.summary)


@pytest.mark.parametrize("versions", [BEFORE, STOPPED, HOURLY, SCHEDULER, NEWEST])
def test_an_install_in_order_may_be_upgraded_to_the_newest(versions: Range) -> None:
    answer = judge(facts(versions))
    assert answer.outcome is Outcome.SAFE
    assert answer.outcome.exit_status == 0
    assert str(answer.summary).startswith("Safe: the upgrade to v0.4.31 can begin")
    assert step(answer, StepCode.BACKUP).state is StepState.DO
    assert {place.value for place in step(answer, StepCode.BACKUP).commands} == {
        "compose", "kubernetes", "host",
    }  # fmt: skip


def test_a_backup_comes_before_the_upgrade() -> None:
    answer = judge(facts(BEFORE))
    assert codes(answer).index(StepCode.BACKUP) < codes(answer).index(StepCode.UPGRADE)
    assert "v0.4.31" in " ".join(step(answer, StepCode.UPGRADE).commands.values())


# --- What lies between ---------------------------------------------------------------------------


def test_every_change_says_what_it_does() -> None:
    assert list(WORDS) == list(Change)


def test_only_the_changes_up_to_the_target_lie_between() -> None:
    answer = judge(facts(SCHEDULER), Version(0, 4, 16))
    assert [(one.change, one.is_certain) for one in answer.changes] == [
        (Change.AUTOPILOT, False),
        (Change.COSTS, True),
        (Change.TEARDOWN, True),
    ]


def test_a_change_that_leaves_no_mark_may_be_there_already() -> None:
    answer = judge(facts(NEWEST))
    assert [(one.change, one.is_certain) for one in answer.changes] == [(Change.IDS, False)]
    assert "already have every change" in str(answer.summary)


def test_a_target_newer_than_what_is_known_is_accepted_and_its_limit_said() -> None:
    answer = judge(facts(NEWEST), Version(9, 0, 0))
    assert answer.outcome is Outcome.SAFE
    assert "up to v0.4.31" in str(answer.limit)
    assert judge(facts(NEWEST)).limit is None


@pytest.mark.parametrize("versions", [NEWEST, STOPPED])
def test_going_back_is_no_upgrade(versions: Range) -> None:
    answer = judge(facts(versions), Version(0, 3, 4))
    assert answer.outcome is Outcome.NOT_YET
    assert str(answer.summary) == "Not yet, because v0.3.4 is older than the tables."
    assert codes(answer) == [StepCode.TABLES]


def test_tables_of_no_release_make_the_answer_unknown() -> None:
    answer = judge(facts(replace(NEWEST, mixed=(Change.TEARDOWN,))))
    assert answer.outcome is Outcome.UNKNOWN
    assert "teardown (v0.4.16)" in str(step(answer, StepCode.TABLES).summary)


# --- PostgreSQL ----------------------------------------------------------------------------------


def test_an_older_postgresql_stands_in_the_way() -> None:
    answer = judge(facts(NEWEST, server=replace(SERVER, version="16.9", major=16)))
    assert answer.outcome is Outcome.NOT_YET
    assert answer.outcome.exit_status == 1
    assert str(answer.summary) == (
        "Not yet, because this server is PostgreSQL 16.9 and Multica requires 17."
    )


def with_extensions(**states: Extension) -> Server:
    return replace(SERVER, extensions={**SERVER.extensions, **states})


def test_an_extension_that_the_server_lacks_stands_in_the_way() -> None:
    answer = judge(facts(NEWEST, server=with_extensions(pg_trgm=Extension.MISSING)))
    assert str(answer.summary) == "Not yet, because the server lacks pg_trgm."


@pytest.mark.parametrize("name", ["pg_cron", "pg_bigm"])
def test_an_optional_extension_may_be_missing(name: str) -> None:
    answer = judge(facts(NEWEST, server=with_extensions(**{name: Extension.MISSING})))
    assert answer.outcome is Outcome.SAFE


@pytest.mark.parametrize(
    ("migrator", "state", "outcome"),
    [
        (MIGRATOR, StepState.OK, Outcome.SAFE),
        (replace(MIGRATOR, may_create=False), StepState.BLOCKS, Outcome.NOT_YET),
        (PROBLEM, StepState.UNKNOWN, Outcome.UNKNOWN),
    ],
)
def test_an_extension_that_is_not_created_yet_needs_somebody_who_may(
    migrator: Migrator | Problem, state: StepState, outcome: Outcome
) -> None:
    server = with_extensions(pgcrypto=Extension.AVAILABLE)
    answer = judge(facts(NEWEST, server=server, migrator=migrator))
    found = step(answer, StepCode.EXTENSIONS)
    assert answer.outcome is outcome
    assert found.state is state
    assert ("may not create pgcrypto" in str(answer.summary)) == (outcome is Outcome.NOT_YET)
    assert ("CREATE EXTENSION IF NOT EXISTS pgcrypto;" in found.statement) == (
        state is not StepState.OK
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
    assert answer.outcome is Outcome.NOT_YET
    assert "v0.3.12 does not do that by itself" in str(answer.summary)
    assert "Upgrade to v0.3.17 or newer in one step" in str(found.todo)
    # Our backfill needs the hourly tables.
    assert bool(found.commands) == versions.stopped


@pytest.mark.parametrize("target", [V0_3_12, V0_3_17])
def test_without_usage_migration_103_passes(target: Version) -> None:
    empty = RawUsage(0, True, 0, None, None)
    answer = judge(facts(BEFORE, usage=empty), target)
    assert answer.outcome is Outcome.SAFE
    assert "It passes: task_usage is empty." in str(step(answer, StepCode.GUARD).summary)
    assert StepCode.DURATION not in codes(answer)


@pytest.mark.parametrize(("behind", "passes"), [(HOUR, True), (HOUR + MINUTE / 60, False)])
def test_the_guard_lets_the_watermark_trail_by_an_hour(behind: timedelta, passes: bool) -> None:
    state = StateRow(NOW - 10 * MINUTE - behind)
    answer = judge(facts(STOPPED, state=state), V0_3_12)
    found = step(answer, StepCode.GUARD)
    assert found.evidence["passes"] is passes
    assert (answer.outcome is Outcome.SAFE) is passes
    assert (StepCode.DURATION in codes(answer)) is not passes


@pytest.mark.parametrize("newest", [NOW + 56 * MINUTE, FAR_FUTURE])
@pytest.mark.parametrize("versions", [BEFORE, STOPPED])
def test_usage_from_the_future_keeps_migration_103_from_ever_passing(
    versions: Range, newest: datetime
) -> None:
    answer = judge(facts(versions, usage=replace(USAGE, newest=newest)))
    assert answer.outcome is Outcome.NOT_YET
    assert "usage with a time in the future" in str(answer.summary)
    assert "55 minutes" in step(answer, StepCode.GUARD).statement


def test_usage_a_little_ahead_of_the_clock_harms_nothing() -> None:
    answer = judge(facts(BEFORE, usage=replace(USAGE, newest=NOW + 54 * MINUTE)))
    assert answer.outcome is Outcome.SAFE


@pytest.mark.parametrize(
    ("target", "outcome"), [(V0_3_12, Outcome.UNKNOWN), (V0_3_17, Outcome.SAFE)]
)
@pytest.mark.parametrize("fact", ["usage", "state"])
def test_a_guard_that_cannot_be_judged_matters_only_without_the_backfill(
    fact: str, target: Version, outcome: Outcome
) -> None:
    answer = judge(facts(STOPPED, **{fact: PROBLEM}), target)
    assert answer.outcome is outcome


# --- Legacy daily jobs ---------------------------------------------------------------------------

THEIRS = DailyJob(7, "rollup_task_usage_daily", "postgres", "SELECT cron.unschedule(7);")
OWN = replace(THEIRS, owner="multica")


def with_jobs(*jobs: DailyJob, visibility: Visibility = Visibility.FULL) -> DailyJobs:
    return DailyJobs(visibility, "multica_view", jobs)


def test_a_job_of_another_owner_that_the_migration_sees_makes_it_fail() -> None:
    answer = judge(facts(BEFORE, daily_jobs=with_jobs(OWN, THEIRS)))
    found = step(answer, StepCode.DAILY_JOBS)
    assert answer.outcome is Outcome.NOT_YET
    assert "rollup_task_usage_daily (7, postgres)" in str(answer.summary)
    assert found.statement == "SELECT cron.unschedule(7);"


def test_a_job_of_another_owner_that_the_migration_does_not_see_stays_behind() -> None:
    migrator = replace(MIGRATOR, sees_all=False)
    answer = judge(facts(BEFORE, migrator=migrator, daily_jobs=with_jobs(THEIRS)))
    assert answer.outcome is Outcome.SAFE
    assert step(answer, StepCode.DAILY_JOBS).state is StepState.DO


def test_jobs_of_the_migrating_role_are_unscheduled_by_it() -> None:
    answer = judge(facts(BEFORE, daily_jobs=with_jobs(OWN)))
    assert step(answer, StepCode.DAILY_JOBS).state is StepState.OK


@pytest.mark.parametrize("visibility", [Visibility.FILTERED, Visibility.NO_ACCESS])
def test_jobs_that_cannot_be_seen_are_not_the_same_as_none(visibility: Visibility) -> None:
    answer = judge(facts(BEFORE, daily_jobs=with_jobs(visibility=visibility)))
    found = step(answer, StepCode.DAILY_JOBS)
    assert answer.outcome is Outcome.UNKNOWN
    assert answer.outcome.exit_status == 3
    assert "not the same as none" in str(found.summary)
    assert "cron.job" in found.statement


def test_jobs_that_the_migration_cannot_see_either_need_not_be_seen() -> None:
    hidden = with_jobs(visibility=Visibility.NO_ACCESS)
    answer = judge(facts(BEFORE, migrator=replace(MIGRATOR, sees_all=False), daily_jobs=hidden))
    assert answer.outcome is Outcome.SAFE


def test_a_migrating_role_without_a_right_to_pg_cron_makes_the_migration_fail() -> None:
    migrator = Migrator('o"dd', may_create=True, may_look=False, sees_all=False)
    answer = judge(facts(BEFORE, migrator=migrator))
    assert answer.outcome is Outcome.NOT_YET
    assert 'GRANT USAGE ON SCHEMA cron TO "o""dd";' in step(answer, StepCode.DAILY_JOBS).statement


@pytest.mark.parametrize(
    "visibility", [Visibility.ABSENT, Visibility.ELSEWHERE, Visibility.UNKNOWN]
)
def test_without_pg_cron_in_the_database_nothing_is_unscheduled(visibility: Visibility) -> None:
    answer = judge(facts(BEFORE, migrator=PROBLEM, daily_jobs=with_jobs(visibility=visibility)))
    assert answer.outcome is Outcome.SAFE
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
    assert answer.outcome is Outcome.SAFE
    assert words in str(step(answer, StepCode.BACKFILL).summary)
    assert "is away" not in str(step(answer, StepCode.DURATION).summary)
    assert StepCode.BACKFILL not in codes(judge(facts(HOURLY)))


def test_what_called_the_rollup_becomes_redundant_with_the_scheduler() -> None:
    assert StepCode.SCHEDULES in codes(judge(facts(HOURLY)))
    assert StepCode.SCHEDULES not in codes(judge(facts(SCHEDULER)))
    assert StepCode.SCHEDULES not in codes(judge(facts(BEFORE), V0_3_12))


# --- After it ------------------------------------------------------------------------------------


def test_after_the_upgrade_the_first_success_is_said() -> None:
    upgraded = Upgraded(NOW - 9 * MINUTE, NOW - 5 * MINUTE)
    assert str(judge(facts(NEWEST, upgraded=upgraded)).after) == (
        "Upgraded at 14:01 UTC; first SUCCESS at 14:05 UTC."
    )
    assert str(judge(facts(SCHEDULER, upgraded=upgraded)).after) == (
        "Migrations last ran at 14:01 UTC; first SUCCESS at 14:05 UTC."
    )


def test_a_first_success_that_may_have_been_deleted_is_not_claimed() -> None:
    day = 24 * HOUR
    pruned = Upgraded(NOW - 60 * day, NOW - 30 * day, follows_another=False)
    answer = judge(facts(NEWEST, upgraded=pruned))
    assert "The first success after that is not on record any more" in str(answer.after)
    assert as_json(answer)["after"]["first_success_at"] is None
    for known in (
        Upgraded(NOW - 60 * day, NOW - 30 * day, follows_another=True),
        Upgraded(NOW - 60 * day, NOW - 60 * day + 9 * MINUTE, follows_another=False),
    ):
        assert "; first SUCCESS at " in str(judge(facts(NEWEST, upgraded=known)).after)


@pytest.mark.parametrize(("ago", "words"), [(15, "still to come"), (16, "has not succeeded since")])
def test_a_success_that_is_missing_is_said_once_it_is_due(ago: int, words: str) -> None:
    answer = judge(facts(NEWEST, upgraded=Upgraded(NOW - ago * MINUTE, None)))
    assert words in str(answer.after)


@pytest.mark.parametrize("upgraded", [None, PROBLEM])
def test_nothing_is_said_of_an_upgrade_that_nobody_recorded(
    upgraded: Problem | None,
) -> None:
    assert judge(facts(NEWEST, upgraded=upgraded)).after is None


def test_before_the_scheduler_there_is_no_success_to_wait_for() -> None:
    assert judge(facts(HOURLY)).after is None


# --- What cannot be known ------------------------------------------------------------------------


def test_what_no_database_tells_is_said() -> None:
    said = " ".join(map(str, judge(facts(NEWEST)).unknowable))
    for words in ("Which version the backend runs", "Which image tag", "from outside", "a backup"):
        assert words in said


def test_a_database_that_is_away_makes_the_answer_unknown() -> None:
    answer = judge(nothing_read(ROLLUP, PROBLEM))
    assert answer.outcome is Outcome.UNKNOWN
    assert "The database was away. Try again." in str(answer.summary)
    assert answer.steps == ()


@pytest.mark.parametrize(
    ("fact", "code"),
    [
        ("server", StepCode.POSTGRESQL),
        ("daily_jobs", StepCode.DAILY_JOBS),
        ("migrator", StepCode.DAILY_JOBS),
    ],
)
def test_a_fact_that_cannot_be_read_makes_the_answer_unknown(fact: str, code: StepCode) -> None:
    answer = judge(facts(BEFORE, **{fact: PROBLEM}))
    assert answer.outcome is Outcome.UNKNOWN
    assert "The database was away." in str(step(answer, code).summary)


def test_several_reasons_are_counted() -> None:
    server = replace(with_extensions(pg_trgm=Extension.MISSING), major=15, version="15.1")
    said = str(judge(facts(NEWEST, server=server)).summary)
    assert said.endswith("There are further reasons below (1).")


@pytest.mark.parametrize("versions", [BEFORE, STOPPED, HOURLY, SCHEDULER, NEWEST])
def test_json_has_the_documented_shape(versions: Range) -> None:
    answer = judge(facts(versions, daily_jobs=with_jobs(THEIRS)))
    shown = json.loads(json.dumps(as_json(answer)))
    assert set(shown) == {
        "answer", "summary", "checked_at", "target", "known_up_to", "tables", "changes", "steps",
        "after", "unknowable",
    }  # fmt: skip
    assert shown["target"] == "v0.4.31"
    assert set(shown["tables"]) == {"since", "before", "stopped_at_103", "lacking"}
    for one in shown["steps"]:
        assert set(one) == {
            "code", "state", "summary", "todo", "commands", "statement", "evidence",
        }  # fmt: skip
    for one in shown["changes"]:
        assert set(one) == {"change", "version", "certain", "summary"}


def test_json_of_an_unknown_answer_is_whole_too() -> None:
    shown = as_json(judge(nothing_read(ROLLUP, PROBLEM)))
    assert (shown["answer"], shown["tables"], shown["after"]) == ("unknown", None, None)
    assert shown["checked_at"] is None
