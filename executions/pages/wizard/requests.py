"""What every form of the wizard needs: who sent it, whether they may, and where it leads."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from executions.accounts.roles import OPERATOR, RoleNeeded
from executions.models.retirement import Retirement
from executions.pages.wizard.steps import step_of
from executions.retirement import audit, wizard
from executions.retirement.forms import why_of
from executions.retirement.refusals import NotPermitted


def who(request: HttpRequest) -> audit.Who:
    """Who sent the form, with the reason that the form gives."""
    return audit.Who.user(request.user, why_of(request.POST))


def require_permission(request: HttpRequest, action: str, about: Retirement | str) -> None:
    """Refuse a form that outlived its account's permission, and log that.

    Raises:
        RoleNeeded: the account is no operator, or no longer.
    """
    try:
        with wizard.on_record(who(request), action, about):
            return  # it has checked the permission
    except NotPermitted as refusal:
        raise RoleNeeded(OPERATOR, str(refusal)) from refusal


def where_it_is(retirement: Retirement) -> HttpResponse:
    return redirect(f"retire_{step_of(retirement)}", retirement.pk)
