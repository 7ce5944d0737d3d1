"""A host's files, planted in a folder: crontabs, units and scripts for `findcallers` to find."""

from __future__ import annotations

from pathlib import Path

CALL = "SELECT rollup_task_usage_hourly()"
PASSWD = """root:x:0:0:root:/root:/bin/bash
deploy:x:1000:1000::/home/deploy:/bin/bash
"""


def plant(root: Path, files: dict[str, str | bytes]) -> Path:
    """Write these files below the root, whose folders all users may enter."""
    root.mkdir(mode=0o755, parents=True, exist_ok=True)
    for name, content in {"etc/passwd": PASSWD, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def enable(root: Path, unit: str, folder: str = "etc/systemd/system") -> None:
    """What `systemctl enable` makes of a timer."""
    link = root / folder / "timers.target.wants" / unit
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(f"/{folder}/{unit}")


def unit(command: str, *more: str) -> str:
    return "\n".join(["[Service]", "Type=oneshot", *more, f"ExecStart={command}", ""])


TIMER = "[Timer]\nOnCalendar=*:0/5\n[Install]\nWantedBy=timers.target\n"


def cronjob(
    name: str, *words: str, namespace: str = "multica", **more: object
) -> dict[str, object]:
    """A CronJob as kubectl shows it. ``more``: its labels, annotations and suspend."""
    containers = [{"name": "run", "image": "postgres:17", "command": list(words)}]
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": more.pop("labels", {}),
            "annotations": more.pop("annotations", {}),
        },
        "spec": {
            "schedule": "*/5 * * * *",
            **more,
            "jobTemplate": {"spec": {"template": {"spec": {"containers": containers}}}},
        },
    }
