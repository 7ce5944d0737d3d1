"""Browsers in which an account has signed in with its password, and a count of guesses for each.

Somebody who guesses at the account elsewhere therefore cannot keep it from signing in here. A
signed cookie marks such a browser for ``KEPT``, or until the account has another password. It lets
nobody in: the page still asks for the password.
"""

import secrets
from datetime import timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare

from executions.accounts.guessing import is_one_account

COOKIE = "multica_admin_device"
KEPT = timedelta(days=30)


def known_device(request: HttpRequest, name: str) -> str:
    """The id of this browser if the account of that name signed in here; empty otherwise.

    Only who has such a cookie costs a look at the accounts, so the time tells strangers nothing.
    """
    given = request.get_signed_cookie(COOKIE, "", salt=__name__, max_age=KEPT)
    if not given:
        return ""
    pk, device, password = given.split(":")
    user = User.objects.filter(pk=pk).first()
    if user is None or not is_one_account(user.get_username(), name):
        return ""
    return device if constant_time_compare(password, user.get_session_auth_hash()) else ""


def remember_device(request: HttpRequest, response: HttpResponse, user: User) -> None:
    """Let this browser be known to the account, whose password was given just now."""
    device = known_device(request, user.get_username()) or secrets.token_urlsafe(16)
    response.set_signed_cookie(
        COOKIE,
        f"{user.pk}:{device}:{user.get_session_auth_hash()}",
        salt=__name__,
        max_age=KEPT,
        path=settings.SESSION_COOKIE_PATH,
        secure=settings.SESSION_COOKIE_SECURE,
        samesite=settings.SESSION_COOKIE_SAMESITE,
        httponly=True,
    )
