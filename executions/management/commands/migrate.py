"""Django's own `migrate`, one at a time over the same tables."""

from __future__ import annotations

from typing import Any

from django.core.management.commands import migrate

from executions.database.schema import a_turn_of_our_own, time_limit


class Command(migrate.Command):
    """Waits before it looks at what there is to do; the signal `pre_migrate` comes after that."""

    def handle(self, *args: Any, **options: Any) -> None:
        with a_turn_of_our_own(), time_limit(0):
            super().handle(*args, **options)
