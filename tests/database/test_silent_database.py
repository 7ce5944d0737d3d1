"""A database that accepts connections and says nothing: how long it holds up our requests.

Each web process has four threads. A request that waits for a silent database occupies one of them.
"""

from __future__ import annotations

import socket
import tempfile
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import pytest
from django.db import OperationalError, connections

from executions.database.problems import diagnose
from executions.database.reading import fetch_for_dashboard
from multica_admin.databases import reader_alias
from tests import environment
from tests.waiting import until

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

SOCKET = ".s.PGSQL.5432"


@contextmanager
def silent_server():
    """The folder of a socket that accepts every connection and answers none."""
    with tempfile.TemporaryDirectory(prefix="multica-admin-silent-") as folder:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(f"{folder}/{SOCKET}")
        listener.listen(100)
        with listener:
            yield Path(folder)


@pytest.fixture
def silent(cluster, monkeypatch):
    """The alias ``multica`` leads to a silent server; its folder."""
    alias = connections["multica"]
    alias.close()
    alias.close_pool()
    with silent_server() as folder:
        conninfo = cluster.conninfo("multica", "multica_view") | {"host": str(folder)}
        named = {"default": connections["default"].settings_dict, "multica": reader_alias(conninfo)}
        there = connections.configure_settings(named)["multica"]
        monkeypatch.setattr(alias, "settings_dict", alias.settings_dict | there)
        yield folder
        alias.close()
        alias.close_pool()


def refused():
    """The problem that a read of the dashboard's meets."""
    with pytest.raises(OperationalError) as caught:
        fetch_for_dashboard("SELECT 1 AS one", {})
    return diagnose(caught.value)


def test_only_the_first_request_waits_long_for_a_silent_database(silent):
    longest = connections["multica"].settings_dict["OPTIONS"]["pool"]["timeout"]
    began = monotonic()
    first = refused()
    assert monotonic() - began >= longest
    assert first.code == "no_server"
    began = monotonic()
    for _ in range(3):
        assert refused().code == "no_server"
    assert monotonic() - began < 2 * longest


def test_who_waits_only_briefly_still_finds_the_database_when_it_is_back(silent):
    refused()
    (silent / SOCKET).unlink()
    (silent / SOCKET).symlink_to(environment.SOCKET / SOCKET)

    def answers():
        try:
            return fetch_for_dashboard("SELECT 1 AS one", {})
        except OperationalError:
            return None

    assert until(answers) == [{"one": 1}]
    pool = connections["multica"].pool
    assert pool.timeout == connections["multica"].settings_dict["OPTIONS"]["pool"]["timeout"]
