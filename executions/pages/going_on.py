"""Where a person goes on once they have signed in, or signed in again."""

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, resolve_url
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _

from executions.accounts.confirmation import take_waiting_act, waiting_act
from executions.pages.wizard.views import carry_on


def wanted_page(request: HttpRequest) -> str:
    """The page in ``next``, if it is ours and no sign-in page; else the overview."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    allowed = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, request.is_secure())
    ways_in_and_out = (resolve_url("login"), resolve_url("logout"))
    if not allowed or urlsplit(wanted).path.startswith(ways_in_and_out):
        return resolve_url(settings.LOGIN_REDIRECT_URL)
    return wanted


def what_waits(request: HttpRequest) -> dict[str, Any]:
    """For a page that asks for a proof: the act that waits for it, and where to go on."""
    token = request.POST.get("act") or request.GET.get("act") or ""
    return {"next": wanted_page(request), "token": token, "act": waiting_act(request, token)}


def go_on(request: HttpRequest, token: str, wanted: str) -> HttpResponseBase:
    """Continue with the waiting act of this token, or else with the wanted page."""
    act = take_waiting_act(request, token)
    if act is not None:
        return carry_on(request, act)
    if token:
        messages.warning(
            request,
            _("Nothing was changed: what you sent has expired. Send it again."),
        )
    return redirect(wanted)
