"""``manage.py sendtestalert``: a test alarm to each receiver, and whether it arrived."""

import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, override

from executions.alarms.delivery import place, send_now
from executions.alarms.message import test_message
from executions.alarms.problems import why
from executions.alarms.receivers import receivers_of
from executions.database.problems import own_tables_sentence
from multica_admin.embedded import ensure_running

NOT_ALL_ARRIVED = 1
NOTHING_TO_TRY = 2


class Command(BaseCommand):
    help = gettext_noop(
        "Sends a test alarm to each receiver of ALERT_URLS. Exit status: 0 all of them took it,"
        " 1 some did not, 2 there is no receiver, or our own tables cannot be reached."
    )
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        receivers = receivers_of(settings.ALERT_URLS)
        if not receivers:
            raise CommandError(
                _("There is no receiver: set ALERT_URLS, for example to mailto://… or slack://…."),
                returncode=NOTHING_TO_TRY,
            )
        with override(settings.ALERT_LANGUAGE):
            message = test_message(place())
        failed = False
        try:
            if settings.EMBEDDED:
                ensure_running()
            for receiver in receivers:
                problem = send_now(receiver, message)
                failed = failed or bool(problem)
                self.stdout.write(
                    _("Receiver %(position)s (%(service)s): %(outcome)s")
                    % {
                        "position": receiver.position,
                        "service": receiver.service or _("unknown"),
                        "outcome": why(problem) if problem else _("it took the test alarm."),
                    }
                )
        except DatabaseError as error:
            raise CommandError(own_tables_sentence(error), returncode=NOTHING_TO_TRY) from None
        if failed:
            sys.exit(NOT_ALL_ARRIVED)
