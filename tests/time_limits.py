"""Makes PostgreSQL stop some of the dashboard's reads at their time limit, like a busy server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from typing import Any

from django.db import connections


def cut_off(what: str) -> AbstractContextManager[list[str]]:
    """Every read of Multica's side whose statement contains ``what`` takes too long."""
    return cut_off_where(lambda statement: what in statement)


def cut_off_number(number: int) -> AbstractContextManager[list[str]]:
    """The read of that number, from 0 on, takes too long. The list receives each one that does."""
    numbers = count()
    return cut_off_where(lambda _statement: next(numbers) == number)


@contextmanager
def cut_off_where(chosen: Callable[[str], bool]) -> Iterator[list[str]]:
    stopped: list[str] = []

    def too_long(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if not chosen(sql):
            return execute(sql, params, many, context)
        stopped.append(sql)
        # In one message, so one transaction: PostgreSQL resets the limit with what it stops.
        return execute("SET statement_timeout = 1; SELECT pg_sleep(600)", None, many, context)

    with connections["multica"].execute_wrapper(too_long):
        yield stopped
