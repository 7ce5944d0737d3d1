"""Every target_session_attrs of a URL leads each part of ours to a server that it can use."""

from __future__ import annotations

import pytest
from django.db import connections

from executions.database.connections import retire_connection, retire_reader, runner_connection
from multica_admin.databases import admin_alias, reader_alias
from tests import environment

VALUES = ("any", "read-write", "read-only", "primary", "standby", "prefer-standby")
READABLE = tuple(value for value in VALUES if value != "standby")


def conninfo(cluster, role, value):
    return cluster.conninfo(environment.DATABASE, role) | {"target_session_attrs": value}


@pytest.fixture
def through(monkeypatch):
    """Opens an alias of ours with other parameters, once, and gives what it is asked."""

    def ask(alias, made, statement):
        made["OPTIONS"].pop("pool", None)  # a pool would not report why it gives no connection
        another = connections[alias].copy()
        monkeypatch.setattr(another, "settings_dict", another.settings_dict | made)
        try:
            with another.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchone()[0]
        finally:
            another.close()

    return ask


@pytest.mark.django_db(databases=["multica"])
@pytest.mark.parametrize("value", READABLE)
def test_what_reads_attaches_to_a_primary_and_is_held_read_only(cluster, through, settings, value):
    alias = reader_alias(conninfo(cluster, "multica_view", value))
    assert through("multica", alias, "SHOW transaction_read_only") == "on"
    settings.RETIRE_CONNINFO = conninfo(cluster, "postgres", value)
    with retire_reader("look") as looking:
        (shown,) = looking.execute("SHOW transaction_read_only")
        assert shown == {"transaction_read_only": "on"}


@pytest.mark.django_db(databases=["multica"])
def test_who_asks_for_a_standby_to_read_gets_no_primary(cluster, through):
    alias = reader_alias(conninfo(cluster, "multica_view", "standby"))
    with pytest.raises(Exception, match="not in hot standby mode"):
        through("multica", alias, "SELECT 1")


@pytest.mark.django_db(databases=["default"])
@pytest.mark.parametrize("value", VALUES)
def test_what_writes_attaches_to_a_primary_whatever_the_url_prefers(
    cluster, through, settings, value
):
    alias = admin_alias(conninfo(cluster, "multica_admin", value))
    assert through("default", alias, "SHOW transaction_read_only") == "off"
    settings.RUNNER_CONNINFO = conninfo(cluster, "multica", value)
    settings.RETIRE_CONNINFO = conninfo(cluster, "postgres", value)
    for opened in (runner_connection(), retire_connection()):
        with opened as acting:
            (shown,) = acting.execute("SHOW transaction_read_only")
            assert shown == {"transaction_read_only": "off"}
