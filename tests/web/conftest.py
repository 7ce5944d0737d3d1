"""Somebody who is signed in and may look, and the time, for the tests of pages."""

from __future__ import annotations

from datetime import datetime

import pytest
from django.contrib.auth.models import User
from django.test import Client

from executions.accounts.roles import OPERATOR
from executions.database.connections import Connection
from executions.health import snapshots
from tests.people import PASSWORD, just_signed_in, make_user


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


@pytest.fixture
def ada(db):
    """A viewer with a password."""
    return make_user("ada", password=PASSWORD)


@pytest.fixture
def root(db):
    """An administrator with a password."""
    return User.objects.create_superuser("root", password=PASSWORD)


@pytest.fixture
def olga(db):
    return make_user("olga", OPERATOR)


@pytest.fixture
def signed_in(olga):
    """A browser whose operator has signed in just now."""
    return just_signed_in(olga)


@pytest.fixture
def not_lately(olga):
    """A browser whose operator has not signed in lately; the password is ``PASSWORD``."""
    olga.set_password(PASSWORD)
    olga.save()
    client = Client()
    client.force_login(olga)
    return client


@pytest.fixture
def one_snapshot(monkeypatch):
    """The snapshot that a page was made of is still the current one when the test looks at it."""
    monkeypatch.setattr(snapshots, "QUIET_SECONDS", 600)
    monkeypatch.setattr(snapshots, "BUSY_SECONDS", 600)
