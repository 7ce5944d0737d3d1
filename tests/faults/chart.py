"""The chart, rendered by a real helm with every kind of values. `bin/audit chart` runs it."""

from __future__ import annotations

import json
import shutil
import subprocess
from functools import cache
from pathlib import Path

import jsonschema
import pytest
import yaml

from tests.chart import (
    CHART,
    FOR_PROMETHEUS,
    MANIFESTS,
    documents,
    heading,
    heading_for_prometheus,
    render,
    render_for_prometheus,
    validate,
)

URL = "postgresql://multica_view:x@multica-postgres.multica.svc:5432/multica"
ADMIN = "postgresql://multica_admin:x@multica-postgres.multica.svc:5432/multica_admin"
KEY = "0123456789abcdef"
RECEIVER = "slack://T/B/C"
HEARTBEAT = "https://hc.example.com/s3cr3t"
# Its repository has the schemas of its kinds.
OPERATOR = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
PUBLIC = "https://admin.example.com/multica"

# Each value, changed, with what it needs beside it.
CHANGED = [
    {"replicas": 2, "persistence.enabled": False, "existingSecret": "mine"},
    {"image.repository": "registry.example.com/multica-admin"},
    {"image.tag": "2026-11"},
    {"image.pullPolicy": "Never"},
    {"imagePullSecrets": [{"name": "registry"}]},
    {"database.url": URL},
    {"database.url": URL, "database.adminUrl": ADMIN, "persistence.enabled": False},
    {"database.url": URL, "database.runnerUrl": URL},
    {"database.url": URL, "database.retireUrl": URL},
    {"existingSecret": "mine"},
    {"database.url": URL, "secretKey": KEY},
    {"database.url": URL, "firstPassword": "correct horse"},
    {"database.url": URL, "statusToken": KEY},
    {"database.url": URL, "metricsToken": KEY},
    {"database.url": URL, "alerts.urls": RECEIVER},
    {"alerts.after": "90s"},
    {"alerts.mostPerHour": 6},
    {"database.url": URL, "alerts.heartbeatUrl": HEARTBEAT},
    {"serviceMonitor.enabled": True},
    {"serviceMonitor.interval": "1m", "serviceMonitor.enabled": True},
    {"serviceMonitor.labels": {"release": "p"}, "serviceMonitor.enabled": True},
    {"prometheusRule.enabled": True},
    {"prometheusRule.labels": {"release": "p"}, "prometheusRule.enabled": True},
    {"publicUrl": PUBLIC},
    {"trustedProxies": "10.42.0.0/16"},
    {"environmentName": "staging"},
    {"settings": {"SESSION_IDLE": "12h", "ALERT_LANGUAGE": "zh-hans"}},
    {"secretSettings": {"OIDC_CLIENT_SECRET": KEY}, "database.url": URL},
    {"rollupScheduler": True},
    {"webConcurrency": 4},
    {"persistence.enabled": False},
    {"persistence.size": "5Gi"},
    {"persistence.storageClass": "local-path"},
    {"persistence.existingClaim": "mine"},
    {"service.port": 8080},
    {"ingress.enabled": True, "publicUrl": PUBLIC},
    {"ingress.enabled": True, "publicUrl": PUBLIC, "ingress.className": "traefik"},
    {"ingress.enabled": True, "publicUrl": PUBLIC, "ingress.annotations": {"a/b": "c"}},
    {"ingress.enabled": True, "publicUrl": PUBLIC, "ingress.tlsSecret": "tls"},
    {"resources.requests.cpu": "200m"},
    {"resources.requests.memory": "512Mi"},
    {"resources.limits.memory": "2Gi"},
    {"nodeSelector": {"kubernetes.io/arch": "amd64"}},
    {"tolerations": [{"key": "a", "operator": "Exists"}]},
    {"affinity": {"nodeAffinity": {}}},
    {"podAnnotations": {"a/b": "c"}},
    {
        "podDisruptionBudget.minAvailable": 2, "replicas": 3, "persistence.enabled": False,
        "existingSecret": "mine",
    },
    {"networkPolicy.enabled": False},
    {"networkPolicy.from": [{"namespaceSelector": {}}]},
    {"networkPolicy.databasePort": 6432},
    {"networkPolicy.outwardPorts": [443]},
]  # fmt: skip


def leaves(values, at=""):
    for name, value in values.items():
        path = f"{at}{name}"
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{path}.")
        else:
            yield path


def set_to(values):
    return [word for name, value in values.items()
            for word in ("--set-json", f"{name}={json.dumps(value)}")]  # fmt: skip


