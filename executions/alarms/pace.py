"""PURE: how long to wait before a receiver that did not take a message is tried again."""

from datetime import timedelta

FIRST = timedelta(seconds=10)
LONGEST = timedelta(minutes=15)


def pause_after(failures: int) -> timedelta:
    """Ten seconds after the first failure, then twice as long each time, up to 15 minutes."""
    return min(LONGEST, FIRST * (1 << min(max(0, failures - 1), 10)))
