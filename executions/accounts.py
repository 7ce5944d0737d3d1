"""The two roles, viewer and operator, as groups with permissions."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.db import DEFAULT_DB_ALIAS

VIEWER = "viewer"
OPERATOR = "operator"
ROLE_PERMISSIONS = {VIEWER: ("view_dashboard",), OPERATOR: ("view_dashboard", "operate")}


def ensure_roles(using: str = DEFAULT_DB_ALIAS, **_signal: Any) -> None:
    """Make both groups after each migration; the rights an administrator added are left alone.

    Permissions exist only once django.contrib.auth has seen the same signal, so it is asked here.
    """
    if using != DEFAULT_DB_ALIAS:
        return
    from django.contrib.auth.management import create_permissions
    from django.contrib.auth.models import Group, Permission

    create_permissions(apps.get_app_config("executions"), verbosity=0, using=using)
    for name, codenames in ROLE_PERMISSIONS.items():
        group, _made = Group.objects.using(using).get_or_create(name=name)
        group.permissions.add(
            *Permission.objects.using(using).filter(
                content_type__app_label="executions", codename__in=codenames
            )
        )
