"""Counts the statements that a read sends, and names another job of the scheduler."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from datetime import timedelta

from django.db import connection as own_connection
from django.db import connections

MINUTE = timedelta(minutes=1)
AUTOPILOT = "autopilot_schedule_dispatch"


@contextmanager
def counting():
    """The statements sent, by alias."""
    sent: Counter[str] = Counter()

    def count(execute, sql, params, many, context):
        sent[context["connection"].alias] += 1
        return execute(sql, params, many, context)

    with connections["multica"].execute_wrapper(count), own_connection.execute_wrapper(count):
        yield sent
