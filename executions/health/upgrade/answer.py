"""PURE: is an upgrade safe: facts and a target in, a sentence and the steps out."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from executions.health.upgrade.case import UpgradeCase
from executions.health.upgrade.changes import ChangeAhead, changes_ahead
from executions.health.upgrade.facts import Upgraded, UpgradeFacts
from executions.health.upgrade.of_migration import daily_jobs, guard
from executions.health.upgrade.of_rollup import backfill, duration, schedules, tables, watch
from executions.health.upgrade.of_server import backup, extensions, postgresql, upgrade
from executions.health.upgrade.step import StepState, UpgradeStep
from executions.rollup.versions import NEWEST_KNOWN, Change, Range, Version
from executions.text.problem import Problem
from executions.text.sentences import At, Sentence, Text, say, together

_STEPS: tuple[Callable[[UpgradeCase], UpgradeStep | None], ...] = (
    tables, postgresql, extensions, guard, daily_jobs, backup, duration, upgrade, backfill,
    schedules, watch,
)  # fmt: skip

# A backend needs at most so long from its migrations to its first claim.
_STARTS_WITHIN = timedelta(minutes=5)

# What no database tells.
UNKNOWABLE: tuple[Promise, ...] = (
    _(
        "Which version the backend runs now. The tables only tell which migrations ran; look at"
        " the backend's image or its log."
    ),
    _(
        "Which image tag your deployment pins (MULTICA_IMAGE_TAG in .env, images.backend.tag in"
        " the chart's values). A pinned tag is not upgraded by pulling again."
    ),
    _(
        "What calls the rollup from outside: cron entries, timers and CronJobs leave no trace but"
        " their effect."
    ),
    _("Whether there is a backup, and whether it can be restored."),
    _(
        "What the versions change elsewhere in Multica. Only the rollup is judged here, so read"
        " the release notes too."
    ),
)


class UpgradeOutcome(StrEnum):
    SAFE = "safe"
    NOT_YET = "not_yet"
    UNKNOWN = "unknown"

    @property
    def exit_status(self) -> int:
        """docs/interfaces.md, ``checkupgrade``."""
        return {UpgradeOutcome.SAFE: 0, UpgradeOutcome.NOT_YET: 1, UpgradeOutcome.UNKNOWN: 3}[self]


@dataclass(frozen=True)
class UpgradeAnswer:
    """``after`` says how the latest upgrade went; None if nobody can tell when it was.

    ``limit`` says how far the changes are known, if the target is newer. ``versions`` is None if
    this is not Multica's database, or it cannot be asked.
    """

    outcome: UpgradeOutcome
    summary: Text
    target: Version
    now: datetime | None = None
    versions: Range | None = None
    changes: tuple[ChangeAhead, ...] = ()
    steps: tuple[UpgradeStep, ...] = ()
    after: Sentence | None = None
    upgraded: Upgraded | None = None
    limit: Sentence | None = None

    @property
    def unknowable(self) -> tuple[Promise, ...]:
        return UNKNOWABLE


def judge(facts: UpgradeFacts, target: Version = NEWEST_KNOWN) -> UpgradeAnswer:
    if isinstance(facts.versions, Problem) or facts.now is None:
        why = facts.versions if isinstance(facts.versions, Problem) else None
        reason = why.sentence() if why else ""
        return UpgradeAnswer(
            UpgradeOutcome.UNKNOWN,
            say("We cannot tell whether an upgrade is safe. %(reason)s", reason=reason),
            target,
            limit=_limit(target),
        )
    case = UpgradeCase(facts, facts.versions, facts.now, target)
    steps = tuple(step for make in _STEPS if (step := make(case)) is not None)
    if steps[0].state is StepState.BLOCKS:
        steps = steps[:1]  # nothing else can be said of a way back
    outcome = _outcome(steps)
    changes = changes_ahead(facts.versions, target)
    upgraded = facts.upgraded if isinstance(facts.upgraded, Upgraded) else None
    return UpgradeAnswer(
        outcome=outcome,
        summary=_summary(outcome, steps, changes, case),
        target=target,
        now=facts.now,
        versions=facts.versions,
        changes=changes,
        steps=steps,
        after=_after(case, changes, upgraded),
        upgraded=upgraded,
        limit=_limit(target),
    )


def _outcome(steps: tuple[UpgradeStep, ...]) -> UpgradeOutcome:
    states = {step.state for step in steps}
    if StepState.BLOCKS in states:
        return UpgradeOutcome.NOT_YET
    return UpgradeOutcome.UNKNOWN if StepState.UNKNOWN in states else UpgradeOutcome.SAFE


def _summary(
    outcome: UpgradeOutcome,
    steps: tuple[UpgradeStep, ...],
    changes: tuple[ChangeAhead, ...],
    case: UpgradeCase,
) -> Text:
    target = str(case.target)
    if outcome is UpgradeOutcome.SAFE:
        return together(
            say(
                "Safe: the upgrade to %(target)s can begin as soon as there is a backup.",
                target=target,
            ),
            _what_lies_between(changes, target),
        )
    state = StepState.BLOCKS if outcome is UpgradeOutcome.NOT_YET else StepState.UNKNOWN
    reasons = [step.reason for step in steps if step.state is state and step.reason is not None]
    first, more = reasons[0], len(reasons) - 1
    said = (
        say("Not yet, because %(reason)s.", reason=first)
        if outcome is UpgradeOutcome.NOT_YET
        else say(
            "We cannot tell whether the upgrade to %(target)s is safe, because %(reason)s.",
            target=target,
            reason=first,
        )
    )
    others = say("There are further reasons below (%(more)s).", more=more) if more else None
    return together(said, others)


def _what_lies_between(changes: tuple[ChangeAhead, ...], target: str) -> Sentence | None:
    if any(ahead.is_certain for ahead in changes):
        return None
    return say(
        "The tables already have every change up to %(target)s that shows in them.",
        target=target,
    )


def _after(
    case: UpgradeCase, changes: tuple[ChangeAhead, ...], upgraded: Upgraded | None
) -> Sentence | None:
    if upgraded is None or not case.versions.has(Change.SCHEDULER):
        return None
    values = {
        "migrated": At(upgraded.migrated_at, case.now),
        "success": At(upgraded.oldest_success or case.now, case.now),
    }
    if upgraded.may_be_deleted:
        return say(
            "Migrations last ran at %(migrated)s. The first success after that is not on record"
            " any more; the oldest that is ended at %(success)s.",
            **values,
        )
    if upgraded.first_success is None:
        within = case.facts.spec.cadence + case.facts.spec.schedule_delay + _STARTS_WITHIN
        if case.now - upgraded.migrated_at <= within:
            return say(
                "Migrations ran at %(migrated)s. The first success of the rollup is still to come.",
                **values,
            )
        return say(
            "Migrations ran at %(migrated)s, and the rollup has not succeeded since. Look at"
            " the overview for the reason.",
            **values,
        )
    if any(ahead.is_certain for ahead in changes):
        return say("Migrations last ran at %(migrated)s; first SUCCESS at %(success)s.", **values)
    return say("Upgraded at %(migrated)s; first SUCCESS at %(success)s.", **values)


def _limit(target: Version) -> Sentence | None:
    if target <= NEWEST_KNOWN:
        return None
    return say(
        "This release of Multica Admin knows what Multica changed up to %(known)s. What came"
        " after that, up to %(target)s, is not judged.",
        known=str(NEWEST_KNOWN),
        target=str(target),
    )
