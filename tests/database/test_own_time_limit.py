"""Every alias has a statement timeout, and work that may take longer is exempt from it."""

from __future__ import annotations

import pytest
from django.core.management import call_command
from django.db import connections
from django.db.models.signals import pre_migrate

from executions.database.schema import time_limit
from multica_admin.databases import OWN_TIMEOUT_MS

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)


def limit_of(alias):
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT setting::integer FROM pg_settings WHERE name = 'statement_timeout'")
        return cursor.fetchone()[0]


@pytest.mark.parametrize("alias", list(connections))
def test_every_alias_has_a_time_limit(owner, alias):
    assert 0 < limit_of(alias) <= OWN_TIMEOUT_MS


def test_migrate_takes_the_time_that_it_needs_and_nothing_after_it_does(owner):
    limits = []

    def look(using, **_signal):
        limits.append(limit_of(using))

    pre_migrate.connect(look)
    try:
        call_command("migrate", verbosity=0, interactive=False)
    finally:
        pre_migrate.disconnect(look)
    assert set(limits) == {0}
    assert limit_of("default") == OWN_TIMEOUT_MS


def test_our_own_tables_that_somebody_has_locked_hold_no_page_for_ever(owner, connect, client):
    client.raise_request_exception = False
    rival = connect("postgres")
    with time_limit(500), rival.transaction():
        rival.execute("LOCK TABLE multica_admin.auth_user")
        answer = client.post("/login/", {"username": "ada", "password": "x"})
    assert answer.status_code == 503
    assert "Traceback" not in answer.content.decode()
