"""Has PostgreSQL stop some of the dashboard's reads at their time limit, as a busy one would."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections


@contextmanager
def cut_off(what: str) -> Iterator[None]:
    """Every read of Multica's side whose statement contains ``what`` takes too long."""

    def too_long(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if what not in sql:
            return execute(sql, params, many, context)
        cursor = context["cursor"].cursor
        cursor.execute("SET statement_timeout = 1")
        try:
            return execute("SELECT pg_sleep(5)", None, many, context)
        finally:
            cursor.execute("RESET statement_timeout")

    with connections["multica"].execute_wrapper(too_long):
        yield
