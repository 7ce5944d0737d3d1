"""Tags of the wizard, the schedules and the audit: their badges, and what a run says."""

from datetime import datetime, timedelta

from django import template
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from executions.models.retirement import AuditEvent, Retirement, RetirementState
from executions.pages.audit.lines import action_in_words
from executions.pages.display import Badge, drawn_badge, icon, look
from executions.pages.overview.evidence import label, worded
from executions.pages.wizard.steps import WizardStep
from executions.pgcron.job import RunDetails
from executions.retirement.gates.gate import Gate
from executions.text.sentences import listed

register = template.Library()
register.filter("action_in_words", action_in_words)

STATES: dict[str, Badge] = {
    RetirementState.CHOSEN: Badge(RetirementState.CHOSEN.label, "mute", "list-details"),
    RetirementState.CONFIRMED: Badge(RetirementState.CONFIRMED.label, "busy", "shield-check"),
    RetirementState.BY_HAND: Badge(RetirementState.BY_HAND.label, "warn", "user"),
    RetirementState.TRIAL: Badge(RetirementState.TRIAL.label, "busy", "clock"),
    RetirementState.TRIAL_PASSED: Badge(RetirementState.TRIAL_PASSED.label, "good", "check"),
    RetirementState.WATCHING: Badge(RetirementState.WATCHING.label, "busy", "activity"),
    RetirementState.VERIFIED: Badge(RetirementState.VERIFIED.label, "good", "circle-check"),
    RetirementState.CONFIRMED_GONE: Badge(RetirementState.CONFIRMED_GONE.label, "good", "user"),
    RetirementState.WORSE: Badge(RetirementState.WORSE.label, "bad", "circle-x"),
    RetirementState.OTHER_CALLER: Badge(
        RetirementState.OTHER_CALLER.label, "warn", "alert-triangle"
    ),
    RetirementState.TRIAL_ENDED: Badge(
        RetirementState.TRIAL_ENDED.label, "mute", "rotate-clockwise"
    ),
    RetirementState.PUT_BACK: Badge(RetirementState.PUT_BACK.label, "mute", "arrow-back-up"),
    RetirementState.CLOSED: Badge(RetirementState.CLOSED.label, "mute", "x"),
    RetirementState.MOVED: Badge(RetirementState.MOVED.label, "mute", "x"),
}
OUTCOMES: dict[str, Badge] = {
    AuditEvent.Outcome.INTENDED: Badge(pgettext_lazy("outcome", "Intended"), "busy", "player-play"),
    AuditEvent.Outcome.DONE: Badge(pgettext_lazy("outcome", "Done"), "good", "check"),
    AuditEvent.Outcome.REFUSED: Badge(pgettext_lazy("outcome", "Refused"), "warn", "ban"),
    AuditEvent.Outcome.FAILED: Badge(pgettext_lazy("outcome", "Failed"), "bad", "x"),
}
# The badges of pg_cron's words for runs and the watch's words for plans.
RUNS: dict[str, Badge] = {
    "succeeded": Badge(_("succeeded"), "good", "check"),
    "failed": Badge(_("failed"), "bad", "x"),
    "kept": Badge(_("kept"), "good", "check"),
    "kept_late": Badge(_("kept late"), "good", "check"),
    "retried": Badge(_("kept after a retry"), "good", "refresh"),
    "running": Badge(_("running"), "busy", "player-play"),
    "waiting": Badge(_("not due yet"), "mute", "clock"),
    "missing": Badge(_("missed"), "bad", "question-mark"),
    "stale": Badge(_("abandoned"), "bad", "hourglass-empty"),
}
STEPS = (
    (WizardStep.CHOOSE, pgettext_lazy("step of the wizard", "Choose")),
    (WizardStep.CHECK, pgettext_lazy("step of the wizard", "Check")),
    (WizardStep.CONFIRM, pgettext_lazy("step of the wizard", "Confirm")),
    (WizardStep.WATCH, pgettext_lazy("step of the wizard", "Watch")),
)


@register.simple_tag
def state_badge(retirement: Retirement) -> SafeString:
    return drawn_badge(STATES[retirement.state])


@register.simple_tag
def outcome_badge(outcome: str) -> SafeString:
    """The outcome of a recorded action."""
    return drawn_badge(look(outcome, OUTCOMES))


@register.filter
def outcome_in_words(outcome: str) -> str:
    """The label of an outcome, for a place without a badge."""
    return str(look(outcome, OUTCOMES).label)


@register.simple_tag
def run_badge(word: str) -> SafeString:
    """How a run of pg_cron's ended, or the result of a watched plan."""
    return drawn_badge(look(word, RUNS))


@register.filter
def state_tone(retirement: Retirement) -> str:
    return STATES[retirement.state].tone


@register.filter
def state_icon(retirement: Retirement) -> SafeString:
    return icon(STATES[retirement.state].icon)


@register.filter
def took_ms(run: RunDetails) -> float | None:
    """How long a run of pg_cron's took, in milliseconds; None if not known yet."""
    if run.started_at is None or run.ended_at is None:
        return None
    return (run.ended_at - run.started_at) / timedelta(milliseconds=1)


@register.filter
def gate_evidence(gate: Gate) -> list[tuple[str, object, bool]]:
    """The evidence of a gate: label, value, and whether it is a time. Empty values are out."""
    return [
        (label(name), value if isinstance(value, datetime) else _told(name, value),
         isinstance(value, datetime))
        for name, value in gate.evidence.items()
        if value not in (None, "", [], {})
    ]  # fmt: skip


def _told(name: str, value: object) -> str:
    if isinstance(value, list):
        return str(listed(_told(name, one) for one in value))
    if isinstance(value, dict):
        told = ((label(key), _told(key, one)) for key, one in value.items() if one is not None)
        return str(listed(f"{key} {one}" for key, one in told))
    return worded(name, value)


@register.inclusion_tag("executions/wizard/_steps.html")
def wizard_steps(step: WizardStep) -> dict[str, object]:
    """The four steps, with the present page's step."""
    here = [name for name, _label in STEPS].index(step)
    return {
        "steps": [
            {"label": label, "is_done": index < here, "is_here": index == here}
            for index, (_name, label) in enumerate(STEPS)
        ]
    }
