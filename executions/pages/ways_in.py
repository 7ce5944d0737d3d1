"""The pages of the ways in beside the password. An address is there only if its way is on.

django-allauth does the work: its flows, not its pages, of which none is reachable.
"""

import logging
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import wraps
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import requests
from allauth.account.forms import ConfirmLoginCodeForm
from allauth.account.internal.flows.login_by_code import LoginCodeVerificationProcess
from allauth.account.internal.flows.reauthenticate_by_code import (
    ConfirmReauthenticationCodeProcess,
)
from allauth.account.stages import LoginByCodeStage, LoginStageController
from allauth.core import context
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.providers.base.constants import AuthProcess
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView
from django import forms
from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render, resolve_url
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from executions.accounts.confirmation import confirm
from executions.accounts.guessing import Purpose, TooManyGuesses, begin, guess
from executions.accounts.requests import SignedInRequest, client_address
from executions.accounts.ways.adapters import SignedInAgain, provider_class
from executions.accounts.ways.once import SIGNED_IN_ONCE, redeem_once_code
from executions.accounts.ways.openid import OpenIDConnectFlow
from executions.accounts.ways.people import NotLetIn, account_of
from executions.accounts.ways.session import ONCE, remember_way
from executions.models.retirement import AuditEvent
from executions.pages.going_on import go_on, wanted_page, what_waits
from executions.pages.other_ways import not_let_in, too_early
from executions.retirement import audit
from multica_admin.ways import SignInProvider, Ways

log = logging.getLogger(__name__)

View = Callable[..., HttpResponseBase]

_NO_CODE = gettext_lazy("No code is waited for, or its ten minutes are over. Start again.")
_THIRD_WRONG = gettext_lazy(
    "That was the third wrong code, so it is no longer good. Ask for a new one."
)


_SPAN = timedelta(minutes=10)
# Each way to a provider stores a session, and may wait for the provider.
GO = Purpose("go to a provider", per_account=100, per_address=100, span=_SPAN)
# Mails to one address, for strangers and for whoever is signed in.
ASK = Purpose("ask for a code", per_account=5, per_address=30, span=_SPAN)
ASK_AGAIN = Purpose("ask for a code again", per_account=5, per_address=30, span=_SPAN)
GIVE = Purpose("give a code", per_account=6, per_address=50, span=_SPAN)
# Nobody can guess these, and no stranger must be able to shut this last way.
GIVE_ONCE = Purpose("sign in once", per_account=20, per_address=20, span=_SPAN)


class AskForm(forms.Form):
    email = forms.EmailField()


class _Wrong(Exception):
    """The code that was given is not the one that was sent."""


class CodeForm(ConfirmLoginCodeForm):
    """Takes the code, and compares it in constant time, whatever is between its digits.

    The guess is counted for the session, because each session has a code of its own.
    """

    code = forms.CharField(
        label=gettext_lazy("Code"),
        max_length=40,
        widget=forms.TextInput(
            attrs={"autocomplete": "one-time-code", "inputmode": "numeric", "autofocus": True}
        ),
        error_messages={"required": gettext_lazy("Type the six digits from the mail.")},
    )

    def __init__(self, request: HttpRequest, code: str) -> None:
        super().__init__(request.POST if request.method == "POST" else None, code=code)
        self._request = request

    def is_right(self) -> bool:
        """Count the guess, and compare.

        Raises:
            TooManyGuesses: it must not be compared.
        """
        session, address = str(self._request.session.session_key), client_address(self._request)
        try:
            with guess(GIVE, session, address):
                if not self.is_valid():
                    raise _Wrong
        except _Wrong:
            return False
        return True

    def clean_code(self) -> str:
        try:
            return str(super().clean_code())
        except forms.ValidationError:
            raise forms.ValidationError(_("That is not the code.")) from None


class OnceForm(forms.Form):
    code = forms.CharField(
        label=gettext_lazy("Code"),
        max_length=200,
        widget=forms.TextInput(attrs={"autocomplete": "off", "autofocus": True}),
    )


