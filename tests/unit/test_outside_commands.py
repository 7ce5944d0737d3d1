"""The commands for a schedule outside the database, run by a real shell on planted files."""

from __future__ import annotations

import json
import shlex
import subprocess
from datetime import timedelta

import pytest

from deploy import findcallers
from executions.retirement.callers_report import NotAReport, look_at, read_report
from executions.retirement.outside import NotAName, Outside
from tests.planting import CALL, TIMER, cronjob, enable, plant, unit

HOSTILE = "/etc/cron.d/$(touch owned); `x` & 'y'"


def report_of(root):
    return findcallers.find(str(root), 60)


def read(report):
    return read_report(json.dumps(report).encode())


def only_caller(report):
    (caller,) = read(report).callers
    return caller


def shell(root, command):
    """Run a command of the wizard as its operator would, with the planted folder for the host's."""
    command = command.replace("/etc/", f"{root}/etc/")
    subprocess.run(["sh", "-c", command], cwd=root, check=True, timeout=60)


@pytest.mark.parametrize(
    "files",
    [
        {"etc/cron.d/multica": f"# every five\n*/5 * * * * root psql -c '{CALL}'\n@daily root x\n"},
        {
            "etc/crontab": "*/5 * * * * root /opt/a.b/[x]/roll^up$.sh\n5 5 * * * root true\n",
            "opt/a.b/[x]/roll^up$.sh": f"psql -c '{CALL}'\n",
        },
        {"etc/cron.d/x": "*/5 * * * * root python3 /opt/manage.py runrollup --once\n"},
        {HOSTILE[1:]: f"*/5 * * * * root psql -c '{CALL}'\n"},
        {"etc/cron.hourly/usage": f"#!/bin/sh\npsql -c '{CALL}'\n"},
    ],
)
def test_the_commands_remove_exactly_the_caller_and_bring_it_back(tmp_path, files):
    root = plant(tmp_path, files)
    if (root / "etc/cron.hourly/usage").exists():
        (root / "etc/cron.hourly/usage").chmod(0o755)
    before = {name: (root / name).read_text() for name in files}
    caller = only_caller(report_of(root))
    outside = caller.outside
    shell(root, outside.find)
    shell(root, outside.remove)
    assert findcallers.status(report_of(root)) == 0
    changed = [
        (was, now)
        for name, text in before.items()
        for was, now in zip(text.splitlines(), (root / name).read_text().splitlines(), strict=True)
        if was != now
    ]
    assert all(now == f"#retired {was}" for was, now in changed)
    assert len(changed) == (outside.place != "/etc/cron.hourly/usage")
    shell(root, outside.undo)
    assert {name: (root / name).read_text() for name in files} == before
    assert only_caller(report_of(root)).active
    assert not (root / "owned").exists()


def test_a_crontab_of_a_user_is_edited_by_the_text_of_its_line(tmp_path):
    script = {"home/deploy/r.sh": f"psql -c '{CALL}'\n"}
    root = plant(tmp_path, {"var/spool/cron/crontabs/deploy": "* * * * * ~/r.sh\n", **script})
    outside = only_caller(report_of(root)).outside
    assert outside.place == ""
    assert outside.remove == (
        r"crontab -u deploy -l | sed '/^[^#].*~\/r\.sh/s/^/#retired /' | crontab -u deploy -"
    )


def test_timers_are_turned_off_where_they_were_turned_on(tmp_path):
    service = unit(f"psql -c '{CALL}'")
    root = plant(
        tmp_path,
        {
            "etc/systemd/system/a.timer": TIMER,
            "etc/systemd/system/a.service": service,
            "home/deploy/.config/systemd/user/b.timer": TIMER,
            "home/deploy/.config/systemd/user/b.service": service,
            "usr/lib/systemd/system/c.timer": TIMER,
            "usr/lib/systemd/system/c.service": service,
        },
    )
    enable(root, "a.timer")
    enable(root, "b.timer", "home/deploy/.config/systemd/user")
    enable(root, "c.timer", "usr/lib/systemd/system")
    commands = {c.outside.name: c.outside for c in read(report_of(root)).callers}
    assert {name: outside.remove for name, outside in commands.items()} == {
        "a.timer": "systemctl disable --now a.timer",
        "b.timer": "systemctl --user --machine=deploy@.host disable --now b.timer",
        "c.timer": "systemctl mask --now c.timer",
    }
    assert commands["c.timer"].undo == "systemctl unmask c.timer && systemctl start c.timer"


def test_a_cronjob_is_suspended_first_and_a_managed_one_only_suspended(tmp_path):
    notes = {"meta.helm.sh/release-name": "multica", "meta.helm.sh/release-namespace": "apps"}
    items = [
        cronjob("own", "psql", "-c", CALL),
        cronjob("h", "psql", "-c", CALL, annotations=notes),
    ]
    host = findcallers.Host(str(plant(tmp_path, {})), 60)
    host.look_at_cronjobs(json.dumps({"kind": "List", "items": items}).encode())
    own, managed = (caller.outside for caller in read(host.report()).callers)
    patch = 'patch cronjob {} --type merge --patch \'{{"spec":{{"suspend":true}}}}\''
    assert own.first == f"kubectl --namespace multica {patch.format('own')}"
    assert own.remove.endswith("delete cronjob own")
    assert (managed.manager, managed.release, managed.in_namespace) == (
        "Helm", "multica", ", namespace apps",
    )  # fmt: skip
    assert managed.remove == managed.first
    assert "delete" not in managed.remove


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("place", "/etc/cron.d/a b;$(reboot)'`\\\"&|"),
        ("text", "x'; reboot; '$(reboot)`reboot`/.*[a]"),
    ],
)
def test_every_value_of_a_report_is_one_word_of_the_command(field, value):
    """A shell that only prints its words shows whether a value stays inside one."""
    outside = Outside("cron", **{"place": "/etc/cron.d/a", "text": "a", field: value})
    for command in (outside.find, outside.remove, outside.undo):
        words = shlex.split(command)
        assert len(words) in {4, 5}
        assert words[-1] == outside.place
        printed = subprocess.run(
            ["sh", "-c", f"printf '%s\\n' {command}"], capture_output=True, text=True, check=True
        )
        assert printed.stdout.splitlines() == words