@cache
def operators_schema(kind):
    """The schema of a kind of the Prometheus operator, made to refuse unknown fields."""
    done = subprocess.run(
        ["go", "mod", "download", "-json", OPERATOR], capture_output=True, check=True
    )
    folder = Path(json.loads(done.stdout)["Dir"]) / "example" / "prometheus-operator-crd"
    file = folder / f"monitoring.coreos.com_{kind.lower()}s.yaml"
    (version,) = yaml.safe_load(file.read_text())["spec"]["versions"]
    return closed(version["schema"]["openAPIV3Schema"])


def closed(schema):
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if isinstance(schema, str):
        return schema.replace("^(?i)", "(?i)^")  # Go's spelling of a pattern, and Python's
    if not isinstance(schema, dict):
        return schema
    inside = {name: closed(one) for name, one in schema.items()}
    if isinstance(inside.get("properties"), dict) and inside.get("type") == "object":
        inside.setdefault("additionalProperties", False)
    return inside


def validate_for_operator(text):
    """The documents that the Prometheus operator reads, each checked against its schema."""
    found = [one for one in documents(text) if one["apiVersion"] == "monitoring.coreos.com/v1"]
    for document in found:
        metadata = document["metadata"]  # Kubernetes' own fields, which the schema does not cover
        assert set(metadata) == {"name", "namespace", "labels"}
        jsonschema.validate({**document, "metadata": {}}, operators_schema(document["kind"]))
    return found


def rendered(values):
    done = render(*set_to(values))
    assert done.returncode == 0, done.stderr
    validate(done.stdout)
    validate_for_operator(done.stdout)
    return {(one["kind"], one["metadata"]["name"]): one for one in documents(done.stdout)}


def container(objects):
    (deployment,) = (one for (kind, _), one in objects.items() if kind == "Deployment")
    return deployment["spec"]["template"]["spec"]["containers"][0]


def test_the_committed_manifests_are_what_helm_renders():
    assert MANIFESTS.read_text() == heading() + render().stdout
    found = render_for_prometheus().stdout
    assert FOR_PROMETHEUS.read_text() == heading_for_prometheus() + found
    assert len(validate_for_operator(found)) == 2


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("endpoints:", "endpoint:"),
        ("port: http", "port: [http]"),
        ("interval: 30s", "interval: 30"),
        ("credentials:", "credential:"),
        ("expr: absent", "expression: absent"),
        ("for: 2m", "for: 2"),
    ],
)
def test_the_operator_refuses_broken_copies(right, wrong):
    text = FOR_PROMETHEUS.read_text()
    assert right in text
    with pytest.raises(jsonschema.ValidationError):
        validate_for_operator(text.replace(right, wrong, 1))


def test_every_value_is_changed_once():
    known = set(leaves(yaml.safe_load((CHART / "values.yaml").read_text())))
    assert {name for values in CHANGED for name in values} == known


@pytest.mark.parametrize("values", CHANGED, ids=lambda values: next(iter(values)))
def test_a_changed_value_is_rendered_and_valid(values):
    objects = rendered(values)
    name = next(iter(values))
    assert objects != rendered({}) or name == "database.runnerUrl"
    assert not any(found == "backend" for _kind, found in objects)


def test_two_replicas_share_a_database_and_a_key():
    shared = {
        "replicas": 2, "persistence.enabled": False, "secretKey": KEY,
        "database.url": URL, "database.adminUrl": ADMIN,
    }  # fmt: skip
    objects = rendered(shared)
    assert ("PodDisruptionBudget", "multica-admin") in objects
    assert ("PersistentVolumeClaim", "multica-admin") not in objects
    secret = objects["Secret", "multica-admin"]["stringData"]
    assert secret == {"DATABASE_URL": URL, "ADMIN_DATABASE_URL": ADMIN, "SECRET_KEY": KEY}


def test_an_external_secret_is_used_and_none_is_made():
    objects = rendered({"existingSecret": "mine"})
    assert not any(kind == "Secret" for kind, _ in objects)
    assert container(objects)["envFrom"] == [{"secretRef": {"name": "mine"}}]


def test_the_service_monitor_reads_the_token_where_the_dashboard_does():
    own = {"database.url": URL, "metricsToken": KEY, "serviceMonitor.enabled": True}
    named = {"existingSecret": "mine", "serviceMonitor.enabled": True}
    for values, secret in ((own, "multica-admin"), (named, "mine")):
        objects = rendered(values)
        (endpoint,) = objects["ServiceMonitor", "multica-admin"]["spec"]["endpoints"]
        assert endpoint["authorization"]["credentials"] == {"name": secret, "key": "METRICS_TOKEN"}
    assert rendered(own)["Secret", "multica-admin"]["stringData"]["METRICS_TOKEN"] == KEY


