"""A gunicorn worker with threads that never wait for a client.

One loop in the main thread collects each request and sends what the client does not take at once.
A thread gets whole requests only, and hands its answer over without waiting. So a client that is
slow, silent or deaf costs a connection, never a thread, and only until its deadline.
"""

from __future__ import annotations

import errno
import select
import selectors
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from types import FrameType
from typing import Any

from django.conf import settings
from gunicorn import util
from gunicorn.workers.base import Worker as BaseWorker
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, TConn, ThreadWorker

from multica_admin.arriving import (
    ALIVE,
    EXPORTS,
    OUTSIDE,
    PAGES,
    PASSWORD_THREADS,
    PASSWORDS,
    PROBES,
    TOO_LATE,
    Arriving,
    Refusal,
    threads_for,
)

# Seconds that a client may take for each step.
HEAD_SECONDS = 10
BODY_SECONDS = 30
ANSWER_SECONDS = 60
# An export's thread waits for its reader, who must take some of it within this time.
STALLED_SECONDS = 15
# After the last answer, until the client has closed its side too.
LINGER_SECONDS = 2

# Of clients that send a long body or do not read, the process remembers only so many, because each
# may cost it a megabyte. The one that has waited longest goes first.
MOST_WITH_BYTES = 64
# The largest page has less. A longer answer waits for its reader.
UNSENT_BYTES = 1024 * 1024

# Threads beside those that serve pages, which gunicorn's ``threads`` says.
THREADS = {ALIVE: 1, PROBES: 1, EXPORTS: 1, OUTSIDE: 2, PASSWORDS: PASSWORD_THREADS}

SIGNALS = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)


class _Socket(socket.socket):
    """A client's socket that never waits: what the system does not take at once is kept."""

    def __init__(self, accepted: socket.socket) -> None:
        super().__init__(fileno=accepted.detach())
        self.unsent = bytearray()
        self.setblocking(False)

    def setblocking(self, _flag: bool) -> None:
        """Stay as it is: gunicorn's threads would make the socket wait."""
        super().setblocking(False)

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send what is possible now and keep the rest, up to a limit; then wait for the reader.

        Raises:
            BrokenPipeError: the reader has taken nothing for a while.
        """
        self.unsent += data
        self.flush()
        if len(self.unsent) > UNSENT_BYTES:
            self._wait_for_the_reader()

    def flush(self) -> None:
        """Send what is kept as far as the system takes it now."""
        while self.unsent:
            try:
                sent = self.send(bytes(self.unsent[:65_536]))
            except BlockingIOError:
                return
            del self.unsent[:sent]

    def _wait_for_the_reader(self) -> None:
        writable = select.poll()
        writable.register(self, select.POLLOUT)
        while len(self.unsent) > UNSENT_BYTES:
            if not writable.poll(STALLED_SECONDS * 1000):
                self.unsent.clear()
                raise BrokenPipeError(errno.EPIPE, "the client does not read its answer")
            self.flush()


class Connection(TConn):
    """One client's connection, and the request that arrives on it."""

    sock: _Socket
    parser: Any

    def __init__(self, cfg: Any, accepted: socket.socket, client: Any, server: Any) -> None:
        super().__init__(cfg, _Socket(accepted), client, server)
        self.init()
        self.arriving = Arriving()
        self.since = 0.0
        self.served: Future[Any] | None = None

    def next_request(self) -> None:
        """Begin with what has come behind the last request."""
        self.arriving = Arriving()
        self.arriving.add(self.parser.unreader.take_buffered())


