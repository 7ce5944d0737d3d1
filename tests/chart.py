"""The Helm chart: its digest, and its rendering by a real helm, which only bin/audit has.

Run as a module it writes the manifests anew that bin/test checks and that people may use without
helm: `bin/audit chart`.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import kubernetes_validate
import yaml

from tests.processes import PROJECT

CHART = PROJECT / "deploy" / "helm"
MANIFESTS = PROJECT / "deploy" / "kubernetes.yaml"
# What the Prometheus operator reads, which is off by default.
FOR_PROMETHEUS = PROJECT / "deploy" / "monitoring" / "kubernetes.yaml"
KUBERNETES = kubernetes_validate.latest_version()
HELM = os.environ.get("HELM", str(PROJECT / "var" / "tools" / "helm"))


def digest(chart: Path = CHART) -> str:
    """One digest of every file of the chart, with its name."""
    whole = hashlib.sha256()
    for path in sorted(path for path in chart.rglob("*") if path.is_file()):
        whole.update(f"{path.relative_to(chart)}\0".encode() + path.read_bytes() + b"\0")
    return whole.hexdigest()


def heading(what: str = "The default values of deploy/helm as plain manifests") -> str:
    return (
        f"# {what}, rendered by `bin/audit chart`.\n"
        "# docs/guide/deploying.md says which Secret they need. Do not edit them.\n"
        f"# chart: {digest()}\n"
    )


def heading_for_prometheus() -> str:
    return heading("What deploy/helm has for the Prometheus operator")


def render(*words: str, chart: Path = CHART) -> subprocess.CompletedProcess[str]:
    command = [HELM, "template", "multica-admin", str(chart), "--namespace", "multica-admin"]
    return subprocess.run(
        [*command, "--kube-version", KUBERNETES, *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def render_for_prometheus() -> subprocess.CompletedProcess[str]:
    switches = ("--set", "serviceMonitor.enabled=true,prometheusRule.enabled=true")
    return render(*switches, "--show-only", "templates/monitoring.yaml")


def documents(text: str) -> list[dict[str, object]]:
    return [one for one in yaml.safe_load_all(text) if one]


def validate(text: str) -> None:
    """Check each document against the schemas of Kubernetes, refusing unknown fields.

    The kinds of the Prometheus operator are no part of Kubernetes; tests/faults/chart.py has their
    schemas.

    Raises:
        kubernetes_validate.ValidationError: a document is not what Kubernetes knows.
    """
    for document in documents(text):
        if str(document["apiVersion"]).startswith("monitoring.coreos.com/"):
            continue
        kubernetes_validate.validate(document, KUBERNETES, strict=True)


if __name__ == "__main__":
    for target, head, done in (
        (MANIFESTS, heading(), render()),
        (FOR_PROMETHEUS, heading_for_prometheus(), render_for_prometheus()),
    ):
        done.check_returncode()
        target.write_text(head + done.stdout)
