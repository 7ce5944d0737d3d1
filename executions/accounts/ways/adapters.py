"""What django-allauth asks this product: who may sign in, and what a code and a session are.

Settings name the two classes. No table of allauth's configures anything, only `settings.WAYS`.
"""

import logging
import re
import time
from importlib import import_module
from typing import Any, Never, cast

from allauth.account.adapter import DefaultAccountAdapter
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialLogin
from allauth.socialaccount.providers.base.constants import AuthError
from allauth.socialaccount.providers.base.provider import Provider
from allauth.socialaccount.providers.oauth2.provider import OAuth2Provider
from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import resolve_url
from django.utils.translation import gettext as _

from executions.accounts.confirmation import confirm
from executions.accounts.requests import client_address
from executions.accounts.ways import mail
from executions.accounts.ways.openid import (
    CLOCKS_DIFFER_SECONDS,
    OpenIDConnectIssuer,
    asked_within,
    claims_of,
    has_nonce,
)
from executions.accounts.ways.people import NotLetIn, Person, account_for, role_given
from executions.accounts.ways.session import CODE, remember_way
from multica_admin.ways import SignInProvider

log = logging.getLogger(__name__)

_ERROR_CODE = re.compile(r"""["']error["']\s*:\s*["']([a-z_]{1,40})["']""")


class SignedInAgain(Exception):
    """The signed-in person has proved who they are once more. The view carries on."""

    def __init__(self, token: str, wanted: str) -> None:
        super().__init__()
        self.token = token
        self.wanted = wanted


