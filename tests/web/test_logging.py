"""What the server writes to its log, from the first line to the last: one form throughout."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
from contextlib import closing

import pytest

from tests.processes import Process, free_port
from tests.waiting import HANG

pytestmark = pytest.mark.django_db(transaction=True)


def asked(port, path):
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=HANG)) as connection:
        connection.request("GET", path)
        with connection.getresponse() as answer:
            return answer.status


@pytest.fixture
def log(cluster, django_db_setup):
    """Start the server, ask for a page, a probe and an unknown address, and stop the server."""

    def of(style):
        port = free_port()
        server = Process(
            *("-m", "gunicorn", "--config", "python:multica_admin.gunicorn"),
            *("--bind", f"127.0.0.1:{port}", "multica_admin.wsgi:application"),
            env=os.environ | {"LOG_FORMAT": style, "WEB_CONCURRENCY": "1"},
        )
        try:
            server.wait_for("Booting")
            assert asked(port, "/login/") == asked(port, "/livez") == 200
            assert asked(port, "/nothing") == 404
            assert asked(port, "/nothing%0aforged%0d%c2%85forged") == 404
        finally:
            server.stop(signal.SIGTERM)
        server.end()
        return server.seen

    return of


def test_as_json_every_line_is_an_object_gunicorns_own_too(log):
    lines = [json.loads(line) for line in log("json")]
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)
    messages = "\n".join(line["message"] for line in lines)
    assert "Listening at" in messages
    assert "Shutting down" in messages
    assert "/livez" not in messages


def test_as_text_every_line_begins_with_its_time_once(log):
    lines = log("text")
    assert any("Listening at" in line for line in lines)
    for line in lines:
        assert re.match(r"\d{4}-\d\d-\d\dT[\d:.]+Z (info|warning|error) ", line), line
    assert len([line for line in lines if "Listening at" in line]) == 1
