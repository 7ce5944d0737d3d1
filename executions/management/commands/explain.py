"""Prints what a finding means and what to do, as Markdown. It asks no database."""

from argparse import ArgumentParser
from difflib import get_close_matches
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from executions.demo.gallery import showing
from executions.health.explain import EXPLANATIONS, Explanation
from executions.health.explain.markdown import page, section
from executions.health.findings.base import FindingCode
from executions.text import glossary


class Command(BaseCommand):
    help = gettext_noop("Print what a finding means and what to do; without a code, all of them.")
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("code", nargs="?", metavar="CODE", help=_("such as latest_stale"))
        parser.add_argument("--glossary", action="store_true", help=_("print what the words mean"))

    def handle(self, *args: Any, **options: Any) -> None:
        code = options["code"]
        if options["glossary"]:
            self.stdout.write(glossary.markdown(), ending="")
        elif code is None:
            self.stdout.write(
                page((one, _scenario(one)) for one in EXPLANATIONS.values()), ending=""
            )
        elif code in EXPLANATIONS:
            one = EXPLANATIONS[FindingCode(code)]
            self.stdout.write(section(one, _scenario(one)))
        else:
            raise CommandError(_unknown(code), returncode=2)


def _scenario(explanation: Explanation) -> str | None:
    scenario = showing(explanation.code)
    return scenario.command if scenario else None


def _unknown(code: str) -> str:
    near = get_close_matches(code, list(EXPLANATIONS), n=1)
    meant = _(" Did you mean %(near)s?") % {"near": near[0]} if near else ""
    return _("No finding has the code %(code)s.%(meant)s") % {"code": code, "meant": meant}