class AccountAdapter(DefaultAccountAdapter):
    """Codes and sessions."""

    def generate_login_code(self) -> str:
        return settings.WAYS.fixed_code or super().generate_login_code()

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """The code is the only mail."""
        mail.send_code(email, context["code"])

    def add_message(self, *args: Any, **kwargs: Any) -> None:
        """Say nothing: our pages say what there is to say."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def get_client_ip(self, request: HttpRequest) -> str:
        return client_address(request)

    def get_login_stages(self) -> list[str]:
        return ["allauth.account.stages.LoginByCodeStage"]

    def respond_user_inactive(self, request: HttpRequest, user: Any) -> Never:
        raise NotLetIn(_("This account is switched off. Ask an administrator."))

    def post_login(self, request: HttpRequest, user: Any, **kwargs: Any) -> HttpResponse:
        """Remember the way. A code, and a password that an issuer just asked for, are fresh."""
        social: SocialLogin | None = (kwargs["signal_kwargs"] or {}).get("sociallogin")
        remember_way(request, social.account.provider if social else CODE)
        if social is None or social.state.get("fresh"):
            confirm(request)
        return HttpResponseRedirect(
            kwargs["redirect_url"] or resolve_url(settings.LOGIN_REDIRECT_URL)
        )


class SocialAdapter(DefaultSocialAccountAdapter):
    """Providers, and the people whom they tell of."""

    def list_apps(
        self, request: HttpRequest, provider: str | None = None, client_id: str | None = None
    ) -> list[SocialApp]:
        return [
            _app_of(one)
            for one in settings.WAYS.providers
            if provider in {None, one.id} and client_id in {None, one.client_id}
        ]

    def get_provider(
        self, request: HttpRequest, provider: str, client_id: str | None = None
    ) -> Provider:
        app = self.get_app(request, provider, client_id)
        return provider_class(settings.WAYS.provider(provider))(request, app=app)

    def is_email_verified(self, provider: Any, email: str) -> bool:
        return settings.WAYS.provider(provider.sub_id).vouches is True

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """Decide before allauth does: afterwards the account exists, or nobody gets in.

        Raises:
            NotLetIn: this person does not sign in.
            SignedInAgain: this was asked of somebody who is signed in.
        """
        provider = settings.WAYS.provider(sociallogin.account.provider)
        told, state = sociallogin.account.extra_data, sociallogin.state
        if provider.issuer and not has_nonce(told, state.get("nonce")):
            log.warning("Sign-in refused", extra={"provider": provider.id, "reason": "nonce"})
            raise NotLetIn(_no_proof(provider))
        linked = cast("User", sociallogin.user) if sociallogin.is_existing else None
        if state.get("again") and (linked is None or linked != request.user):
            raise NotLetIn(
                _("You signed in to %(provider)s as somebody else. Nothing was changed.")
                % {"provider": provider.label}
            )
        _let_in_and_link(request, provider, sociallogin, linked)
        if state.get("again"):
            passed = time.time() - state["again"]["at"] + CLOCKS_DIFFER_SECONDS
            if provider.issuer and not asked_within(told, passed):
                raise NotLetIn(
                    _("%(provider)s did not ask you to prove who you are. Nothing was changed.")
                    % {"provider": provider.label}
                )
            confirm(request)
            raise SignedInAgain(state["again"]["token"], state["again"]["wanted"])
        state["fresh"] = bool(provider.issuer) and asked_within(told, settings.CONFIRMATION_SECONDS)

    def on_authentication_error(
        self,
        request: HttpRequest,
        provider: Any,
        error: Any = None,
        exception: Exception | None = None,
        extra_context: Any = None,
    ) -> Never:
        setting = settings.WAYS.provider(provider.sub_id)
        if error == AuthError.CANCELLED:
            raise NotLetIn(
                _("%(provider)s did not let you in, or you said no there.")
                % {"provider": setting.label}
            )
        log.warning(
            "Sign-in refused",
            extra={"provider": setting.id, "reason": _reason(exception, request)},
        )
        raise NotLetIn(_no_proof(setting))


def _let_in_and_link(
    request: HttpRequest, provider: SignInProvider, sociallogin: SocialLogin, linked: User | None
) -> None:
    """Find or make the account, and keep who it is there. Nothing else that was told is kept."""
    account: SocialAccount = sociallogin.account
    person = Person(
        claims=claims_of(account.extra_data),
        address=next((one.email for one in sociallogin.email_addresses if one.verified), ""),
        name=str(getattr(sociallogin.user, "username", "")),
    )
    account.extra_data = {}
    if linked is not None:
        account.save(update_fields=["extra_data"])
    role = role_given(provider, person, linked)
    try:
        with transaction.atomic():
            user = account_for(provider, person, linked, role)
            if linked is None:
                sociallogin.connect(request, user)
    except IntegrityError:
        raise NotLetIn(_("Somebody signed in as you at the same moment. Try again.")) from None


def _no_proof(provider: SignInProvider) -> str:
    return _(
        "%(provider)s did not prove who you are, or it took too long. Start again. If it happens"
        " again, an administrator finds the reason in the log."
    ) % {"provider": provider.label}


def _reason(exception: Exception | None, request: HttpRequest) -> str:
    """Why, as far as it can be told without a secret: an answer may quote what we sent."""
    if exception is None:
        code = request.GET.get("error", "")
        return code if re.fullmatch(r"[a-z_]{1,40}", code) else "unknown state"
    found = _ERROR_CODE.search(str(exception))
    return f"{type(exception).__name__} {found[1]}" if found else type(exception).__name__


def provider_class(provider: SignInProvider) -> type[OAuth2Provider]:
    """allauth's class of this provider, imported only where it is configured."""
    if provider.issuer:
        return OpenIDConnectIssuer
    module = import_module(f"allauth.socialaccount.providers.{provider.id}.provider")
    (only,) = module.provider_classes
    found: type[OAuth2Provider] = only
    return found


def _app_of(provider: SignInProvider) -> SocialApp:
    """allauth's view of the settings. It is not stored."""
    options: dict[str, Any] = {"oauth_pkce_enabled": True}
    if provider.scopes:
        options["scope"] = list(provider.scopes)
    if provider.issuer:
        options["server_url"] = provider.issuer.rstrip("/")
        options["scope"] = list(
            dict.fromkeys(["openid", *(provider.scopes or ("profile", "email"))])
        )
    return SocialApp(
        provider="openid_connect" if provider.issuer else provider.id,
        provider_id=provider.id,
        name=provider.label,
        client_id=provider.client_id,
        secret=provider.secret,
        settings=options,
    )
