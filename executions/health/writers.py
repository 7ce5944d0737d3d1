"""PURE: did something besides the runs on record move the watermark? One rule for all who ask.

The finding `other_writer`, the watch after an act, the quiet period of a caller outside the
database and the page of an execution use it. Who did it is not decided here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from executions.health.facts.executions import ExecutionFact
from executions.health.facts.pg_cron import JobRun

# Results have whole seconds, which two runners may round differently.
ROUNDING = timedelta(seconds=1)


@dataclass(frozen=True)
class Pair:
    """Two neighbouring plans whose watermarks can be compared.

    ``reached`` is the furthest watermark of every plan before ``later``. A run that outlives its
    successor reaches further than the successor says, so the neighbour alone would not do.
    """

    earlier: ExecutionFact
    later: ExecutionFact
    reached: datetime
    found: datetime

    @property
    def advance(self) -> timedelta:
        """How far something else moved the watermark in between; zero where nothing did."""
        further = self.found - self.reached
        return further if further > ROUNDING else timedelta()

    @property
    def is_jump(self) -> bool:
        return self.advance > timedelta()


def pairs(rows: Sequence[ExecutionFact]) -> list[Pair]:
    """The comparable pairs among ``rows``, newest first, as ``rows`` are.

    Both plans succeeded, they are neighbours in the table, and the later one succeeded at its first
    attempt: a failed attempt may have moved the watermark without a record of it.
    """
    found: list[Pair] = []
    reached: datetime | None = None
    earlier: ExecutionFact | None = None
    for later in reversed(rows):
        if earlier is not None and reached is not None and _comparable(earlier, later):
            assert later.watermark_before is not None  # noqa: S101  _comparable says so
            found.append(Pair(earlier, later, reached, later.watermark_before))
        if later.watermark_after is not None:
            reached = max(reached or later.watermark_after, later.watermark_after)
        earlier = later
    found.reverse()
    return found


def _comparable(earlier: ExecutionFact, later: ExecutionFact) -> bool:
    return (
        later.succeeded
        and earlier.succeeded
        and later.attempt == 1
        and later.watermark_before is not None
        and earlier.watermark_after is not None
    )


def jumps(found: Sequence[Pair]) -> list[Pair]:
    """Those of the pairs between which something else moved the watermark."""
    return [pair for pair in found if pair.is_jump]


def silences(
    found: Sequence[Pair], oldest: datetime, newest: datetime
) -> list[tuple[datetime, datetime]]:
    """The spans without a jump, oldest first, from ``oldest`` to ``newest``, edges included."""
    writes = [pair.later.plan_time for pair in jumps(found)]
    return list(pairwise([oldest, *reversed(writes), max(newest, oldest)]))


def ran_between(pair: Pair, runs: Sequence[JobRun]) -> frozenset[int]:
    """The pg_cron jobs that ran, by their run details, while something moved the watermark.

    That lies between the start of the earlier run and that of the later one.
    """
    begun = pair.earlier.started_at or pair.earlier.plan_time
    ended = pair.later.started_at or pair.later.plan_time
    return frozenset(
        run.jobid
        for run in runs
        if run.started_at <= ended and (run.ended_at is None or run.ended_at >= begun)
    )
