"""A scenario of the demo, started for real in a cluster of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest

from executions.retirement.facts import check_on, retire_fetch, servers
from executions.retirement.gates.gate import GateCode
from executions.retirement.rules import current
from multica_admin import embedded
from tests.people import PASSWORD
from tests.processes import PROJECT, Process, free_port
from tests.sizes import sized
from tests.starting import after_a_first_start, static_files_made
from tests.waiting import HANG, until

__all__ = ["after_a_first_start", "static_files_made"]

QUICKSTART = ("manage.py", "quickstart", "--scenario")
# A start in a folder of its own that plays something.
plays = pytest.mark.usefixtures("static_files_made")


@pytest.fixture
def var():
    folder = Path(tempfile.mkdtemp(prefix="multica-admin-scenario-"))
    folder.chmod(0o711)
    yield folder / "var"
    for cluster in folder.glob("var/scenarios/*"):
        follower = embedded.standby(cluster)
        follower.stop(mode="immediate")
        follower.primary.stop(mode="immediate")
    shutil.rmtree(folder)


@pytest.fixture
def start(var):
    started = []

    def begin(*arguments, **env):
        own = {"VAR_DIR": str(var), "MULTICA_ADMIN_PASSWORD": PASSWORD}
        process = Process(*QUICKSTART, *arguments, env=own | {"WEB_CONCURRENCY": "1"} | env)
        started.append(process)
        return process

    yield begin
    for process in started:
        process.stop()


def found_in(folder, **env):
    """What `manage.py checkrollup` finds there, folded findings left out."""
    answer = subprocess.run(
        [sys.executable, "manage.py", "checkrollup", "--json"],
        cwd=PROJECT, capture_output=True, text=True, timeout=HANG, check=False,
        env={"PATH": os.environ["PATH"], "VAR_DIR": str(folder), **env},
    )  # fmt: skip
    return {finding["code"] for finding in json.loads(answer.stdout)["findings"]}


@plays
def test_a_leaked_lock_is_there_and_the_demo_is_not_touched(start, var):
    process = start("leaked-lock", "--port", str(free_port()))
    assert "A real session keeps" in process.wait_for("Scenario leaked-lock:")
    process.wait_for("Booting worker")
    until(lambda: "lock_leaked" in found_in(var / "scenarios/leaked-lock"))
    assert not (var / "postgres").exists()


@plays
def test_a_scenario_comes_back_after_its_process_was_killed(start, var):
    """The killed process leaves the table renamed."""
    process = start("no-scheduler", "--port", str(free_port()))
    process.wait_for("Booting worker")
    folder = var / "scenarios/no-scheduler"
    until(lambda: "scheduler_not_installed" in found_in(folder))
    (worker,) = psutil.Process(process.popen.pid).children()
    os.kill(worker.pid, signal.SIGKILL)
    process.wait_for("the scenario begins again")
    process.wait_for("the scenario no-scheduler is in place")
    until(lambda: "scheduler_not_installed" in found_in(folder))


def has_standby(folder):
    """The dashboard's reads show the finding. The list is empty until the standby answers."""
    return "standby" in found_in(folder, MULTICA_ADMIN_READS_STANDBY="on")


@plays
@pytest.mark.parametrize("before", sized(["nothing"], ["nothing", "a start that was killed"]))
def test_a_real_standby_follows_and_ends_with_the_start(start, var, before):
    folder = var / "scenarios/standby"
    follower = embedded.standby(folder)
    if before == "a start that was killed":
        process = start("standby", "--port", str(free_port()))
        process.wait_for("the scenario standby is in place")
        process.kill_group()
        assert follower.is_running()
    process = start("standby", "--port", str(free_port()))
    process.wait_for("the scenario standby is in place")
    until(lambda: has_standby(folder))
    assert "standby" not in found_in(folder)
    assert follower.is_running()
    process.popen.send_signal(signal.SIGINT)
    process.end()
    assert not follower.is_running()
    assert not follower.primary.is_running()


@pytest.fixture
def refused(settings):
    """The gates that refuse the only job of a scenario."""

    def look(folder):
        settings.RETIRE_CONNINFO = embedded.conninfo(folder, "postgres")
        with retire_fetch("look") as fetch:
            (job,) = fetch("SELECT jobid FROM cron.job", {})
            check = check_on(fetch, servers(fetch), job["jobid"], current())
        return {gate.code for gate in check.gates if not gate.passed}

    return look


@plays
@pytest.mark.parametrize("kills", sized([False], [False, True]))
@pytest.mark.django_db(databases=["default", "multica"], transaction=True)
def test_the_server_has_a_job_and_does_not_load_pg_cron(start, var, refused, kills):
    """Also in a start after a killed one, and again after its server was killed."""
    folder = var / "scenarios/library-not-loaded"
    process = start("library-not-loaded", "--port", str(free_port()))
    process.wait_for("the scenario library-not-loaded is in place")
    assert GateCode.LOADED in refused(folder)
    if kills:
        process.kill_group()
        process = start("library-not-loaded", "--port", str(free_port()))
        process.wait_for("the scenario library-not-loaded is in place")
        assert GateCode.LOADED in refused(folder)
        (number, *_rest) = (folder / "postgres/postmaster.pid").read_text("ascii").split()
        os.kill(int(number), signal.SIGKILL)
        process.wait_for("the scenario begins again")
        process.wait_for("the scenario library-not-loaded is in place")
        assert GateCode.LOADED in refused(folder)
    process.stop()
    assert not embedded.cluster(folder).is_running()


def test_the_list_makes_nothing(start, var):
    process = start("list")
    assert process.end() == 0
    assert any(line.startswith("leaked-lock ") for line in process.seen)
    assert not var.exists()


@pytest.mark.parametrize(
    ("name", "env", "said"),
    [
        ("leaked", {}, "The nearest is leaked-lock;"),
        ("../../etc", {}, "There is no scenario ../../etc."),
        ("leaked-lock", {"DATABASE_URL": "postgresql:///m"}, "needs the embedded database"),
    ],
)
def test_what_cannot_be_played_is_refused_with_a_sentence(start, var, name, env, said):
    process = start(name, "--port", str(free_port()), **env)
    assert process.end() == 2
    assert any(said in line for line in process.seen)
    assert not var.exists()
