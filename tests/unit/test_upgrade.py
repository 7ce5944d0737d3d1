"""Is an upgrade safe? Facts in memory in, the answer out."""

import json
from dataclasses import replace

import pytest

from executions.health.upgrade.answer import UpgradeOutcome, judge
from executions.health.upgrade.changes import WORDS
from executions.health.upgrade.facts import (
    Extension,
    Migrator,
    PostgresServer,
    Upgraded,
    nothing_read,
)
from executions.health.upgrade.report import as_json
from executions.health.upgrade.step import StepCode, StepState
from executions.rollup.versions import Change, Range, Version
from executions.scheduler.jobs import ROLLUP
from executions.text.problem import Problem
from tests.upgrading import (
    BEFORE,
    HOUR,
    HOURLY,
    MIGRATOR,
    MINUTE,
    NEWEST,
    NOW,
    PROBLEM,
    SCHEDULER,
    SERVER,
    STOPPED,
    THEIRS,
    codes,
    facts,
    step,
    with_jobs,
)


def test_tables_that_provision_made_are_not_called_multicas() -> None:
    first = judge(facts(NEWEST, is_ours=True)).steps[0]
    assert first.code is StepCode.TABLES
    assert first.state is StepState.INFO
    assert "Multica Admin made the tables itself" in str(first.summary)
    assert "those of Multica" not in str(first.summary)


@pytest.mark.parametrize("versions", [BEFORE, STOPPED, HOURLY, SCHEDULER, NEWEST])
def test_an_install_in_order_may_be_upgraded_to_the_newest(versions: Range) -> None:
    answer = judge(facts(versions))
    assert answer.outcome is UpgradeOutcome.SAFE
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
    assert answer.outcome is UpgradeOutcome.SAFE
    assert "up to v0.4.31" in str(answer.limit)
    assert judge(facts(NEWEST)).limit is None


@pytest.mark.parametrize("versions", [NEWEST, STOPPED])
def test_going_back_is_no_upgrade(versions: Range) -> None:
    answer = judge(facts(versions), Version(0, 3, 4))
    assert answer.outcome is UpgradeOutcome.NOT_YET
    assert str(answer.summary) == "Not yet, because v0.3.4 is older than the tables."
    assert codes(answer) == [StepCode.TABLES]


def test_tables_of_no_release_make_the_answer_unknown() -> None:
    answer = judge(facts(replace(NEWEST, mixed=(Change.TEARDOWN,))))
    assert answer.outcome is UpgradeOutcome.UNKNOWN
    assert "teardown (v0.4.16)" in str(step(answer, StepCode.TABLES).summary)


# --- PostgreSQL ----------------------------------------------------------------------------------


def test_an_older_postgresql_stands_in_the_way() -> None:
    answer = judge(facts(NEWEST, server=replace(SERVER, version="16.9", major=16)))
    assert answer.outcome is UpgradeOutcome.NOT_YET
    assert answer.outcome.exit_status == 1
    assert str(answer.summary) == (
        "Not yet, because this server is PostgreSQL 16.9 and Multica requires 17."
    )


def with_extensions(**states: Extension) -> PostgresServer:
    return replace(SERVER, extensions={**SERVER.extensions, **states})


def test_an_extension_that_the_server_lacks_stands_in_the_way() -> None:
    answer = judge(facts(NEWEST, server=with_extensions(pg_trgm=Extension.MISSING)))
    assert str(answer.summary) == "Not yet, because the server lacks pg_trgm."


@pytest.mark.parametrize("name", ["pg_cron", "pg_bigm"])
def test_an_optional_extension_may_be_missing(name: str) -> None:
    answer = judge(facts(NEWEST, server=with_extensions(**{name: Extension.MISSING})))
    assert answer.outcome is UpgradeOutcome.SAFE


@pytest.mark.parametrize(
    ("migrator", "state", "outcome"),
    [
        (MIGRATOR, StepState.OK, UpgradeOutcome.SAFE),
        (replace(MIGRATOR, may_create=False), StepState.BLOCKS, UpgradeOutcome.NOT_YET),
        (PROBLEM, StepState.UNKNOWN, UpgradeOutcome.UNKNOWN),
    ],
)
def test_an_extension_that_is_not_created_yet_needs_somebody_who_may(
    migrator: Migrator | Problem, state: StepState, outcome: UpgradeOutcome
) -> None:
    server = with_extensions(pgcrypto=Extension.AVAILABLE)
    answer = judge(facts(NEWEST, server=server, migrator=migrator))
    found = step(answer, StepCode.EXTENSIONS)
    assert answer.outcome is outcome
    assert found.state is state
    assert ("may not create pgcrypto" in str(answer.summary)) == (outcome is UpgradeOutcome.NOT_YET)
    assert ("CREATE EXTENSION IF NOT EXISTS pgcrypto;" in found.statement) == (
        state is not StepState.OK
    )


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
    assert answer.outcome is UpgradeOutcome.UNKNOWN
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
    assert answer.outcome is UpgradeOutcome.UNKNOWN
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
