"""`bin/setup.sh` asks the product what a machine has, before there are any settings."""

from __future__ import annotations

import os
import subprocess

from tests.processes import PROJECT


def test_it_finds_a_postgresql_with_pg_cron_without_any_settings():
    done = subprocess.run(
        ["sh", "-c", ". bin/setup.sh && has_pg_cron"],
        cwd=PROJECT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
