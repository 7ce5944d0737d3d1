"""`findcallers` on planted hosts: every caller is found, and none is invented."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from deploy import findcallers
from tests.commands import run_command
from tests.finding import SCRIPT, found, run
from tests.planting import CALL, TIMER, enable, plant, unit

NOBODY = 65534


@pytest.fixture
def root(tmp_path):
    return plant(tmp_path / "host", {})


HOURLY = "rollup_task_usage_hourly"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (
            {"var/spool/cron/crontabs/deploy": f"PATH=/bin\n*/5 * * * * psql -c '{CALL};'\n"},
            ("/var/spool/cron/crontabs/deploy", HOURLY),
        ),
        (
            {"var/spool/cron/deploy": f"@hourly psql multica % {CALL};\n"},
            ("/var/spool/cron/deploy", HOURLY),
        ),
        (
            {"etc/crontab": f'*/5 * * * * root psql -c "select public.{HOURLY.upper()} ( )"\n'},
            ("/etc/crontab", HOURLY),
        ),
        (
            {"etc/cron.d/multica": f'*/5 * * * * root psql -c "SELECT \\"{HOURLY}\\"()"\n'},
            ("/etc/cron.d/multica", HOURLY),
        ),
        (
            {
                "etc/cron.d/multica": "*/5 * * * * root /opt/multica/rollup.sh >/dev/null 2>&1\n",
                "opt/multica/rollup.sh": f"#!/bin/sh\npsql <<SQL\n{CALL};\nSQL\n",
            },
            ("/etc/cron.d/multica", HOURLY),
        ),
        (
            {
                "var/spool/cron/crontabs/deploy": "*/5 * * * * cd ~/jobs && ./rollup >> log\n",
                "home/deploy/jobs/rollup": f"psql -c '{CALL}'\n",
            },
            ("/var/spool/cron/crontabs/deploy", HOURLY),
        ),
        (
            {
                "var/spool/cron/crontabs/deploy": "*/5 * * * * psql -f rollup.sql\n",
                "home/deploy/rollup.sql": f"-- every five minutes\n{CALL};\n",
            },
            ("/var/spool/cron/crontabs/deploy", HOURLY),
        ),
        (
            {
                "etc/cron.d/multica": "*/5 * * * * root usage-rollup\n",
                "usr/local/bin/usage-rollup": f"psql -c '{CALL}'\n",
            },
            ("/etc/cron.d/multica", HOURLY),
        ),
        (
            {"etc/cron.d/multica": "* * * * * root python3 /opt/manage.py runrollup --once\n"},
            ("/etc/cron.d/multica", "runrollup"),
        ),
        (
            {"etc/cron.d/multica": "* * * * * root docker run multica-admin runrollup --once\n"},
            ("/etc/cron.d/multica", "runrollup"),
        ),
        (
            {"etc/anacrontab": "1 5 usage psql -c 'SELECT rollup_task_usage_daily()'\n"},
            ("/etc/anacrontab", "rollup_task_usage_daily"),
        ),
    ],
)  # fmt: skip
def test_a_crontab_that_calls_the_rollup_is_found(root, files, expected):
    assert found(root, files) == {(*expected, True)}


def test_a_script_of_cron_hourly_is_found_and_counts_only_while_it_may_run(root):
    plant(root, {"etc/cron.hourly/usage": f"#!/bin/sh\npsql -c '{CALL}'\n"})
    assert found(root) == {("/etc/cron.hourly/usage", HOURLY, False)}
    (root / "etc/cron.hourly/usage").chmod(0o755)
    assert found(root) == {("/etc/cron.hourly/usage", HOURLY, True)}


@pytest.mark.parametrize(
    "files",
    [
        {"etc/systemd/system/usage.service": unit(f"/usr/bin/psql -c '{CALL}'")},
        {
            "etc/systemd/system/usage.service": unit("/opt/rollup.sh"),
            "opt/rollup.sh": f"psql -c '{CALL}'",
        },
        {
            "etc/systemd/system/usage.service": unit("-rollup.sh", "WorkingDirectory=/opt"),
            "opt/rollup.sh": f"psql -c '{CALL}'",
        },
        {
            "etc/systemd/system/usage.service": unit("/bin/true"),
            "etc/systemd/system/usage.service.d/x.conf": f"ExecStart=\nExecStart=psql -c '{CALL}'",
        },
        {"lib/systemd/system/usage.service": unit(f"psql -c '{CALL}'")},
    ],
)  # fmt: skip
def test_a_timer_whose_unit_calls_the_rollup_is_found(root, files):
    plant(root, {"etc/systemd/system/usage.timer": TIMER, **files})
    place = "/etc/systemd/system/usage.timer"
    assert found(root) == {(place, HOURLY, False)}
    enable(root, "usage.timer")
    assert found(root) == {(place, HOURLY, True)}


def test_a_timer_of_another_units_name_of_a_template_and_of_a_user_is_found(root):
    plant(
        root,
        {
            "etc/systemd/system/a.timer": TIMER + "[Timer]\nUnit=b.service\n",
            "etc/systemd/system/b.service": unit(f"psql -c '{CALL}'"),
            "etc/systemd/system/shard@.timer": TIMER,
            "etc/systemd/system/shard@.service": unit("/opt/%i.sh"),
            "opt/one.sh": f"psql -c '{CALL}'",
            "home/deploy/.config/systemd/user/own.timer": TIMER,
            "home/deploy/.config/systemd/user/own.service": unit("%h/rollup.sh"),
            "home/deploy/rollup.sh": f"psql -c '{CALL}'",
        },
    )
    enable(root, "a.timer")
    enable(root, "own.timer", "home/deploy/.config/systemd/user")
    (root / "etc/systemd/system/timers.target.wants/shard@one.timer").symlink_to(
        "/etc/systemd/system/shard@.timer"
    )
    _status, report = run(root)
    assert {(c["name"], c["user"], c["active"]) for c in report["callers"]} == {
        ("a.timer", "", True),
        ("shard@one.timer", "", True),
        ("own.timer", "deploy", True),
    }


def test_a_masked_timer_does_not_count(root):
    plant(root, {"lib/systemd/system/usage.service": unit(f"psql -c '{CALL}'")})
    plant(root, {"lib/systemd/system/usage.timer": TIMER, "etc/systemd/system/x": ""})
    (root / "etc/systemd/system/usage.timer").symlink_to("/dev/null")
    assert not found(root)


@pytest.mark.parametrize(
    "line",
    [
        f"#retired */5 * * * * root psql -c '{CALL}'",
        "* * * * * root psql -c \"SELECT 1 FROM e WHERE job_name = 'rollup_task_usage_hourly'\"",
        "*/5 * * * * root psql -c \"SELECT cron.unschedule('rollup_task_usage_hourly')\"",
        "*/5 * * * * root psql -c \"SELECT to_regprocedure('rollup_task_usage_hourly()')\"",
        "*/5 * * * * root psql -c 'SELECT task_usage_hourly_rollup_lag_seconds()'",
        "*/5 * * * * root psql -c 'SELECT my_rollup_task_usage_hourly()'",
        "*/5 * * * * root tail /var/log/runrollup.log",
        "*/5 * * * * root systemctl restart runrollup",
        "*/5 * * * * root python manage.py checkrollup",
        "*/5 * * * * root /usr/bin/true # SELECT rollup_task_usage_hourly()",
        "*/5 * * * * root /opt/described.sh",
        "*/5 * * * * root /opt/two-levels.sh",
        "*/5 * * * * root /opt/missing.sh",
    ],
)  # fmt: skip
def test_what_only_names_the_rollup_is_no_caller(root, line):
    files = {
        "etc/cron.d/multica": f"{line}\n",
        "opt/described.sh": f"# {CALL}\ngrep -c rollup_task_usage_hourly /var/log/postgresql.log\n",
        "opt/two-levels.sh": "exec /opt/inner.sh\n",
        "opt/inner.sh": f"psql -c '{CALL}'\n",
        "opt/migrate.sql": "CREATE OR REPLACE FUNCTION rollup_task_usage_hourly() RETURNS bigint",
    }
    assert not found(root, files)


def test_this_machines_own_words_about_the_function_are_no_calls(root):
    sql = (
        "DROP FUNCTION IF EXISTS public.rollup_task_usage_hourly();\n"
        "CREATE FUNCTION rollup_task_usage_hourly() RETURNS bigint AS $$ SELECT 1 $$;\n"
        "GRANT EXECUTE ON FUNCTION rollup_task_usage_hourly() TO x;\n"
        "SELECT cron.schedule('x', '* * * * *', 'SELECT rollup_task_usage_hourly()');\n"
    )
    files = {"etc/cron.d/m": "@daily root psql -f /opt/m.sql\n", "opt/m.sql": sql}
    assert not found(root, files)


def test_it_changes_nothing(root):
    plant(root, {"etc/cron.d/m": f"* * * * * root psql -c '{CALL}'\n"})
    before = sorted((p, p.stat().st_mtime_ns) for p in root.rglob("*"))
    run(root, text=True)
    assert before == sorted((p, p.stat().st_mtime_ns) for p in root.rglob("*"))


def test_passwords_are_masked_and_the_text_says_what_calls_when(root):
    url = "postgresql://app:hunter2@db/multica"
    plant(root, {"etc/cron.d/m": f"*/5 * * * * root PGPASSWORD=hunter3 psql {url} -c '{CALL}'\n"})
    status, said = run(root, text=True)
    assert status == 1
    assert "/etc/cron.d/m:1 calls rollup_task_usage_hourly" in said
    assert "when: */5 * * * *" in said
    assert "hunter" not in said
    assert "postgresql://app:***@db/multica" in said


def test_an_ordinary_user_is_told_what_only_root_may_read():
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        root = plant(Path(folder) / "host", {"var/spool/cron/crontabs/root": ""})
        (root / "var/spool/cron/crontabs").chmod(0o700 if os.geteuid() == 0 else 0)
        before = os.geteuid()
        if before == 0:
            os.seteuid(NOBODY)
        try:
            report = findcallers.find(str(root), 60)
        finally:
            os.seteuid(before)
            (root / "var/spool/cron/crontabs").chmod(0o755)
    assert findcallers.status(report) == 3
    (unseen,) = report["not_seen"]
    assert unseen["place"] == "/var/spool/cron/crontabs"
    assert unseen["reason"] == "Permission denied; run this as root to see it"


def test_without_a_caller_the_status_is_zero(root):
    status, said = run(root, text=True)
    assert status == 0
    assert "Nothing that was read calls the rollup." in said


@pytest.mark.parametrize("words", [("--seconds", "0"), ("--root", "/no/such/folder")])
def test_a_bad_argument_is_a_sentence_and_status_two(words):
    told = run_command("findcallers", *words)
    assert (told.status, told.said) == (2, "")
    assert told.refused.endswith(".")


def test_the_command_of_manage_py_is_the_same_code(root):
    plant(root, {"etc/cron.d/m": f"*/5 * * * * root psql -c '{CALL}'\n"})
    told = run_command("findcallers", "--root", str(root), "--json")
    status, report = run(root)
    assert told.status == status == 1
    assert json.loads(told.said)["callers"] == report["callers"]


def test_python_3_8_can_run_it():
    """Vermin knows which Python each name of the standard library needs."""
    ast.parse(SCRIPT.read_text(), feature_version=(3, 8))
    vermin = Path(sys.executable).with_name("vermin")
    check = [vermin, "-t=3.8-", "--no-tips", "--violations"]
    assert subprocess.run([*check, SCRIPT], check=False, capture_output=True).returncode == 0


def test_vermin_refuses_what_python_3_8_lacks(tmp_path):
    newer = tmp_path / "newer.py"
    newer.write_text(SCRIPT.read_text().replace("datetime.timezone.utc", "datetime.UTC"))
    vermin = Path(sys.executable).with_name("vermin")
    done = subprocess.run(
        [vermin, "-t=3.8-", "--violations", newer], check=False, capture_output=True
    )
    assert done.returncode == 1
