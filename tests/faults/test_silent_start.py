"""A start on a server that accepts the connection and then falls silent or breaks it."""

from __future__ import annotations

import socket
import struct
import threading

import pytest

from tests import environment
from tests.processes import free_port
from tests.starting import QUICKSTART, refusal, start, var

__all__ = ["start", "var"]


def message(kind, body):
    return kind + struct.pack("!I", len(body) + 4) + body


GREETING = (
    message(b"R", struct.pack("!I", 0))
    + message(b"S", b"server_version\x0015.0\x00")
    + message(b"S", b"client_encoding\x00UTF8\x00")
    + message(b"K", struct.pack("!II", 1, 1))
    + message(b"Z", b"I")
)


class Greeter(threading.Thread):
    """Greets each client like PostgreSQL. At the first statement it falls silent or hangs up."""

    def __init__(self, *, greets=True, hangs_up=False):
        super().__init__(daemon=True)
        self.greets, self.hangs_up = greets, hangs_up
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.clients = []

    def run(self):
        while True:
            try:
                client, _address = self.listener.accept()
            except OSError:
                return
            self.clients.append(client)
            threading.Thread(target=self.serve, args=[client], daemon=True).start()

    def serve(self, client):
        if not self.greets:
            return
        client.recv(65_536)
        client.sendall(GREETING)
        client.recv(65_536)
        if self.hangs_up:
            client.close()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.join()
        for one in (self.listener, *self.clients):
            one.close()


@pytest.fixture
def check(start, cluster):
    """What `--check` says about our own tables on such a server."""
    greeters = []

    def look(**behaviour):
        greeter = Greeter(**behaviour)
        greeters.append(greeter)
        greeter.start()
        url = (
            f"postgresql://u@127.0.0.1:{greeter.port}/ours"
            "?sslmode=disable&gssencmode=disable&statement_timeout=7000"
        )
        urls = {"DATABASE_URL": environment.url("multica_view"), "ADMIN_DATABASE_URL": url}
        return refusal(start(*QUICKSTART, str(free_port()), "--check", **urls))

    yield look
    for greeter in greeters:
        greeter.close()


@pytest.mark.parametrize("greets", [True, False], ids=["after the greeting", "from the beginning"])
def test_a_server_that_falls_silent_is_given_up_and_told(check, greets):
    line = check(greets=greets)
    assert "Our own tables cannot be made in ADMIN_DATABASE_URL. Nothing answers: " in line
    assert "Check that PostgreSQL runs there" in line


def test_a_connection_that_breaks_is_not_taken_for_a_refused_parameter(check):
    line = check(hangs_up=True)
    assert "Our own tables cannot be made in ADMIN_DATABASE_URL." in line
    assert "The connection to the database broke" in line
    assert "parameter" not in line
