"""`findcallers` on the list of a cluster's CronJobs that is piped into it."""

from __future__ import annotations

import json
import os

import pytest

from deploy import findcallers
from tests.finding import run
from tests.planting import CALL, cronjob, plant


@pytest.fixture
def root(tmp_path):
    return plant(tmp_path / "host", {})


ODD_CONTAINERS = {"containers": [{"command": {"a": 1}, "args": [1, None]}, 5]}


def listed(*items):
    return json.dumps({"kind": "List", "items": list(items)}).encode()


HELM = {
    "labels": {"app.kubernetes.io/managed-by": "Helm"},
    "annotations": {
        "meta.helm.sh/release-name": "multica",
        "meta.helm.sh/release-namespace": "apps",
    },
}
ARGO = {"annotations": {"argocd.argoproj.io/tracking-id": "shop:batch/CronJob:multica/argo"}}
FLUX = {"labels": {"kustomize.toolkit.fluxcd.io/name": "infra"}}


def test_cronjobs_are_judged_with_their_manager_and_whether_they_are_suspended(root):
    piped = listed(
        cronjob("plain", "psql", "-c", CALL),
        cronjob("shell", "sh", "-c", f'set -e\n# nightly\npsql -c "{CALL}"'),
        cronjob("ours", "runrollup", "--once"),
        cronjob("helm", "psql", "-c", CALL, **HELM),
        cronjob("argo", "psql", "-c", CALL, **ARGO),
        cronjob("flux", "psql", "-c", CALL, **FLUX),
        cronjob("paused", "psql", "-c", CALL, suspend=True),
        cronjob("other", "pg_dump", "multica"),
    )
    status, report = run(root, piped=piped)
    assert status == 1
    assert {
        (c["name"], c["manager"], c["release"], c["release_namespace"], c["active"])
        for c in report["callers"]
    } == {
        ("plain", "", "", "", True),
        ("shell", "", "", "", True),
        ("ours", "", "", "", True),
        ("helm", "Helm", "multica", "apps", True),
        ("argo", "Argo CD", "shop", "", True),
        ("flux", "Flux", "infra", "", True),
        ("paused", "", "", "", False),
    }
    assert {c["namespace"] for c in report["callers"]} == {"multica"}
    assert report["complete"]


def test_a_cronjob_whose_script_is_in_a_configmap_is_said_not_to_be_judged(root):
    job = cronjob("hidden", "/scripts/run.sh")
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    pod["volumes"] = [{"name": "scripts", "configMap": {"name": "x"}}]
    status, report = run(root, piped=listed(job))
    assert (status, report["callers"], report["complete"]) == (3, [], False)
    assert report["not_seen"][0]["place"] == "CronJob multica/hidden"


@pytest.mark.parametrize(
    "piped",
    [
        b"no JSON",
        b"\xff\xfe\x00",
        b"[" * 200_000,
        b'{"kind": "List", "items": 7}',
        b'{"kind": "List", "items": [7, null, {"kind": "CronJob", "spec": [], "metadata": "x"}]}',
        listed({"spec": {"jobTemplate": {"spec": {"template": {"spec": ODD_CONTAINERS}}}}}),
    ],
    ids=["text", "binary", "deep", "number", "odd items", "odd containers"],
)
def test_hostile_cronjobs_are_survived(root, piped):
    status, report = run(root, piped=piped)
    assert report["callers"] == []
    assert status == (0 if b"items" in piped else 3)


def test_a_pipe_that_nobody_closes_is_given_up_and_told(root, monkeypatch):
    monkeypatch.setattr(findcallers, "SECONDS_FOR_STDIN", 0.2)
    reader, writer = os.pipe()
    kept = os.dup(0)
    os.dup2(reader, 0)
    try:
        report = findcallers.find(str(root), 60)
    finally:
        os.dup2(kept, 0)
        for one in (reader, writer, kept):
            os.close(one)
    assert report["not_seen"][0]["place"] == "standard input"
