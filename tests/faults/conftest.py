"""Shared by the fault tests."""

from __future__ import annotations

import pytest

from tests import environment
from tests.faults.proxy import Proxy
from tests.scheduling import Reach, reach

__all__ = ["reach"]


@pytest.fixture
def proxy(cluster):
    between = Proxy(environment.SOCKET)
    yield between
    between.close()


@pytest.fixture
def proxied(proxy):
    """Connections of a runner's, through the proxy."""
    opener = Reach({"host": proxy.host, "dbname": environment.DATABASE, "user": "multica"})
    yield opener
    opener.close()
