"""The page of silences, and the forms that begin and end one."""

from datetime import timedelta

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST

from executions.accounts.requests import LiveRequest
from executions.accounts.roles import OPERATE, OPERATOR, RoleNeeded, operators_only
from executions.alarms.silence import said
from executions.alarms.silences import begin, lift
from executions.pages.history.filters import parse
from executions.pages.live import answer, shared
from executions.pages.silences.reader import (
    may_be_acknowledged,
    present_verdict,
    read_silences,
)
from executions.retirement import audit
from executions.retirement.forms import LONGEST_WHY, why_of
from executions.retirement.refusals import Refused

_IDS = "silence-%s"
_SPANS = (
    ("", gettext_lazy("it clears or gets worse (for a finding)")),
    ("30", gettext_lazy("30 minutes from now")),
    ("60", gettext_lazy("1 hour from now")),
    ("120", gettext_lazy("2 hours from now")),
    ("240", gettext_lazy("4 hours from now")),
    ("480", gettext_lazy("8 hours from now")),
    ("1440", gettext_lazy("24 hours from now")),
)


def _subjects() -> list[tuple[str, str]]:
    about = [
        (code, _("messages about “%(finding)s”") % {"finding": title})
        for code, title in may_be_acknowledged()
    ]
    return [("", _("every message")), *about]


class BeginSilence(forms.Form):
    """What to silence, until when, and why."""

    code = forms.ChoiceField(label=gettext_lazy("Hold back"), required=False, choices=_subjects)
    minutes = forms.ChoiceField(
        label=gettext_lazy("Until"), required=False, choices=_SPANS, initial="60"
    )
    why = forms.CharField(
        label=gettext_lazy("Why, for everybody who waits for a message"),
        max_length=LONGEST_WHY,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )


@require_http_methods(["GET", "HEAD", "POST"])
def silences(request: LiveRequest) -> HttpResponse:
    """What is silenced, and for operators the form that begins a silence."""
    if request.method == "POST":
        if not request.user.has_perm(OPERATE):
            raise RoleNeeded(OPERATOR)
        form = BeginSilence(request.POST, auto_id=_IDS)
        if form.is_valid() and _began(request, form):
            return redirect("silences")
    else:
        parse(request.META.get("QUERY_STRING", ""), names=())
        form = BeginSilence(auto_id=_IDS)
    shown = shared(request, "", read_silences)
    return answer(request, "silences/silences", shown, {"form": form})


def _began(request: HttpRequest, form: BeginSilence) -> bool:
    given = form.cleaned_data
    who = audit.Who.user(request.user, why_of(request.POST))
    span = timedelta(minutes=int(given["minutes"])) if given["minutes"] else None
    try:
        silence = begin(who, code=given["code"], span=span, verdict=present_verdict())
    except Refused as refusal:
        form.add_error(None, str(refusal))
        return False
    messages.success(request, str(said(silence, silence.begun_at)))
    return True


@operators_only
@require_POST
def end_silence(request: HttpRequest, number: int) -> HttpResponse:
    if lift(audit.Who.user(request.user, why_of(request.POST)), number):
        messages.success(request, _("The silence is over. Messages are sent again."))
    else:
        messages.info(request, _("That silence was over already."))
    return redirect("silences")
