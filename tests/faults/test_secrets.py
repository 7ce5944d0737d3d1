"""No secret of the settings shows in a page, a log, the audit, a metric or a process title."""

from __future__ import annotations

import http.client
import os
import signal
from contextlib import closing
from urllib.parse import urlencode

import psutil
import pytest
from django.conf import settings
from django.contrib.auth.models import User

from executions.models.retirement import Act, AuditEvent, Retirement
from tests import environment
from tests.faults.test_slow_clients import read
from tests.people import just_signed_in
from tests.processes import Process, free_port
from tests.retiring import confirmed, jobid, operator, pg_cron, press
from tests.waiting import HANG
from tests.wizard import step

__all__ = ["jobid", "pg_cron"]

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

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


def fail_to_remove(port, retirement, headers):
    """The act's form, sent to a server that cannot reach pg_cron's database; the page after it."""
    token = "x" * 32
    form = {"csrfmiddlewaretoken": token, **press(retirement)}
    sent = headers | {
        "Cookie": f"{headers['Cookie']}; {settings.CSRF_COOKIE_NAME}={token}",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=HANG)) as connection:
        connection.request("POST", step("remove", retirement), urlencode(form), sent)
        with connection.getresponse() as answer:
            body = answer.read().decode()
            told = answer.headers["Location"]
    return body + read(port, told, headers) if told else body


def test_no_secret_shows_anywhere(owner, jobid, every_page):
    retirement = confirmed(operator("paul"), jobid)
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
        shown["act"] = fail_to_remove(port, retirement, headers)
        group = psutil.Process(server.popen.pid)
        for process in (group, *group.children(recursive=True)):
            shown[f"title of {process.pid}"] = " ".join(process.cmdline())
    finally:
        server.stop(signal.SIGTERM)
    server.end()
    shown["log"] = "\n".join(server.seen)
    failed = AuditEvent.objects.get(action="remove", retirement_id=retirement.pk)
    assert failed.outcome not in {"", "done"}
    for model in (Act, AuditEvent, Retirement):
        shown[model.__name__] = repr(list(model.objects.values()))
    assert "cannot be reached" in shown["act"]
    assert "cannot be reached" in shown["/executions/"]
    hidden = (MARK, settings.SECRET_KEY, session.value)
    assert not [place for place, text in shown.items() if any(one in text for one in hidden)]
