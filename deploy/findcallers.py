#!/usr/bin/env python3
"""Find what calls Multica's usage rollup outside the database, on this host and in Kubernetes.

Copy this one file to a host and run it with Python 3.8 or newer; it needs nothing else:

    sudo python3 findcallers.py --json > callers.json
    kubectl get cronjobs -A -o json | python3 findcallers.py --json > callers.json

It reads crontabs, /etc/cron.*, systemd timers with their units, the scripts that these name, and
the list of CronJobs on its standard input. It runs no program, changes nothing and opens no
connection. Root is needed only to read other users' crontabs and scripts; what cannot be read is
listed. Values that look like passwords are masked.

Exit status: 0 nothing calls the rollup, 1 something does, 2 a bad argument, 3 nothing was found
but not everything could be read.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import itertools
import json
import os
import re
import select
import shlex
import socket
import stat
import sys
import time

FORMAT = "multica-callers/1"
MOST_BYTES = 1 << 20  # of a file; what follows is not read
MOST_STDIN = 64 << 20
MOST_ENTRIES = 5_000  # of a folder
MOST_CALLERS = 200
MOST_UNSEEN = 200
LONGEST = 500  # characters of a text in the report
SECONDS_FOR_STDIN = 20.0

# A call has parentheses, so the job's name in a query or a log file is no call. Quotes and
# backslashes are those of a shell.
CALL = re.compile(
    r"(?<![\w-])(rollup_task_usage_(?:hourly_window|hourly|dashboard_daily|daily))"
    r"(?:\\?[\"'])?\s{0,9}\\?\(",
    re.IGNORECASE,
)
# What stands before the name where the function is defined, described or scheduled, not called.
NO_CALL = re.compile(
    r"(?:\bfunction\s+(?:if\s+exists\s+)?[\w.\"\\]*|reg(?:procedure|proc)\s*\(\s*[\w.'\"\\]*"
    r"|\bcron\s*\.\s*(?:schedule|unschedule|alter_job)\w*\s*\([^;]*)$",
    re.IGNORECASE,
)
# This project's command, and what stands before it where it is run and not merely named.
COMMAND = re.compile(r"(?<![\w./-])runrollup(?![\w./-])")
RUNS = re.compile(
    r"(?:manage\.py|django-admin|-m\s+django)[\"']?\s+[\"']?$"
    r"|\b(?:docker|podman|nerdctl|kubectl|crictl)\s[^\n;|&]*$"
)
MOST_JUDGED = 1_000  # places of one text that look like a call
SECRETS = (
    (re.compile(r"(://[^:/@\s]*:)[^@\s]*@"), r"\1***@"),
    (
        re.compile(
            r"((?:password|passwd|pwd|secret|token|key)\w*=)(?:'[^']*'|\"[^\"]*\"|\S+)",
            re.IGNORECASE,
        ),
        r"\1***",
    ),
)
SCRIPT_NAME = re.compile(r"[\w.+@-]+\.(?:sh|bash|sql|py|pl|rb|js|psql)$")
PATHS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")

USER_CRONTABS = (
    "/var/spool/cron/crontabs",
    "/var/spool/cron/tabs",
    "/var/spool/cron",
    "/etc/crontabs",
)
RUN_PARTS = (
    *(f"/etc/cron.{often}" for often in ("hourly", "daily", "weekly", "monthly")),
    *(f"/etc/periodic/{often}" for often in ("15min", "hourly", "daily", "weekly", "monthly")),
)
SYSTEM_UNITS = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/run/systemd/transient",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
USER_UNITS = ("/etc/systemd/user", "/usr/local/lib/systemd/user", "/usr/lib/systemd/user")


def shown(text: str) -> str:
    """Text that can be printed anywhere: one line, no control characters, not too long."""
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def masked(text: str) -> str:
    for pattern, instead in SECRETS:
        text = pattern.sub(instead, text)
    return text


def without_comments(text: str) -> str:
    """The text without lines that are comments and without what follows " #" on a line."""
    lines = (line for line in text.splitlines() if not line.lstrip().startswith(("#", "--", "//")))
    return "\n".join(re.sub(r"\s#.*", "", line) for line in lines)


def call_in(text: str) -> tuple[str, str]:
    """The function or command that the text calls, and how it is written there; else empty."""
    for found in itertools.islice(CALL.finditer(text), MOST_JUDGED):
        before = text[max(0, found.start() - 400) : found.start()]
        quoted = before.endswith("'") and re.match(r"\s*\)'", text[found.end() :])
        if not quoted and not NO_CALL.search(before):
            return found.group(1).lower(), found.group(1)
    for found in itertools.islice(COMMAND.finditer(text), MOST_JUDGED):
        # A container's arguments begin with the command, because the image's entry point runs it.
        before = text[max(0, found.start() - 400) : found.start()]
        if RUNS.search(before):
            return found.group(), found.group()
    return "", ""


def at(value: object, *keys: str) -> dict[str, object]:
    """The object under these keys, empty where there is none."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def as_texts(value: object) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def as_text(value: object) -> str:
    return value if isinstance(value, str) else ""


