"""Finds what calls the rollup outside the database. The same code as deploy/findcallers.py."""

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext_noop

from deploy import findcallers


class Command(BaseCommand):
    help = gettext_noop(
        "Find what calls the rollup on this host and in piped CronJobs. Changes nothing."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        findcallers.add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            report = findcallers.find(options["root"], options["seconds"])
        except ValueError as error:
            raise CommandError(str(error), returncode=2) from error
        in_words = findcallers.as_json if options["json"] else findcallers.in_words
        self.stdout.write(in_words(report))
        sys.exit(findcallers.status(report))
