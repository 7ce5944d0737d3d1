"""``manage.py pruneexecutions``: remove old executions from Multica's table."""

from argparse import ArgumentParser, ArgumentTypeError
from contextlib import closing
from datetime import timedelta
from typing import Any

import psycopg
from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, ngettext

from executions.database.connections import runner_connection
from executions.database.direct import OnStandby
from executions.database.problems import diagnose
from executions.database.still_answering import given_up_if_silent
from executions.scheduler import retention
from multica_admin.embedded import ensure_running

ON_STANDBY, INTERRUPTED = 2, 130
LONGEST = 36_500


def _days(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= LONGEST):
        raise ArgumentTypeError(
            _("%(text)r is no number of days from 1 to %(most)s") % {"text": text, "most": LONGEST}
        )
    return int(text)


class Command(BaseCommand):
    help = gettext_noop(
        "Remove old executions. Never one that is RUNNING, and never the newest of its scope."
        " Safe to interrupt and to repeat."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--success-days", type=_days, default=30, help=_("default 30"))
        parser.add_argument("--failed-days", type=_days, default=90, help=_("default 90"))
        parser.add_argument("--dry-run", action="store_true", help=_("count, and remove nothing"))

    def handle(self, *args: Any, **options: Any) -> None:
        ensure_running()
        ages = {"SUCCESS": options["success_days"], "FAILED": options["failed_days"]}
        only_count = options["dry_run"]
        total = 0
        try:
            with (
                closing(runner_connection("multica-admin prune")) as connection,
                given_up_if_silent(connection),
            ):
                for status, days in ages.items():
                    age = timedelta(days=days)
                    found = 0
                    for rows in retention.prune(connection, status, age, only_count=only_count):
                        found += rows
                        total += rows
                    told = {"status": status, "days": days, "found": f"{found:,}"}
                    self.stdout.write(_line(only_count=only_count) % told)
        except OnStandby as error:
            raise CommandError(diagnose(error).sentence(), returncode=ON_STANDBY) from None
        except psycopg.Error as error:
            so_far = _so_far(total, only_count)
            raise CommandError(f"{diagnose(error).sentence()} {so_far}") from None
        except KeyboardInterrupt:
            so_far = _so_far(total, only_count)
            stopped = _("Stopped. %(so_far)s") % {"so_far": so_far}
            raise CommandError(stopped, returncode=INTERRUPTED) from None


def _line(*, only_count: bool) -> str:
    if only_count:
        return _("%(status)s older than %(days)s days: %(found)s could be removed")
    return _("%(status)s older than %(days)s days: %(found)s removed")


def _so_far(total: int, only_count: bool) -> str:
    if only_count or not total:
        return _("Nothing was removed.")
    return ngettext(
        "%(total)s execution was removed; run it again to go on.",
        "%(total)s executions were removed; run it again to go on.",
        total,
    ) % {"total": f"{total:,}"}