class Waiting:
    """Connections that wait for their client in one way, the longest first."""

    def __init__(self, seconds: float, at_most: int) -> None:
        self.seconds, self.at_most = seconds, at_most
        self._connections: dict[Connection, None] = {}

    def __len__(self) -> int:
        return len(self._connections)

    def __contains__(self, conn: Connection) -> bool:
        return conn in self._connections

    def add(self, conn: Connection) -> None:
        conn.since = time.monotonic()
        self._connections[conn] = None

    def discard(self, conn: Connection) -> None:
        self._connections.pop(conn, None)

    def oldest(self) -> Connection:
        return next(iter(self._connections))

    def overdue(self, seconds: float) -> Iterator[Connection]:
        """Those that have waited for so many seconds. Each must be taken out before the next."""
        end = time.monotonic() - seconds
        while self._connections and (conn := self.oldest()).since <= end:
            yield conn


class Worker(ThreadWorker):
    """gunicorn's `gthread`, but no thread waits for a client, and a signal ends it at any moment.

    gthread reads a request in one of its threads, so a few half-sent heads stop the whole service.
    Here the loop collects head and body, and sends the rest of an answer that its client does not
    read. Each step has a deadline. TLS is the business of the proxy in front.

    A new process begins with the handlers of gunicorn's first one, which only note the signal. So
    the signals wait until this process has handlers of its own: see `multica_admin.gunicorn`.
    Otherwise a stop at that moment took until the process was killed, `graceful_timeout` later.

    Ctrl-C reaches a process twice: from the terminal, and as SIGQUIT from gunicorn's first process.
    gthread's own handler takes the lock of its threads' queue. The code that it interrupts may hold
    that lock, and so may an earlier call of the handler. It then waited for itself until it was
    killed.
    """

    poller: selectors.BaseSelector
    _told_to_quit = False

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._heads = Waiting(HEAD_SECONDS, self.worker_connections)
        self._bodies = Waiting(BODY_SECONDS, MOST_WITH_BYTES)
        self._answers = Waiting(ANSWER_SECONDS, MOST_WITH_BYTES)
        self._lingering = Waiting(LINGER_SECONDS, self.worker_connections)
        self._kinds = (self._heads, self._bodies, self._answers, self._lingering)
        self._threads: dict[str, ThreadPoolExecutor] = {}

    def init_signals(self) -> None:
        super().init_signals()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def handle_quit(self, sig: int, frame: FrameType | None) -> None:
        """End at once. The threads need no notice: they end with the interpreter."""
        if not self._told_to_quit:
            self._told_to_quit = True
            BaseWorker.handle_quit(self, sig, frame)

    def get_thread_pool(self) -> ThreadPoolExecutor:
        """The threads for pages; beside them, those that are kept for something else."""
        pages: ThreadPoolExecutor = super().get_thread_pool()
        self._threads = {name: ThreadPoolExecutor(number) for name, number in THREADS.items()}
        self._threads[PAGES] = pages
        return pages

    # --- A request arrives ----------------------------------------------------------------------

    def accept(self, listener: socket.socket) -> None:
        """Take a new connection. If there are too many, the oldest of the largest kind goes."""
        try:
            accepted, address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError:
            if not self._make_room():
                raise
            return
        self.nr_conns += 1
        conn = Connection(self.cfg, accepted, address, listener.getsockname())
        if self.nr_conns >= self.worker_connections:
            self._make_room()
        self.enqueue_req(conn)

    def enqueue_req(self, conn: Connection) -> None:
        """Begin to collect a request. gunicorn calls this when a kept connection speaks again."""
        conn.next_request()
        self._wait(conn, self._heads, selectors.EVENT_READ, self._receive)
        self._proceed(conn)

    def _receive(self, conn: Connection, _sock: socket.socket) -> None:
        try:
            data = conn.sock.recv(65_536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            conn.arriving.add(data)
            self._proceed(conn)
        else:
            self._drop(conn)

    def _proceed(self, conn: Connection) -> None:
        """Hand a whole request to its threads, refuse it, or wait for the rest."""
        arriving = conn.arriving
        if arriving.refusal:
            self._refuse(conn, arriving.refusal)
        elif arriving.is_whole:
            self._stop_waiting(conn)
            conn.parser.unreader.unread(bytes(arriving.data))
            self._serve(conn, threads_for(arriving.data, settings.PUBLIC_PREFIX))
        elif arriving.has_its_head and conn in self._heads:
            self._stop_waiting(conn)
            self._wait(conn, self._bodies, selectors.EVENT_READ, self._receive)
            if arriving.expects_continue:
                conn.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _serve(self, conn: Connection, threads: str) -> None:
        future = self._threads[threads].submit(self.handle, conn)
        future.add_done_callback(
            lambda done: self.method_queue.defer(self.finish_request, conn, done)
        )

    def handle_request(self, req: Any, conn: Connection) -> bool:
        """As gunicorn does. The body is here already, so its client need not be told to send it."""
        req._expected_100_continue = False
        return bool(super().handle_request(req, conn))

    # --- An answer leaves -----------------------------------------------------------------------

    def finish_request(self, conn: Connection, future: Future[Any]) -> None:
        """The thread is done. Send what is left of its answer."""
        conn.served = future
        self._send(conn)

    def _send(self, conn: Connection, _sock: socket.socket | None = None) -> None:
        try:
            conn.sock.flush()
        except OSError:
            self._drop(conn)
            return
        if not conn.sock.unsent:
            self._stop_waiting(conn)
            self._keep_or_close(conn)
        elif conn not in self._answers:
            self._wait(conn, self._answers, selectors.EVENT_WRITE, self._send)

    def _keep_or_close(self, conn: Connection) -> None:
        future = conn.served
        if future and not future.cancelled() and not future.exception() and future.result():
            super().finish_request(conn, future)
            return
        # RFC 9112 section 9.6: otherwise the client might lose the end of the answer.
        try:
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._drop(conn)
        else:
            self._wait(conn, self._lingering, selectors.EVENT_READ, self._ignore)

    def _ignore(self, conn: Connection, _sock: socket.socket) -> None:
        """Read on until the client has closed its side."""
        try:
            ended = not conn.sock.recv(65_536)
        except BlockingIOError:
            return
        except OSError:
            ended = True
        if ended:
            self._drop(conn)

    def _refuse(self, conn: Connection, refusal: Refusal) -> None:
        self._stop_waiting(conn)
        conn.served = None
        try:
            util.write_error(conn.sock, refusal.status, refusal.reason, refusal.sentence)
        except OSError:
            self._drop(conn)
        else:
            self._send(conn)

    # --- Waiting for clients --------------------------------------------------------------------

    def _wait(self, conn: Connection, kind: Waiting, event: int, callback: Any) -> None:
        kind.add(conn)
        self.poller.register(conn.sock, event, partial(callback, conn))
        if len(kind) > kind.at_most:
            self._drop(kind.oldest())

    def _stop_waiting(self, conn: Connection) -> None:
        for kind in self._kinds:
            if conn in kind:
                kind.discard(conn)
                self.poller.unregister(conn.sock)

    def _drop(self, conn: Connection) -> None:
        self._stop_waiting(conn)
        self.nr_conns -= 1
        conn.close()

    def _make_room(self) -> bool:
        """Give up the oldest connection of the kind that has the most. Return whether one was."""
        kind = max(self._kinds, key=len)
        if len(self.keepalived_conns) > len(kind):
            conn = self.keepalived_conns.popleft()
            self.poller.unregister(conn.sock)
            self._drop(conn)
        elif kind:
            self._drop(kind.oldest())
        else:
            return False
        return True

    def murder_pending(self) -> None:
        """Give up the clients that are overdue. gunicorn calls this at least every second."""
        heads = HEAD_SECONDS if self.alive else STOP_KEEPALIVE_LINGER
        for conn in self._heads.overdue(heads):
            if conn.arriving.data:
                self._refuse(conn, TOO_LATE)
            else:
                self._drop(conn)
        for conn in self._bodies.overdue(BODY_SECONDS):
            self._refuse(conn, TOO_LATE)
        for kind in (self._answers, self._lingering):
            for conn in kind.overdue(kind.seconds):
                self._drop(conn)
