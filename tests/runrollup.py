"""The command `runrollup`, run once in this process or for longer in one of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from executions.management.commands import runrollup
from executions.scheduler.spec import registry
from tests import environment
from tests.commands import run_command

ROOT = Path(__file__).parents[1]


def once(*arguments, expect=0):
    """The lines of `runrollup --once`, and what it said on stderr."""
    status, said, refused = run_command("runrollup", "--once", *arguments)
    assert status == expect, refused
    return said.splitlines(), refused


@pytest.fixture
def other_jobs(monkeypatch):
    """Puts other jobs in the place of the product's own."""
    return lambda *specs: monkeypatch.setattr(runrollup, "JOBS", registry(specs))


def environment_conninfo():
    return {"host": str(environment.SOCKET), "dbname": environment.DATABASE, "user": "multica"}


@contextmanager
def process(*arguments, **variables):
    """`manage.py runrollup` in a process of its own, killed if it still runs at the end."""
    command = [sys.executable, "manage.py", "runrollup", "--tick-interval", "0.2", *arguments]
    running = subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | {"LOG_FORMAT": "text"} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield running
    finally:
        running.kill()
        running.communicate()
