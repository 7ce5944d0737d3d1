"""`findcallers` on planted hosts: every caller is found, none invented, hostile files survived."""

from __future__ import annotations

import ast
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from deploy import findcallers
from tests.commands import run_command
from tests.planting import CALL, TIMER, cronjob, enable, plant, unit

NOBODY = 65534
SCRIPT = Path(findcallers.__file__)


@pytest.fixture
def root(tmp_path):
    return plant(tmp_path / "host", {})


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


# --- CronJobs -------------------------------------------------------------------------------------


ODD_CONTAINERS = {"containers": [{"command": {"a": 1}, "args": [1, None]}, 5]}


def listed(*items):
    return json.dumps({"kind": "List", "items": list(items)}).encode()


HELM = {
    "labels": {"app.kubernetes.io/managed-by": "Helm"},
    "annotations": {
        "meta.helm.sh/release-name": "multica",
        "meta.helm.sh/release-namespace": "apps",
    },
}
ARGO = {"annotations": {"argocd.argoproj.io/tracking-id": "shop:batch/CronJob:multica/argo"}}
FLUX = {"labels": {"kustomize.toolkit.fluxcd.io/name": "infra"}}


def test_cronjobs_are_judged_with_their_manager_and_whether_they_are_suspended(root):
    piped = listed(
        cronjob("plain", "psql", "-c", CALL),
        cronjob("shell", "sh", "-c", f'set -e\n# nightly\npsql -c "{CALL}"'),
        cronjob("ours", "runrollup", "--once"),
        cronjob("helm", "psql", "-c", CALL, **HELM),
        cronjob("argo", "psql", "-c", CALL, **ARGO),
        cronjob("flux", "psql", "-c", CALL, **FLUX),
        cronjob("paused", "psql", "-c", CALL, suspend=True),
        cronjob("other", "pg_dump", "multica"),
    )
    status, report = run(root, piped=piped)
    assert status == 1
    assert {
        (c["name"], c["manager"], c["release"], c["release_namespace"], c["active"])
        for c in report["callers"]
    } == {
        ("plain", "", "", "", True),
        ("shell", "", "", "", True),
        ("ours", "", "", "", True),
        ("helm", "Helm", "multica", "apps", True),
        ("argo", "Argo CD", "shop", "", True),
        ("flux", "Flux", "infra", "", True),
        ("paused", "", "", "", False),
    }
    assert {c["namespace"] for c in report["callers"]} == {"multica"}
    assert report["complete"]


def test_a_cronjob_whose_script_is_in_a_configmap_is_said_not_to_be_judged(root):
    job = cronjob("hidden", "/scripts/run.sh")
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    pod["volumes"] = [{"name": "scripts", "configMap": {"name": "x"}}]
    status, report = run(root, piped=listed(job))
    assert (status, report["callers"], report["complete"]) == (3, [], False)
    assert report["not_seen"][0]["place"] == "CronJob multica/hidden"


@pytest.mark.parametrize(
    "piped",
    [
        b"no JSON",
        b"\xff\xfe\x00",
        b"[" * 200_000,
        b'{"kind": "List", "items": 7}',
        b'{"kind": "List", "items": [7, null, {"kind": "CronJob", "spec": [], "metadata": "x"}]}',
        listed({"spec": {"jobTemplate": {"spec": {"template": {"spec": ODD_CONTAINERS}}}}}),
    ],
    ids=["text", "binary", "deep", "number", "odd items", "odd containers"],
)
def test_hostile_cronjobs_are_survived(root, piped):
    status, report = run(root, piped=piped)
    assert report["callers"] == []
    assert status == (0 if b"items" in piped else 3)


def test_a_pipe_that_nobody_closes_is_given_up_and_told(root, monkeypatch):
    monkeypatch.setattr(findcallers, "SECONDS_FOR_STDIN", 0.2)
    reader, writer = os.pipe()
    kept = os.dup(0)
    os.dup2(reader, 0)
    try:
        report = findcallers.find(str(root), 60)
    finally:
        os.dup2(kept, 0)
        for one in (reader, writer, kept):
            os.close(one)
    assert report["not_seen"][0]["place"] == "standard input"


# --- Hostile files --------------------------------------------------------------------------------


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
