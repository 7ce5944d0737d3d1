"""The retirement wizard: choose, check, confirm, watch. Plain pages and plain forms.

A GET changes nothing. A POST takes one step of `executions/retirement/` and redirects to a page
that shows the present state. That page says what was refused, whatever the form or the old page
claimed.
"""

from collections.abc import Callable
from functools import wraps
from urllib.parse import urlencode

import psycopg
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST, require_safe

from executions.accounts.confirmation import WaitingAct, ask_first, is_confirmed
from executions.accounts.requests import LiveRequest
from executions.accounts.roles import operators_only
from executions.alarms.undelivered import why_untold
from executions.database.problems import diagnose
from executions.models.retirement import Act, CallerKind, Retirement, RetirementState
from executions.pages import mistyped
from executions.pages.live import answer, shared
from executions.pages.wizard.checked import read_checked
from executions.pages.wizard.requests import require_permission, where_it_is, who
from executions.pages.wizard.steps import WizardStep, step_of
from executions.pages.wizard.watched import read_watched
from executions.retirement import acts, by_hand, external, moved, rules, wizard
from executions.retirement.acts import Order
from executions.retirement.forms import ConfirmedName
from executions.retirement.outside import outside_of
from executions.retirement.refusals import Refused, Unknown, WrongName

# --- The pages ------------------------------------------------------------------------------------


@operators_only
@require_safe
def retire_at(request: HttpRequest, number: int) -> HttpResponse:
    """Redirect to the present step of this retirement."""
    return where_it_is(get_object_or_404(Retirement, pk=number))


@operators_only
@require_safe
def retire_check(request: LiveRequest, number: int) -> HttpResponse:
    """The second step: every gate, live.

    Raises:
        psycopg.Error: pg_cron's database cannot be reached or asked; the page says so.
    """
    retirement = get_object_or_404(Retirement, pk=number)
    if retirement.kind != CallerKind.PG_CRON or (
        not request.htmx and step_of(retirement) == WizardStep.WATCH
    ):
        return where_it_is(retirement)
    shown = shared(request, "", lambda: read_checked(retirement))
    return answer(request, "wizard/check", shown, {"step": WizardStep.CHECK})


@operators_only
@require_safe
def retire_confirm(request: HttpRequest, number: int) -> HttpResponse:
    """The third step: the exact statement, what changes, how to undo it, and three ways to go.

    Raises:
        psycopg.Error: pg_cron's database cannot be reached or asked; the page says so.
    """
    retirement = get_object_or_404(Retirement, pk=number)
    context: dict[str, object] = {"step": WizardStep.CONFIRM, "retirement": retirement}
    context["why_untold"] = why_untold()
    if retirement.kind != CallerKind.PG_CRON and retirement.state == RetirementState.BY_HAND:
        context["outside"] = outside_of(retirement)
        found = external.how_long(rules.current())
        context["quiet"] = found[0].summary(found[1]) if found else None
        return render(request, "executions/wizard/outside.html", context)
    if retirement.state not in {
        RetirementState.CONFIRMED,
        RetirementState.BY_HAND,
        RetirementState.TRIAL_PASSED,
    }:
        return where_it_is(retirement)
    check = read_checked(retirement)
    context |= {"check": check, "is_confirmed": is_confirmed(request)}
    context["mistyped"] = mistyped.take(request, check)
    page = "by_hand" if retirement.state == RetirementState.BY_HAND else "confirm"
    return render(request, f"executions/wizard/{page}.html", context)


@operators_only
@require_safe
def retire_watch(request: LiveRequest, number: int) -> HttpResponse:
    """The fourth step: the result, and how to undo it."""
    retirement = get_object_or_404(Retirement, pk=number)
    if not request.htmx and step_of(retirement) != WizardStep.WATCH:
        return where_it_is(retirement)
    shown = shared(request, "", lambda: read_watched(retirement))
    return answer(request, "wizard/watch", shown, {"step": WizardStep.WATCH})


