"""The chart, rendered by a real helm with every kind of values. `bin/audit chart` runs it."""

from __future__ import annotations

import json
import shutil

import pytest
import yaml

from tests.chart import CHART, MANIFESTS, documents, heading, render, validate

URL = "postgresql://multica_view:x@multica-postgres.multica.svc:5432/multica"
ADMIN = "postgresql://multica_admin:x@multica-postgres.multica.svc:5432/multica_admin"
KEY = "0123456789abcdef"
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
    {"publicUrl": PUBLIC},
    {"trustedProxies": "10.42.0.0/16"},
    {"environmentName": "staging"},
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


def rendered(values):
    done = render(*set_to(values))
    assert done.returncode == 0, done.stderr
    validate(done.stdout)
    return {(one["kind"], one["metadata"]["name"]): one for one in documents(done.stdout)}


def container(objects):
    (deployment,) = (one for (kind, _), one in objects.items() if kind == "Deployment")
    return deployment["spec"]["template"]["spec"]["containers"][0]


def test_the_committed_manifests_are_what_helm_renders():
    assert MANIFESTS.read_text() == heading() + render().stdout


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
