"""Why usage shows zero, the same as on the page: text or JSON, and an exit status."""

from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NoReturn

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from executions.health.assessment import assess
from executions.health.diagnosis.conclude import as_json, conclude
from executions.health.diagnosis.look import Diagnosis
from executions.health.diagnosis.read import read_usage
from executions.health.explain.explanation import Step
from executions.health.read import nothing_known, read_facts
from executions.management.looking import LookingCommand, why_it_cannot_look
from executions.scheduler.jobs import ROLLUP
from executions.text.formatters import written

THERE, FOUND, UNKNOWN = 0, 1, 3


class Command(LookingCommand):
    help = gettext_noop(
        "Say why Multica's usage pages show zero, and what to do next."
        " Exit status: 0 usage is there, 1 a cause was found, 3 unknown."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--sql", action="store_true", help=_("also the SQL behind each answer"))

    def handle(self, *args: Any, **options: Any) -> NoReturn:
        diagnosis = _look()
        # This machine's clock is used only if the database's cannot be read.
        clock = datetime.now(UTC)
        cause = diagnosis.cause
        self.show(
            as_json(diagnosis, clock)
            if options["json"]
            else _lines(diagnosis, clock, with_sql=options["sql"]),
            UNKNOWN if cause.is_unknown else THERE if cause.is_there else FOUND,
        )


def _look() -> Diagnosis:
    if why := why_it_cannot_look():
        return conclude(assess(nothing_known(ROLLUP, why)), why)
    facts = read_facts()
    return conclude(assess(facts), read_usage(facts))


def _lines(diagnosis: Diagnosis, clock: datetime, *, with_sql: bool) -> Iterator[str]:
    cause = diagnosis.cause
    yield f"{cause.code}: {cause.summary}"
    yield _("Checked at %(time)s.") % {"time": written(diagnosis.checked_at or clock, "seconds")}
    yield ""
    for question in diagnosis.questions:
        yield f"{question.text} {question.answer}: {question.summary}"
        if with_sql and question.sql:
            yield from _indented(question.sql)
    yield ""
    yield _("Next step: %(step)s") % {"step": cause.next_step}
    for step in cause.steps:
        yield from _step(step)


def _step(step: Step) -> Iterator[str]:
    yield f"  {step.text}"
    for place, command in step.commands.items():
        yield f"    {place.label}: {command}"
    if step.statement:
        yield from _indented(step.statement.sql)


def _indented(text: str) -> Iterator[str]:
    return (f"    {line}" for line in text.splitlines())