def objects(value: object) -> list[dict[str, object]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


class Host:
    """The files below ``root``, and what was found there. Reading stops at the deadline."""

    def __init__(self, root: str, seconds: float) -> None:
        self.root = root.rstrip("/")
        self.until = time.monotonic() + seconds
        self.callers: list[dict[str, object]] = []
        self.looked_at: dict[str, int] = {}
        self.unseen: dict[str, str] = {}
        self.judged: dict[str, str] = {}
        self.homes = self._read_homes()

    def late(self) -> bool:
        if time.monotonic() < self.until:
            return False
        self.cannot_see("everything else", "the time for looking ran out")
        return True

    def cannot_see(self, place: str, reason: str) -> None:
        if len(self.unseen) < MOST_UNSEEN:
            self.unseen[shown(place)] = shown(reason)

    def looked(self, place: str) -> None:
        self.looked_at[place] = self.looked_at.get(place, 0) + 1

    # --- Reading ---------------------------------------------------------------------------------

    def resolve(self, path: str) -> str:
        """Follow the links of ``path`` inside the root, as far as a system would."""
        for _ in range(40):
            if not os.path.islink(self.root + path):
                break
            target = os.readlink(self.root + path)
            path = os.path.normpath(os.path.join(os.path.dirname(path), target))
        return path

    def read(self, path: str, quiet: bool = False) -> str:
        """The text of a regular file, or "" for anything else. ``quiet``: do not list it."""
        try:
            # Without O_NONBLOCK, a named pipe would wait for a writer for ever.
            handle = os.open(self.root + self.resolve(path), os.O_RDONLY | os.O_NONBLOCK)
            with open(handle, "rb") as file:
                if not stat.S_ISREG(os.fstat(handle).st_mode):
                    return ""
                data = file.read(MOST_BYTES + 1)
        except FileNotFoundError:
            return ""
        except (OSError, ValueError) as error:
            if not (quiet and isinstance(error, (IsADirectoryError, NotADirectoryError))):
                self.cannot_see(path, getattr(error, "strerror", None) or str(error))
            return ""
        if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            return data[:MOST_BYTES].decode("utf-16", "replace")
        if b"\0" in data:
            if not quiet:
                self.cannot_see(path, "it is not a text file")
            return ""
        if len(data) > MOST_BYTES:
            self.cannot_see(path, f"it is larger than {MOST_BYTES} bytes; the rest was not read")
        return data[:MOST_BYTES].decode("utf-8", "backslashreplace").lstrip("\ufeff")

    def names(self, folder: str) -> list[str]:
        """The names in a folder, in order; none where there is no such folder."""
        found: list[str] = []
        try:
            with os.scandir(self.root + folder) as entries:
                for entry in entries:
                    if len(found) == MOST_ENTRIES:
                        self.cannot_see(folder, f"it has more than {MOST_ENTRIES} entries")
                        break
                    found.append(entry.name)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            as_root = "" if os.geteuid() == 0 else "; run this as root to see it"
            self.cannot_see(folder, f"{error.strerror}{as_root}")
        return sorted(found)

    def is_file(self, path: str) -> bool:
        return os.path.isfile(self.root + self.resolve(path))

    def _read_homes(self) -> dict[str, str]:
        rows = (line.split(":") for line in self.read("/etc/passwd").splitlines()[:MOST_ENTRIES])
        return {row[0]: row[5].rstrip("/") for row in rows if len(row) > 6 and row[5]}

    # --- Judging ---------------------------------------------------------------------------------

    def judge(
        self, command: str, home: str = "", where: str = "", path: str = ""
    ) -> dict[str, str]:
        """How a command calls the rollup: itself, or by a script that it names.

        ``where`` is the folder in which it runs. Returns {} if it does not call the rollup.
        """
        command = without_comments(command)
        called, written = call_in(command)
        if called:
            return {"calls": called, "text": written, "script": ""}
        for word, script in self._scripts(command, home, where, path):
            if self.late():
                break
            if script not in self.judged:
                self.judged[script] = call_in(without_comments(self.read(script, quiet=True)))[0]
            if self.judged[script]:
                written = word if word in command else os.path.basename(script)
                return {"calls": self.judged[script], "text": written, "script": script}
        return {}

    def _scripts(self, command: str, home: str, where: str, path: str) -> list[tuple[str, str]]:
        """The files that a command names, each as written and as an absolute path."""
        words = re.split(r"[\s'\"|&;<>()`,=]+", command[:20_000])
        with contextlib.suppress(ValueError):  # an open quote: the plain words must do
            words += shlex.split(command[:20_000], comments=False)
        folders = [where, home, *re.findall(r"\bcd\s+[\"']?([^\s\"';&|]+)", command)[:5]]
        on_path = [folder for folder in path.split(":") if folder.startswith("/")] or PATHS
        found: dict[str, str] = {}
        for word in dict.fromkeys(words):
            if len(found) >= 100 or len(word) > 1_000 or "\0" in word or not word:
                continue
            full = re.sub(r"^(?:~|\$HOME|\$\{HOME\})(?=/|$)", lambda _: home or "/root", word)
            if full.startswith("/"):
                candidates = [full]
            elif "/" in full or SCRIPT_NAME.search(full):
                bases = [re.sub(r"^(?:~|\$HOME|\$\{HOME\})", lambda _: home, f) for f in folders]
                candidates = [f"{base}/{full}" for base in bases if base.startswith("/")]
            elif re.fullmatch(r"[\w.+-]+", full):
                candidates = [f"{folder}/{full}" for folder in on_path]
            else:
                continue
            for candidate in map(os.path.normpath, candidates):
                if self.is_file(candidate):
                    found.setdefault(candidate, word)
        return [(word, script) for script, word in found.items()]

    def add(self, found: dict[str, str], **facts: object) -> None:
        if len(self.callers) == MOST_CALLERS:
            self.cannot_see("more callers", f"the report ends after {MOST_CALLERS}")
            return
        caller: dict[str, object] = {
            "kind": "", "name": "", "namespace": "", "place": "", "line": 0, "user": "",
            "schedule": "", "command": "", "active": True, "manager": "", "release": "",
            "release_namespace": "", "static": False, **facts, **found,
        }  # fmt: skip
        caller["command"] = masked(str(caller["command"])[:2_000])
        self.callers.append(
            {
                key: shown(value) if isinstance(value, str) else value
                for key, value in caller.items()
            }
        )

    # --- cron ------------------------------------------------------------------------------------

    def look_at_cron(self) -> None:
        for folder in USER_CRONTABS:
            for name in self.names(folder):
                if not os.path.isdir(f"{self.root}{folder}/{name}") and not self.late():
                    self._crontab(f"{folder}/{name}", user=name)
        for place in ("/etc/crontab", "/etc/anacrontab"):
            self._crontab(place)
        for name in self.names("/etc/cron.d"):
            if not self.late():
                self._crontab(f"/etc/cron.d/{name}")
        for folder in RUN_PARTS:
            for name in self.names(folder):
                if not self.late():
                    self._run_part(folder, name)

    def _crontab(self, place: str, user: str = "") -> None:
        text = self.read(place)
        if not text:
            return
        self.looked(os.path.dirname(place))
        is_users, path, home = bool(user), "", self.homes.get(user, "")
        for number, line in enumerate(map(str.strip, text.splitlines()), start=1):
            if self.late():
                return
            setting = re.match(r"(\w+)\s*=\s*[\"']?([^\"']*)", line)
            if setting:
                path = setting.group(2) if setting.group(1) == "PATH" else path
                continue
            if not line or line.startswith("#"):
                continue
            parts = re.match(r"(@\w+|\S+(?:\s+\S+){4})\s+(.*)", line)
            if place == "/etc/anacrontab":
                parts = re.match(r"(\S+\s+\S+\s+\S+)\s+(.*)", line)
            if not parts:
                continue
            schedule, command, who = parts.group(1), parts.group(2), user
            if not is_users and place != "/etc/anacrontab":
                who, _, command = command.partition(" ")
                home = self.homes.get(who, "")
            found = self.judge(command, home, home, path)
            if found:
                self.add(
                    found, kind="cron", name=who if is_users else "", line=number,
                    place=place, user=who or "root", schedule=schedule,
                    command=command,
                )  # fmt: skip

    def _run_part(self, folder: str, name: str) -> None:
        place = f"{folder}/{name}"
        text = self.read(place)
        if not text:
            return
        self.looked(folder)
        found = self.judge(text, self.homes.get("root", ""), "/")
        if found:
            runs = os.access(self.root + self.resolve(place), os.X_OK)
            found["script"] = found["script"] or place
            self.add(
                found, kind="cron", place=place, user="root", command=place, active=runs,
                schedule=folder.rpartition(".")[2].rpartition("/")[2],
            )  # fmt: skip

    # --- systemd ---------------------------------------------------------------------------------

    def look_at_systemd(self) -> None:
        """The timers of the system, of every user ("*"), and of each user."""
        self._timers("", SYSTEM_UNITS, SYSTEM_UNITS)
        self._timers("*", USER_UNITS, USER_UNITS)
        for user, home in self.homes.items():
            own = (f"{home}/.config/systemd/user", f"{home}/.local/share/systemd/user")
            if not self.late() and os.path.isdir(self.root + own[0]):
                self._timers(user, own, own + USER_UNITS)

    def _timers(self, user: str, own: tuple[str, ...], folders: tuple[str, ...]) -> None:
        names = {folder: self.names(folder) for folder in own}
        wanted: dict[str, str] = {}
        for folder, found in names.items():
            for name in found:
                if name.endswith((".wants", ".requires")):
                    for unit in self.names(f"{folder}/{name}"):
                        wanted.setdefault(unit, folder)
        timers = {*wanted, *(name for found in names.values() for name in found)}
        for timer in sorted(timers):
            if timer.endswith(".timer") and not timer.endswith("@.timer") and not self.late():
                self._timer(timer, folders, user, wanted.get(timer))

    def _timer(self, timer: str, folders: tuple[str, ...], user: str, wanted: str | None) -> None:
        place, settings = self._unit(timer, folders)
        if not settings:
            return
        self.looked(os.path.dirname(place))
        service = (settings.get("Unit") or [timer[: -len(".timer")] + ".service"])[-1]
        unit = self._unit(service, folders)[1]
        home = self.homes.get((unit.get("User") or [user.strip("*")])[-1] or "root", "")
        where = (unit.get("WorkingDirectory") or ["/"])[-1].lstrip("-").replace("~", home, 1)
        for line in (
            line for key, found in unit.items() if key.startswith("Exec") for line in found
        ):
            command = re.sub("%[iI]", lambda _: service.partition("@")[2].rpartition(".")[0], line)
            command = command.lstrip("-@:+!| ").replace("%h", home).replace("%%", "%")
            found = self.judge(command, home, where)
            if found:
                times = [f"{key}={value}" for key, values in settings.items() for value in values
                         if key.startswith("On")]  # fmt: skip
                self.add(
                    found, kind="systemd", name=timer, place=place, schedule=", ".join(times),
                    user=user, command=command,
                    active=wanted is not None or place.startswith("/run/systemd/transient"),
                    static=bool(wanted and wanted.startswith(("/usr", "/lib"))),
                )  # fmt: skip
                return

    def _unit(self, name: str, folders: tuple[str, ...]) -> tuple[str, dict[str, list[str]]]:
        """Where a unit is, and its settings with those of its drop-ins. A masked unit has none."""
        template = re.sub(r"@[^.]*\.", "@.", name)
        texts: list[str] = []
        place = ""
        for wanted in dict.fromkeys((name, template)):
            for folder in folders:
                path = f"{folder}/{wanted}"
                if not place and os.path.lexists(self.root + path):
                    place = path
                    if self.resolve(path) == "/dev/null":
                        return place, {}
                    texts.insert(0, self.read(path))
                parts = (part for part in self.names(f"{path}.d") if part.endswith(".conf"))
                texts.extend(self.read(f"{path}.d/{part}") for part in parts)
        settings: dict[str, list[str]] = {}
        text = re.sub(r"\\\n\s*", " ", "\n".join(texts))
        for line in text.splitlines():
            key, equals, value = line.strip().partition("=")
            if equals and key[:1] not in "#;[":
                key, value = key.strip(), value.strip()
                # An empty value takes back what came before, as in systemd.
                settings[key] = [*settings.get(key, []), value] if value else []
        return place, settings

    # --- Kubernetes ------------------------------------------------------------------------------

    def look_at_cronjobs(self, data: bytes) -> None:
        """Judge the answer of `kubectl get cronjobs -A -o json`."""
        try:
            answer = json.loads(data.decode("utf-8", "replace").lstrip("\ufeff"))
        except (ValueError, RecursionError):
            answer = None
        kind = at(answer).get("kind")
        if kind not in ("List", "CronJobList", "CronJob"):
            self.cannot_see(
                "standard input", "it is not the JSON of `kubectl get cronjobs -A -o json`"
            )
            return
        for item in [at(answer)] if kind == "CronJob" else objects(at(answer).get("items")):
            if self.late():
                return
            if item.get("kind", "CronJob") == "CronJob":
                self._cronjob(item)

    def _cronjob(self, item: dict[str, object]) -> None:
        self.looked("CronJobs")
        name, space = (as_text(at(item, "metadata").get(key)) for key in ("name", "namespace"))
        pod = at(item, "spec", "jobTemplate", "spec", "template", "spec")
        for container in objects(pod.get("containers")) + objects(pod.get("initContainers")):
            words = as_texts(container.get("command")) + as_texts(container.get("args"))
            called, written = call_in(without_comments("\n".join(words)))
            if not called and words:
                # The words of one command may stand on lines of their own.
                start = "docker " if words[0] == "runrollup" else ""
                called, written = call_in(start + " ".join(words))
            if called:
                self.add(
                    {"calls": called, "text": written, "script": ""}, kind="cronjob", name=name,
                    namespace=space or "default", user="",
                    schedule=as_text(at(item, "spec").get("schedule")),
                    command=" ".join(words), active=at(item, "spec").get("suspend") is not True,
                    **managed_by(item),
                )  # fmt: skip
                return
        if any("configMap" in volume for volume in objects(pod.get("volumes"))):
            self.cannot_see(
                f"CronJob {space}/{name}",
                "its script may be in a ConfigMap, which is not listed here",
            )

    def report(self) -> dict[str, object]:
        now = datetime.datetime.now(datetime.timezone.utc)
        return {
            "format": FORMAT,
            "made_at": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "host": shown(socket.gethostname()),
            "complete": not self.unseen,
            "callers": self.callers,
            "looked_at": [{"place": shown(p), "files": n} for p, n in self.looked_at.items()],
            "not_seen": [{"place": p, "reason": r} for p, r in self.unseen.items()],
        }


def managed_by(item: dict[str, object]) -> dict[str, object]:
    """Who would put a CronJob back after it was deleted, as its labels and annotations say."""
    labels, notes = at(item, "metadata", "labels"), at(item, "metadata", "annotations")
    owners = objects(at(item, "metadata").get("ownerReferences"))
    argo = as_text(labels.get("argocd.argoproj.io/instance"))
    argo = argo or as_text(notes.get("argocd.argoproj.io/tracking-id")).partition(":")[0]
    flux = labels.get("kustomize.toolkit.fluxcd.io/name") or labels.get(
        "helm.toolkit.fluxcd.io/name"
    )
    helm = as_text(notes.get("meta.helm.sh/release-name"))
    if argo:
        manager, release, space = "Argo CD", argo, ""
    elif as_text(flux):
        manager, release, space = "Flux", as_text(flux), ""
    elif helm or labels.get("app.kubernetes.io/managed-by") == "Helm":
        space = as_text(notes.get("meta.helm.sh/release-namespace"))
        manager, release = "Helm", helm or as_text(labels.get("app.kubernetes.io/instance"))
    elif owners:
        manager, release, space = as_text(owners[0].get("kind")), as_text(owners[0].get("name")), ""
    else:
        manager, release, space = "", "", ""
    return {"manager": manager, "release": release, "release_namespace": space}


def from_stdin(host: Host) -> bytes:
    """What is piped in. A pipe that stays silent or open is given up after some seconds."""
    try:
        mode = os.fstat(0).st_mode
    except OSError:
        return b""
    if not (stat.S_ISFIFO(mode) or stat.S_ISREG(mode)):
        return b""
    parts: list[bytes] = []
    until, size = time.monotonic() + SECONDS_FOR_STDIN, 0
    while size <= MOST_STDIN:
        left = until - time.monotonic()
        if left <= 0 or not select.select([0], [], [], left)[0]:
            host.cannot_see("standard input", "it did not end in time, so it was not read")
            return b""
        part = os.read(0, 1 << 20)
        if not part:
            return b"".join(parts)
        parts.append(part)
        size += len(part)
    host.cannot_see("standard input", f"it is larger than {MOST_STDIN} bytes, so it was not read")
    return b""


def in_words(report: dict[str, object]) -> str:
    lines = []
    for caller in objects(report["callers"]):
        where = caller["place"] or f"crontab of {caller['name']}"
        if caller["kind"] == "cronjob":
            where = f"CronJob {caller['namespace']}/{caller['name']}"
        line = f":{caller['line']}" if caller["line"] else ""
        state = "calls" if caller["active"] else "is turned off, and would call"
        lines += [f"{where}{line} {state} {caller['calls']}", f"  when: {caller['schedule']}"]
        lines.append(f"  runs: {caller['command']}")
        lines += [f"  by the script {caller['script']}"] if caller["script"] else []
        lines += (
            [f"  managed by {caller['manager']} {caller['release']}"] if caller["manager"] else []
        )
    if not lines:
        lines = ["Nothing that was read calls the rollup."]
    for unseen in objects(report["not_seen"]):
        lines.append(f"not read: {unseen['place']}: {unseen['reason']}")
    files = sum(
        n for place in objects(report["looked_at"]) for n in [place["files"]] if isinstance(n, int)
    )
    return "\n".join(
        [*lines, f"Read {files} schedules on {report['host']} at {report['made_at']}."]
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--json", action="store_true", help="print the report that the wizard takes"
    )
    parser.add_argument("--root", default="/", help="another root folder, such as a mounted disk")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long to look (default 10)")


def find(root: str, seconds: float) -> dict[str, object]:
    """The report on the schedules below ``root`` and on the CronJobs of standard input.

    Raises:
        ValueError: a bad argument, as a sentence.
    """
    if not os.path.isdir(root):
        raise ValueError(f"--root {root!r} is not a folder.")
    if not 0 < seconds <= 3_600:
        raise ValueError("--seconds takes a number above 0 and up to 3600.")
    host = Host(root, seconds)
    piped = from_stdin(host)
    host.until = time.monotonic() + seconds
    if piped:
        host.look_at_cronjobs(piped)
    host.look_at_cron()
    host.look_at_systemd()
    return host.report()


def as_json(report: dict[str, object]) -> str:
    return json.dumps(report, indent=1)


def status(report: dict[str, object]) -> int:
    if any(caller["active"] for caller in objects(report["callers"])):
        return 1
    return 0 if report["complete"] else 3


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Find what calls Multica's usage rollup outside the database. Changes nothing.",
        epilog="Pipe `kubectl get cronjobs -A -o json` into it to judge CronJobs as well.",
    )
    add_arguments(parser)
    options = parser.parse_args()
    try:
        report = find(options.root, options.seconds)
    except ValueError as error:
        parser.error(str(error))
    answer = as_json(report) if options.json else in_words(report)
    # An old host's output may be ASCII only.
    encoding = sys.stdout.encoding or "ascii"
    print(answer.encode(encoding, "backslashreplace").decode(encoding))
    return status(report)


if __name__ == "__main__":
    sys.exit(main())