def urls(ways: Ways) -> Iterator[URLPattern]:
    """The addresses that these ways need."""
    if ways.code:
        yield path("login/code/", _public(ask_for_code), name="sign_in_code")
        yield path("login/code/confirm/", _public(give_code), name="account_confirm_login_code")
        yield path("login/code/again/", _around(code_again), name="sign_in_code_again")
    if not ways.password:
        yield path("login/once/", _public(sign_in_once), name="sign_in_once")
    for one in ways.providers:
        to_provider = {"provider_id": one.id}
        yield path(f"login/{one.id}/", _public(start), to_provider, name=f"sign_in_{one.id}")
        name = "openid_connect_callback" if one.issuer else f"{one.id}_callback"
        yield path(f"login/{one.id}/callback/", _public(come_back), to_provider, name=name)


def _public(view: View) -> View:
    return login_not_required(_around(view))


class AllauthRequest(HttpRequest):
    """``allauth`` holds what allauth notes during the request."""

    allauth: SimpleNamespace


def _around(view: View) -> View:
    """Around each view here: what allauth's middleware would do, and refusals as a page."""

    @wraps(view)
    def inside(request: AllauthRequest, **kwargs: Any) -> HttpResponseBase:
        request.allauth = SimpleNamespace()
        with context.request_context(request):
            try:
                return view(request, **kwargs)
            except ImmediateHttpResponse as answer:
                return answer.response
            except SignedInAgain as again:
                return go_on(request, again.token, again.wanted)
            except NotLetIn as refusal:
                return not_let_in(request, str(refusal))
            except TooManyGuesses as refusal:
                return too_early(not_let_in(request, str(refusal.message)), refusal)

    return sensitive_post_parameters()(inside)


# --- A code by mail -------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
def ask_for_code(request: HttpRequest) -> HttpResponseBase:
    """Send a code if there is an account, and answer the same way if there is none."""
    wanted = wanted_page(request)
    if request.method != "POST" or request.user.is_authenticated:
        return redirect(f"{reverse('login')}?{urlencode({'next': wanted})}")
    form = AskForm(request.POST)
    if not form.is_valid():
        raise NotLetIn(_("That is no email address. Go back and type it again."))
    address = form.cleaned_data["email"]
    begin(ASK, address, client_address(request))
    LoginCodeVerificationProcess.initiate(request=request, user=account_of(address), email=address)
    return redirect(f"{reverse('account_confirm_login_code')}?{urlencode({'next': wanted})}")


@require_http_methods(["GET", "HEAD", "POST"])
def give_code(request: HttpRequest) -> HttpResponseBase:
    """Take the code. Three wrong ones, or ten minutes, end it."""
    wanted = wanted_page(request)
    if request.user.is_authenticated:
        return redirect(wanted)
    stage = LoginStageController.enter(request, LoginByCodeStage.key)
    process = LoginCodeVerificationProcess.resume(stage) if stage else None
    if process is None:
        raise NotLetIn(_NO_CODE)
    form = CodeForm(request, process.code)
    if request.method == "POST":
        if form.is_right():
            if process.user is None or process.user != account_of(process.state["email"]):
                process.abort()  # the account changed since the code was asked for
                raise NotLetIn(_NO_CODE)
            answer: HttpResponse = process.finish(wanted)
            return answer
        if not process.record_invalid_attempt():
            raise NotLetIn(_THIRD_WRONG)
    shown = {"form": form, "address": process.state["email"], "next": wanted}
    return render(request, "registration/code.html", shown)


