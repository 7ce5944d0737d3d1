"""What deploy/ describes, made real without a container engine or systemd as the first process.

A mount namespace of its own has the code at /opt/multica-admin, read-only like everything else but
the folders that a deployment may write. A user of no other right runs the very command lines.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from tests.processes import PROJECT

DEPLOY = PROJECT / "deploy"
USER = 10001
_PREPARE = """
base=$1 code=$2 scratch=$3
mkdir -p "$scratch/python"
mount --bind "$base" "$scratch/python"
case $base in /root/*)  # where other users cannot go
    mount -t tmpfs -o mode=755 tmpfs /root
    mkdir -p "$base"
    mount --bind "$scratch/python" "$base" ;;
esac
mount -t tmpfs -o mode=755 tmpfs /opt
mkdir /opt/multica-admin
ln -s "$4" /opt/venv
mount --bind "$code" /opt/multica-admin
mount -o remount,bind,ro /opt/multica-admin
mount -t tmpfs -o mode=755 tmpfs /var/lib
mkdir -m 700 /var/lib/multica-admin
chown "$6:$6" /var/lib/multica-admin
mount -o remount,bind,ro /opt
mount -o remount,bind,ro /var/lib
mount -t tmpfs -o "mode=700,uid=$6,gid=$6" tmpfs /var/lib/multica-admin
cp /etc/passwd "$scratch/passwd"
echo "multica-admin:x:USER:USER::/var/lib/multica-admin:/bin/sh" >>"$scratch/passwd"
mount --bind "$scratch/passwd" /etc/passwd
[ "$5" = rw ] || mount -o remount,bind,ro /
cd /opt/multica-admin
user=$6
shift 6
case $user in
0) exec unshare --user --map-user=USER --map-group=USER -- "$@" ;;
*) exec setpriv --reuid "$user" --regid "$user" --clear-groups --no-new-privs -- "$@" ;;
esac
"""


def namespaced(code: Path, scratch: Path, *command: str, disk: str = "ro") -> list[str]:
    """The arguments of a process that runs the command there.

    With ``disk`` "rw" only the code is read-only. Whoever is not root mounts in a user namespace,
    in which their own files are those of the deployment's user.
    """
    is_root = os.geteuid() == 0
    script = _PREPARE.replace("USER", str(USER))
    venv = str((PROJECT / ".venv").resolve())
    mapped = [] if is_root else ["--map-root-user"]
    return [
        "unshare", *mapped, "--mount", "sh", "-euc", script, "sh", sys.base_prefix, str(code),
        str(scratch), venv, disk, str(USER if is_root else 0), *command,
    ]  # fmt: skip


# --- The image ------------------------------------------------------------------------------------


def instructions(dockerfile: str) -> list[tuple[str, str]]:
    """The instructions of the last stage, without comments, each on one line."""
    text = re.sub(r"(?m)^#.*\n", "", dockerfile)
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    pairs = [
        (word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines) if word
    ]
    last = max(number for number, (word, _) in enumerate(pairs) if word == "FROM")
    return pairs[last:]


def image_environment(dockerfile: str) -> dict[str, str]:
    (text,) = (rest for word, rest in instructions(dockerfile) if word == "ENV")
    return dict(pair.split("=", 1) for pair in shlex.split(text))


def image_command(dockerfile: str) -> list[str]:
    """The entry point with its command."""
    named = dict(instructions(dockerfile))
    return [*json.loads(named["ENTRYPOINT"]), *json.loads(named["CMD"])]


def health_check(dockerfile: str) -> list[str]:
    named = dict(instructions(dockerfile))
    return json.loads(named["HEALTHCHECK"].partition("CMD ")[2])


IGNORED = (DEPLOY / "Dockerfile.dockerignore").read_text()


def build_image(folder: Path, ignored: str = IGNORED) -> Path:
    """The files of the image, by the steps of its last stage."""
    patterns = [line for line in ignored.splitlines() if line and not line.startswith("#")]
    assert (patterns[0], patterns[-1]) == ("*", "**/__pycache__")
    for name in patterns[1:-1]:
        source, target = PROJECT / name.removeprefix("!"), folder / name.removeprefix("!")
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    for word, rest in instructions((DEPLOY / "Dockerfile").read_text()):
        if word == "RUN" and rest.startswith("["):
            command = [sys.executable, *json.loads(rest)[1:]]
            subprocess.run(command, cwd=folder, check=True, timeout=600)
    return folder


# --- The units ------------------------------------------------------------------------------------


def unit_settings(name: str) -> dict[str, str]:
    lines = (DEPLOY / "systemd" / name).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if re.match(r"\w+=", line))
