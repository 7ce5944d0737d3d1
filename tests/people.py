"""Accounts with a role and their password, for every test that signs in."""

from __future__ import annotations

import time
from typing import Any

from django.contrib.auth.models import Group, User
from django.test import Client

from executions.accounts.roles import VIEWER

PASSWORD = "correct horse battery"


def make_user(name: str, role: str = VIEWER, password: str | None = None) -> User:
    user = User.objects.create_user(name, password=password)
    user.groups.add(Group.objects.get(name=role))
    return user


def just_signed_in(user: User, **options: Any) -> Client:
    """A browser whose user gave the password a moment ago, as acts ask for."""
    client = Client(**options)
    client.force_login(user)
    session = client.session
    session["confirmed_at"] = time.time()
    session.save()
    return client
