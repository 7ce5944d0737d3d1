"""Every file under deploy/ passes the tool that knows its kind, and a broken copy does not."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from compose_spec import ComposeSpecification
from pydantic import ValidationError

from tests import chart
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
def units():
    """Copies of the units where every user may read them: pytest's own folders are private."""
    with tempfile.TemporaryDirectory(prefix="multica-admin-units-") as folder:
        Path(folder).chmod(0o755)
        (Path(folder) / "scratch").mkdir()
        for name in UNITS:
            shutil.copy(DEPLOY / "systemd" / name, folder)
        yield Path(folder)


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


# --- Compose --------------------------------------------------------------------------------------


COMPOSE = (DEPLOY / "compose" / "compose.yaml").read_text()


def check_compose(text):
    return ComposeSpecification.model_validate(yaml.safe_load(text), extra="forbid")


def test_the_compose_file_is_what_the_specification_knows():
    (service,) = check_compose(COMPOSE).services.values()
    # Never Multica's own .env.
    assert [(one.path, one.required) for one in service.env_file] == [("settings.env", False)]
    assert service.read_only
    assert service.environment["APP_ENV"] == "production"
    assert "@postgres:5432/" in service.environment["DATABASE_URL"]
    assert "multica_view:" in service.environment["DATABASE_URL"]


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("environment:", "enviroment:"),
        ("restart: unless-stopped", "restart: [unless-stopped]"),
        ("external: true", "extern: true"),
        ("networks: [multica]", "networks: 7"),
        ("services:", "service:"),
        ("cap_drop: [ALL]", "cap_drop: [ALL"),
    ],
)
def test_a_broken_compose_file_is_refused(right, wrong):
    assert COMPOSE.count(right) == 1
    with pytest.raises((ValidationError, yaml.YAMLError)):
        check_compose(COMPOSE.replace(right, wrong))


# --- The chart ------------------------------------------------------------------------------------


def test_the_manifests_are_those_of_the_present_chart():
    """Otherwise `bin/audit chart` must render them again."""
    assert chart.MANIFESTS.read_text().startswith(chart.heading())
    assert chart.FOR_PROMETHEUS.read_text().startswith(chart.heading_for_prometheus())


def test_what_the_prometheus_operator_reads_are_our_service_and_our_rules():
    rule, monitor = chart.documents(chart.FOR_PROMETHEUS.read_text())
    (service,) = (
        one for one in chart.documents(chart.MANIFESTS.read_text()) if one["kind"] == "Service"
    )
    assert (monitor["kind"], rule["kind"]) == ("ServiceMonitor", "PrometheusRule")
    wanted = monitor["spec"]["selector"]["matchLabels"]
    assert wanted.items() <= service["metadata"]["labels"].items()
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    alerts = chart.PROJECT / "deploy" / "monitoring" / "alerts.yaml"
    assert rule["spec"] == yaml.safe_load(alerts.read_text())


def test_a_change_of_the_chart_changes_its_digest(tmp_path):
    copy = shutil.copytree(chart.CHART, tmp_path / "chart")
    assert chart.digest(copy) == chart.digest()
    (copy / "values.yaml").write_text((copy / "values.yaml").read_text() + "#\n")
    assert chart.digest(copy) != chart.digest()


def test_kubernetes_knows_every_manifest():
    text = chart.MANIFESTS.read_text()
    chart.validate(text)
    kinds = [one["kind"] for one in chart.documents(text)]
    assert sorted(kinds) == ["Deployment", "NetworkPolicy", "PersistentVolumeClaim", "Service"]


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("readOnlyRootFilesystem: true", "readOnlyRootFilesystems: true"),
        ("replicas: 1", "replicas: one"),
        ("apiVersion: apps/v1", "apiVersion: apps/v9"),
        ("targetPort: http", "targetPort: [http]"),
        ("policyTypes: [Ingress, Egress]", "policyTypes: Ingress"),
        ("accessModes: [ReadWriteOnce]", "accessModes: ReadWriteOnce"),
    ],
)
def test_broken_manifests_are_refused(right, wrong):
    text = chart.MANIFESTS.read_text()
    assert right in text
    with pytest.raises(
        (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError)
    ):
        chart.validate(text.replace(right, wrong))
