"""The ways to sign in beside the password, each off until the environment configures it.

It reads and checks variables. It imports no library that signs anybody in.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from urllib.parse import urlsplit

from multica_admin.env import BadSetting, Environment
from multica_admin.language import later
from multica_admin.mail import MailSetting, read_mail

# The provider that OIDC_ISSUER_URL configures; the others have the names of django-allauth.
OPENID_CONNECT = "oidc"
# A code that can be guessed in three tries must not be shorter.
_FIXED_CODE = re.compile(r"[0-9]{6}", re.ASCII)
_IS_OAUTH2 = re.compile(r"^class \w+\(OAuth2Provider\):", re.MULTILINE)


@dataclass(frozen=True)
class GroupRoles:
    """Which groups of a provider give which role. ``claim`` names where the groups are told.

    Without any group, the provider decides about no role: administrators give them here.
    """

    claim: str = "groups"
    viewer: frozenset[str] = frozenset()
    operator: frozenset[str] = frozenset()
    administrator: frozenset[str] = frozenset()

    @property
    def decide(self) -> bool:
        return bool(self.viewer or self.operator or self.administrator)


@dataclass(frozen=True)
class SignInProvider:
    """An identity provider. Only OpenID Connect has an ``issuer``.

    ``vouches``: an address that it tells belongs to the person even if it does not say so.
    """

    id: str
    label: str
    client_id: str
    secret: str = field(repr=False)
    groups: GroupRoles = GroupRoles()
    issuer: str = ""
    scopes: tuple[str, ...] = ()
    vouches: bool = False


@dataclass(frozen=True)
class Ways:
    """The ways that are on. ``notes`` are sentences for the start, about what is ignored."""

    password: bool = True
    code: bool = False
    mail: MailSetting | None = None
    fixed_code: str = field(default="", repr=False)
    providers: tuple[SignInProvider, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def beyond_password(self) -> bool:
        return self != Ways(notes=self.notes, fixed_code=self.fixed_code)

    def provider(self, name: str) -> SignInProvider:
        """The provider with this id.

        Raises:
            KeyError: it is not configured.
        """
        return {one.id: one for one in self.providers}[name]

    def has_provider(self, name: str) -> bool:
        return any(one.id == name for one in self.providers)


def read_ways(env: Environment, *, development: bool) -> Ways:
    """The ways that these variables configure.

    Raises:
        BadSetting: a value is unusable, or nobody could sign in.
    """
    password = env.boolean("SIGN_IN_BY_PASSWORD", True)
    code = env.boolean("SIGN_IN_BY_CODE", False)
    providers = tuple(_providers(env))
    if not (password or code or providers):
        raise BadSetting(
            "SIGN_IN_BY_PASSWORD",
            later(
                "is off, and there is no other way to sign in: set SIGN_IN_BY_CODE=on or"
                " OIDC_ISSUER_URL, or leave passwords on."
            ),
        )
    mail = read_mail(env) if code else None
    fixed_code, notes = _fixed_code(env, development=development)
    if code and mail is None:
        notes += (later("No mail is configured, so the codes to sign in are in the log."),)
    return Ways(
        password=password,
        code=code,
        mail=mail,
        fixed_code=fixed_code,
        providers=providers,
        notes=notes,
    )


def _fixed_code(env: Environment, *, development: bool) -> tuple[str, tuple[str, ...]]:
    code = env.secret("MULTICA_DEV_VERIFICATION_CODE")
    if code and not development:
        return "", (
            later(
                "MULTICA_DEV_VERIFICATION_CODE is ignored: it counts with APP_ENV=development only."
            ),
        )
    if code and not _FIXED_CODE.fullmatch(code):
        raise BadSetting("MULTICA_DEV_VERIFICATION_CODE", later("must be six digits."))
    return code, ()


def _providers(env: Environment) -> Iterator[SignInProvider]:
    issuer = env.text("OIDC_ISSUER_URL")
    if issuer:
        yield _provider(env, OPENID_CONNECT, "OpenID Connect", issuer)
    for name in re.split(r"[\s,]+", env.text("SIGN_IN_PROVIDERS").lower()):
        if name:
            _require_known(name)
            yield _provider(env, name, name.replace("_", " ").title())


def _provider(env: Environment, name: str, label: str, issuer: str = "") -> SignInProvider:
    prefix = name.upper()
    if issuer and urlsplit(issuer).scheme not in {"https", "http"}:
        raise BadSetting(
            "OIDC_ISSUER_URL", later("must be an https address, such as https://id.example.")
        )
    client_id, secret = env.text(f"{prefix}_CLIENT_ID"), env.secret(f"{prefix}_CLIENT_SECRET")
    for variable, value in (("CLIENT_ID", client_id), ("CLIENT_SECRET", secret)):
        if not value:
            raise BadSetting(
                f"{prefix}_{variable}",
                later(
                    "is not set: %(provider)s gives it to an application that you register there.",
                    provider=label,
                ),
            )
    return SignInProvider(
        id=name,
        label=env.text(f"{prefix}_PROVIDER_NAME", label),
        client_id=client_id,
        secret=secret,
        groups=GroupRoles(
            claim=env.text(f"{prefix}_GROUPS_CLAIM", "groups"),
            viewer=_names(env, f"{prefix}_VIEWER_GROUPS"),
            operator=_names(env, f"{prefix}_OPERATOR_GROUPS"),
            administrator=_names(env, f"{prefix}_ADMINISTRATOR_GROUPS"),
        ),
        issuer=issuer,
        scopes=tuple(env.text(f"{prefix}_SCOPES").replace(",", " ").split()),
        vouches=not env.boolean(f"{prefix}_REQUIRE_VERIFIED_EMAIL", True),
    )


def _names(env: Environment, name: str) -> frozenset[str]:
    """Group names between commas, or between semicolons if a name has a comma."""
    text = env.text(name)
    parts = text.split(";" if ";" in text else ",")
    return frozenset(part.strip() for part in parts if part.strip())


def _require_known(name: str) -> None:
    """Refuse what is no OAuth 2 provider of django-allauth, without importing any of them."""
    known = files("allauth") / "socialaccount" / "providers" / name / "provider.py"
    usable = name.isidentifier() and name != "openid_connect" and known.is_file()
    if not usable or not _IS_OAUTH2.search(known.read_text("utf-8")):
        raise BadSetting(
            "SIGN_IN_PROVIDERS",
            later(
                "has %(name)r, which is no OAuth 2 provider of django-allauth, such as feishu,"
                " dingtalk, google or github. OpenID Connect takes OIDC_ISSUER_URL.",
                name=name,
            ),
        )