@require_http_methods(["GET", "HEAD", "POST"])
def code_again(request: SignedInRequest) -> HttpResponseBase:
    """Send a code to somebody who is signed in, and take it: signing in again."""
    shown = what_waits(request)
    wanted, token = shown["next"], shown["token"]
    if request.method == "POST" and "code" not in request.POST:
        if not request.user.email:
            raise NotLetIn(_("Your account has no address any more. Ask an administrator."))
        begin(ASK_AGAIN, request.user.get_username(), client_address(request))
        ConfirmReauthenticationCodeProcess.initiate(
            request=request, user=request.user, email=request.user.email
        )
        query = urlencode({"next": wanted, "act": token})
        return redirect(f"{reverse('sign_in_code_again')}?{query}")
    process = ConfirmReauthenticationCodeProcess.resume(request)
    if process is None:
        raise NotLetIn(_NO_CODE)
    form = CodeForm(request, process.code)
    if request.method == "POST":
        if form.is_right():
            process.finish()
            confirm(request)
            return go_on(request, token, wanted)
        if not process.record_invalid_attempt():
            raise NotLetIn(_THIRD_WRONG)
    shown |= {"form": form, "address": process.state["email"]}
    return render(request, "registration/code.html", shown)


# --- Identity providers ---------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD"])
def start(request: HttpRequest, provider_id: str) -> HttpResponseBase:
    """Send the person to the provider: to sign in, or with ``again`` to prove who they are.

    A link and no form, because the policy of our pages lets no form lead to another site. So
    another site must not begin a sign-in here either.
    """
    wanted, provider = wanted_page(request), settings.WAYS.provider(provider_id)
    again = request.user.is_authenticated and "again" in request.GET
    if request.headers.get("Sec-Fetch-Site") in {"cross-site", "same-site"}:
        return redirect(f"{reverse('login')}?{urlencode({'next': wanted})}")
    if request.user.is_authenticated and not again:
        return redirect(wanted)
    begin(GO, client_address(request), client_address(request))
    kept: dict[str, Any] = {}
    asked = {}
    if provider.issuer:
        kept["nonce"] = asked["nonce"] = secrets.token_urlsafe(16)
    if again:
        token = request.GET.get("act", "")
        kept["again"] = {"at": time.time(), "token": token, "wanted": wanted}
        asked |= {"prompt": "login", "max_age": "0"} if provider.issuer else {}
    with _talking_to(provider):
        answer: HttpResponse = (
            get_adapter(request)
            .get_provider(request, provider_id)
            .redirect(request, AuthProcess.LOGIN, next_url=wanted, auth_params=asked, **kept)
        )
    return answer


def come_back(request: HttpRequest, provider_id: str) -> HttpResponseBase:
    """Take what the provider tells of the person."""
    provider = settings.WAYS.provider(provider_id)
    flow = provider_class(provider).oauth2_adapter_class
    adapter = OpenIDConnectFlow(request, provider_id) if provider.issuer else flow
    with _talking_to(provider):
        answer: HttpResponse = OAuth2CallbackView.adapter_view(adapter)(request)
    return answer


@contextmanager
def _talking_to(provider: SignInProvider) -> Iterator[None]:
    """Turn a provider that cannot be asked, or describes itself wrongly, into a sentence."""
    try:
        yield
    except (requests.RequestException, OAuth2Error, KeyError) as error:
        # Only its kind: the text of an error may quote what was sent.
        log.warning("%s cannot be asked: %s", provider.id, type(error).__name__)
        raise NotLetIn(
            _("%(provider)s does not answer, or its address in the settings is not right.")
            % {"provider": provider.label}
        ) from None


# --- The way in when all others fail --------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
def sign_in_once(request: HttpRequest) -> HttpResponseBase:
    """Take a code of `manage.py signincode`. The page takes it, so no address or log has it."""
    form = OnceForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        address = client_address(request)
        begin(GIVE_ONCE, address, address)
        user = redeem_once_code(form.cleaned_data["code"])
        if user is not None:
            login(request, user, "django.contrib.auth.backends.ModelBackend")
            remember_way(request, ONCE)
            confirm(request)
            name = user.get_username()
            audit.record(audit.Who.user(user), SIGNED_IN_ONCE, AuditEvent.Outcome.DONE, name)
            return redirect(resolve_url(settings.LOGIN_REDIRECT_URL))
        form.add_error("code", _("This code is not good, or no longer. Make a new one."))
    return render(request, "registration/once.html", {"form": form})
