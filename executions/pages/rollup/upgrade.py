"""Before an upgrade: the answer of `manage.py checkupgrade` for the version in the address."""

from dataclasses import dataclass
from datetime import datetime

from executions.accounts.requests import LiveRequest
from executions.health.upgrade.answer import UpgradeAnswer, judge
from executions.health.upgrade.read import read_upgrade
from executions.pages.history.filters import Filters
from executions.rollup.versions import CHANGED_IN, NEWEST_KNOWN, parse_version
from executions.text.digest import digest

# Nothing here changes faster than an upgrade does, and counting usage costs more than other reads.
LIVE_SECONDS = 60


@dataclass(frozen=True)
class Upgrade:
    answer: UpgradeAnswer
    live_seconds: int = LIVE_SECONDS

    @property
    def now(self) -> datetime | None:
        return self.answer.now

    @property
    def version(self) -> str:
        answer = self.answer
        return digest(
            answer.outcome,
            answer.summary.still(),
            answer.after and answer.after.still(),
            [(ahead.change, ahead.is_certain) for ahead in answer.changes],
            [(step.code, step.state, step.summary.still()) for step in answer.steps],
        )


def read_answer(filters: Filters) -> Upgrade:
    """The answer for the version that the filters name, else for the newest known."""
    return Upgrade(judge(read_upgrade(), parse_version(filters.choice("to", str(NEWEST_KNOWN)))))


READERS = {"to": lambda text: str(parse_version(text))}


def form(_request: LiveRequest, filters: Filters, _shown: Upgrade) -> dict[str, object]:
    """What the form offers: any version may be typed."""
    return {
        "versions": [str(version) for version in sorted(CHANGED_IN.values(), reverse=True)],
        "chosen": filters.choice("to", str(NEWEST_KNOWN)),
    }
