"""What the middleware adds to a request before a view gets it."""

from django.contrib.auth.models import User
from django.http import HttpRequest
from django_htmx.middleware import HtmxDetails


class LiveRequest(HttpRequest):
    """``htmx`` marks a live part's request. ``may_look`` says whether there is a role."""

    htmx: HtmxDetails
    may_look: bool


class SignedInRequest(HttpRequest):
    """``user`` has an account: `SignInMiddleware` lets nobody else reach the view."""

    user: User


def client_address(request: HttpRequest) -> str:
    """The address of the client; empty behind a unix socket that no trusted proxy speaks for."""
    address: str = request.META.get("REMOTE_ADDR", "")
    return address
