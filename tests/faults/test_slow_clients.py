"""Clients that are slow, silent or deaf, or guess passwords, never stop the others.

One gunicorn process serves every case. The attackers are as many as the size says, and each opens
another connection as soon as the server closes one.
"""

from __future__ import annotations

import http.client
import os
import select
import socket
import threading
import time
from contextlib import ExitStack, closing, contextmanager, suppress

import pytest
from django.conf import settings
from django.contrib.staticfiles.storage import staticfiles_storage
from django.test import Client

from executions.accounts import guessing
from executions.accounts.guessing import SIGN_IN, TooManyGuesses
from tests.guesses import Guess
from tests.people import PASSWORD, make_user
from tests.processes import Process, free_port
from tests.sizes import AT_FULL_SIZE, sized
from tests.waiting import HANG, until

pytestmark = pytest.mark.django_db(transaction=True)


# All other clients get an answer within this many seconds.
SOON = 2.0
ROUNDS = sized(2, 12)
CROWDS = sized([8], [8, 200])


@pytest.fixture(scope="module")
def port(cluster, django_db_setup):
    number = free_port()
    server = Process(
        *("-m", "gunicorn", "--config", "python:multica_admin.gunicorn"),
        *("--bind", f"127.0.0.1:{number}", "multica_admin.wsgi:application"),
        env=os.environ | {"WEB_CONCURRENCY": "1", "ROLLUP_SCHEDULER": "off"},
    )
    try:
        server.wait_for("Booting")
        until(lambda: serves(number))
        yield number
    finally:
        server.stop()


def serves(port):
    try:
        return asked(port, "/livez")[0] == 200
    except OSError:
        return False


def asked(port, path, headers=None):
    """The status, and the seconds until the answer was read."""
    began = time.monotonic()
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=HANG)) as connection:
        connection.request("GET", path, headers=headers or {})
        with connection.getresponse() as answer:
            answer.read()
            return answer.status, time.monotonic() - began


