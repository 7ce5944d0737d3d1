"""The dashboard served for real on a free port of loopback, by threads of this process.

It runs in this process, so that a test can change the pace of refreshes and forget a snapshot. It
uses HTTP and the whole middleware, so that the browser gets the real headers.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import Any

from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler

from tests.waiting import HANG


class _Quiet(WSGIRequestHandler):
    # A connection for each request, so that no thread, and nothing that it keeps, outlives a test.
    protocol_version = "HTTP/1.0"

    def log_message(self, *_arguments: Any) -> None:
        """The access log is not what a failing test is about."""


class Server:
    """Serves the application until ``stop``, and knows whether a request is being answered.

    It sends the second half of each page ``pause`` seconds after the first.
    """

    def __init__(self) -> None:
        from multica_admin.wsgi import application  # noqa: PLC0415  static files are there only now

        self._application = application
        self._changed = threading.Condition()
        self._busy = 0
        self.pause = 0.0
        self._server = ThreadedWSGIServer(("127.0.0.1", 0), _Quiet)
        self._server.set_app(self._answer)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        with self._changed:
            self._busy += 1
        try:
            response = self._application(environ, start_response)
            try:
                body = list(response)
            finally:
                response.close()
            is_page = environ.get("HTTP_SEC_FETCH_DEST") == "document"
            return self._in_halves(b"".join(body)) if self.pause and is_page else body
        finally:
            with self._changed:
                self._busy -= 1
                self._changed.notify_all()

    def _in_halves(self, body: bytes) -> Iterator[bytes]:
        half = len(body) // 2
        yield body[:half]
        threading.Event().wait(self.pause)
        yield body[half:]

    def wait_until_idle(self) -> None:
        """Return once no request is being answered. A test may then remove its tables."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._busy == 0, timeout=HANG)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
