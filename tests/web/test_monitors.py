"""/status and /metrics: who gets an answer, and what it says. No test here may ask a database."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest
from django.test import Client

from executions.health import snapshots
from executions.health.assessment import assess
from executions.text.problem import Problem
from tests.pictures import executions, facts

TOKEN = "0123456789abcdef0123"
PATHS = {"/status": "STATUS_TOKEN", "/metrics": "METRICS_TOKEN"}


def basic(pair):
    return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(autouse=True)
def tokens(settings, django_db_setup):
    settings.STATUS_TOKEN = settings.METRICS_TOKEN = TOKEN


@pytest.fixture
def read(monkeypatch):
    """Have this process know the snapshot of some facts, as if read ``seconds`` ago."""

    def known(seconds=0, **changed):
        assessment = assess(facts(**changed))
        taken = snapshots.Snapshot(assessment, "v", busy=False)
        taken = replace(taken, taken_at=taken.taken_at - seconds)
        monkeypatch.setattr(snapshots._keeper, "_take", lambda _previous: taken)
        snapshots.fresh()
        if seconds >= snapshots.KEPT_SECONDS:
            monkeypatch.setattr(snapshots._keeper._kept, "_clock", lambda: 1e12)
        monkeypatch.setattr(snapshots._keeper, "_take", lambda _previous: pytest.fail("it reads"))

    return known


STOPPED = {"executions": executions(dict.fromkeys(range(40)))}
RETRIED = {"executions": executions({age: {"attempt": 2} for age in range(1, 13, 2)})}
AWAY = {"ground": Problem("The database is away.", "Look.")}


@pytest.mark.parametrize("path", PATHS)
def test_without_a_token_of_its_own_the_address_is_off(client, settings, path):
    setattr(settings, PATHS[path], "")
    for given in ("Bearer ", f"Bearer {TOKEN}"):
        answer = client.get(path, headers={"Authorization": given})
        assert answer.status_code == 404
        assert PATHS[path] in answer.content.decode()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": TOKEN},
        {"Authorization": f"Bearer {TOKEN}0"},
        {"Authorization": f"Bearer {TOKEN[:-1]}"},
        {"Authorization": "Bearer t\xf6ken"},
        {"Authorization": "Basic ===="},
        {"Authorization": "Basic /w=="},
        {"Authorization": "Basic \xff"},
        basic(TOKEN),
        basic(f"{TOKEN}:"),
    ],
    ids=str,
)
def test_without_the_right_token_nothing_is_told(client, path, headers, read):
    read()
    answer = client.get(path, headers=headers)
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"].startswith("Bearer ")
    assert "usage" not in answer.content.decode().lower()
    assert TOKEN not in answer.content.decode()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "headers",
    [BEARER, {"Authorization": f"bearer {TOKEN}"}, basic(f"monitor:{TOKEN}"), basic(f":{TOKEN}")],
    ids=str,
)
def test_a_token_opens_under_any_host_name_with_and_without_a_slash(client, path, headers, read):
    read()
    for asked in (path, f"{path}/"):
        answer = client.get(asked, headers={**headers, "Host": "10.42.0.17:8000"})
        assert answer.status_code == 200
        assert "no-store" in answer["Cache-Control"]
    assert client.head(path, headers=headers).status_code == 200
    assert client.post(path, headers=headers).status_code == 405


@pytest.mark.parametrize("path", PATHS)
def test_tokens_of_the_two_are_different_things(client, settings, path, read):
    read()
    setattr(settings, PATHS[path], "another-token-of-its-own")
    assert client.get(path, headers=BEARER).status_code == 401


@pytest.mark.parametrize(
    ("known", "code", "word"),
    [({}, 200, "healthy"), (RETRIED, 200, "degraded"), (STOPPED, 503, "failing"),
     (AWAY, 503, "unknown")],
)  # fmt: skip
def test_the_status_is_the_verdicts_and_the_sentence_comes_first(client, read, known, code, word):
    read(**known)
    answer = client.get("/status", headers=BEARER)
    said, looked = answer.content.decode().splitlines()
    assert answer.status_code == code
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert said == f"{word}: {snapshots.last().verdict.summary}"
    assert looked == "Looked 0 s ago."


def test_what_is_known_is_too_old_to_call_it_well(client, read):
    read(seconds=90)
    answer = client.get("/status", headers=BEARER)
    assert answer.status_code == 503
    first, known, looked = answer.content.decode().splitlines()
    assert first.startswith("unknown: The database has not answered for too long.")
    assert known.startswith("healthy: Usage is up to date")
    assert looked == "Looked 1 min ago."
    metrics = client.get("/metrics", headers=BEARER).content.decode()
    assert 'multica_admin_verdict{level="unknown"} 1.0' in metrics
    assert 'multica_admin_verdict{level="healthy"} 0.0' in metrics
    assert "multica_admin_watermark_lag_seconds" in metrics


@pytest.mark.parametrize("known", [True, False])
def test_demo_data_is_never_called_well(client, read, settings, known):
    settings.HOLDS_DEMO = True
    if known:
        read()
    answer = client.get("/status", headers=BEARER)
    assert answer.status_code == 503
    assert "made-up demo data" in answer.content.decode()
    assert "multica_admin_demo 1.0" in client.get("/metrics", headers=BEARER).content.decode()


def test_before_the_first_reading_nothing_is_claimed(client):
    answer = client.get("/status", headers=BEARER)
    assert answer.status_code == 503
    assert answer.content.decode().startswith("unknown: Nobody has looked yet.")
    metrics = client.get("/metrics", headers=BEARER)
    assert metrics.status_code == 200
    assert 'multica_admin_verdict{level="unknown"} 1.0' in metrics.content.decode()


def test_the_sentence_has_the_language_of_alarms_and_the_word_is_the_same(client, read, settings):
    read()
    headers = BEARER | {"Accept-Language": "zh-CN"}
    assert "Usage is up to date" in client.get("/status", headers=headers).content.decode()
    settings.ALERT_LANGUAGE = "zh-hans"
    said = client.get("/status", headers=BEARER).content.decode()
    assert said.startswith("healthy: 用量")


def test_metrics_come_in_the_format_that_is_asked_for(client, read):
    read()
    plain = client.get("/metrics", headers=BEARER)
    assert plain["Content-Type"].startswith("text/plain; version=")
    openly = client.get("/metrics", headers={**BEARER, "Accept": "application/openmetrics-text"})
    assert openly["Content-Type"].startswith("application/openmetrics-text")


def test_a_cookie_changes_nothing_and_is_read_by_nobody(read):
    read()
    client = Client()
    client.cookies["multica_admin_session"] = "0123456789abcdef0123456789abcdef"
    assert client.get("/status", headers=BEARER).status_code == 200
