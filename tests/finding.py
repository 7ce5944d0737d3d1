"""Runs `findcallers` on a planted host, as a host would."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from deploy import findcallers
from tests.planting import plant

SCRIPT = Path(findcallers.__file__)


def run(root, *words, piped=None, text=False):
    """The file as a host runs it, alone and without this project's packages."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", SCRIPT, "--root", root, *words, *([] if text else ["--json"])],
        **({"stdin": subprocess.DEVNULL} if piped is None else {"input": piped}),
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert not done.stderr, done.stderr
    said = done.stdout.decode()
    return done.returncode, said if text else json.loads(said)


def found(root, files=None):
    """Place or name, and what it calls, of every caller in a planted host."""
    plant(root, files or {})
    _status, report = run(root)
    return {
        (caller["place"] or caller["name"], caller["calls"], caller["active"])
        for caller in report["callers"]
    }
