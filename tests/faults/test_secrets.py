"""No secret of the settings shows in a page, a log, the audit, a metric or a process title."""

from __future__ import annotations

import os
import signal

import psutil
import pytest
from django.conf import settings
from django.contrib.auth.models import User

from executions.models import AuditEvent
from tests import environment
from tests.faults.test_slow_clients import read
from tests.people import just_signed_in
from tests.processes import Process, free_port

pytestmark = pytest.mark.django_db(transaction=True)

MARK = "marked7secret"
PATHS = [
    "/",
    "/executions/",
    "/rollup/",
    "/rollup/zero/",
    "/schedules/",
    "/audit/",
    "/retire/",
    "/nowhere/",
    "/executions/?status=none",
    "/healthz",
    "/status",
    "/metrics",
    "/login/",
    "/login/oidc/",
    "/login/oidc/callback/?state=x&code=y",
    "/login/feishu/callback/?state=x&code=y",
    "/login/code/confirm/",
]


def refused(user):
    """A URL with a password, of a server that refuses it."""
    return f"postgresql://{user}:{MARK}%40@127.0.0.1:1/multica?sslmode=disable"


def test_no_secret_shows_anywhere(owner, every_page):
    client = just_signed_in(User.objects.create_superuser("root"))
    session = client.cookies[settings.SESSION_COOKIE_NAME]
    port = free_port()
    secrets = {
        "DATABASE_URL": refused("multica_view"),
        "RUNNER_DATABASE_URL": refused("multica"),
        "RETIRE_DATABASE_URL": refused("postgres"),
        "ADMIN_DATABASE_URL": environment.url("multica_admin") + f" password={MARK}",
        "MULTICA_ADMIN_PASSWORD": MARK,
        "SIGN_IN_BY_CODE": "on",
        "EMAIL_URL": f"smtp://admin%40example.com:{MARK}@127.0.0.1:1",
        "OIDC_ISSUER_URL": "http://127.0.0.1:1",
        "OIDC_CLIENT_ID": "dashboard",
        "OIDC_CLIENT_SECRET": MARK,
        "SIGN_IN_PROVIDERS": "feishu",
        "FEISHU_CLIENT_ID": "dashboard",
        "FEISHU_CLIENT_SECRET": MARK,
        "WEB_CONCURRENCY": "1",
        "ROLLUP_SCHEDULER": "on",
    }
    server = Process(
        *("-m", "gunicorn", "--config", "python:multica_admin.gunicorn"),
        *("--bind", f"127.0.0.1:{port}", "multica_admin.wsgi:application"),
        env=os.environ | secrets,
    )
    headers = {"Cookie": f"{session.key}={session.value}", "Accept": "text/html"}
    shown = {}
    try:
        server.wait_for("Booting")
        for path in {*PATHS, *every_page}:
            shown[path] = read(port, path, headers)
        group = psutil.Process(server.popen.pid)
        for process in (group, *group.children(recursive=True)):
            shown[f"title of {process.pid}"] = " ".join(process.cmdline())
    finally:
        server.stop(signal.SIGTERM)
    server.end()
    shown["log"] = "\n".join(server.seen)
    shown["audit"] = repr(list(AuditEvent.objects.values()))
    assert "cannot be reached" in shown["/executions/"]
    hidden = (MARK, settings.SECRET_KEY, session.value)
    assert not [place for place, text in shown.items() if any(one in text for one in hidden)]
