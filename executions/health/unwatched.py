"""Reads the blind stretches of a window from our own tables, for the ledger.

`health/history/` writes them. This module decides nothing.
"""

from datetime import datetime

from django.db.models import Q

from executions.health.facts.unwatched import Unwatched
from executions.models import BlindStretch

# The most stretches that are read: the latest ones.
MOST = 500


def unwatched_since(since: datetime) -> tuple[Unwatched, ...]:
    """The stretches that end after ``since``, by the clock of Multica's database, newest first.

    Raises:
        django.db.Error: our own tables cannot be reached.
    """
    found = BlindStretch.objects.filter(Q(clock_until=None) | Q(clock_until__gt=since))
    rows = found.order_by("-since").values_list("clock_since", "clock_until")[:MOST]
    return tuple(Unwatched(*row) for row in rows)
