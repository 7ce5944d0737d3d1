"""Signing in again: acts that change something ask for the password, and remember it 10 minutes.

An act that was sent too early waits in the session and is carried on by the right password, so
nothing is typed twice. It is bound to the account, to the page that names it, and to one use.
"""

from __future__ import annotations

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
    """Remember in the session that the person has just proved who they are."""
    request.session[_KEY] = time.time()


def is_confirmed(request: HttpRequest) -> bool:
    """Whether they did so within ``CONFIRMATION_SECONDS``."""
    return _is_recent(request.session.get(_KEY))


def _is_recent(then: object) -> bool:
    if not isinstance(then, int | float):
        return False
    return 0 <= time.time() - then < settings.CONFIRMATION_SECONDS


def confirmation_required(
    view: Callable[Concatenate[HttpRequest, Arguments], HttpResponseBase],
) -> Callable[Concatenate[HttpRequest, Arguments], HttpResponseBase]:
    """Send whoever has not signed in again lately to do so, and then back to where they were.

    A refused POST is not replayed: after signing in again the page shows, and they press again.
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
    """Where to do so, and the page to go on with afterwards."""
    return HttpResponseRedirect(f"{reverse('confirm')}?{urlencode({'next': wanted})}")


@dataclass(frozen=True)
class WaitingAct:
    """An act of the wizard that waits for the password.

    ``what`` says to the person what the password carries on, and ``form`` is what they had sent.
    """

    action: str
    number: int
    what: str
    form: Mapping[str, str]


def ask_first(request: HttpRequest, act: WaitingAct, back: str) -> HttpResponseRedirect:
    """Have the act wait, and ask for the password; ``back`` is where to go without it."""
    token = secrets.token_urlsafe(16)
    waiting = {"token": token, "user": request.user.pk, "at": time.time(), **asdict(act)}
    request.session[_WAITING] = waiting
    query = urlencode({"next": back, "act": token})
    return HttpResponseRedirect(f"{reverse('confirm')}?{query}")


def waiting_act(request: HttpRequest, token: str) -> WaitingAct | None:
    """The act of that token; None if it is another account's, is old, or is not there any more."""
    waiting = request.session.get(_WAITING)
    if not isinstance(waiting, dict) or not _is_recent(waiting.get("at")):
        return None
    if waiting.get("user") != request.user.pk:
        return None
    if not constant_time_compare(str(waiting.get("token")), token):
        return None
    return WaitingAct(**{name: waiting[name] for name in WaitingAct.__dataclass_fields__})


def take_waiting_act(request: HttpRequest, token: str) -> WaitingAct | None:
    """The same, and from now on it waits no more."""
    act = waiting_act(request, token)
    if act is not None:
        del request.session[_WAITING]
    return act
