"""The image and the units, started as an ordinary user on a read-only disk."""

from __future__ import annotations

import shlex
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests import environment
from tests.deployed import (
    DEPLOY,
    IGNORED,
    build_image,
    health_check,
    image_command,
    image_environment,
    namespaced,
    unit_settings,
)
from tests.faults.proxy import Proxy
from tests.faults.test_quickstart import Browser, empty
from tests.people import PASSWORD
from tests.processes import PROJECT, Process, free_port
from tests.sizes import few

__all__ = ["empty"]
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()


@pytest.fixture
def scratch():
    with tempfile.TemporaryDirectory(prefix="multica-admin-deployed-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="module")
def code():
    """The image's own files. Nothing in the tests may write there."""
    with tempfile.TemporaryDirectory(prefix="multica-admin-image-") as folder:
        Path(folder).chmod(0o755)
        yield build_image(Path(folder) / "code")


@pytest.fixture
def start(scratch):
    started = []

    def begin(code, command, *variables, **more):
        env = {name: value for some in (*variables, more) for name, value in some.items()}
        process = Process(env=env, program=namespaced(code, scratch, *command))
        started.append(process)
        return process

    yield begin
    for process in started:
        process.stop()


@pytest.fixture
def urls(upstream, empty):
    """Multica's database and our own, through a socket that every user may open."""
    proxy = Proxy(environment.SOCKET)
    Path(proxy.host).chmod(0o711)
    (Path(proxy.host) / ".s.PGSQL.5432").chmod(0o777)
    yield {
        "DATABASE_URL": f"host={proxy.host} user=multica_view dbname=upstream",
        "ADMIN_DATABASE_URL": f"host={proxy.host} user=multica_admin dbname={empty}",
        "RUNNER_DATABASE_URL": f"host={proxy.host} user=postgres dbname=upstream",
        "MULTICA_ADMIN_PASSWORD": PASSWORD,
        "HOST": "127.0.0.1",
    }
    proxy.close()


def test_the_image_starts_and_serves_without_a_right_to_write_its_code(start, code, scratch, urls):
    port = str(free_port())
    env = {**image_environment(DOCKERFILE), **urls, "PORT": port}
    process = start(code, image_command(DOCKERFILE), env)
    process.wait_for("Listening at")
    browser = Browser(int(port))
    assert "Success" in browser.sign_in()
    assert "Reference in the log" not in browser.get("/schedules/")
    inside = namespaced(code, scratch, "sh", "-c", "touch /opt/multica-admin/x /x /etc/x; id -u")
    told = subprocess.run(inside, capture_output=True, text=True, check=True)
    assert told.stdout == "10001\n"
    assert told.stderr.count("Read-only file system") == 3
    checked = namespaced(code, scratch, *health_check(DOCKERFILE))
    assert subprocess.run(checked, env=env, check=False).returncode == 0
    assert process.stop() == 0
    assert subprocess.run(checked, env=env, check=False, capture_output=True).returncode != 0


def test_the_image_refuses_to_start_without_a_database(start, code):
    process = start(code, image_command(DOCKERFILE), image_environment(DOCKERFILE))
    process.wait_for("DATABASE_URL is not set, so there is no Multica to watch")
    assert process.popen.wait(60) == 2


@pytest.mark.parametrize("name", few(["deploy/findcallers.py", "executions", "multica_admin"], 1))
def test_an_image_that_lacks_a_file_does_not_start(start, scratch, urls, name):
    assert IGNORED.count(f"!{name}\n") == 1
    code = build_image(scratch / "code", IGNORED.replace(f"!{name}\n", ""))
    words = [*image_command(DOCKERFILE)[:2], "findcallers"]
    process = start(code, words, image_environment(DOCKERFILE), urls)
    process.wait_for("ModuleNotFoundError")
    assert process.popen.wait(60) != 0


def test_a_demo_beside_a_database_is_refused(start, code, urls):
    words = [*image_command(DOCKERFILE), "--demo"]
    process = start(code, words, image_environment(DOCKERFILE), urls)
    process.wait_for("DATABASE_URL is set, so there is no demo to show")
    assert process.popen.wait(60) == 2


def test_the_image_shows_the_demo_when_it_is_told_to(start, code):
    port = str(free_port())
    words = [*image_command(DOCKERFILE), "--demo"]
    env = image_environment(DOCKERFILE) | {"HOST": "127.0.0.1", "PORT": port}
    env["MULTICA_ADMIN_PASSWORD"] = PASSWORD
    process = start(code, words, env)
    process.wait_for("Listening at")
    browser = Browser(int(port))
    browser.sign_in()
    assert "Demo data" in browser.get("/")


@pytest.mark.parametrize("command", ["permissions --role x --as viewer", "findcallers"])
def test_the_image_has_what_its_other_commands_need(start, code, urls, command):
    words = [*image_command(DOCKERFILE)[:2], *command.split()]
    process = start(code, words, image_environment(DOCKERFILE), urls)
    process.wait_for("GRANT" if "role" in command else "Read ")


def test_the_dashboards_unit_starts_and_serves(start, urls):
    unit = unit_settings("multica-admin.service")
    port = str(free_port())
    env = dict(pair.split("=", 1) for pair in unit["Environment"].split())
    # As PrivateTmp gives a folder for temporary files.
    env |= {"TMPDIR": "/dev/shm", "PORT": port}
    process = start(PROJECT, shlex.split(unit["ExecStart"]), env, urls)
    process.wait_for("Listening at")
    assert "Success" in Browser(int(port)).sign_in()
    assert process.stop() == 0


def test_the_rollups_unit_runs(start, urls, upstream):
    unit = unit_settings("multica-admin-rollup.service")
    env = dict(pair.split("=", 1) for pair in unit["Environment"].split())
    process = start(PROJECT, shlex.split(unit["ExecStart"]), env, urls)
    process.wait_for("rollup_task_usage_hourly")
    assert process.stop() == 0
