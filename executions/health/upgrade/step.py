"""PURE: one step before or after an upgrade, and the state that it is in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from executions.health.remedies import Commands
from executions.text.sentences import Sentence, Text


class StepCode(StrEnum):
    """The steps in the order in which they are shown (docs/interfaces.md, ``checkupgrade``)."""

    TABLES = "tables"
    POSTGRESQL = "postgresql"
    EXTENSIONS = "extensions"
    GUARD = "guard"
    DAILY_JOBS = "daily_jobs"
    BACKUP = "backup"
    DURATION = "duration"
    UPGRADE = "upgrade"
    BACKFILL = "backfill"
    SCHEDULES = "schedules"
    WATCH = "watch"


class StepState(StrEnum):
    """``blocks`` makes the answer "not yet", ``unknown`` makes it "cannot tell"."""

    OK = "ok"
    INFO = "info"
    DO = "do"
    BLOCKS = "blocks"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class UpgradeStep:
    """A fact about the install, and what to do about it.

    ``reason`` follows "not yet, because" or "because" and has no full stop. ``commands`` are typed
    in a shell, by the place; ``statement`` is SQL for an administrator.
    """

    code: StepCode
    state: StepState
    summary: Text
    todo: Text | None = None
    reason: Sentence | None = None
    commands: Commands = field(default_factory=dict)
    statement: str = ""
    evidence: Mapping[str, object] = field(default_factory=dict)
