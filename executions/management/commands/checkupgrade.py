"""Whether an upgrade of Multica is safe: text or JSON, and an exit status. It changes nothing."""

from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any, NoReturn

from django.core.management.base import CommandError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from executions.health.upgrade.answer import UpgradeAnswer, judge
from executions.health.upgrade.facts import UpgradeFacts, nothing_read
from executions.health.upgrade.read import read_upgrade
from executions.health.upgrade.report import as_json
from executions.health.upgrade.step import StepState, UpgradeStep
from executions.management.looking import LookingCommand, why_it_cannot_look
from executions.rollup.versions import NEWEST_KNOWN, Version, parse_version
from executions.scheduler.jobs import ROLLUP

MARKS = {
    StepState.OK: "+",
    StepState.INFO: " ",
    StepState.DO: ">",
    StepState.BLOCKS: "-",
    StepState.UNKNOWN: "?",
}


class Command(LookingCommand):
    help = gettext_noop(
        "Say whether an upgrade of Multica is safe and what comes first. Exit status: 0 safe,"
        " 1 not yet, 3 cannot tell."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--to", default=str(NEWEST_KNOWN), help=_("the version to upgrade to, such as v0.4.25")
        )
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> NoReturn:
        target = _target(options["to"])
        answer = judge(_look(), target)
        self.show(
            as_json(answer) if options["json"] else _lines(answer), answer.outcome.exit_status
        )


def _target(text: str) -> Version:
    try:
        return parse_version(text)
    except ValueError as error:
        raise CommandError(str(error), returncode=2) from None


def _look() -> UpgradeFacts:
    if why := why_it_cannot_look():
        return nothing_read(ROLLUP, why)
    return read_upgrade()


def _lines(answer: UpgradeAnswer) -> Iterator[str]:
    yield str(answer.summary)
    if answer.after is not None:
        yield str(answer.after)
    if answer.limit is not None:
        yield str(answer.limit)
    if answer.changes:
        yield ""
        yield _("What lies between, for the rollup:")
        for ahead in answer.changes:
            sure = "" if ahead.is_certain else _("(may be there already)") + " "
            yield f"  {ahead.version}  {sure}{ahead.summary}"
    for step in answer.steps:
        yield ""
        yield from _about(step)
    yield ""
    yield _("What no database tells:")
    for text in answer.unknowable:
        yield f"  {text}"


def _about(step: UpgradeStep) -> Iterator[str]:
    yield f"{MARKS[step.state]} {step.code}: {step.summary}"
    if step.todo is not None:
        yield f"    {step.todo}"
    for place, command in step.commands.items():
        yield f"    {place.label}:"
        yield f"      {command}"
    if step.statement:
        yield f"    {step.statement}"
