"""The alert rules and the Grafana dashboard: promtool takes them, and their gauges exist."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from datetime import timedelta

import yaml

from executions.health.assessment import assess
from executions.health.findings import FindingCode
from executions.health.metrics import MessageState, Scrape, exposition, gauges
from executions.health.verdict import Level
from tests.pictures import facts
from tests.processes import PROJECT
from tests.waiting import HANG

MONITORING = PROJECT / "deploy" / "monitoring"
ALERTS = MONITORING / "alerts.yaml"
ALERT_TESTS = PROJECT / "tests" / "alerts.test.yaml"
TOLD = Scrape("1", "", False, Level.HEALTHY, assess(facts()), timedelta(), MessageState())
NAME = re.compile(r"\bmultica_admin_[a-z0-9_]+")


def rules():
    (group,) = yaml.safe_load(ALERTS.read_text())["groups"]
    return group["rules"]


def queries():
    """Every query of the dashboard, its variable in the place of a value."""
    dashboard = json.loads((MONITORING / "dashboard.json").read_text())
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


def promtool(*words, given=""):
    return subprocess.run(
        ["promtool", *map(str, words)],
        input=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=HANG,
    )


def gauge_names():
    return {gauge.name for gauge in gauges(TOLD)}


def test_promtool_takes_the_rules_the_dashboards_queries_and_the_gauges(tmp_path):
    recorded = [{"record": f"query:{at}", "expr": expr} for at, expr in enumerate(queries())]
    dashboard = tmp_path / "dashboard.yaml"
    dashboard.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": recorded}]}))
    checked = promtool("check", "rules", "--lint=all", "--lint-fatal", ALERTS, dashboard)
    assert checked.returncode == 0, checked.stderr
    tested = promtool("test", "rules", ALERT_TESTS)
    assert tested.returncode == 0, tested.stdout + tested.stderr
    text, _content_type = exposition(TOLD, "")
    linted = promtool("check", "metrics", given=text.decode())
    assert (linted.returncode, linted.stdout, linted.stderr) == (0, "", "")


def test_promtool_takes_the_scrape_configuration_of_the_guide(tmp_path):
    guide = (PROJECT / "docs" / "guide" / "alarms.md").read_text("utf-8")
    (written,) = re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL)
    (tmp_path / "prometheus.yaml").write_text(written)
    (tmp_path / "multica-admin.token").write_text("token")
    shutil.copy(ALERTS, tmp_path)
    checked = promtool("check", "config", tmp_path / "prometheus.yaml")
    assert checked.returncode == 0, checked.stderr
    assert f"{len(rules())} rules found" in checked.stdout


def test_promtool_refuses_broken_copies(tmp_path):
    for folder in ("deploy/monitoring", "tests"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(ALERT_TESTS, tmp_path / "tests")
    broken = tmp_path / "deploy" / "monitoring" / "alerts.yaml"
    broken.write_text(ALERTS.read_text().replace("== 3 unless", "== 2 unless"))
    assert promtool("test", "rules", tmp_path / "tests" / ALERT_TESTS.name).returncode != 0
    broken.write_text(ALERTS.read_text().replace("absent_over_time(", "absent_over_time(("))
    assert promtool("check", "rules", broken).returncode != 0


def test_every_gauge_in_a_query_exists_and_the_dashboard_shows_them_all():
    known = gauge_names()
    assert {name for rule in rules() for name in NAME.findall(rule["expr"])} <= known
    assert {name for query in queries() for name in NAME.findall(query)} == known


def test_every_alert_is_a_sentence_with_a_severity_and_a_link_to_a_page_of_ours():
    for rule in rules():
        notes = rule["annotations"]
        assert set(notes) == {"summary", "description", "runbook_url"}
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert notes["summary"].endswith(".")
        page = re.search(r"(?:}}|\bend }})/(?:explain/(\{\{ \$labels\.code \}\}|\w+)/)?$",
                         notes["runbook_url"].strip())  # fmt: skip
        assert page, notes["runbook_url"]
        assert page[1] in {None, "{{ $labels.code }}", *FindingCode}


def test_the_tests_of_the_alerts_name_every_alert():
    tested = {
        case["alertname"]
        for group in yaml.safe_load(ALERT_TESTS.read_text())["tests"]
        for case in group["alert_rule_test"]
        if case.get("exp_alerts")
    }
    assert tested == {rule["alert"] for rule in rules()}
