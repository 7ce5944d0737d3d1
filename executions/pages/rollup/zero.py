"""Why usage shows zero: the questions, the one cause and the next step. It changes nothing.

The verdict's part comes from the snapshot that the overview shows. Raw usage is read anew.
"""

from dataclasses import dataclass
from datetime import datetime

from executions.database.kept import QUIET_SECONDS
from executions.demo.gallery import showing
from executions.demo.scenario import Scenario
from executions.health import snapshots
from executions.health.diagnosis.conclude import conclude
from executions.health.diagnosis.look import Cause, Diagnosis, Question
from executions.health.diagnosis.read import read_usage
from executions.text.digest import digest


@dataclass(frozen=True)
class Zero:
    diagnosis: Diagnosis
    live_seconds: int = QUIET_SECONDS

    @property
    def now(self) -> datetime | None:
        """The database's clock; None if it could not be read."""
        return self.diagnosis.checked_at

    @property
    def cause(self) -> Cause:
        return self.diagnosis.cause

    @property
    def questions(self) -> tuple[Question, ...]:
        return self.diagnosis.questions

    @property
    def scenario(self) -> Scenario | None:
        """The demo that shows this cause, if something is known to be wrong."""
        if self.cause.is_there or self.cause.is_unknown:
            return None
        return showing(self.cause.code)

    @property
    def word(self) -> str:
        """The word whose tone and shape the cause has. Usage that is there looks as the verdict."""
        if self.cause.is_unknown:
            return "unknown"
        return str(self.diagnosis.verdict) if self.cause.is_there else "failing"

    @property
    def version(self) -> str:
        return digest(
            self.cause.code,
            self.cause.summary.still(),
            [(one.code, one.answer, one.summary.still()) for one in self.questions],
        )


def read_zero() -> Zero:
    """The diagnosis of this moment. A fact that cannot be read gives an answer that says so."""
    assessment = snapshots.current().assessment
    return Zero(conclude(assessment, read_usage(assessment.facts)))
