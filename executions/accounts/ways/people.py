"""Which account a person of a provider, or of an address, is. It makes one only for a mapped group.

Nobody signs up here: what no rule lets in is refused by a sentence.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from allauth.socialaccount.models import SocialAccount
from allauth.utils import generate_unique_username
from django.conf import settings
from django.contrib.auth.models import User
from django.utils.translation import gettext as _

from executions.accounts.roles import NO_ROLE, give_role
from executions.accounts.ways.groups import role_of
from multica_admin.ways import SignInProvider

log = logging.getLogger(__name__)


class NotLetIn(Exception):
    """This person cannot sign in this way. ``str()`` is a sentence for them."""


@dataclass(frozen=True)
class Person:
    """What a provider tells of a person. ``address`` is empty unless it is known to be theirs."""

    claims: Mapping[str, object]
    address: str = ""
    name: str = ""


def account_of(address: str) -> User | None:
    """The one active account with this address; None if there is none or more than one.

    A capital letter equals its small one from A to Z only. Most databases also hold a dotless i for
    a small I, but a mail to the address with a dotless i reaches somebody else.
    """
    alike = User.objects.filter(email__iexact=address, is_active=True) if address else ()
    # `lower` of bytes changes A to Z only.
    found = [one for one in alike if one.email.encode().lower() == address.encode().lower()]
    return found[0] if len(found) == 1 else None


def can_sign_in(user: User) -> bool:
    """Whether some way that is on lets this account in."""
    ways = settings.WAYS
    if ways.password and user.has_usable_password():
        return True
    if ways.code and account_of(user.email) == user:
        return True
    known = [one.id for one in ways.providers]
    return SocialAccount.objects.filter(user=user, provider__in=known).exists()


def role_given(provider: SignInProvider, person: Person, linked: User | None) -> str | None:
    """The role that the person's groups give now; None if the provider decides about no role.

    ``linked`` is the account that signed in as this person before. If its groups no longer give a
    role, it loses the one that it has, in its other sessions too.

    Raises:
        NotLetIn: the groups give no role.
    """
    if not provider.groups.decide:
        return None
    role = role_of(person.claims, provider.groups)
    if role is None:
        if linked is not None:
            _set_role(linked, NO_ROLE)
        raise NotLetIn(
            _(
                "%(provider)s knows you, but none of your groups there gives a role here. Ask an"
                " administrator of this installation."
            )
            % {"provider": provider.label}
        )
    return role


def account_for(
    provider: SignInProvider, person: Person, linked: User | None, role: str | None
) -> User:
    """The account to sign in, with this role. Only a role makes an account that was not there.

    Raises:
        NotLetIn: there is no account that the person may use.
    """
    user = linked or account_of(person.address)
    if user is None and role is not None:
        user = _make(person)
    if user is None or not user.is_active:
        raise NotLetIn(
            _(
                "%(provider)s knows you, but no account here is yours. Ask an administrator of"
                " this installation to make one with your address."
            )
            % {"provider": provider.label}
        )
    if role is not None:
        _set_role(user, role)
    return user


def _make(person: Person) -> User:
    """A new account that has no password."""
    if person.address and User.objects.filter(email__iexact=person.address).exists():
        raise NotLetIn(
            _(
                "An account with your address exists, but it is switched off or not the only one."
                " Ask an administrator of this installation."
            )
        )
    name = generate_unique_username([person.name, person.address, "user"])
    return User.objects.create_user(name, person.address)


def _set_role(user: User, role: str) -> None:
    if give_role(user, role):
        extra = {"user_name": user.get_username(), "role": role}
        log.info("Groups changed a role", extra=extra)
