"""Moments by the clock of our own tables' database, for columns and filters of our own models."""

from datetime import timedelta

from django.db.models import DateTimeField, ExpressionWrapper
from django.db.models.expressions import Combinable
from django.db.models.functions import Now


def from_now(span: timedelta) -> Combinable:
    """The moment so long after the statement's own; before it, if ``span`` is negative."""
    return ExpressionWrapper(Now() + span, output_field=DateTimeField())
