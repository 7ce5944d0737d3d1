"""requirements*.lock have what requirements*.txt pin: bin/lock writes them."""

from __future__ import annotations

import re

import pytest

from tests.processes import PROJECT

PIN = re.compile(r"(?m)^([\w.-]+)(?:\[[\w, ]+\])?==([^\s;\\]+)")
INCLUDED = re.compile(r"(?m)^-r (\S+)$")
HASH = re.compile(r"^ +--hash=sha256:[0-9a-f]{64}( \\)?$")


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(name):
    """The version of each package that the file pins, or that a file pins which it includes."""
    text = (PROJECT / name).read_text("utf-8")
    found = {normal(package): version for package, version in PIN.findall(text)}
    for included in INCLUDED.findall(text):
        found |= pins(included)
    return found


@pytest.mark.parametrize("name", ["requirements", "requirements-test"])
def test_what_is_installed_is_what_is_pinned(name):
    assert pins(f"{name}.lock") == pins(f"{name}.txt"), "run bin/lock and commit what it writes"


@pytest.mark.parametrize("name", ["requirements", "requirements-test"])
def test_every_package_has_hashes_and_nothing_comes_from_elsewhere(name):
    text = (PROJECT / f"{name}.lock").read_text("utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        assert PIN.match(line) or HASH.match(line), line
        if PIN.match(line):
            assert HASH.match(following), line


@pytest.mark.parametrize("name", ["requirements", "requirements-test"])
def test_every_pin_says_what_it_is_for(name):
    for line in (PROJECT / f"{name}.txt").read_text("utf-8").splitlines():
        if PIN.match(line):
            assert re.search(r" # \S", line), line
