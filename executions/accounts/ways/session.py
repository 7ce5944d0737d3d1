"""By which way this session began, so that signing in again works the same way."""

from django.conf import settings
from django.http import HttpRequest

PASSWORD, CODE, ONCE = "password", "code", "once"
_KEY = "signed_in_by"


def remember_way(request: HttpRequest, way: str) -> None:
    """``way`` is one of the constants here, or the id of a provider."""
    request.session[_KEY] = way


def way_of(request: HttpRequest) -> str | None:
    """The way of this session, if it is still on. A session that does not say it had a password.

    None: the way is off by now, so signing out and in again is all that is left.
    """
    ways = settings.WAYS
    way = str(request.session.get(_KEY, PASSWORD))
    is_on = {PASSWORD: ways.password, CODE: ways.code, ONCE: not ways.password}
    return way if is_on.get(way, ways.has_provider(way)) else None
