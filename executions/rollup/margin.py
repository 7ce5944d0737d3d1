"""PURE: how near to now the rollup goes: docs/contract.md section 4."""

from datetime import datetime, timedelta

# The rollup never processes the last five minutes, because rows that are not committed yet would be
# skipped. A backfill stamps the watermark to before them too.
MARGIN = timedelta(minutes=5)
# A watermark may be so far beyond the newest that a run can reach.
FUTURE_ALLOWANCE = timedelta(minutes=1)


def is_in_future(watermark: datetime, now: datetime) -> bool:
    """Whether runs do nothing until time has caught up with the watermark."""
    return watermark - (now - MARGIN) > FUTURE_ALLOWANCE
