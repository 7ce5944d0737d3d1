"""A web process that monitors ask while Multica's database says nothing."""

from __future__ import annotations

import time
import urllib.request
from urllib.error import HTTPError

import pytest

from tests import environment, scenarios
from tests.faults.proxy import Proxy
from tests.faults.test_web_processes import web
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)

TOKEN = "0123456789abcdef"
SECOND = 1.0


@pytest.fixture
def silent():
    """A way to the database on which nothing passes once it is told so."""
    proxy = Proxy(environment.SOCKET)
    yield proxy
    proxy.close()


def test_monitors_get_answers_within_a_second_from_readings_that_nobody_asked_for(
    owner, silent, slow
):
    scenarios.healthy(owner)
    variables = {
        "DATABASE_URL": f"host={silent.host} dbname={environment.DATABASE} user=multica_view",
        "RUNNER_DATABASE_URL": environment.url("multica"),
        "ROLLUP_SCHEDULER": "off",
        "STATUS_TOKEN": TOKEN,
        "METRICS_TOKEN": TOKEN,
    }

    def ask(path):
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}{path}", headers={"Authorization": f"Bearer {TOKEN}"}
        )
        began = time.monotonic()
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                told = answer.status, answer.read().decode()
        except HTTPError as error:
            told = error.code, error.read().decode()
        except OSError:
            return 0, ""
        longest.append(time.monotonic() - began)
        return told

    silent.passing.clear()
    with web(**variables) as (_server, port):
        longest = []
        until(lambda: "Nobody has looked yet." in ask("/status")[1])
        # The first reading hangs, and ends as one that could read nothing.
        until(lambda: "We cannot tell" in ask("/status")[1])
        assert 'verdict{level="unknown"} 1.0' in ask("/metrics")[1]
        assert max(longest) < SECOND * slow
        silent.passing.set()
        until(lambda: ask("/status")[0] == 200)
        assert 'verdict{level="healthy"} 1.0' in ask("/metrics")[1]
