"""Somebody who is signed in and may look, for the tests of pages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from executions.accounts import VIEWER
from executions.views.live import forget_shared


@pytest.fixture
def viewer(db: None) -> Iterator[Client]:
    """A browser with a viewer signed in; what live parts share is forgotten at the end."""
    user = User.objects.create_user("vera")
    user.groups.add(Group.objects.get(name=VIEWER))
    client = Client()
    client.force_login(user)
    yield client
    forget_shared()
