"""A mistyped name in the wizard, kept in the session for the page that shows its field.

It does not judge names.
"""

from django.contrib import messages
from django.http import HttpRequest

from executions.models.retirement import Act, Retirement, RetirementState
from executions.pages.wizard.checked import Checked

_KEY = "mistyped"


def keep(
    request: HttpRequest, retirement: Retirement, *, way: str, typed: str, why: str, said: str
) -> None:
    """Keep what was typed for which way, the reason given, and what is wrong with the name."""
    kept = {"number": retirement.pk, "way": way, "typed": typed, "why": why, "said": said}
    request.session[_KEY] = kept


def take(request: HttpRequest, checked: Checked) -> dict[str, object]:
    """Take what was kept for this retirement, once; empty if there is nothing.

    If the page no longer has such a field, the error becomes a message above it.
    """
    kept: dict[str, object] = request.session.get(_KEY) or {}
    if kept.get("number") != checked.retirement.pk:
        return {}
    del request.session[_KEY]
    if not _has_field(checked, kept["way"]):
        messages.error(request, str(kept["said"]))
    return kept


def _has_field(checked: Checked, way: object) -> bool:
    """Whether ``confirm.html`` has a form for that way."""
    state, judged = checked.retirement.state, checked.check
    if way == Act.Kind.PAUSE:
        return judged.trial and state == RetirementState.CONFIRMED
    return judged.retirable and state != RetirementState.BY_HAND
