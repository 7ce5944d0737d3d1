"""Reads raw usage beside the buckets, for the diagnosis. It decides nothing.

Every read takes a stated number of rows from one end of an index (`usage.sql`). A read that fails
becomes a `Problem` and the others stay valid, so nothing here may run inside a transaction.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID

from executions.database.reading import Fetch, Row, fetch_for_dashboard
from executions.database.sql import load
from executions.database.sql.written import written_out
from executions.health.facts import Facts, Ground, StateRow
from executions.health.facts.usage import RanTasks, Sample, Shape, UsageFacts, WorkspaceUsage
from executions.health.read import BudgetedReader, refuse_hidden
from executions.text.problem import Problem

SQL = load("usage")

# How many rows of raw usage are looked up. Each is a few index lookups.
MOST_USAGE = 2_000
# How many tasks from each end of their index.
MOST_TASKS = 1_000
# A task reports its usage by its end. This much later nothing more comes.
REPORTED_BY = timedelta(hours=1)
# After and before every time that usage can have.
END_OF_TIME = datetime.max.replace(tzinfo=UTC)
START_OF_TIME = datetime.min.replace(tzinfo=UTC)


def read_usage(facts: Facts, fetch: Fetch = fetch_for_dashboard) -> UsageFacts | Problem:
    """Raw usage and buckets beside the facts of a verdict. Never raises for the database."""
    if isinstance(facts.ground, Problem):
        return facts.ground
    if isinstance(facts.executions, Problem) and isinstance(facts.state, Problem):
        return facts.executions
    return _UsageReader(fetch, facts.ground).read(facts.state)


class _UsageReader(BudgetedReader):
    def __init__(self, fetch: Fetch, ground: Ground) -> None:
        super().__init__()
        self._send, self._ground = fetch, ground
        self._asked: dict[str, str] = {}

    def read(self, state: StateRow | Problem | None) -> UsageFacts:
        shape = self._fact(self._shape)
        watermark = state.watermark_at if isinstance(state, StateRow) else None
        latest = self._fact(lambda: self._sample("latest", END_OF_TIME, watermark))
        settled = (
            None
            if watermark is None
            else self._fact(lambda: self._sample("settled", watermark, watermark))
        )
        newest = self._fact(lambda: self._newest("task_usage", "newest_usage", SQL.newest_usage))
        return UsageFacts(
            shape=shape,
            newest_usage=newest,
            newest_bucket=self._fact(
                lambda: self._newest("task_usage_hourly", "newest_bucket", SQL.newest_bucket)
            ),
            latest=latest,
            settled=settled,
            tasks=self._fact(lambda: self._tasks(shape, newest)),
            has_tasks=self._fact(self._has_tasks),
            has_agents=self._fact(self._has_agents),
            deleted_runtimes=self._fact(lambda: self._deleted_runtimes(latest)),
            never_due=self._fact(self._never_due) if newest is None else False,
            names=self._fact(lambda: self._names(shape, latest, settled)),
            asked=self._asked,
        )

    def _fetch(self, name: str, statement: str, parameters: Mapping[str, object]) -> list[Row]:
        """Send a query, and keep it under a name as it was sent."""
        self._asked[name] = written_out(statement, parameters)
        return self._send(statement, parameters)

    def _shape(self) -> Shape:
        (row,) = self._fetch("shape", SQL.shape, {})
        return Shape(**row)

    def _newest(self, table: str, name: str, query: str) -> datetime | None:
        refuse_hidden(self._ground, table)
        rows = self._fetch(name, query, {})
        newest: datetime | None = rows[0]["newest"] if rows else None
        return newest

    def _sample(self, name: str, before: datetime, watermark: datetime | None) -> Sample:
        refuse_hidden(
            self._ground,
            *("task_usage", "agent_task_queue", "agent", "issue"),
            *("task_usage_hourly", "task_usage_hourly_dirty"),
        )
        asked = {"before": before, "watermark": watermark or START_OF_TIME, "most": MOST_USAGE}
        rows = self._fetch(name, SQL.sample, asked)
        return Sample(MOST_USAGE, tuple(WorkspaceUsage(**row) for row in rows))

    def _tasks(
        self, shape: Shape | Problem, newest: datetime | Problem | None
    ) -> RanTasks | Problem | None:
        if isinstance(shape, Problem):
            return shape
        if not shape.tasks_tell_times:
            return None
        refuse_hidden(self._ground, "agent_task_queue", "task_usage")
        since = newest + REPORTED_BY if isinstance(newest, datetime) else START_OF_TIME
        asked = {"newest_id": _highest_id(self._ground.now), "since": since, "most": MOST_TASKS}
        (row,) = self._fetch("tasks", SQL.tasks, asked)
        return RanTasks(**row)

    def _never_due(self) -> bool:
        refuse_hidden(self._ground, "task_usage")
        return bool(self._fetch("never_due", SQL.never_due, {})[0]["never_due"])

    def _has_tasks(self) -> bool:
        refuse_hidden(self._ground, "agent_task_queue")
        return bool(self._fetch("tasks_without_times", SQL.tasks_without_times, {})[0]["has_tasks"])

    def _has_agents(self) -> bool:
        refuse_hidden(self._ground, "agent")
        return bool(self._fetch("agents", SQL.agents, {})[0]["has_agents"])

    def _deleted_runtimes(self, latest: Sample | Problem) -> int | Problem | None:
        if isinstance(latest, Problem):
            return latest
        if latest.total("without_runtime") == 0:
            return None
        (row,) = self._fetch(
            "deleted_runtimes", SQL.deleted_runtimes, {"before": END_OF_TIME, "most": MOST_USAGE}
        )
        return int(row["deleted"])

    def _names(
        self, shape: Shape | Problem, *samples: Sample | Problem | None
    ) -> Mapping[UUID, str]:
        if isinstance(shape, Problem) or not shape.workspaces_have_names:
            return {}
        ids = {
            one.workspace_id
            for sample in samples
            if isinstance(sample, Sample)
            for one in sample.named
        }
        if not ids:
            return {}
        return {
            row["id"]: row["name"]
            for row in self._fetch("workspace_names", SQL.workspace_names, {"ids": [*ids]})
        }


def _highest_id(now: datetime) -> UUID:
    """The highest UUIDv7 of this millisecond: ids of newer releases up to now are not above it."""
    return UUID(f"{int(now.timestamp() * 1000):012x}" + "f" * 20)
