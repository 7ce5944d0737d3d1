"""A proxy's idle connection is never closed under its next request."""

from __future__ import annotations

import http.client
import os
import select
from contextlib import closing

import pytest

from multica_admin import gunicorn
from tests.processes import Process, free_port
from tests.waiting import HANG

pytestmark = pytest.mark.django_db(transaction=True)

# Longer than gunicorn's own two seconds.
IDLE_SECONDS = 5


@pytest.fixture
def port(cluster, django_db_setup):
    """Of a real server."""
    number = free_port()
    server = Process(
        *("-m", "gunicorn", "--config", "python:multica_admin.gunicorn"),
        *("--bind", f"127.0.0.1:{number}", "multica_admin.wsgi:application"),
        env=os.environ | {"WEB_CONCURRENCY": "1"},
    )
    try:
        server.wait_for("Booting")
        yield number
    finally:
        server.stop()


def asked(connection):
    connection.request("GET", "/livez")
    with connection.getresponse() as answer:
        answer.read()
        return answer.status


def test_a_connection_that_was_idle_takes_another_request(port):
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=HANG)) as connection:
        assert asked(connection) == 200
        wire = connection.sock
        closed, _, _ = select.select([wire], [], [], IDLE_SECONDS)
        assert not closed
        assert asked(connection) == 200
        assert connection.sock is wire


def test_the_server_waits_longer_than_common_proxies():
    assert gunicorn.keepalive > 120
