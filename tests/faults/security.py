"""Scanners before the product, for bin/audit: bandit over the code, wapiti over a real dashboard.

What they find is judged here, each with its reason. A finding that is not judged fails, and so does
a judgement of the code that nothing needs any more. Its name keeps pytest from collecting it by
itself.
"""

from __future__ import annotations

import json
import subprocess
from contextlib import contextmanager

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client

from tests import scenarios
from tests.faults.test_web_processes import serves, web
from tests.people import make_user
from tests.processes import PROJECT
from tests.waiting import until

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

TOOLS = PROJECT / "var" / "tools" / "security" / "bin"
SCANNED = ("executions", "multica_admin", "manage.py", "deploy/findcallers.py")
# What bandit finds and why that is no fault, by its number and, if others may be faults, by file.
FALSE_IN_THE_CODE = {
    ("B101", ""): "an assertion tells the type checker what holds already; nothing relies on it",
    ("B311", "executions/demo/"): "chance only varies the made-up usage of the demo",
    ("B404", ""): "the module alone is no fault; each call of it is judged",
    ("B603", "multica_admin/"): "runs PostgreSQL's own programs by their path, without a shell",
    ("B606", "executions/management/commands/quickstart.py"): "becomes this Python, by its path",
    ("B703", "executions/text/sentences.py"): "each value is escaped before it is put in",
    ("B703", "executions/text/formatters.py"): "title and text are escaped there",
    ("B703", "executions/pages/overview/tags.py"): "each value is escaped or made here",
    ("B703", "executions/pages/history/drawn_rows.py"): "each value is escaped or made here",
    ("B104", "multica_admin/public_url.py"): "it is compared with, and not listened on",
    ("B105", "executions/retirement/trial.py"): "the name of an outcome",
    ("B106", "executions/alarms/delivery.py"): "clears the mark of who sends a message",
    ("B108", "multica_admin/sockets.py"): "the folder is checked before use: cluster.py",
}
# What wapiti finds, by its category and a part of the sentence.
FALSE_IN_PAGES = {
    ("HTTP Methods", "OPTIONS (405)"): "the method is refused",
    ("HTTP Methods", "login/: OPTIONS (200)"): "Django says which methods a form has",
    (
        "HTTP Methods",
        "(using heuristics)",
    ): "another method is answered as GET is: a way to sign in,"
    " or the list of accounts for an administrator; test_hardening.py asks every address",
    ("HttpOnly Flag cookie", "multica_admin_csrf"): "each form has the token too, so a script that"
    " could read the cookie could read the form",
    ("Secure Flag cookie", ""): "this dashboard is served without TLS: see test_settings.py",
}
# Those that ask only this server, and guess neither names of files nor passwords.
MODULES = (
    "cookieflags,csp,http_headers,csrf,crlf,methods,exec,file,permanentxss,redirect,sql,upload,xss"
)


def test_bandit_finds_nothing_that_is_not_judged():
    done = subprocess.run(
        [TOOLS / "bandit", "-q", "-r", *SCANNED, "-f", "json"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    found = {(one["test_id"], one["filename"]) for one in json.loads(done.stdout)["results"]}
    judged = {
        finding: judgement
        for finding in found
        for judgement in FALSE_IN_THE_CODE
        if finding[0] == judgement[0] and finding[1].startswith(judgement[1])
    }
    assert found - judged.keys() == set()
    assert FALSE_IN_THE_CODE.keys() - set(judged.values()) == set()


@contextmanager
def dashboard():
    with web(ROLLUP_SCHEDULER="off", STATUS_TOKEN="", METRICS_TOKEN="") as (_server, port):
        until(lambda: serves(port))
        yield f"http://127.0.0.1:{port}/"


def wapiti(url, folder, *more):
    """What wapiti finds in every page that it reaches: category and sentence."""
    report = folder / "report.json"
    done = subprocess.run(
        [
            *(TOOLS / "wapiti", "-u", url, "-m", MODULES, "--scope", "folder", "--no-bugreport"),
            *("--flush-session", "--store-session", folder / "session", "-f", "json", "-o", report),
            *("--max-links-per-page", "40", "--max-scan-time", "60", "--max-attack-time", "30"),
            *("-x", f"{url}static/*", "-x", f"{url}logout/", "-x", f"{url}password/", *more),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=1800,
    )
    assert report.exists(), done.stdout + done.stderr
    found = json.loads(report.read_text())
    kinds = found["vulnerabilities"] | found["anomalies"] | found["additionals"]
    return [(kind, one["info"]) for kind, all_of_it in kinds.items() for one in all_of_it]


def unjudged(found):
    """The findings that are not judged, one a line."""
    return "\n".join(
        f"{kind}: {said}"
        for kind, said in found
        if not any(kind == judged and part in said for judged, part in FALSE_IN_PAGES)
    )


def test_wapiti_finds_nothing_without_a_sign_in(owner, tmp_path):
    scenarios.healthy(owner)
    make_user("vera")
    with dashboard() as url:
        found = wapiti(url, tmp_path)
    assert unjudged(found) == ""


def test_wapiti_finds_nothing_signed_in_as_an_administrator(owner, tmp_path):
    scenarios.healthy(owner)
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    name = settings.SESSION_COOKIE_NAME
    cookie = f"{name}={client.cookies[name].value}"
    with dashboard() as url:
        found = wapiti(url, tmp_path, "-H", f"Cookie: {cookie}")
    assert unjudged(found) == ""
