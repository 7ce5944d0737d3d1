"""`findcallers` survives hostile files within seconds, and says what it could not read."""

from __future__ import annotations

import json
import os
import resource

import pytest

from tests.finding import run
from tests.planting import CALL, plant


@pytest.fixture
def root(tmp_path):
    return plant(tmp_path / "host", {})


def test_hostile_files_are_survived_within_seconds(root):
    line = f"*/5 * * * * root psql -c '{CALL}'\n"
    plant(
        root,
        {
            "etc/cron.d/good": line,
            "etc/cron.d/huge": line + "# filler\n" * 2_000_000,
            "etc/cron.d/long": "* * * * * root " + "docker :// key= " * 70_000 + "\n",
            "etc/cron.d/twice": "* * * * * root " + "cron.schedule( runrollup " * 40_000 + "\n",
            "etc/cron.d/many": "* * * * * root a/b ~/c x.sh $HOME/d\n" * 20_000,
            "etc/cron.d/binary": b"\x7fELF\0\0" + os.urandom(100_000),
            "etc/cron.d/latin1": b"* * * * * root echo caf\xe9\n" + line.encode(),
            "etc/cron.d/bom": b"\xef\xbb\xbf" + line.encode(),
            "etc/cron.d/utf16": line.encode("utf-16"),
            "etc/cron.d/quote": line.replace("psql", "echo 'open") + '* * * * * root "\n',
            "etc/cron.d/$(touch owned); `x` & 'y'": line,
            "etc/cron.d/escape": f"* * * * * root printf '\x1b]0;owned\x07' && psql -c '{CALL}'\n",
        },
    )
    folder = root / "etc/cron.d"
    (folder / "loop").symlink_to("loop")
    (folder / "round").symlink_to("/etc/cron.d/about")
    (folder / "about").symlink_to("/etc/cron.d/round")
    (root / "etc/cron.daily").symlink_to("/etc/cron.daily")
    (root / "etc/systemd").mkdir()
    (root / "etc/systemd/system").symlink_to("../systemd")
    (root / "etc/systemd/x.wants").symlink_to(".")
    os.mkfifo(folder / "pipe")
    (folder / "folder").mkdir()
    (folder / os.fsdecode(b"caf\xe9")).write_text(line)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    status, report = run(root, "--seconds", "100", piped=b"")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Processor time, because a busy machine stretches the time on the clock.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 30
    assert status == 1
    assert not (root / "owned").exists()
    places = {caller["place"] for caller in report["callers"]}
    good = ["good", "huge", "latin1", "bom", "utf16", "escape"]
    assert {f"/etc/cron.d/{name}" for name in [*good, "$(touch owned); `x` & 'y'"]} <= places
    assert not places & {"/etc/cron.d/binary", "/etc/cron.d/loop", "/etc/cron.d/pipe"}
    unseen = {one["place"] for one in report["not_seen"]}
    assert {"/etc/cron.d/huge", "/etc/cron.d/binary", "/etc/cron.d/loop"} <= unseen
    everything = json.dumps(report, ensure_ascii=False)
    assert "\x1b" not in everything
    assert "\x07" not in everything


def test_the_time_for_looking_is_bounded_and_the_report_says_so(root):
    plant(root, {f"etc/cron.d/{n}": "* * * * * root a b c d\n" * 2_000 for n in range(20)})
    status, report = run(root, "--seconds", "0.01")
    assert (status, report["complete"]) == (3, False)
    assert "the time for looking ran out" in {one["reason"] for one in report["not_seen"]}
