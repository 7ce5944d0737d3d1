"""Signing in again: an act that changes something needs a password from the last 10 minutes.

An act that comes without it waits in the session, and the right password carries it out, so nothing
is typed twice. A waiting act is bound to the account, to the page that names it, and to one use.
"""

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import wraps
from typing import Concatenate, ParamSpec
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils.crypto import constant_time_compare

Arguments = ParamSpec("Arguments")
_KEY = "confirmed_at"
_WAITING = "waiting_act"


def confirm(request: HttpRequest) -> None:
    """Remember in the session that this person has just given the password."""
    request.session[_KEY] = time.time()


def is_confirmed(request: HttpRequest) -> bool:
    """Whether the person gave the password within ``CONFIRMATION_SECONDS``."""
    return _is_recent(request.session.get(_KEY))


def _is_recent(then: object) -> bool:
    if not isinstance(then, int | float):
        return False
    return 0 <= time.time() - then < settings.CONFIRMATION_SECONDS


def confirmation_required(
    view: Callable[Concatenate[HttpRequest, Arguments], HttpResponseBase],
) -> Callable[Concatenate[HttpRequest, Arguments], HttpResponseBase]:
    """Ask for the password if it was not given lately, and then return to the same page.

    A refused POST is not replayed: after the password the page shows, and the person presses again.
    """

    @wraps(view)
    def confirmed(
        request: HttpRequest, /, *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> HttpResponseBase:
        if is_confirmed(request):
            return view(request, *args, **kwargs)
        if getattr(request, "htmx", False):
            return HttpResponse("Sign in again first.\n", status=403, content_type="text/plain")
        return to_sign_in_again(request.get_full_path())

    return confirmed


def to_sign_in_again(wanted: str) -> HttpResponseRedirect:
    """Redirect to the password page, with the page to continue with."""
    return HttpResponseRedirect(f"{reverse('confirm')}?{urlencode({'next': wanted})}")


@dataclass(frozen=True)
class WaitingAct:
    """An act of the wizard that waits for the password.

    ``what`` tells the person what the password carries out. ``form`` is the form that was sent.
    """

    action: str
    number: int
    what: str
    form: Mapping[str, str]


def ask_first(request: HttpRequest, act: WaitingAct, back: str) -> HttpResponseRedirect:
    """Let the act wait and ask for the password. ``back`` is the page to return to without it."""
    token = secrets.token_urlsafe(16)
    waiting = {"token": token, "user": request.user.pk, "at": time.time(), **asdict(act)}
    request.session[_WAITING] = waiting
    query = urlencode({"next": back, "act": token})
    return HttpResponseRedirect(f"{reverse('confirm')}?{query}")


def waiting_act(request: HttpRequest, token: str) -> WaitingAct | None:
    """The act of this token; None if it is another account's, too old or already used."""
    waiting = request.session.get(_WAITING)
    if not isinstance(waiting, dict) or not _is_recent(waiting.get("at")):
        return None
    if waiting.get("user") != request.user.pk:
        return None
    if not constant_time_compare(str(waiting.get("token")), token):
        return None
    return WaitingAct(**{name: waiting[name] for name in WaitingAct.__dataclass_fields__})


def take_waiting_act(request: HttpRequest, token: str) -> WaitingAct | None:
    """The act of this token, which then waits no longer."""
    act = waiting_act(request, token)
    if act is not None:
        del request.session[_WAITING]
    return act
