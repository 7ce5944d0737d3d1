"""OpenID Connect as django-allauth does it, with the checks that it leaves out.

Added here: the nonce, the issuer that was configured, the ID token's signature in every case, the
userinfo's subject, and when the person last gave a password.
"""

import hashlib
import time
from collections.abc import Mapping
from typing import Any

import jwt
from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.models import SocialApp, SocialLogin
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare

# An issuer signs with a key pair. A shared secret, or nothing, is no signature of its own.
ALGORITHMS = frozenset(
    ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
)
# After so many seconds the issuer is asked again to describe itself.
KEPT = 300
# Two clocks are compared: the issuer's and ours.
CLOCKS_DIFFER_SECONDS = 60


class OpenIDConnectFlow(OpenIDConnectOAuth2Adapter):
    """The conversation with the issuer."""

    @property
    def openid_config(self) -> dict[str, Any]:
        provider = settings.WAYS.provider(self.provider_id)
        key = f"openid-{hashlib.sha256(provider.issuer.encode()).hexdigest()}"
        config: dict[str, Any] | None = cache.get(key)
        if config is None:
            config = super().openid_config
            cache.set(key, config, KEPT)
        if str(config.get("issuer")).rstrip("/") != provider.issuer.rstrip("/"):
            raise OAuth2Error("another issuer")
        return config

    def complete_login(
        self, request: HttpRequest, app: Any, token: Any, **kwargs: Any
    ) -> SocialLogin:
        """The person that the issuer tells of.

        Raises:
            OAuth2Error: the answer is not that of this issuer, or makes no sense.
        """
        try:
            told = {"id_token": self._decode_id_token(app, kwargs["response"]["id_token"])}
            if self.openid_config.get("userinfo_endpoint"):
                told["userinfo"] = self._fetch_user_info(token.token)
                if told["userinfo"]["sub"] != told["id_token"]["sub"]:
                    raise OAuth2Error("another subject")
            provider = OpenIDConnectIssuer(request, app=app)
            login: SocialLogin = provider.sociallogin_from_response(request, told)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise OAuth2Error(f"unreadable answer, {type(error).__name__}") from None
        return login

    def _decode_id_token(self, app: SocialApp, id_token: str) -> dict[str, Any]:
        """The claims of a token that this issuer signed for us.

        allauth trusts TLS instead where it fetched the token itself, and needs a key's id, which an
        issuer of one key may leave out.
        """
        config = self.openid_config
        try:
            header = jwt.get_unverified_header(id_token)
            if header.get("alg") not in ALGORITHMS:
                raise OAuth2Error("unsigned")
            with get_adapter().get_requests_session() as session:
                answer = session.get(config["jwks_uri"])
                answer.raise_for_status()
            claims: dict[str, Any] = jwt.decode(
                id_token,
                _key_of(header, jwt.PyJWKSet.from_dict(answer.json())),
                algorithms=[header["alg"]],
                issuer=config["issuer"],
                audience=app.client_id,
                leeway=CLOCKS_DIFFER_SECONDS,
                options={"require": ["iss", "sub", "aud", "exp", "iat"]},
            )
        except jwt.PyJWTError as error:
            raise OAuth2Error(f"ID token, {type(error).__name__}") from None
        if claims.get("azp", app.client_id) != app.client_id:
            raise OAuth2Error("for another client")
        return claims


def _key_of(header: dict[str, Any], known: jwt.PyJWKSet) -> jwt.PyJWK:
    fit = [key for key in known.keys if header.get("kid") in {None, key.key_id}]
    if len(fit) != 1:
        raise OAuth2Error("unknown key")
    return fit[0]


class OpenIDConnectIssuer(OpenIDConnectProvider):
    oauth2_adapter_class = OpenIDConnectFlow

    def extract_uid(self, data: dict[str, Any]) -> str:
        """Who it is, in bounded length: a subject is one person at one issuer only."""
        told = data["id_token"]
        return hashlib.sha256(f"{told['iss']}\n{told['sub']}".encode()).hexdigest()


def claims_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """One mapping of what a provider told. Userinfo goes before the ID token, if there are both."""
    parts = [data.get("id_token"), data.get("userinfo")]
    known = [part for part in parts if isinstance(part, Mapping)]
    return {name: value for part in known or [data] for name, value in part.items()}


def has_nonce(data: Mapping[str, Any], nonce: object) -> bool:
    """Whether the ID token was made for this one sign-in, and not copied from another."""
    told = (data.get("id_token") or {}).get("nonce")
    return isinstance(told, str) and bool(nonce) and constant_time_compare(told, str(nonce))


def asked_within(data: Mapping[str, Any], seconds: float) -> bool:
    """Whether the issuer asked the person to prove who they are, so lately."""
    then = (data.get("id_token") or {}).get("auth_time")
    if isinstance(then, bool) or not isinstance(then, int | float):
        return False
    return -CLOCKS_DIFFER_SECONDS <= time.time() - then <= seconds
