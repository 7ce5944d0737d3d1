"""The second question after an error has limits: through a pooler, and to a silent server."""

from __future__ import annotations

import threading
from contextlib import closing

import pytest
from django.db import connections

from executions.database import second_tries
from executions.database.second_tries import LOCKS, Holders
from tests import environment
from tests.faults.proxy import Proxy
from tests.poolers import dashboard_through, pooler

__all__ = ["dashboard_through", "pooler"]

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

ONLY_A_HANG_SECONDS = 120


def test_behind_a_pooler_that_drops_our_settings_it_is_read_only_and_limited(
    owner, pooler, dashboard_through, monkeypatch
):
    dashboard_through(pooler("transaction", ignores_options=True))
    statement = """
        SELECT current_setting('transaction_read_only') AS name,
               current_setting('statement_timeout') AS pid"""
    monkeypatch.setattr(LOCKS, "holders", statement, raising=False)
    found = second_tries.lock_holders()
    assert (found.tables, found.pids) == (("on",), ("5s",))


def test_a_server_that_falls_silent_holds_up_no_page(owner, monkeypatch):
    """The server's own time limit does not help then. Only a deadline on our side does."""
    with closing(Proxy(environment.SOCKET)) as proxy:
        alias = connections["multica"]
        monkeypatch.setattr(alias, "settings_dict", alias.settings_dict | {"HOST": proxy.host})
        proxy.swallow_from("pg_locks")
        found = []
        parameters = alias.get_connection_params()
        monkeypatch.setattr(second_tries, "_dashboards", lambda: parameters)
        page = threading.Thread(target=lambda: found.append(second_tries.lock_holders()))
        page.start()
        page.join(ONLY_A_HANG_SECONDS)
        hangs = page.is_alive()
        proxy.cut()  # otherwise the thread would outlive the test
        page.join(ONLY_A_HANG_SECONDS)
        assert not hangs
        assert found == [Holders()]
