"""Settings that libpq takes from our environment neither look like a pooler nor override ours."""

from __future__ import annotations

import pytest
from django.db import connections

from executions.database.connections import retire_reader, runner_connection

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

OURS = {"TimeZone": "UTC", "DateStyle": "ISO, DMY"}


@pytest.fixture
def environment_of_libpq(monkeypatch):
    """libpq sends these beside our own settings, and PostgreSQL lets them win."""
    monkeypatch.setenv("PGTZ", "Asia/Tokyo")
    monkeypatch.setenv("PGDATESTYLE", "German, DMY")


def shown(connection):
    return {name: connection.execute(f"SHOW {name}").fetchone()[name] for name in OURS}


def test_what_takes_locks_or_writes_is_not_refused_as_if_a_pooler_answered(
    cluster, environment_of_libpq
):
    for opened in (runner_connection(), retire_reader("look")):
        with opened as connection:
            assert shown(connection) == OURS


@pytest.mark.parametrize("alias", ["default", "multica"])
def test_each_alias_has_its_settings_for_the_session(cluster, environment_of_libpq, alias):
    another = connections[alias].copy()
    unpooled = {**another.settings_dict["OPTIONS"], "pool": None}
    another.settings_dict = another.settings_dict | {"OPTIONS": unpooled}
    try:
        with another.cursor() as cursor:
            for name, value in OURS.items():
                cursor.execute(f"SHOW {name}")
                assert cursor.fetchone() == (value,)
        assert not another.connection.read_only  # which a pooled session would need
    finally:
        another.close()
