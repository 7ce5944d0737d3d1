"""Every file under deploy/ passes the tool that knows its kind, and a broken copy does not."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deployed import DEPLOY, namespaced
from tests.processes import PROJECT

UNITS = sorted(path.name for path in (DEPLOY / "systemd").iterdir())


def tool(name):
    return str(Path(sys.executable).with_name(name))


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


# --- The image ------------------------------------------------------------------------------------


def test_hadolint_finds_nothing_in_the_dockerfile():
    assert run(tool("hadolint"), str(DEPLOY / "Dockerfile")).stdout == ""


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("ENTRYPOINT [", "ENTRYPOINTS ["),
        ("python:3.11-slim-bookworm AS", "python AS"),
        ("WORKDIR /opt/multica-admin", "WORKDIR opt"),
    ],
)
def test_hadolint_refuses_a_broken_dockerfile(tmp_path, right, wrong):
    text = (DEPLOY / "Dockerfile").read_text()
    assert right in text
    (tmp_path / "Dockerfile").write_text(text.replace(right, wrong))
    assert run(tool("hadolint"), str(tmp_path / "Dockerfile")).returncode == 1


# --- The units ------------------------------------------------------------------------------------


def verify(folder, name):
    """systemd's own check, where the unit's program is at its place."""
    command = [
        "systemd-analyze",
        "verify",
        "--man=no",
        "--recursive-errors=one",
        str(folder / name),
    ]
    done = run(*namespaced(PROJECT, folder / "scratch", *command, disk="rw"))
    return done.returncode, done.stderr


@pytest.fixture
def units(tmp_path_factory):
    folder = tmp_path_factory.mktemp("units")
    for path in (folder, *folder.parents[:2]):
        path.chmod(0o755)
    (folder / "scratch").mkdir()
    for name in UNITS:
        (folder / name).write_text((DEPLOY / "systemd" / name).read_text())
    return folder


@pytest.mark.parametrize("name", UNITS)
def test_systemd_accepts_the_unit(units, name):
    assert verify(units, name) == (0, "")


@pytest.mark.parametrize("name", UNITS)
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (r"ExecStart=/opt", "ExecStart=/nowhere"),
        (r"ExecStart=.*", ""),
        (r"ProtectSystem=strict", "ProtectSystem=very"),
        (r"Restart=on-failure", "Restarts=on-failure"),
    ],
)
def test_systemd_refuses_a_broken_unit(units, name, right, wrong):
    text, count = re.subn(right, wrong, (units / name).read_text())
    assert count == 1
    (units / name).write_text(text)
    status, told = verify(units, name)
    assert status or told
