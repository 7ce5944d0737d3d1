"""A start of `manage.py quickstart` as a real process, with a folder of its own."""

from __future__ import annotations

import http.cookiejar
import os
import re
import shutil
import subprocess
import tempfile
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from multica_admin import embedded
from multica_admin.locks import locked
from tests.people import PASSWORD
from tests.processes import Process, free_port
from tests.waiting import HANG

QUICKSTART = ("manage.py", "quickstart", "--port")


# For tests that are not about the demo: making its week takes most of a start.
EMPTY_START = ("manage.py", "quickstart", "--no-demo", "--port")


@pytest.fixture
def var():
    folder = Path(tempfile.mkdtemp(prefix="multica-admin-quickstart-"))
    folder.chmod(0o711)
    yield folder / "var"
    if (folder / "var" / "postgres").exists():
        embedded.cluster(folder / "var").stop(mode="immediate")
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def after_a_first_start(tmp_path_factory):
    """A folder in which an empty dashboard served and was stopped. Tests get copies of it.

    The processes of a parallel run share it.
    """
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    made = shared / "after-a-first-start"
    with locked(made.with_suffix(".lock")):
        if not made.exists():
            make_a_first_start(made.with_suffix(".part"))
            made.with_suffix(".part").rename(made)
    return made


def make_a_first_start(made):
    shutil.rmtree(made, ignore_errors=True)  # an earlier copy may have failed half-way
    # As root, PostgreSQL runs as another user, who may not enter pytest's folders.
    with tempfile.TemporaryDirectory(prefix="multica-admin-first-start-") as name:
        Path(name).chmod(0o711)
        env = {"VAR_DIR": str(Path(name) / "var"), "MULTICA_ADMIN_PASSWORD": PASSWORD}
        process = Process(*EMPTY_START, str(free_port()), env=env | {"WEB_CONCURRENCY": "1"})
        try:
            process.wait_for("Listening at")
        finally:
            status = process.stop()
        assert status == 0
        subprocess.run(["cp", "-a", Path(name) / "var", made], check=True)


@pytest.fixture
def started_before(after_a_first_start, var):
    """For tests that are not about a first start, which takes long to create its files."""
    subprocess.run(["cp", "-a", after_a_first_start, var], check=True)
    return var


@pytest.fixture
def static_files_made(after_a_first_start, var):
    """For first starts that are not about the browser's files. Collecting those is half of one."""
    var.mkdir()
    subprocess.run(["cp", "-a", after_a_first_start / "static", var / "static"], check=True)


@pytest.fixture
def start(var):
    started = []

    def begin(*arguments, **env):
        process = Process(
            *arguments,
            env={"VAR_DIR": str(var), "MULTICA_ADMIN_PASSWORD": PASSWORD, **env},
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.stop()


@pytest.fixture
def empty(connect):
    """The name of an empty database for our own tables."""
    administrator = connect("postgres", database="postgres")
    administrator.execute("CREATE DATABASE ours OWNER multica_admin")
    yield "ours"
    administrator.execute("DROP DATABASE ours WITH (FORCE)")


class Browser:
    """A minimal browser: cookies and forms."""

    def __init__(self, port, host="127.0.0.1"):
        self.base = f"http://{host}:{port}"
        self.jar = http.cookiejar.CookieJar()
        handler = urllib.request.HTTPCookieProcessor(self.jar)
        self.opener = urllib.request.build_opener(handler)

    def get(self, path):
        with self.opener.open(self.base + path, timeout=HANG) as answer:
            return answer.read().decode()

    def sign_in(self):
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', self.get("/login/"))[1]
        form = {"csrfmiddlewaretoken": token, "username": "admin", "password": PASSWORD}
        data = urllib.parse.urlencode(form).encode()
        request = urllib.request.Request(self.base + "/login/", data)
        with self.opener.open(request, timeout=HANG) as answer:
            return answer.read().decode()


def waiting_for_locks(connection, database):
    """The sessions of a database that wait for another one."""
    return connection.execute(
        "SELECT pid FROM pg_stat_activity WHERE datname = %s AND wait_event_type = 'Lock'",
        [database],
    ).fetchall()


def refusal(process):
    """The line on standard error with which it refused; nothing else was said but "Using"."""
    assert process.end() == 2
    (line,) = process.errors
    assert line.startswith("multica-admin: ")
    assert all(other.startswith("Using ") for other in process.seen if other != line)
    return line
