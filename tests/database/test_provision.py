"""`provision` can be repeated, mends what it made, and refuses to touch anything else."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils.translation import override
from psycopg import sql

from executions.database.connections import Connection
from executions.rollup.provision import (
    TABLES,
    ForeignTables,
    NotAsMade,
    Provisioned,
    _parts,
    is_ours,
    provision,
)
from multica_admin.cluster import Cluster
from tests.database.rollup_world import World, number

Connect = Callable[..., Connection]

DATABASE = "provisioned"


@pytest.fixture
def database(connect: Connect, superuser: Connection) -> Iterator[str]:
    """An empty database of the role multica."""
    superuser.execute(f"CREATE DATABASE {DATABASE} OWNER multica")
    yield DATABASE
    superuser.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")


@pytest.fixture
def empty(connect: Connect, database: str) -> Connection:
    return connect(database=database)


def catalog(connection: Connection) -> list[tuple[Any, ...]]:
    """The version of every catalog row and of the state row, to see whether anything was made."""
    query = """
        SELECT 'relation', oid::bigint, xmin::text FROM pg_class WHERE oid >= 16384
        UNION ALL SELECT 'function', oid, xmin::text FROM pg_proc WHERE oid >= 16384
        UNION ALL SELECT 'trigger', oid, xmin::text FROM pg_trigger
        UNION ALL SELECT 'comment', objoid, xmin::text FROM pg_description WHERE objoid >= 16384
        ORDER BY 1, 2
    """
    return [tuple(row.values()) for row in connection.execute(query)]


def test_a_first_call_makes_everything_and_a_second_changes_nothing(empty: Connection) -> None:
    first = provision(empty)
    assert first.changed
    assert set(TABLES) <= set(first.created)
    assert first.updated == ()
    before = catalog(empty)
    second = provision(empty)
    assert second == Provisioned((), ())
    assert not second.changed
    assert catalog(empty) == before


def test_without_usage_the_watermark_starts_five_minutes_ago(empty: Connection) -> None:
    provision(empty)
    query = "SELECT now() - watermark_at AS age FROM task_usage_hourly_rollup_state"
    assert timedelta(minutes=5) <= number(empty, query) < timedelta(minutes=6)
    assert number(empty, "SELECT rollup_task_usage_hourly()") == 0


def test_a_state_row_that_is_lost_comes_back_behind_the_usage_that_is_there(
    empty: Connection,
) -> None:
    provision(empty)
    world = World(empty)
    world.usage(world.task())
    empty.execute("DROP TABLE task_usage_hourly_rollup_state")
    done = provision(empty)
    assert done.created == ("task_usage_hourly_rollup_state",)
    query = "SELECT extract(year FROM watermark_at) FROM task_usage_hourly_rollup_state"
    assert number(empty, query) == 1970
    assert number(empty, "SELECT count(*) FROM task_usage") == 1


def test_what_an_earlier_version_made_is_brought_up_to_date(empty: Connection) -> None:
    provision(empty)
    mark = number(empty, "SELECT obj_description('agent'::regclass, 'pg_class')")
    earlier = mark.rsplit(" Version", 1)[0] + " Version 0."
    empty.execute(sql.SQL("COMMENT ON TABLE agent IS {}").format(sql.Literal(earlier)))
    empty.execute(
        "CREATE OR REPLACE FUNCTION task_usage_hourly_rollup_lag_seconds()"
        " RETURNS double precision LANGUAGE sql RETURN -1"
    )
    done = provision(empty)
    assert done.created == ()
    assert "agent" in done.updated
    assert number(empty, "SELECT obj_description('agent'::regclass, 'pg_class')") == mark
    assert number(empty, "SELECT task_usage_hourly_rollup_lag_seconds()") is None
    assert not provision(empty).changed


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("CREATE TABLE issue (id integer)", "issue"),
        ("CREATE VIEW agent AS SELECT 1", "agent"),
        (
            "CREATE FUNCTION rollup_task_usage_hourly() RETURNS bigint LANGUAGE sql RETURN 0",
            "rollup_task_usage_hourly",
        ),
    ],
)
def test_it_refuses_naming_what_it_did_not_make_and_changes_nothing(
    empty: Connection, statement: str, name: str
) -> None:
    empty.execute(statement)
    empty.execute("CREATE TABLE workspace (id integer)")
    before = catalog(empty)
    with pytest.raises(ForeignTables) as refusal:
        provision(empty)
    assert refusal.value.names == tuple(sorted([name, "workspace"]))
    assert f"{refusal.value.names[0]}, {refusal.value.names[1]}" in str(refusal.value)
    assert catalog(empty) == before
    assert not is_ours(empty)


def test_it_knows_its_own_by_the_mark(empty: Connection) -> None:
    assert not is_ours(empty)
    provision(empty)
    assert is_ours(empty)
    empty.execute("COMMENT ON TABLE task_usage IS NULL")
    assert not is_ours(empty)
    with pytest.raises(ForeignTables) as refusal:
        provision(empty)
    assert refusal.value.names == ("task_usage",)


def test_an_error_in_the_middle_leaves_nothing_behind(empty: Connection) -> None:
    # Nobody can tell who owns a relation of that name, and a constraint needs the name.
    empty.execute("CREATE TABLE uq_task_usage_hourly_key (id integer)")
    before = catalog(empty)
    with pytest.raises(NotAsMade, match="uq_task_usage_hourly_key"):
        provision(empty)
    assert catalog(empty) == before


def test_of_two_at_once_one_makes_everything_and_both_succeed(
    connect: Connect, database: str
) -> None:
    connections = [connect(database=database) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(provision, connections))
    assert sorted(one.changed for one in done) == [False, True]


def test_it_makes_its_tables_in_public_whatever_the_search_path(
    connect: Connect, database: str
) -> None:
    connection = connect(database=database, options="-c search_path=elsewhere,pg_temp")
    connection.execute("CREATE SCHEMA elsewhere; CREATE TEMPORARY TABLE agent (id integer)")
    provision(connection)
    query = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND tablename = ANY (%s)"
    assert number(connection, query, [list(TABLES)]) == len(TABLES)
    assert number(connection, "SHOW search_path") == "elsewhere,pg_temp"


def test_a_role_that_may_not_create_is_told_the_statement_that_lets_it(
    database: str, cluster: Cluster, settings: Any
) -> None:
    settings.RUNNER_CONNINFO = cluster.conninfo(database, "multica_view")
    with pytest.raises(CommandError) as refusal:
        call_command("provision")
    assert "permission denied for schema public" in str(refusal.value)
    assert 'GRANT CREATE ON SCHEMA public TO "multica_view".' in str(refusal.value)
    assert "--as viewer" not in str(refusal.value)


LOST = {
    "trigger trg_tu_dirty_hourly of task_usage": "DROP TRIGGER trg_tu_dirty_hourly ON task_usage",
    "index idx_sys_cron_exec_finished of sys_cron_executions": (
        "DROP INDEX idx_sys_cron_exec_finished"
    ),
    "the row of task_usage_hourly_rollup_state": "DELETE FROM task_usage_hourly_rollup_state",
    "constraint chk_sys_cron_status of sys_cron_executions": (
        "ALTER TABLE sys_cron_executions DROP CONSTRAINT chk_sys_cron_status"
    ),
    "constraint task_usage_hourly_rollup_state_pkey of task_usage_hourly_rollup_state": (
        "ALTER TABLE task_usage_hourly_rollup_state"
        " DROP CONSTRAINT task_usage_hourly_rollup_state_pkey"
    ),
    "constraint agent_workspace_id_fkey of agent": (
        "ALTER TABLE workspace DROP CONSTRAINT workspace_pkey CASCADE"
    ),
    "column last_run_finished_at of task_usage_hourly_rollup_state": (
        "ALTER TABLE task_usage_hourly_rollup_state DROP COLUMN last_run_finished_at CASCADE"
    ),
    "column event_count of task_usage_hourly": (
        "ALTER TABLE task_usage_hourly DROP COLUMN event_count"
    ),
    "column finished_at of sys_cron_executions": (
        "ALTER TABLE sys_cron_executions DROP COLUMN finished_at"
    ),
    "NOT NULL of column watermark_at of task_usage_hourly_rollup_state": (
        "ALTER TABLE task_usage_hourly_rollup_state ALTER watermark_at DROP NOT NULL"
    ),
    "default of column created_at of task_usage": (
        "ALTER TABLE task_usage ALTER created_at DROP DEFAULT"
    ),
    "rollup_task_usage_hourly": "DROP FUNCTION rollup_task_usage_hourly()",
}


def parts(connection: Connection) -> set[tuple[tuple[str, str, str], str]]:
    return {(key, part.definition) for key, part in _parts(connection).items()}


@pytest.mark.parametrize("lost", LOST)
def test_what_was_lost_of_its_own_is_made_again_and_named(empty: Connection, lost: str) -> None:
    provision(empty)
    World(empty).task()
    before = parts(empty)
    empty.execute(LOST[lost].encode())
    done = provision(empty)
    assert lost in done.created
    assert done.updated == ()
    assert parts(empty) == before
    assert number(empty, "SELECT count(*) FROM task_usage_hourly_rollup_state") == 1
    assert not provision(empty).changed


def test_every_kind_of_part_is_named_in_the_language_of_the_terminal(empty: Connection) -> None:
    provision(empty)
    for statement in LOST.values():
        empty.execute(statement.encode())
    with override("zh-hans"):
        made = provision(empty).created
    assert {re.sub("[a-z_ ]", "", name) for name in made} == {
        "",
        "的行",
        "的列",
        "的列的默认值",
        "的列的NOTNULL",
        "的约束",
        "的索引",
        "的触发器",
    }


def test_what_was_altered_is_named_in_the_language_of_the_terminal(empty: Connection) -> None:
    provision(empty)
    empty.execute("ALTER TABLE task_usage ALTER provider TYPE varchar")
    empty.execute("ALTER TABLE task_usage DISABLE TRIGGER trg_tu_dirty_hourly")
    with pytest.raises(NotAsMade) as refusal:
        provision(empty)
    with override("zh-hans"):
        told = str(refusal.value)
    assert "task_usage 的列 provider 是 character varying，而不是 text；" in told
    assert "；task_usage 的触发器 trg_tu_dirty_hourly 是停用的，而不是启用的。" in told


SPOILT = {
    "the column provider of task_usage is character varying and not text": (
        "ALTER TABLE task_usage ALTER provider TYPE varchar"
    ),
    "something else has the name of the index idx_task_usage_created_at of task_usage": (
        "DROP INDEX idx_task_usage_created_at;"
        " CREATE TABLE other (id integer); CREATE INDEX idx_task_usage_created_at ON other (id)"
    ),
    "the trigger trg_tu_dirty_hourly of task_usage is off and not on": (
        "ALTER TABLE task_usage DISABLE TRIGGER trg_tu_dirty_hourly"
    ),
    'column "agent_id" of relation "agent_task_queue" contains null values': (
        "ALTER TABLE agent_task_queue DROP COLUMN agent_id"
    ),
    'relation "uq_task_usage_hourly_key" already exists': (
        "DROP TABLE task_usage_hourly; CREATE TABLE uq_task_usage_hourly_key (id integer)"
    ),
}


@pytest.mark.parametrize("named", SPOILT)
def test_what_cannot_be_mended_safely_is_named_and_nothing_is_changed(
    empty: Connection, named: str, cluster: Cluster, settings: Any
) -> None:
    provision(empty)
    World(empty).task()
    empty.execute(SPOILT[named].encode())
    empty.execute("DROP TRIGGER trg_issue_delete_dirty_hourly ON issue")
    before = catalog(empty)
    settings.RUNNER_CONNINFO = cluster.conninfo(DATABASE, "multica")
    with pytest.raises(CommandError) as refusal:
        call_command("provision")
    assert refusal.value.returncode == 1
    assert named in str(refusal.value)
    assert "Nothing was changed." in str(refusal.value)
    assert catalog(empty) == before


def test_a_type_that_has_the_name_of_a_table_is_refused_by_name(empty: Connection) -> None:
    empty.execute("CREATE TYPE task_usage_hourly AS ENUM ('a')")
    with pytest.raises(ForeignTables) as refusal:
        provision(empty)
    assert refusal.value.names == ("task_usage_hourly",)
