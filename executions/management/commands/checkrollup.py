"""The verdict for monitors, the same as on the page: text or JSON, and an exit status."""

from argparse import ArgumentParser
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, NoReturn

from django.db import Error as DatabaseError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from executions.alarms.silence import said
from executions.alarms.silences import open_silences
from executions.health.assessment import Assessment, JobAssessment, as_json, assess, plain
from executions.health.findings import Finding
from executions.health.other_jobs import assess_job, unreadable
from executions.health.read import nothing_known, read_facts
from executions.health.verdict import Level
from executions.management.looking import LookingCommand, why_it_cannot_look
from executions.models import Silence
from executions.scheduler.jobs import ROLLUP
from executions.text.formatters import written

EXIT_STATUS = {Level.HEALTHY: 0, Level.DEGRADED: 1, Level.FAILING: 2, Level.UNKNOWN: 3}


class Command(LookingCommand):
    help = gettext_noop(
        "Say whether the rollup works. Exit status: 0 healthy, 1 degraded, 2 failing, 3 unknown."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--job", default=ROLLUP.name, help=_("another job of the table"))

    def handle(self, *args: Any, **options: Any) -> NoReturn:
        assessment = _look(options["job"])
        # This machine's clock is used only if the database's cannot be read.
        clock = datetime.now(UTC)
        silences = _silences(assessment)
        if options["json"]:
            told = [_as_json(one) for one in silences] if silences is not None else None
            found: dict[str, object] | Iterator[str] = {
                **as_json(assessment, clock),
                "silences": told,
            }
        else:
            found = _lines(assessment, silences or (), clock)
        self.show(found, EXIT_STATUS[assessment.verdict.level])


def _look(job: str) -> Assessment | JobAssessment:
    if why := why_it_cannot_look():
        return unreadable(job, why) if job != ROLLUP.name else assess(nothing_known(ROLLUP, why))
    return assess_job(job) if job != ROLLUP.name else assess(read_facts())


def _silences(assessment: Assessment | JobAssessment) -> tuple[Silence, ...] | None:
    """The silences that last; None if our own tables cannot be read. They change no status."""
    try:
        return open_silences(assessment.verdict)[0] if assessment.job == ROLLUP.name else ()
    except DatabaseError:
        return None


def _as_json(silence: Silence) -> dict[str, object]:
    return {
        "finding": silence.code or None,
        "until": plain(silence.until),
        "by": silence.user_name,
        "reason": silence.why,
    }


def _lines(
    assessment: Assessment | JobAssessment, silences: Iterable[Silence], clock: datetime
) -> Iterator[str]:
    verdict = assessment.verdict
    yield f"{verdict.level}: {verdict.summary}"
    yield _("Checked at %(time)s.") % {"time": written(assessment.checked_at or clock, "seconds")}
    for silence in silences:
        yield str(said(silence, clock))
    for finding in verdict.findings:
        yield ""
        yield from _about(finding, "")


def _about(finding: Finding, indent: str) -> Iterator[str]:
    yield f"{indent}{finding.severity.word} {finding.code}: {finding.summary}"
    yield f"{indent}  {finding.advice}"
    for explained in finding.explains:
        yield from _about(explained, f"{indent}  ")
