"""The common part of commands that only look: text or JSON, and an exit status."""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from typing import Any, NoReturn

from django.core.management.base import BaseCommand
from django.utils.translation import gettext as _
from django.utils.translation import override

from executions.text.problem import Problem
from multica_admin.cluster import ClusterError
from multica_admin.embedded import ensure_running


class LookingCommand(BaseCommand):
    """A command with ``--json`` that ends with `show`."""

    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help=_("one JSON object"))

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Programs read JSON: it has the language of docs/interfaces.md, whoever asks."""
        with override("en") if options["json"] else nullcontext():
            return super().execute(*args, **options)

    def show(self, found: Mapping[str, Any] | Iterable[str], status: int) -> NoReturn:
        """Print one JSON object or the lines, and exit with that status."""
        if isinstance(found, Mapping):
            self.stdout.write(json.dumps(found, ensure_ascii=False, indent=2))
        else:
            self.stdout.write("\n".join(found))
        sys.exit(status)


def why_it_cannot_look() -> Problem | None:
    """Start the embedded database if it is used. Return the problem if it cannot be started."""
    try:
        ensure_running()
    except ClusterError as error:
        return Problem(str(error), _("Start the dashboard with bin/run, then try again."))
    return None