# --- What is no report ----------------------------------------------------------------------------


@pytest.fixture
def good(tmp_path):
    return report_of(plant(tmp_path, {"etc/cron.d/m": f"* * * * * root psql -c '{CALL}'\n"}))


def test_what_findcallers_writes_is_read(good):
    report = read(good)
    assert report.host == good["host"]
    assert [(one.where, one.active) for one in report.callers] == [("/etc/cron.d/m:1", True)]


def spoiled(report, **values):
    return {**report, **values}


def with_caller(report, **values):
    return {**report, "callers": [{**report["callers"][0], **values}]}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda report: [],
        lambda report: spoiled(report, format="multica-callers/2"),
        lambda report: spoiled(report, host=7),
        lambda report: spoiled(report, host="a\nb"),
        lambda report: spoiled(report, made_at="yesterday"),
        lambda report: spoiled(report, made_at="2026-11-27T06:00:00"),
        lambda report: spoiled(report, callers={}),
        lambda report: spoiled(report, callers=[None]),
        lambda report: spoiled(report, callers=report["callers"] * 1_000),
        lambda report: spoiled(report, more="\0"),
        lambda report: spoiled(report, not_seen=[{"place": "x"}]),
        lambda report: with_caller(report, kind="at"),
        lambda report: with_caller(report, kind="systemd", name="$(reboot)"),
        lambda report: with_caller(report, kind="cronjob", name="x", namespace="-A"),
        lambda report: with_caller(report, name="root; reboot"),
        lambda report: with_caller(report, place="etc/x"),
        lambda report: with_caller(report, place=""),
        lambda report: with_caller(report, place="/etc/\u202ex"),
        lambda report: with_caller(report, text="x" * 501),
        lambda report: with_caller(report, line=True),
        lambda report: with_caller(report, line=-1),
        lambda report: with_caller(report, line=10**30),
        lambda report: with_caller(report, active="yes"),
        lambda report: with_caller(report, extra={}),
    ],
)
def test_what_findcallers_does_not_write_is_refused_with_a_sentence(good, spoil):
    with pytest.raises(NotAReport, match=r"Nothing was\s+kept\.$"):
        read(spoil(good))


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 100_000, b" " * (512 * 1024 + 1)])
def test_what_is_no_json_of_a_reports_size_is_refused(data):
    with pytest.raises(NotAReport):
        read_report(data)


def test_a_relative_place_is_no_place():
    with pytest.raises(NotAName):
        Outside("cron", place="etc/crontab")


# --- The second proof -----------------------------------------------------------------------------


def test_only_a_later_complete_report_of_the_same_host_is_a_second_proof(good):
    first = read(good)
    outside = first.callers[0].outside
    later = (first.made_at + timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    empty = spoiled(good, callers=[], made_at=later)
    assert look_at(outside, first) is None
    assert look_at(outside, read(spoiled(empty, host="other"))) is None
    unseen = [{"place": "/etc/cron.d", "reason": "Permission denied"}]
    assert look_at(outside, read(spoiled(empty, not_seen=unseen))) is None
    assert look_at(outside, read(empty)).gone
    assert look_at(outside, read(spoiled(with_caller(good, active=False), made_at=later))).gone
    assert not look_at(outside, read(spoiled(good, made_at=later))).gone


def test_what_a_host_does_not_show_says_nothing_of_a_cluster_and_the_other_way_round(good):
    seen = {"host": good["host"], "seen_at": "2020-01-01T00:00:00Z"}
    job, line = Outside("cronjob", "x", **seen), Outside("cron", place="/etc/crontab", **seen)
    looked = [{"place": "CronJobs", "files": 2}]

    def proved(outside, *places):
        unseen = [{"place": place, "reason": "x"} for place in places]
        report = spoiled(good, callers=[], looked_at=looked, not_seen=unseen)
        return look_at(outside, read(report)) is not None

    assert proved(job, "/etc/cron.d", "CronJob default/y")
    assert proved(line, "standard input", "CronJob default/y")
    assert not proved(job, "standard input")
    assert not proved(job, "CronJob default/x")
    assert not proved(line, "/etc/cron.d")
    for outside in (job, line):
        assert not proved(outside, "everything else")
        assert not proved(outside, "more callers")


def test_a_report_without_cronjobs_proves_nothing_of_a_cronjob(good):
    outside = Outside("cronjob", "x", host=good["host"], seen_at="2020-01-01T00:00:00Z")
    assert look_at(outside, read(spoiled(good, callers=[]))) is None
    looked = [{"place": "CronJobs", "files": 2}]
    assert look_at(outside, read(spoiled(good, callers=[], looked_at=looked))).gone
