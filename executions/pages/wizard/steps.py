"""The four steps of the wizard, and at which of them a retirement stands."""

from __future__ import annotations

from enum import StrEnum

from executions.models.retirement import Retirement, RetirementState


class WizardStep(StrEnum):
    """The four steps of the wizard, a page each."""

    CHOOSE = "choose"
    CHECK = "check"
    CONFIRM = "confirm"
    WATCH = "watch"


def step_of(retirement: Retirement) -> WizardStep:
    """Where a retirement goes on: after a reload, in a second tab, for a second operator."""
    if retirement.state == RetirementState.CHOSEN:
        return WizardStep.CHECK
    return WizardStep.CONFIRM if retirement.state in Retirement.UNCHANGED else WizardStep.WATCH


def open_retirements() -> list[Retirement]:
    """Those that somebody has begun and nobody has ended, newest first."""
    return list(Retirement.objects.exclude(state__in=Retirement.ENDED).order_by("-pk"))
