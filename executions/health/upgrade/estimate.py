"""PURE: a rough estimate of how long Multica's backfill takes, with its basis.

Its cost is in docs/contract.md section 4: each key visits every task that its agent ever ran. So it
grows with the rows, and again with the rows of one agent.
"""

from datetime import timedelta

# What was measured: the fastest and the slowest machine, for so many rows of so many agents.
MEASURED = (timedelta(seconds=151), timedelta(seconds=571))
MEASURED_ROWS = 120_000
MEASURED_AGENTS = 20

_LEAST = timedelta(seconds=1)
# Beyond this a number of days tells nobody anything.
_MOST = timedelta(days=365)


def backfill_time(rows: int, agents: int) -> tuple[timedelta, timedelta]:
    """The shortest and the longest time to expect, from a second to a year."""
    of_one = rows / max(agents, 1)
    factor = (rows / MEASURED_ROWS) * (of_one / (MEASURED_ROWS / MEASURED_AGENTS))
    shortest, longest = (
        timedelta(seconds=min(_MOST.total_seconds(), each.total_seconds() * factor))
        for each in MEASURED
    )
    return max(shortest, _LEAST), max(longest, _LEAST)
