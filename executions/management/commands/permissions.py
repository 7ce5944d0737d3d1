"""Prints the exact statements that give a role what it needs here; runs none of them."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from executions.permissions import PURPOSES, statements


class Command(BaseCommand):
    help = "Print the statements that give a role what it needs. Runs none of them."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--role", required=True, metavar="NAME", help="an existing role")
        parser.add_argument(
            "--as", required=True, choices=PURPOSES, dest="purpose", help="what it is for"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        lines = statements(
            options["role"],
            options["purpose"],
            database=settings.MULTICA_CONNINFO.get("dbname", ""),
            cron_database=settings.RETIRE_CONNINFO.get("dbname", ""),
        )
        self.stdout.write("\n".join(lines))
