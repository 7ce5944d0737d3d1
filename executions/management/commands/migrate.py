"""Django's own `migrate`, but only one at a time over the same tables."""

from typing import Any

from django.core.management.commands import migrate

from executions.database.schema import a_turn_of_our_own, time_limit


class Command(migrate.Command):
    """Waits before it plans its work. The signal `pre_migrate` would come too late for that."""

    def handle(self, *args: Any, **options: Any) -> None:
        with a_turn_of_our_own(), time_limit(0):
            super().handle(*args, **options)
