"""PURE: the finding about times that no scheduler writes (docs/contract.md section 6)."""

from operator import attrgetter

from executions.health.facts import Queue
from executions.health.facts.executions import ExecutionFact
from executions.health.findings.base import Case, Finding, FindingCode, Severity, rows_told
from executions.text.beyond import OF_EXECUTIONS, OF_STATE, any_is_beyond, is_beyond, select
from executions.text.sentences import Sentence, listed, say, say_counted, together


def clock_or_foreign_writer(case: Case) -> Finding | None:
    rows = _looked_at(case)
    early = [row for row in rows if row.starts_before_its_plan]
    backwards = [row for row in rows if _ends_before_it_starts(row)]
    ahead = [row for row in rows if row.is_ahead(case.now)]
    off_grid = list(case.ledger.off_grid)
    beyond = _beyond(case)
    odd = {row.id: row for row in (*early, *backwards, *ahead, *off_grid)}
    if not odd and not beyond:
        return None
    newest = max((row.plan_time for row in odd.values()), default=case.now)
    return Finding(
        FindingCode.CLOCK_OR_FOREIGN_WRITER,
        Severity.WARNING,
        summary=together(
            None
            if not odd
            else say_counted(
                len(odd),
                "The history of runs cannot be trusted as it is: one row has times that no"
                " scheduler of Multica's would write (plan of %(plan)s).",
                "The history of runs cannot be trusted as it is: %(n)s rows have times that no"
                " scheduler of Multica's would write, the latest the plan of %(plan)s.",
                plan=case.at(newest),
            ),
            _columns(beyond),
            _how_far(case),
        ),
        advice=together(
            say(
                "Find out whether the database server's clock was changed, or whether something"
                " else than Multica and this dashboard writes its tables."
            ),
            _how_to_look(beyond),
        ),
        seen_at=min(newest, case.now),
        evidence={
            "count": len(odd),
            "looked_from": case.ledger.looked_from,
            "started_before_planned": rows_told(early),
            "finished_before_started": rows_told(backwards),
            "in_the_future": rows_told(ahead),
            "off_the_grid": rows_told(off_grid),
            "beyond_the_calendar": sorted(_names(beyond)),
        },
    )


def _looked_at(case: Case) -> list[ExecutionFact]:
    """The rows of the window, and the older rows that measure silence."""
    older = dict.fromkeys((case.executions.earlier, case.executions.earlier_success))
    return [*case.rows, *(row for row in older if row is not None)]


def _how_far(case: Case) -> Sentence | None:
    """A writer of more rows than we read leaves a part of the day unseen."""
    since = case.ledger.looked_from
    if since is None:
        return None
    return say(
        "There are so many rows that only those since %(since)s were read. What is said"
        " about a day is about that time only.",
        since=case.at(since),
    )


def _ends_before_it_starts(row: ExecutionFact) -> bool:
    if row.started_at is None or row.finished_at is None:
        return False
    return row.finished_at < row.started_at


# The columns of each table that hold a time that Python cannot.
_Beyond = dict[str, list[str]]


def _beyond(case: Case) -> _Beyond:
    executions, queue = case.executions, case.facts.queue
    rows: list[object] = [*_looked_at(case), *executions.stale]
    in_rows = [name for name in OF_EXECUTIONS if any_is_beyond(map(attrgetter(name), rows))]
    if is_beyond(executions.first_plan) and "plan_time" not in in_rows:
        in_rows.insert(0, "plan_time")
    found = {
        "sys_cron_executions": in_rows,
        "task_usage_hourly_rollup_state": [
            name for name in OF_STATE if is_beyond(getattr(case.state, name, None))
        ],
        "task_usage_hourly_dirty": ["enqueued_at"]
        if isinstance(queue, Queue) and is_beyond(queue.oldest)
        else [],
    }
    return {table: columns for table, columns in found.items() if columns}


def _names(beyond: _Beyond) -> list[str]:
    return [f"{table}.{column}" for table, columns in beyond.items() for column in columns]


def _columns(beyond: _Beyond) -> Sentence | None:
    if not beyond:
        return None
    return say(
        "A time that is infinite or outside the years 1 to 9999 stands in %(columns)s.",
        columns=listed(_names(beyond)),
    )


def _how_to_look(beyond: _Beyond) -> Sentence | None:
    if not beyond:
        return None
    return say(
        "To see those rows, let an administrator run %(statements)s Then put them right.",
        statements=" ".join(select(table, columns) for table, columns in beyond.items()),
    )
