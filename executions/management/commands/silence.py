"""``manage.py silence``: hold back messages for a time, as a deploy script does."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from executions.alarms.silence import said
from executions.alarms.silences import begin
from executions.database.problems import own_tables_sentence
from executions.health import snapshots
from executions.retirement import audit
from executions.retirement.refusals import Refused
from executions.text.durations import parse_duration
from multica_admin.embedded import ensure_running

NOT_DONE = 2


class Command(BaseCommand):
    help = gettext_noop(
        "Hold back alarms for a time, or until a finding clears or gets worse. Pages, monitors and"
        " exit statuses stay true. Exit status: 0 silenced, 2 not."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--for", type=parse_duration, dest="span", metavar="2h", help=_("how long")
        )
        parser.add_argument("--reason", required=True, help=_("why, for everybody and the audit"))
        parser.add_argument("--finding", default="", metavar="CODE", help=_("this finding only"))

    def handle(self, *args: Any, **options: Any) -> None:
        ensure_running()
        who = audit.Who.of_command(options["reason"])
        code, span = options["finding"], options["span"]
        try:
            verdict = snapshots.current().verdict if code and span is None else None
            silence = begin(who, code=code, span=span, verdict=verdict)
        except Refused as refusal:
            raise CommandError(str(refusal), returncode=NOT_DONE) from None
        except DatabaseError as error:
            raise CommandError(own_tables_sentence(error), returncode=NOT_DONE) from None
        self.stdout.write(str(said(silence, silence.begun_at)))
