"""The mark of executions, by which a page knows whether it shows something new."""

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from executions.health.facts.executions import ExecutionFact, Executions
from tests.pictures import execution, executions

NAMES = [field.name for field in fields(ExecutionFact)]


def other(value: object) -> object:
    """A value of the same kind that differs as little as possible."""
    if isinstance(value, datetime):
        return value + timedelta(microseconds=1)
    if isinstance(value, UUID):
        return UUID(int=value.int + 1)
    if isinstance(value, str):
        return value + "x"
    return value + 1 if isinstance(value, int) else datetime(2026, 1, 1, tzinfo=UTC)


def with_newest(day: Executions, row: ExecutionFact) -> Executions:
    return replace(day, rows=(row, *day.rows[1:]))


@pytest.mark.parametrize("name", NAMES)
def test_a_change_of_any_column_of_any_row_changes_the_mark(name):
    day = executions()
    newest = day.rows[0]
    changed = with_newest(day, replace(newest, **{name: other(getattr(newest, name))}))

    assert changed.mark != day.mark


@pytest.mark.parametrize("name", [field.name for field in fields(Executions)][1:])
def test_a_change_beside_the_rows_changes_the_mark(name):
    day = executions()
    else_ = {"stale": (execution(0),), "earlier": execution(300), "earlier_success": execution(300)}
    changed = replace(day, **{name: else_.get(name) or other(getattr(day, name))})

    assert changed.mark != day.mark


def test_a_time_that_moves_to_another_row_changes_the_mark():
    day = executions({0: {"next_retry_at": None}, 1: {"next_retry_at": None}})
    at = day.since
    first = replace(day, rows=(replace(day.rows[0], next_retry_at=at), *day.rows[1:]))
    second = replace(day, rows=(day.rows[0], replace(day.rows[1], next_retry_at=at), *day.rows[2:]))

    assert first.mark != second.mark


def test_the_same_facts_have_the_same_mark():
    assert executions().mark == executions().mark
