"""The roles viewer and operator, as groups with permissions, and which view needs which role."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from django.apps import apps
from django.contrib.auth.models import AnonymousUser, Group, Permission, User
from django.core.exceptions import PermissionDenied
from django.db import DEFAULT_DB_ALIAS
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.utils.translation import pgettext_lazy

VIEWER = "viewer"
OPERATOR = "operator"
ADMINISTRATOR = "administrator"  # a superuser, who may do everything and needs no group
NO_ROLE = "none"
# How sentences name them.
ROLE_WORDS = {
    VIEWER: pgettext_lazy("role of an account", "viewer"),
    OPERATOR: pgettext_lazy("role of an account", "operator"),
    ADMINISTRATOR: pgettext_lazy("role of an account", "administrator"),
    NO_ROLE: pgettext_lazy("role of an account", "no role"),
}
ROLE_PERMISSIONS = {VIEWER: ("view_dashboard",), OPERATOR: ("view_dashboard", "operate")}
LOOK = "executions.view_dashboard"
OPERATE = "executions.operate"

# A person who must ask for a role needs a name or two, not a list of everybody.
MOST_NAMED = 3

Arguments = ParamSpec("Arguments")
Request = TypeVar("Request", bound=HttpRequest)
Answer = TypeVar("Answer", bound=HttpResponseBase)
AnyView = TypeVar("AnyView", bound=Callable[..., HttpResponseBase])


class RoleNeeded(PermissionDenied):
    """The account lacks ``role``. ``str()`` is a sentence of the page's own, or empty."""

    def __init__(self, role: str, said: str = "") -> None:
        super().__init__(said)
        self.role = role


def may_look(user: User | AnonymousUser) -> bool:
    """Whether the account has any role: each role may see the pages."""
    return user.has_perm(LOOK)


def role_held(user: User) -> str:
    """The highest role of an account, or ``NO_ROLE``. Its groups may have been read before."""
    if user.is_superuser:
        return ADMINISTRATOR
    names = {group.name for group in user.groups.all()}
    return next((role for role in (OPERATOR, VIEWER) if role in names), NO_ROLE)


def in_role(users: QuerySet[User], role: str) -> QuerySet[User]:
    """Those of the accounts whose role it is."""
    if role == ADMINISTRATOR:
        return users.filter(is_superuser=True)
    others = users.filter(is_superuser=False)
    if role == OPERATOR:
        return others.filter(groups__name=OPERATOR)
    others = others.exclude(groups__name=OPERATOR)
    if role == VIEWER:
        return others.filter(groups__name=VIEWER)
    return others.exclude(groups__name=VIEWER)


def give_role(user: User, role: str) -> bool:
    """Give an account this role and no other, and return whether it had another.

    Its other groups stay.
    """
    before = role_held(user)
    groups = Group.objects.filter(name__in=ROLE_PERMISSIONS)
    user.groups.remove(*groups.exclude(name=role))
    user.groups.add(*groups.filter(name=role))
    if user.is_superuser != (role == ADMINISTRATOR):
        user.is_superuser = role == ADMINISTRATOR
        user.save(update_fields=["is_superuser"])
    return before != role


def operators_only(
    view: Callable[Concatenate[Request, Arguments], Answer],
) -> Callable[Concatenate[Request, Arguments], Answer]:
    """Refuse every account without the role *operator* with `RoleNeeded`."""

    @wraps(view)
    def guarded(request: Request, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Answer:
        if not request.user.has_perm(OPERATE):
            raise RoleNeeded(OPERATOR)
        return view(request, *args, **kwargs)

    return guarded


def for_any_account(view: AnyView) -> AnyView:
    """Mark a view as open to an account without a role. The middleware lets it through."""
    view.role_required = False  # type: ignore[attr-defined]  # as Django marks login_required
    return view


def administrators() -> list[str]:
    """The names of a few people who can give a role."""
    people = User.objects.filter(is_superuser=True, is_active=True)
    return [person.get_username() for person in people.order_by("username")[:MOST_NAMED]]


def ensure_roles(using: str = DEFAULT_DB_ALIAS, **_signal: Any) -> None:
    """Create both groups after each migration. Rights that an administrator added stay.

    Permissions exist only once django.contrib.auth has handled the same signal, so this calls it.
    """
    if using != DEFAULT_DB_ALIAS:
        return
    from django.contrib.auth.management import create_permissions

    create_permissions(apps.get_app_config("executions"), verbosity=0, using=using)
    for name, codenames in ROLE_PERMISSIONS.items():
        group, _made = Group.objects.using(using).get_or_create(name=name)
        group.permissions.add(
            *Permission.objects.using(using).filter(
                content_type__app_label="executions", codename__in=codenames
            )
        )
