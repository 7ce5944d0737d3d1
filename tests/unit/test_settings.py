"""Settings as a start reads them: each time anew, and in a process of its own where it refuses."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys

import pytest

from multica_admin import settings

NAMES = (
    "ALLOWED_HOSTS",
    "CSRF_TRUSTED_ORIGINS",
    "CSRF_COOKIE_SECURE",
    "SESSION_COOKIE_SECURE",
    "SESSION_COOKIE_PATH",
    "SECURE_HSTS_SECONDS",
    "FORCE_SCRIPT_NAME",
    "PUBLIC_URL",
    "STATIC_URL",
)


def read(**variables):
    """The settings that a process with these variables has."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        found = runpy.run_path(settings.__file__)
    return {name: found.get(name) for name in NAMES}


def test_one_public_url_gives_hosts_origins_prefix_cookies_and_hsts():
    found = read(PUBLIC_URL="https://Admin.Example.com:443/ops/")
    assert found == {
        "ALLOWED_HOSTS": ["localhost", "127.0.0.1", "[::1]", "admin.example.com"],
        "CSRF_TRUSTED_ORIGINS": ["https://admin.example.com"],
        "CSRF_COOKIE_SECURE": True,
        "SESSION_COOKIE_SECURE": True,
        "SESSION_COOKIE_PATH": "/ops/",
        "SECURE_HSTS_SECONDS": 31_536_000,
        "FORCE_SCRIPT_NAME": "/ops",
        "PUBLIC_URL": "https://admin.example.com/ops",
        "STATIC_URL": "/ops/static/",
    }


def test_the_address_that_is_listened_on_is_allowed_and_every_address_is_none():
    assert read(HOST="127.0.0.2")["ALLOWED_HOSTS"][-1] == "127.0.0.2"
    assert read(HOST="0.0.0.0")["ALLOWED_HOSTS"] == read()["ALLOWED_HOSTS"]


def test_an_ipv6_host_is_allowed_with_its_brackets():
    found = read(PUBLIC_URL="http://[2001:db8::1]:8000")
    assert "[2001:db8::1]" in found["ALLOWED_HOSTS"]
    assert found["CSRF_TRUSTED_ORIGINS"] == ["http://[2001:db8::1]:8000"]
    assert not found["SESSION_COOKIE_SECURE"]
    assert found["SECURE_HSTS_SECONDS"] == 0


def test_without_one_only_this_machine_is_served():
    found = read()
    assert found["ALLOWED_HOSTS"] == ["localhost", "127.0.0.1", "[::1]"]
    assert found["STATIC_URL"] == "/static/"
    assert found["FORCE_SCRIPT_NAME"] is None


@pytest.mark.parametrize("value", ["https://*", "https://a b.example/x y"])
def test_a_bad_one_stops_the_start_with_one_sentence(value):
    done = subprocess.run(
        [sys.executable, "manage.py", "quickstart"],
        env=os.environ | {"PUBLIC_URL": value},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert f"PUBLIC_URL is {value!r}" in done.stderr
