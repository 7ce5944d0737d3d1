"""PURE: times that PostgreSQL stores and Python cannot hold.

Infinite times, and times outside the years 1 to 9999, are read as one of two marks. Each mark sorts
like the times that it stands for, and nobody writes it as a real time.
`executions/database/times.py` reads them.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

FAR_FUTURE = datetime.max.replace(tzinfo=UTC)
# Go's zero time is the very first moment, so the mark is the microsecond after it.
FAR_PAST = datetime.min.replace(tzinfo=UTC) + timedelta(microseconds=1)

_WORDS: dict[datetime, Promise] = {
    FAR_FUTURE: _("a time after the year 9999"),
    FAR_PAST: _("a time before the year 1"),
}
# Shown instead of an age such as "4 min ago": "it ended before the year 1".
_AGES: dict[datetime, Promise] = {
    FAR_FUTURE: _("after the year 9999"),
    FAR_PAST: _("before the year 1"),
}
# For JSON, where other times have another form. Not translated, because programs read it.
_PLAIN = {FAR_FUTURE: "after the year 9999", FAR_PAST: "before the year 1"}


# The valid range, as the statement to copy writes it.
_RIGHT = "BETWEEN '0001-01-01 UTC' AND '9999-12-01 UTC'"

# The time columns of the tables that show how the rollup goes.
OF_EXECUTIONS = (
    "plan_time", "started_at", "finished_at", "heartbeat_at", "stale_after", "next_retry_at",
)  # fmt: skip
OF_STATE = ("watermark_at", "last_run_started_at", "last_run_finished_at")


_MARKS = frozenset({FAR_FUTURE, FAR_PAST})


def is_beyond(moment: datetime | None) -> bool:
    """Whether the moment stands for a time that Python cannot hold."""
    return moment in _MARKS


def any_is_beyond(moments: Iterable[datetime | None]) -> bool:
    """Whether one of the moments does."""
    return not _MARKS.isdisjoint(moments)


def in_words(moment: datetime) -> str | None:
    """The words for a time that Python cannot hold; None for every other time."""
    words = _WORDS.get(moment)
    return None if words is None else str(words)


def age_in_words(moment: datetime) -> str | None:
    """The words instead of the age of such a time; None for every other time."""
    words = _AGES.get(moment)
    return None if words is None else str(words)


def in_json(moment: datetime) -> str | None:
    """The JSON text for such a time; None for every other time."""
    return _PLAIN.get(moment)


def select(table: str, columns: Iterable[str]) -> str:
    """The statement that shows a table's rows with such a time in one of these columns."""
    conditions = " OR ".join(f"{column} NOT {_RIGHT}" for column in columns)
    return " ".join(("SELECT * FROM", table, "WHERE", conditions)) + ";"


def selects() -> str:
    """These statements for the executions and the state row."""
    tables = {"sys_cron_executions": OF_EXECUTIONS, "task_usage_hourly_rollup_state": OF_STATE}
    return " ".join(select(table, columns) for table, columns in tables.items())
