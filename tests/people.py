"""Accounts with a role, for every test that signs in."""

from __future__ import annotations

from django.contrib.auth.models import Group, User

from executions.accounts.roles import VIEWER


def make_user(name: str, role: str = VIEWER, password: str | None = None) -> User:
    """A new user with that role."""
    user = User.objects.create_user(name, password=password)
    user.groups.add(Group.objects.get(name=role))
    return user