def read(port, path, headers):
    """The text of the answer."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=HANG)) as connection:
        connection.request("GET", path, headers=headers)
        with connection.getresponse() as answer:
            return answer.read().decode()


@pytest.fixture
def signed_in():
    client = Client()
    client.force_login(make_user("vera"))
    session = client.cookies[settings.SESSION_COOKIE_NAME]
    return {"Cookie": f"{session.key}={session.value}", "Accept": "text/html"}


def half_a_head(wire):
    wire.sendall(b"GET /login/ HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")


def half_a_body(wire):
    wire.sendall(
        b"POST /login/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
        b"Content-Type: application/x-www-form-urlencoded\r\n\r\nusername=half"
    )


def unread_answers(wire):
    """More than any buffer of the system holds: many requests at once, and nobody reads."""
    path = staticfiles_storage.url("vendor/uplot-1.6.32/uPlot.iife.min.js")
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    wire.sendall(request * 200)


def never_hangs_up(wire):
    """The server is told to close, and the client keeps its side open."""
    wire.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")


class Crowd(threading.Thread):
    """Holds that many connections open and renews each one that the server closes."""

    def __init__(self, port, misbehave, size):
        super().__init__(daemon=True)
        self._port, self._misbehave, self._size = port, misbehave, size
        # Of a client that reads nothing, the system tells only that the server has hung up.
        self._events = select.POLLRDHUP if misbehave is unread_answers else select.POLLIN
        self._poll = select.poll()
        self._wires = {}
        self._over = threading.Event()
        self.there = threading.Event()

    def run(self):
        for _number in range(self._size):
            self._open()
        self.there.set()
        while not self._over.is_set():
            for number, _events in self._poll.poll(50):
                self._look_at(number)
        for wire in self._wires.values():
            wire.close()

    def _open(self):
        wire = socket.create_connection(("127.0.0.1", self._port), timeout=HANG)
        with suppress(OSError):
            self._misbehave(wire)
        wire.setblocking(False)
        self._wires[wire.fileno()] = wire
        self._poll.register(wire, self._events)

    def _look_at(self, number):
        with suppress(OSError):
            if self._events == select.POLLIN and self._wires[number].recv(4096):
                return
        self._poll.unregister(number)
        self._wires.pop(number).close()
        self._open()

    def leave(self):
        self._over.set()
        self.join(HANG)


@contextmanager
def crowd(port, misbehave, size):
    people = Crowd(port, misbehave, size)
    people.start()
    try:
        assert people.there.wait(HANG)
        yield people
    finally:
        people.leave()


@pytest.mark.parametrize("size", CROWDS)
@pytest.mark.parametrize("misbehave", [half_a_head, half_a_body, unread_answers, never_hangs_up])
def test_everybody_else_is_served_soon(owner, port, signed_in, slow, misbehave, size):
    paths = ["/livez", "/readyz", "/healthz", "/password/", "/executions/"]
    with crowd(port, misbehave, size):
        for _round in range(ROUNDS):
            for path in paths:
                status, seconds = asked(port, path, signed_in)
                assert status == 200, path
                assert seconds < SOON * slow, path


GUESSERS = sized(8, 24)
# Guesses at passwords. Each costs the server at least a quarter of a second.
HASHED = sized(6, SIGN_IN.per_address)
# People at another address who sign in meanwhile, one after the other.
PEOPLE = sized(1, 12)
# Guesses that are checked before a right password of another address is: the one whose turn it is,
# and those that end while its answer is on its way.
BEFORE = 3


class Guesser(threading.Thread):
    """Tries one password after another at an account of its own until it is told to leave."""

    def __init__(self, port, number, statuses):
        super().__init__(daemon=True)
        self._port, self._name, self._statuses = port, f"name {number}", statuses
        self._over = threading.Event()

    def run(self):
        with closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=HANG)) as wire:
            guess = Guess(wire, self._name)
            while not self._over.is_set():
                self._statuses.append(guess.send())

    def leave(self):
        self._over.set()
        self.join(HANG)


@pytest.fixture
def people(owner, port):
    """The filled-in forms of people at another address, each with the right password."""
    with ExitStack() as wires:
        forms = []
        for number in range(PEOPLE):
            make_user(f"person {number}", password=PASSWORD)
            wire = http.client.HTTPConnection(
                "127.0.0.1", port, timeout=HANG, source_address=("127.0.0.2", 0)
            )
            forms.append(Guess(wires.enter_context(closing(wire)), f"person {number}", PASSWORD))
        yield forms


def test_everybody_else_is_served_soon_while_many_guess_passwords(
    owner, port, signed_in, people, slow
):
    """Each process counts in the same place: this one knows what the server has counted."""
    for number in range(SIGN_IN.per_address - HASHED):
        guessing.begin(SIGN_IN, f"earlier {number}", "127.0.0.1")
    statuses = []
    guessers = [Guesser(port, number, statuses) for number in range(GUESSERS)]
    for guesser in guessers:
        guesser.start()
    paths = ["/livez", "/readyz", "/healthz", "/login/", "/password/", "/executions/"]
    try:
        until(lambda: 200 in statuses)
        for form in people:
            checked, began = statuses.count(200), time.monotonic()
            assert form.send() == 302
            assert statuses.count(200) - checked <= BEFORE
            if AT_FULL_SIZE:
                assert time.monotonic() - began < SOON * slow
        for _round in range(ROUNDS):
            for path in paths:
                status, seconds = asked(port, path, signed_in)
                assert status in {200, 302}, path
                assert seconds < SOON * slow, path
        until(lambda: statuses.count(200) >= HASHED)
        answered = len(statuses)
        until(lambda: len(statuses) >= answered + 2 * GUESSERS)
    finally:
        for guesser in guessers:
            guesser.leave()
    assert set(statuses) == {200, 429}
    assert statuses.count(200) == HASHED
    with pytest.raises(TooManyGuesses):
        guessing.begin(SIGN_IN, "somebody", "127.0.0.1")
