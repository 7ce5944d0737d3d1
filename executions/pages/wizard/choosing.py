"""The first step of the wizard: a pg_cron job, a named schedule, or one of a report."""

from collections.abc import Callable

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from executions.accounts.requests import LiveRequest
from executions.accounts.roles import operators_only
from executions.models.retirement import CallersReport, Retirement
from executions.pages.history.filters import parse
from executions.pages.schedules.reader import read_schedules
from executions.pages.wizard.requests import require_permission, where_it_is, who
from executions.pages.wizard.steps import WizardStep, open_retirements
from executions.retirement import external, found, wizard
from executions.retirement.callers_report import NotAReport, latest_reports
from executions.retirement.forms import OutsideSchedule
from executions.retirement.refusals import Refused


@operators_only
@require_safe
def retire(request: LiveRequest) -> HttpResponse:
    """The first step: what can be retired."""
    parse(request.META["QUERY_STRING"], names=())
    return _choose_page(request, OutsideSchedule())


def _choose_page(
    request: HttpRequest, form: OutsideSchedule, *, refused: str = "", status: int = 200
) -> HttpResponse:
    context = {
        "step": WizardStep.CHOOSE,
        "schedules": read_schedules(),
        "begun": open_retirements(),
        "form": form,
        "found": latest_reports(),
        "refused": refused,
        # Each kind has its own form on the page. The form of the sent kind shows what was sent.
        "outside": {form.data.get("kind", ""): form},
    }
    return render(request, "executions/wizard/choose.html", context, status=status)


def _begin(request: HttpRequest, choose: Callable[[], Retirement]) -> HttpResponse:
    """Show the present step of the chosen retirement; if it is refused, the first step says why."""
    try:
        return where_it_is(choose())
    except Refused as refusal:
        messages.error(request, str(refusal))
        return redirect("retire")


@require_POST
def choose(request: HttpRequest, jobid: int) -> HttpResponse:
    """Begin with a pg_cron job, or continue what somebody else has begun."""
    require_permission(request, "choose", f"pg_cron job {jobid}")
    return _begin(request, lambda: wizard.choose(who(request), jobid))


@require_POST
def choose_outside(request: HttpRequest, way: str) -> HttpResponse:
    """Begin with a schedule outside the database."""
    require_permission(request, "choose", way)
    form = OutsideSchedule({**request.POST.dict(), "kind": way})
    if not form.is_valid():
        return _choose_page(request, form, status=400)
    return _begin(request, lambda: external.choose(who(request), form.outside))


@require_http_methods(["GET", "HEAD", "POST"])
def upload_callers(request: HttpRequest) -> HttpResponse:
    """Keep a report of `findcallers`. A file that is no report is refused on the page itself.

    A GET, such as a reload of the page of a refusal, leads to the first step.
    """
    if request.method != "POST":
        return redirect("retire")
    require_permission(request, found.UPLOADED, "findcallers")
    uploaded = request.FILES.get("report")
    data = uploaded.read() if uploaded else b""
    try:
        report = found.keep(who(request), data)
    except NotAReport as refusal:
        return _choose_page(request, OutsideSchedule(), refused=str(refusal), status=400)
    except Refused as refusal:
        messages.error(request, str(refusal))
        return redirect("retire")
    messages.success(request, _("The report of %(host)s is kept.") % {"host": report.host})
    return redirect("retire")


@require_POST
def choose_found(request: HttpRequest, report: int, caller: int) -> HttpResponse:
    """Begin with a caller of a report, or continue what somebody else has begun."""
    require_permission(request, "choose", "findcallers")
    kept = get_object_or_404(CallersReport, pk=report)
    return _begin(request, lambda: found.choose_found(who(request), kept, caller))
