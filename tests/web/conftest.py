"""Somebody who is signed in and may look, and the time, for the tests of pages."""

from __future__ import annotations

from datetime import datetime

import pytest
from django.test import Client

from executions.database.connections import Connection
from tests.people import make_user


@pytest.fixture
def viewer(db: None) -> Client:
    """A browser with a viewer signed in."""
    client = Client()
    client.force_login(make_user("vera"))
    return client


@pytest.fixture
def now(owner: Connection) -> datetime:
    """The database's time, to the minute."""
    row = owner.execute("SELECT date_trunc('minute', now()) AS now").fetchone()
    assert row is not None
    moment: datetime = row["now"]
    return moment
