"""Prints the exact statements that give a role its rights here. It runs none of them."""

from argparse import ArgumentParser
from contextlib import closing
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from executions.database.connections import retire_reader
from executions.database.permissions import PURPOSES, Installed, read_installed, statements
from executions.database.problems import DATABASE_ERRORS
from executions.database.reading import fetch_for_dashboard, fetch_on
from executions.pgcron.sight import visible_jobs


class Command(BaseCommand):
    help = gettext_noop("Print the statements that give a role what it needs. Runs none of them.")
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--role", required=True, metavar="NAME", help=_("an existing role"))
        parser.add_argument(
            "--as", required=True, choices=PURPOSES, dest="purpose", help=_("what it is for")
        )

    def handle(self, *args: Any, **options: Any) -> None:
        lines = statements(
            options["role"],
            options["purpose"],
            database=settings.MULTICA_CONNINFO.get("dbname", ""),
            cron_database=settings.RETIRE_CONNINFO.get("dbname", ""),
            has_pg_cron=_may_have_pg_cron(),
            installed=_installed(),
        )
        self.stdout.write("\n".join(lines))


def _installed() -> Installed | None:
    """What Multica's database has; None if it cannot be asked."""
    try:
        return read_installed(fetch_for_dashboard)
    except DATABASE_ERRORS:
        return None


def _may_have_pg_cron() -> bool:
    """Whether the database of pg_cron's jobs has the extension, or cannot be asked."""
    try:
        with closing(retire_reader("permissions")) as connection:
            return visible_jobs(fetch_on(connection)).version is not None
    except psycopg.Error:
        return True
