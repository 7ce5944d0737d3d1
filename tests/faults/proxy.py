"""A small proxy before PostgreSQL's socket that loses connections at a chosen moment.

It forwards bytes and understands only the text of a statement on its way to the server.
"""

from __future__ import annotations

import contextlib
import socket
import tempfile
import threading
from pathlib import Path
from time import sleep

from tests import environment

CHUNK = 65_536
READY_FOR_QUERY = b"Z\x00\x00\x00\x05"


class Proxy:
    """Listens on a unix socket of its own; connect with ``host=proxy.host``."""

    def __init__(self, server: Path) -> None:
        self._server = str(server / ".s.PGSQL.5432")
        self._folder = tempfile.TemporaryDirectory(prefix="multica-admin-proxy-")
        self.host = self._folder.name
        self.url = f"host={self.host} dbname={environment.DATABASE} user=multica"
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._lock = threading.Lock()
        self._loses: bytes | None = None
        self._swallows: bytes | None = None
        # Set once a connection was cut after its statement was committed.
        self.lost_an_answer = threading.Event()
        # When cleared, nothing passes: the network drops every byte.
        self.passing = threading.Event()
        self.passing.set()
        # Every message from the client arrives this many seconds late, as at a distant database.
        self.delay = 0.0
        # Set once a connection was refused.
        self.refused = threading.Event()
        self._refusing = False
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(Path(self.host) / ".s.PGSQL.5432"))
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def lose_the_answer_to(self, statement: str) -> None:
        """The next statement with that text reaches the server, but its answer reaches nobody."""
        self._loses = statement.encode()
        self.lost_an_answer.clear()

    def swallow_from(self, statement: str) -> None:
        """From the next statement with that text on, nothing passes."""
        self._swallows = statement.encode()

    def refuse(self) -> None:
        """Close every new connection at once, like a database that is starting up."""
        self._refusing = True

    def accept_again(self) -> None:
        self._refusing = False

    def cut(self) -> None:
        """Lose every connection there is; new ones are accepted."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            _shut(*pair)

    def close(self) -> None:
        self.passing.set()
        _shut(self._listener)
        self._listener.close()
        self.cut()
        self._folder.cleanup()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _address = self._listener.accept()
                if self._refusing:
                    client.close()
                    self.refused.set()
                    continue
                server = socket.socket(socket.AF_UNIX)
                try:
                    server.connect(self._server)
                except OSError:
                    server.close()
                    client.close()
                    continue
                with self._lock:
                    self._pairs.append((client, server))
                _Connection(self, client, server).start()

    def look_at(self, chunk: bytes) -> None:
        with self._lock:
            if self._swallows is not None and self._swallows in chunk:
                self._swallows = None
                self.passing.clear()

    def takes_the_answer(self, chunk: bytes) -> bool:
        with self._lock:
            if self._loses is None or self._loses not in chunk:
                return False
            self._loses = None
            return True


class _Connection:
    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._answer_is_lost = threading.Event()

    def start(self) -> None:
        inward = threading.Thread(target=self._inward, daemon=True)
        outward = threading.Thread(target=self._outward, args=[inward], daemon=True)
        inward.start()
        outward.start()

    def _inward(self) -> None:
        with contextlib.suppress(OSError):
            while chunk := self._client.recv(CHUNK):
                sleep(self._proxy.delay)
                self._proxy.look_at(chunk)
                self._proxy.passing.wait()
                if self._proxy.takes_the_answer(chunk):
                    self._answer_is_lost.set()
                self._server.sendall(chunk)
        _shut(self._client, self._server)

    def _outward(self, inward: threading.Thread) -> None:
        with contextlib.suppress(OSError):
            while chunk := self._server.recv(CHUNK):
                self._proxy.passing.wait()
                if not self._answer_is_lost.is_set():
                    self._client.sendall(chunk)
                elif READY_FOR_QUERY in chunk:
                    # The statement is committed and answered: now the connection breaks.
                    self._proxy.lost_an_answer.set()
                    _shut(self._client, self._server)
        _shut(self._client, self._server)
        inward.join()
        self._client.close()
        self._server.close()


def _shut(*sockets: socket.socket) -> None:
    for one in sockets:
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
