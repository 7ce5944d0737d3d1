"""PURE: every conclusion from the facts of one moment, and its JSON form.

Pages, monitors and `manage.py checkrollup` all show this.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import Enum

from django.utils.functional import Promise

from executions.health.facts import Facts
from executions.health.figures import Figures, measure
from executions.health.findings import Case, Finding, find
from executions.health.ledger import Ledger
from executions.health.verdict import Verdict, decide
from executions.text.beyond import in_json
from executions.text.sentences import Paragraph, Sentence


@dataclass(frozen=True)
class Assessment:
    """The facts, their ledger (None if a basic is unknown), and what they mean."""

    facts: Facts
    ledger: Ledger | None
    figures: Figures
    verdict: Verdict

    @property
    def job(self) -> str:
        return self.facts.spec.name

    @property
    def checked_at(self) -> datetime | None:
        """The database's clock at the reading; None if it could not be read."""
        return self.facts.now


@dataclass(frozen=True)
class JobAssessment:
    """The small verdict of a job without a cadence: executions, but no plans to expect."""

    job: str
    checked_at: datetime | None
    figures: Figures
    verdict: Verdict


def assess(facts: Facts) -> Assessment:
    """Judge the facts. The same facts give the same assessment."""
    case = Case.of(facts)
    return Assessment(
        facts=facts,
        ledger=case.ledger if case else None,
        figures=measure(case),
        verdict=decide(facts, case, find(facts, case)),
    )


def as_json(assessment: Assessment | JobAssessment, clock: datetime) -> dict[str, object]:
    """The object of docs/interfaces.md. ``clock`` is used if the database's is not known.

    Counts are integers there, so an unknown count is 0 under the verdict unknown.
    """
    verdict = assessment.verdict
    figures = asdict(assessment.figures)
    counts = {"success_streak", *(name for name in figures if name.endswith("_24h"))}
    return {
        "job": assessment.job,
        "verdict": str(verdict.level),
        "summary": str(verdict.summary),
        "checked_at": plain(assessment.checked_at or clock),
        "findings": [finding_as_json(finding) for finding in verdict.findings],
        "figures": {
            name: (value or 0) if name in counts else value for name, value in figures.items()
        },
    }


def finding_as_json(finding: Finding) -> dict[str, object]:
    return {
        "code": str(finding.code),
        "severity": finding.severity.word,
        "summary": str(finding.summary),
        "evidence": plain(finding.evidence),
        "advice": str(finding.advice),
        "explains": [finding_as_json(explained) for explained in finding.explains],
    }


def plain(value: object) -> object:
    """Evidence in JSON's own types: times as RFC 3339 in UTC.

    A time that Python cannot hold is given in words.
    """
    if isinstance(value, datetime):
        return in_json(value) or value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, Sentence | Paragraph | Promise):
        return str(value)
    return value
