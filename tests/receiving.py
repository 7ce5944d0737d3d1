"""Real receivers of alarms: an HTTP server that behaves by address, and a mail server."""

from __future__ import annotations

import contextlib
import email
import email.policy
import json
import logging
import re
import threading
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from aiosmtpd.controller import Controller

from tests.processes import free_port


def numbers_of(text):
    """The numbers of the alarms that a message is about; the newest last."""
    return [int(number) for number in re.findall(r"(?i)\balarm (\d+)\b", text)]


class HttpReceiver:
    """Takes messages at any path. ``answers`` has the status of a path, ``held`` paths hang."""

    def __init__(self):
        self.got = defaultdict(list)
        self.answers: dict[str, int] = {}
        self.held: set[str] = set()
        self.waiting = 0
        self.let_go = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                receiver._take(self, json.loads(body))

            def do_GET(self):
                receiver._take(self, {"message": "", "title": ""})

            def log_message(self, *args):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _take(self, handler, message):
        path = handler.path.partition("?")[0]
        if path in self.held:
            self.waiting += 1
            self.let_go.wait()  # `close` lets it go
        status = self.answers.get(path, 200)
        if status == 200:
            self.got[path].append(message)
        with contextlib.suppress(OSError):
            handler.send_response(status)
            if 300 <= status < 400:
                handler.send_header("Location", f"http://127.0.0.1:{self.port}/elsewhere")
            handler.send_header("Content-Length", "0")
            handler.end_headers()

    def url(self, path, scheme="json"):
        return f"{scheme}://127.0.0.1:{self.port}{path}"

    def numbers(self, path):
        """The newest alarm of each message, in the order of arrival."""
        return [numbers_of(one["message"])[-1] for one in self.got[path]]

    def close(self):
        self.let_go.set()
        self._server.shutdown()
        self._server.server_close()


class MailReceiver:
    """A mail server; its messages are in the order of arrival."""

    def __init__(self):
        self.got = []
        logging.getLogger("mail.log").setLevel(logging.ERROR)  # aiosmtpd tells of every line
        self.port = free_port()
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)
        self._controller.start()

    async def handle_DATA(self, _server, _session, envelope):
        read = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.got.append(read.get_body(("plain", "html")).get_content())
        return "250 taken"

    @property
    def url(self):
        return (
            f"mailto://127.0.0.1:{self.port}/?smtp=127.0.0.1&mode=insecure"
            "&from=alarms@example.com&to=night@example.com"
        )

    def numbers(self):
        return [numbers_of(one)[-1] for one in self.got]

    def close(self):
        self._controller.stop()
