"""Somebody who is signed in and may look, for the tests of pages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.test import Client

from executions.pages.live import forget_shared
from tests.people import make_user


@pytest.fixture
def viewer(db: None) -> Iterator[Client]:
    """A browser with a viewer signed in; what live parts share is forgotten at the end."""
    client = Client()
    client.force_login(make_user("vera"))
    yield client
    forget_shared()