def test_the_addresses_of_alarms_are_in_the_secret_and_the_way_to_them_is_open():
    objects = rendered({
        "database.url": URL, "alerts.urls": RECEIVER, "alerts.heartbeatUrl": HEARTBEAT,
    })  # fmt: skip
    secret = objects["Secret", "multica-admin"]["stringData"]
    assert (secret["ALERT_URLS"], secret["HEARTBEAT_URL"]) == (RECEIVER, HEARTBEAT)
    env = {one["name"]: one["value"] for one in container(objects)["env"]}
    assert (env["ALERT_AFTER"], env["ALERT_MOST_PER_HOUR"]) == ("2m", "12")
    egress = objects["NetworkPolicy", "multica-admin"]["spec"]["egress"]
    open_ports = {port["port"] for rule in egress for port in rule["ports"]}
    assert open_ports == {53, 5432, 443, 465, 587}
    closed_policy = rendered({"networkPolicy.outwardPorts": []})["NetworkPolicy", "multica-admin"]
    assert len(closed_policy["spec"]["egress"]) == len(egress) - 1


def test_any_other_setting_reaches_the_dashboard_and_a_secret_one_by_the_secret():
    objects = rendered({
        "settings": {"SESSION_IDLE": "12h"}, "secretSettings": {"OIDC_CLIENT_SECRET": KEY},
        "database.url": URL,
    })  # fmt: skip
    assert {"name": "SESSION_IDLE", "value": "12h"} in container(objects)["env"]
    assert objects["Secret", "multica-admin"]["stringData"]["OIDC_CLIENT_SECRET"] == KEY
    assert KEY not in str(container(objects))


def test_a_path_prefix_reaches_the_ingress_and_the_dashboard():
    objects = rendered({"publicUrl": PUBLIC, "ingress.enabled": True})
    rule = objects["Ingress", "multica-admin"]["spec"]["rules"][0]
    assert (rule["host"], rule["http"]["paths"][0]["path"]) == ("admin.example.com", "/multica")
    assert {"name": "PUBLIC_URL", "value": PUBLIC} in container(objects)["env"]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"replicas": 2}, "Two replicas need ADMIN_DATABASE_URL"),
        ({"database.url": URL, "existingSecret": "mine"}, "keep one of them"),
        ({"database.url": URL, "database.adminUrl": ADMIN}, "the volume would stay empty"),
        ({"database.url": URL, "persistence.enabled": False}, "our own tables need a database"),
        (
            {
                "replicas": 2, "persistence.enabled": False,
                "database.url": URL, "database.adminUrl": ADMIN,
            },
            "the same secretKey",
        ),
        ({"statusToken": KEY}, "put STATUS_TOKEN and METRICS_TOKEN into yours"),
        ({"alerts.urls": RECEIVER}, "put ALERT_URLS and HEARTBEAT_URL into yours"),
        ({"secretSettings": {"OIDC_CLIENT_SECRET": KEY}}, "put them into yours by their names"),
        # What has a value of its own, and what is no name of a setting.
        ({"settings": {"PUBLIC_URL": PUBLIC}}, "PUBLIC_URL"),
        ({"settings": {"session idle": "12h"}}, "session idle"),
        ({"alerts.after": "soon"}, "after"),
        ({"existingSecret": "mine", "metricsToken": KEY}, "this release makes none"),
        ({"database.url": URL, "serviceMonitor.enabled": True}, "The ServiceMonitor needs"),
        ({"database.url": URL, "metricsToken": "short"}, "metricsToken"),
        ({"ingress.enabled": True}, "The ingress needs publicUrl"),
        ({"replicas": "two"}, "replicas"),
        ({"replica": 2}, "replica"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_with_a_sentence(values, sentence):
    done = render(*set_to(values))
    assert done.returncode != 0
    assert sentence in done.stderr


@pytest.mark.parametrize("name", sorted(path.name for path in (CHART / "templates").iterdir()))
def test_a_broken_template_does_not_render_or_is_not_valid(tmp_path, name):
    copy = shutil.copytree(CHART, tmp_path / "chart")
    file = copy / "templates" / name
    text = file.read_text()
    file.write_text(text.replace("{{- end", "{{- ende", 1) if "{{- end" in text else "{{")
    assert render(chart=copy).returncode != 0
