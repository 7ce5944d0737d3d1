"""What holds for every page before its view: who may see it, and in which time zone.

Without a sign-in, a browser is redirected to sign in and a machine gets a 401. An account without a
role sees only whom to ask for one.
"""

from collections.abc import Callable
from functools import cache
from typing import Any
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo, available_timezones

from django.conf import settings
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import resolve_url
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.utils.http import url_has_allowed_host_and_scheme

from executions.accounts import sessions, watchers
from executions.accounts.requests import LiveRequest
from executions.accounts.roles import VIEWER, RoleNeeded, may_look
from multica_admin.arriving import PROBE_PATHS

_UNUSED = ("camera", "display-capture", "geolocation", "microphone", "payment", "serial", "usb")
_PERMISSIONS = ", ".join(["clipboard-write=(self)", *(f"{name}=()" for name in _UNUSED)])


class _Middleware:
    """Lets every request pass. Each middleware below adds what it does."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: LiveRequest) -> HttpResponseBase:
        return self._get_response(request)


class ProbeMiddleware(_Middleware):
    """Answers probes under any host name: a kubelet and Prometheus name the pod's own address.

    No answer of a probe depends on the host or a cookie. So the host is replaced by this machine's
    own name, and cookies are removed before anything can read a session by them.
    """

    def __call__(self, request: LiveRequest) -> HttpResponseBase:
        if request.path_info in PROBE_PATHS:
            request.META["HTTP_HOST"] = "localhost"
            request.META.pop("HTTP_COOKIE", None)
        return self._get_response(request)


class PermissionsMiddleware(_Middleware):
    """Takes from every page what a browser might let it do. Only copying a command is used."""

    def __call__(self, request: LiveRequest) -> HttpResponseBase:
        response = self._get_response(request)
        response["Permissions-Policy"] = _PERMISSIONS
        return response


class NoStoreMiddleware(_Middleware):
    """Keeps pages out of every cache, even the browser's after signing out."""

    def __call__(self, request: LiveRequest) -> HttpResponseBase:
        response = self._get_response(request)
        if "no-store" not in response.get("Cache-Control", ""):
            response["Cache-Control"] = "no-store"
        return response


class UseMiddleware(_Middleware):
    """Lets the session of somebody who opens a page or sends a form go on. A refresh is no use."""

    def __call__(self, request: LiveRequest) -> HttpResponseBase:
        uses = request.session.session_key is not None and not _refreshes(request)
        if uses and request.user.is_authenticated:
            sessions.keep(request.session, request.user)
        return self._get_response(request)


class WatcherMiddleware(_Middleware):
    """Knows who is signed in when a page refreshes, mostly without asking the database."""

    def __call__(self, request: LiveRequest) -> HttpResponseBase:
        key = request.session.session_key
        if key is None or not _refreshes(request):
            return self._get_response(request)
        known = watchers.current().find(key)
        if known is not None:
            request.user = known
            request.may_look = True
        elif request.user.is_authenticated and may_look(request.user):
            watchers.current().remember(key, request.user)
        response = self._get_response(request)
        patch_vary_headers(response, ["Cookie"])
        return response


def _refreshes(request: LiveRequest) -> bool:
    return request.method == "GET" and bool(request.htmx)


class SignInMiddleware(LoginRequiredMiddleware):
    """Django's middleware, but refreshes and JSON requests get a 401 instead of a login page."""

    redirect_field_name = REDIRECT_FIELD_NAME

    def get_login_url(self, view_func: Any) -> str:
        """Always our own login page: the accounts site would name one of its own."""
        return resolve_url(settings.LOGIN_URL)

    def handle_no_permission(  # type: ignore[override]  # the base promises a redirect only
        self, request: LiveRequest, view_func: Any
    ) -> HttpResponseBase:
        if request.htmx or not request.accepts("text/html"):
            return HttpResponse("Sign in first.\n", status=401, content_type="text/plain")
        if request.method not in {"GET", "HEAD"}:
            # Signing in does not resend a form, so the person returns to the page of the form.
            login = self.get_login_url(view_func)
            return redirect_to_login(_page_of_the_form(request), login, self.redirect_field_name)
        return super().handle_no_permission(request, view_func)


class RoleMiddleware(_Middleware):
    """Refuses an account without a role everything but signing out and changing its password."""

    def process_view(
        self, request: LiveRequest, view_func: Any, view_args: Any, view_kwargs: Any
    ) -> None:
        """Let the view answer, or refuse. ``request.may_look`` tells the page's frame the result.

        Raises:
            RoleNeeded: the account has no role.
        """
        if not getattr(view_func, "login_required", True):
            return
        looks = getattr(request, "may_look", False) or may_look(request.user)
        request.may_look = looks
        if getattr(view_func, "role_required", True) and not looks:
            raise RoleNeeded(VIEWER)


def _page_of_the_form(request: HttpRequest) -> str:
    """The page that the form was sent from, as the browser names it; else the overview."""
    page = request.headers.get("Referer", "")
    if not url_has_allowed_host_and_scheme(page, {request.get_host()}):
        return resolve_url(settings.LOGIN_REDIRECT_URL)
    return urlsplit(page)._replace(scheme="", netloc="").geturl()


class TimeZoneMiddleware(_Middleware):
    """Writes times in the zone that the viewer chose. ``static/times.js`` sets the same zone.

    A cookie may contain anything. With an unknown zone, times stay in UTC.
    """

    def __call__(self, request: LiveRequest) -> HttpResponseBase:
        zone = chosen_zone(request)
        if zone is None:
            return self._get_response(request)
        timezone.activate(zone)
        try:
            return self._get_response(request)
        finally:
            timezone.deactivate()


def chosen_zone(request: HttpRequest) -> ZoneInfo | None:
    """The zone that the viewer chose with the switch; None for UTC and for an unknown zone."""
    if request.COOKIES.get("time_zone") != "local":
        return None
    name = unquote(request.COOKIES.get("time_zone_name", ""))
    return ZoneInfo(name) if name in _known_zones() else None


@cache
def _known_zones() -> frozenset[str]:
    return frozenset(available_timezones())
