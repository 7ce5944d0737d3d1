"""Removes old rows of our own tables, a few at a time."""

from typing import Any

from django.db import transaction
from django.db.models import QuerySet

# The most rows of a table that are removed at once.
REMOVED_AT_ONCE = 500


def remove_some(old: QuerySet[Any]) -> None:
    """Remove at most `REMOVED_AT_ONCE` of these rows, and leave those that somebody else locks."""
    with transaction.atomic(old.db):
        free = old.order_by("pk").select_for_update(skip_locked=True).values_list("pk", flat=True)
        # As a part of the DELETE, PostgreSQL may ask more than once, each time for other rows.
        some = list(free[:REMOVED_AT_ONCE])
        old.model.objects.filter(pk__in=some).delete()
