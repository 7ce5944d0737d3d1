"""`bin/test` leaves nothing behind where it is interrupted, or a step of it fails.

The steps are stand-ins here: the collection beside them goes on until somebody ends it.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess

import pytest

from tests.processes import PROJECT
from tests.waiting import HANG, until

# In place of what bin/setup.sh has: nothing needs to be set up.
SETUP = """
say() { :; }
prepare_python() { :; }
need_chinese_font() { :; }
has_pg_cron() { :; }
has_pgbouncer() { :; }
has_nginx() { :; }
command() { :; }
"""
GOES_ON = "touch {here}/$(basename $0)-began; exec sleep 600"


@pytest.fixture
def begin(tmp_path):
    """Starts it with these types, once both they and the collection have begun."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "tmp").mkdir()
    shutil.copy(PROJECT / "bin" / "test", tmp_path / "bin")
    (tmp_path / "bin" / "setup.sh").write_text(SETUP)
    ended, held = os.pipe()
    started = []

    def begin(types):
        tools = tmp_path / ".venv" / "bin"
        tools.mkdir(parents=True)
        steps = {"ruff": ":", "lint-imports": ":", "python": GOES_ON, "mypy": types}
        for name, step in steps.items():
            (tools / name).write_text(f"#!/bin/sh\n{step.format(here=tmp_path)}\n")
            (tools / name).chmod(0o755)
        # Where the tests run in the background, Ctrl-C is ignored, and sh cannot heed it any more.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        process = subprocess.Popen(
            ["sh", "bin/test"],
            cwd=tmp_path,
            env=os.environ | {"TMPDIR": str(tmp_path / "tmp")},
            pass_fds=[held],
            start_new_session=True,
        )
        signal.signal(signal.SIGINT, before)
        os.close(held)
        started.append(process)
        until((tmp_path / "python-began").exists)
        return process, ended

    yield begin
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(HANG)
    os.close(ended)


def nothing_is_left(ended, tmp_path):
    assert list((tmp_path / "tmp").iterdir()) == []
    # Every process that it started holds the other end.
    return select.select([ended], [], [], HANG)[0] == [ended]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_ends_its_collection_too(begin, tmp_path, number, status):
    process, ended = begin(GOES_ON)
    until((tmp_path / "mypy-began").exists)
    os.killpg(process.pid, number)
    assert process.wait(HANG) == status
    assert nothing_is_left(ended, tmp_path)


def test_a_run_whose_types_fail_ends_its_collection_too(begin, tmp_path):
    wait_for_the_collection = "until [ -e {here}/python-began ]; do sleep 0.02; done; exit 1"
    process, ended = begin(wait_for_the_collection)
    assert process.wait(HANG) == 1
    assert nothing_is_left(ended, tmp_path)
