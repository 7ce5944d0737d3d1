"""PURE: the guard of Multica's migration 103: docs/contract.md section 4."""

from datetime import datetime, timedelta

from executions.rollup.margin import MARGIN

# The watermark may trail the newest change of usage by so much.
GUARD_LAG = timedelta(hours=1)


def guard_passes(newest_change: datetime | None, watermark: datetime | None) -> bool:
    """Whether migration 103 passes.

    ``newest_change`` is None without usage, ``watermark`` without a state row.
    """
    if newest_change is None:
        return True
    return watermark is not None and newest_change - watermark <= GUARD_LAG


def never_passes(newest_change: datetime, now: datetime) -> bool:
    """Whether it refuses even after a backfill, because usage is dated too far ahead."""
    return newest_change - now > GUARD_LAG - MARGIN