@operators_only
@require_safe
def retire_stuck(request: HttpRequest, number: int) -> HttpResponse:
    """Whether it can never continue, and then the way to close it."""
    retirement = get_object_or_404(Retirement, pk=number)
    context: dict[str, object] = {"step": WizardStep.WATCH, "retirement": retirement}
    try:
        context["why"] = moved.why_stuck(retirement)
    except psycopg.Error as error:
        context["problem"] = diagnose(error)
    context["left_behind"] = moved.left_behind(retirement)
    return render(request, "executions/wizard/moved.html", context)


# --- The steps that only go into our own record ---------------------------------------------------


Take = Callable[[HttpRequest, Retirement], str | None]
View = Callable[..., HttpResponseBase]


def _step(action: str) -> Callable[[Take], View]:
    """A POST that takes a step and redirects to the present page of the retirement.

    The page shows the step's message, or why it was refused. ``action`` is the audit's word for it.
    """

    def decorate(take: Take) -> View:
        @require_POST
        @wraps(take)
        def taken(request: HttpRequest, number: int) -> HttpResponse:
            retirement = get_object_or_404(Retirement, pk=number)
            require_permission(request, action, retirement)
            try:
                said = take(request, retirement)
            except Unknown as reason:
                messages.warning(request, str(reason))
            except WrongName as refusal:
                kept = {"typed": _confirmed_name(request)["typed"], "why": who(request).why}
                mistyped.keep(request, retirement, way=action, said=str(refusal), **kept)
            except Refused as refusal:
                messages.error(request, str(refusal))
            else:
                if said:
                    messages.success(request, said)
            retirement.refresh_from_db()
            return where_it_is(retirement)

        return taken

    return decorate


# The acts by their word.
_ACTS: dict[str, View] = {}


def _act(action: Act.Kind, sentence: Promise) -> Callable[[Take], View]:
    """A step that changes something in pg_cron. It needs a password from a moment ago.

    ``sentence`` says what waits for the password.
    """

    def decorate(take: Take) -> View:
        step = _step(action)(take)

        @require_POST
        @wraps(take)
        def taken(request: HttpRequest, number: int) -> HttpResponseBase:
            if is_confirmed(request):
                return step(request, number)
            retirement = get_object_or_404(Retirement, pk=number)
            require_permission(request, action, retirement)
            what = str(sentence) % {"job": _job_in_words(retirement)}
            act = WaitingAct(action, number, what, ConfirmedName.as_sent(request.POST))
            return ask_first(request, act, reverse("retire_at", args=[number]))

        _ACTS[action] = taken
        return taken

    return decorate


def _job_in_words(retirement: Retirement) -> str:
    """Its number, and its name if it has one."""
    name = retirement.job.get("jobname") if retirement.job else None
    return f"{retirement.label} ({name})" if name else retirement.label


def carry_on(request: HttpRequest, act: WaitingAct) -> HttpResponseBase:
    """Carry out the act that waited for the password, as if its form were sent now.

    Somebody who comes back from an identity provider comes by GET.
    """
    request.method = "POST"
    request.POST = QueryDict(urlencode(act.form))
    return _ACTS[act.action](request, act.number)


@_step("affirm")
def affirm(request: HttpRequest, retirement: Retirement) -> str:
    """Put on record that this installation's own runner stays."""
    if request.POST.get("stays") != "yes":
        raise Refused(_("Tick the box to put it on record. Nothing was changed."))
    wizard.affirm(who(request), retirement)
    return _("It is on record that this installation's own runner stays.")


@_step("confirm")
def checked(request: HttpRequest, retirement: Retirement) -> None:
    """From checking to confirming: the job as it is now becomes the confirmed job."""
    wizard.confirm(who(request), retirement, rules.current())


@_step("close")
def close(request: HttpRequest, retirement: Retirement) -> str:
    """Drop a retirement that has changed nothing."""
    wizard.close(who(request), retirement)
    return _("Dropped. Nothing was changed.")


