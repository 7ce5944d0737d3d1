"""What pages show of the ways beside the password, and refusals. It imports no part of allauth."""

from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _

from executions.accounts.guessing import GuessRefused
from executions.accounts.ways.session import CODE, ONCE
from executions.pages.going_on import wanted_page, what_waits


def offered(wanted: str) -> dict[str, Any]:
    """The ways for the sign-in page. ``wanted`` is where to go on."""
    query = f"?{urlencode({'next': wanted})}" if wanted else ""
    ways = settings.WAYS
    links = [(one.label, reverse(f"sign_in_{one.id}") + query) for one in ways.providers]
    return {"ways": ways, "providers": [{"label": label, "url": url} for label, url in links]}


def not_let_in(request: HttpRequest, said: str) -> HttpResponse:
    """Say why nobody was signed in, and lead back to where it began."""
    back = "confirm" if request.user.is_authenticated else "login"
    url = f"{reverse(back)}?{urlencode({'next': wanted_page(request)})}"
    return render(request, "registration/not_let_in.html", {"said": said, "back": url}, status=403)


def too_early(response: HttpResponse, refused: GuessRefused) -> HttpResponse:
    """Tell machines too that the form may be sent again only later."""
    response.status_code = 429
    response["Retry-After"] = str(refused.seconds)
    return response


def no_passwords(request: HttpRequest) -> HttpResponse:
    """Refuse every form with a password while that is off."""
    return not_let_in(request, _("Signing in by a password is switched off. Choose another way."))


def prove_again(request: HttpRequest, way: str | None) -> HttpResponse:
    """Ask the signed-in person for a proof by the way they signed in, which is no password."""
    shown = what_waits(request)
    if way == CODE:
        shown["code_url"] = reverse("sign_in_code_again")
    elif way is not None and settings.WAYS.has_provider(way):
        provider = settings.WAYS.provider(way)
        shown["provider"] = provider.label
        query = urlencode({"next": shown["next"], "act": shown["token"]})
        shown["provider_url"] = f"{reverse(f'sign_in_{provider.id}')}?{query}&again=yes"
    elif way == ONCE:
        shown["once"] = True
    return render(request, "registration/confirm_otherwise.html", shown)
