""" "Sign in again": acts that change something ask for the password, and remember it 10 minutes."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse

Arguments = ParamSpec("Arguments")
_KEY = "confirmed_at"


def confirm(request: HttpRequest) -> None:
    """Remember in the session that the person has just proved who they are."""
    request.session[_KEY] = time.time()


def is_confirmed(request: HttpRequest) -> bool:
    """Whether they did so within ``CONFIRMATION_SECONDS``."""
    confirmed_at = request.session.get(_KEY)
    if not isinstance(confirmed_at, int | float):
        return False
    return 0 <= time.time() - confirmed_at < settings.CONFIRMATION_SECONDS


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