@_step(moved.MOVED)
def close_as_moved(request: HttpRequest, retirement: Retirement) -> str:
    """End the record of a retirement whose database moved or is gone."""
    moved.close_as_moved(who(request), retirement)
    return _("Closed as moved. Nothing was changed in pg_cron.")


# --- The three ways, and the way back -------------------------------------------------------------


@_act(Act.Kind.PAUSE, gettext_lazy("Pause %(job)s"))
def pause(request: HttpRequest, retirement: Retirement) -> str:
    """Deactivate the job on trial."""
    acts.pause(_order(request, retirement), **_confirmed_name(request))
    return _("%(job)s is paused.") % {"job": retirement.label}


@_act(Act.Kind.REMOVE, gettext_lazy("Remove %(job)s"))
def remove(request: HttpRequest, retirement: Retirement) -> str:
    """Unschedule the job."""
    accepted = _accepted(request)
    acts.remove(_order(request, retirement), **_confirmed_name(request), accepted=accepted)
    return _("%(job)s is removed.") % {"job": retirement.label}


@_act(Act.Kind.ACTIVATE, gettext_lazy("Activate %(job)s again"))
def activate(request: HttpRequest, retirement: Retirement) -> str:
    """End a trial by activating the job again."""
    reason = _("%(who)s ended the trial.") % {"who": request.user.get_username()}
    acts.activate(_order(request, retirement), reason=reason)
    return _("%(job)s is active again.") % {"job": retirement.label}


@_act(Act.Kind.PUT_BACK, gettext_lazy("Put %(job)s back"))
def put_back(request: HttpRequest, retirement: Retirement) -> str:
    """Schedule a removed job again exactly as it was."""
    acts.put_back(_order(request, retirement))
    return _("It is scheduled again, as job %(jobid)s.") % {"jobid": retirement.put_back_jobid}


@_step(by_hand.REMOVED_BY_HAND)
def by_myself(request: HttpRequest, retirement: Retirement) -> None:
    """The operator will run the statement."""
    fingerprint = _confirmed_name(request)["fingerprint"]
    by_hand.begin(
        who(request),
        retirement,
        fingerprint=fingerprint,
        rules=rules.current(),
        accepted=_accepted(request),
    )


@_step(by_hand.REMOVED_BY_HAND)
def ran_it(request: HttpRequest, retirement: Retirement) -> str:
    """The operator has run it, in the database or outside of it."""
    if retirement.kind == CallerKind.PG_CRON:
        by_hand.ran_it(who(request), retirement)
        return _("%(job)s is gone.") % {"job": retirement.label}
    external.ran_it(who(request), retirement, rules.current())
    return _("It is on record. Whether it is gone shows in the plans that follow.")


@_step(external.CONFIRMED_GONE)
def gone(request: HttpRequest, retirement: Retirement) -> str:
    """The operator says that an outside caller is gone, where nothing proves it."""
    external.confirm_gone(who(request), retirement)
    return _("It is on record that you confirm that it is gone.")


@_step(by_hand.PUT_BACK_BY_HAND)
def brought_back(request: HttpRequest, retirement: Retirement) -> str:
    """The operator has put the schedule back without the wizard."""
    if retirement.kind == CallerKind.PG_CRON:
        by_hand.put_back_done(who(request), retirement)
        return _("It is scheduled again, as job %(jobid)s.") % {"jobid": retirement.put_back_jobid}
    external.put_back_done(who(request), retirement)
    return _("It is on record that the schedule is back.")


def _order(request: HttpRequest, retirement: Retirement) -> Order:
    return Order(who(request), retirement, rules.current())


def _confirmed_name(request: HttpRequest) -> dict[str, str]:
    """The fields of the confirmation form. An empty name is compared and refused."""
    form = ConfirmedName(request.POST)
    form.is_valid()
    values = form.cleaned_data
    return {name: str(values.get(name, "")) for name in ("typed", "fingerprint")}


def _accepted(request: HttpRequest) -> bool:
    """Whether the operator ticked that the job cannot be put back as it is."""
    form = ConfirmedName(request.POST)
    form.is_valid()
    return bool(form.cleaned_data.get("accepted"))
