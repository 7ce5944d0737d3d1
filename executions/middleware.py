"""Nobody looks without signing in: a browser is sent to sign in, a machine is told 401."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import resolve_url


class SignInMiddleware(LoginRequiredMiddleware):
    """Django's own, but an htmx or JSON request gets 401 instead of a login page to swap in."""

    def get_login_url(self, view_func: Any) -> str:
        """Always ours: the accounts site would name a login page of its own."""
        return resolve_url(settings.LOGIN_URL)

    def handle_no_permission(  # type: ignore[override]  # the base promises a redirect only
        self, request: HttpRequest, view_func: Any
    ) -> HttpResponseBase:
        if request.htmx or not request.accepts("text/html"):  # type: ignore[attr-defined]
            return HttpResponse("Sign in first.\n", status=401, content_type="text/plain")
        return super().handle_no_permission(request, view_func)
