"""The four steps of the wizard, and the step of each retirement."""

from enum import StrEnum

from executions.models.retirement import Retirement, RetirementState


class WizardStep(StrEnum):
    """The four steps of the wizard, a page each."""

    CHOOSE = "choose"
    CHECK = "check"
    CONFIRM = "confirm"
    WATCH = "watch"


def step_of(retirement: Retirement) -> WizardStep:
    """The step of a retirement: after a reload, in a second tab, for a second operator."""
    if retirement.state == RetirementState.CHOSEN:
        return WizardStep.CHECK
    return WizardStep.CONFIRM if retirement.state in Retirement.UNCHANGED else WizardStep.WATCH


def open_retirements() -> list[Retirement]:
    """The retirements that were begun and not ended, newest first."""
    return list(Retirement.objects.exclude(state__in=Retirement.ENDED).order_by("-pk"))
