"""PURE: the one rule that finds moves of the watermark by anything but the recorded runs.

The finding `other_writer`, the watch after an act, the quiet period of an outside caller and an
execution's page use it. It does not decide who moved the watermark.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

from executions.health.facts.executions import ExecutionFact
from executions.health.facts.pg_cron import JobRun

# Results have whole seconds, which two runners may round differently.
ROUNDING = timedelta(seconds=1)


class Pair(NamedTuple):
    """Two neighbouring plans whose watermarks can be compared.

    ``reached`` is the furthest watermark of every plan before ``later``. A run that outlives its
    successor may reach further than the successor says, so comparing with the neighbour alone is
    not enough.
    """

    earlier: ExecutionFact
    later: ExecutionFact
    reached: datetime
    found: datetime

    @property
    def advance(self) -> timedelta:
        """How far something else moved the watermark in between; zero if nothing did."""
        further = self.found - self.reached
        return further if further > ROUNDING else timedelta()

    @property
    def is_jump(self) -> bool:
        return self.advance > timedelta()


def pairs(rows: Sequence[ExecutionFact]) -> list[Pair]:
    """The comparable pairs among ``rows``, newest first like ``rows``.

    Both plans succeeded, they are neighbours in the table, and the later one succeeded at its first
    attempt: a failed attempt may have moved the watermark without a record.
    """
    found: list[Pair] = []
    reached: datetime | None = None
    earlier: ExecutionFact | None = None  # if the next row can be compared with it
    for later in reversed(rows):
        before, after, succeeded = later.watermark_before, later.watermark_after, later.succeeded
        if earlier and reached and succeeded and later.attempt == 1 and before is not None:
            found.append(Pair(earlier, later, reached, before))
        if after is not None:
            reached = max(reached or after, after)
        earlier = later if succeeded and after is not None else None
    found.reverse()
    return found


def jumps(found: Sequence[Pair]) -> list[Pair]:
    """The pairs between which something else moved the watermark."""
    return [pair for pair in found if pair.is_jump]


def silences(
    found: Sequence[Pair], oldest: datetime, newest: datetime
) -> list[tuple[datetime, datetime]]:
    """The spans without a jump, oldest first, from ``oldest`` to ``newest``, both included."""
    writes = [pair.later.plan_time for pair in jumps(found)]
    return list(pairwise([oldest, *reversed(writes), max(newest, oldest)]))


def ran_between(pair: Pair, runs: Sequence[JobRun]) -> frozenset[int]:
    """The pg_cron jobs that ran, by their run details, while something moved the watermark.

    That is between the start of the earlier run and the start of the later one.
    """
    begun = pair.earlier.started_at or pair.earlier.plan_time
    ended = pair.later.started_at or pair.later.plan_time
    return frozenset(
        run.jobid
        for run in runs
        if run.started_at <= ended and (run.ended_at is None or run.ended_at >= begun)
    )
