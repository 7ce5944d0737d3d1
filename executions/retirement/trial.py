"""PURE: the next step of a trial, from what the watch says and what the job is now.

A trial always ends: it goes well and the operator decides, or the job is activated again.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from executions.pgcron.job import Job
from executions.retirement.watch import WatchVerdict, Word
from executions.text.sentences import Sentence, say


class Turn(Enum):
    """What to do about a trial now."""

    GO_ON = "go on"
    PASS = "pass"  # noqa: S105  no password
    ACTIVATE = "activate"
    OVER = "over"


@dataclass(frozen=True)
class TrialFacts:
    """``step`` is None if the plans cannot be read.

    ``job`` is None if it is not shown: gone if this role ``sees`` every job, else hidden.
    """

    now: datetime
    deadline: datetime
    step: WatchVerdict | None
    job: Job | None
    sees: bool
    passed: bool


def turn(facts: TrialFacts) -> tuple[Turn, Sentence]:
    """The next turn of a trial, with its reason.

    A hidden job may still be paused. Its trial cannot pass, and when its time is over the job is
    activated by its number.
    """
    over = _over(facts)
    if over is not None:
        return Turn.OVER, over
    if facts.step is not None and facts.step.word is Word.WORSE:
        return Turn.ACTIVATE, say("It went worse: %(why)s", why=str(facts.step.summary))
    if facts.now >= facts.deadline:
        return Turn.ACTIVATE, say("Nobody decided in time.")
    if facts.job is None:
        return Turn.GO_ON, say("The job cannot be seen at the moment.")
    if facts.step is None:
        return Turn.GO_ON, say("The plans cannot be read at the moment.")
    passes = not facts.passed and facts.step.word in {Word.VERIFIED, Word.OTHER_CALLER}
    return Turn.PASS if passes else Turn.GO_ON, facts.step.summary


def _over(facts: TrialFacts) -> Sentence | None:
    """How somebody else's change to the job ended the trial, if it did."""
    if facts.job is None and facts.sees:
        return say("The job is gone: somebody else removed it during the trial.")
    if facts.job is not None and facts.job.active:
        return say("Somebody else activated the job during the trial.")
    return None
