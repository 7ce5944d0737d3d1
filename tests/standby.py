"""A real streaming standby of one of the tests' private clusters."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connections

from executions.database.connections import connect
from multica_admin.cluster import Cluster
from multica_admin.databases import Conninfo, reader_alias
from multica_admin.standby import Standby
from tests.waiting import until


@contextmanager
def standby_of(primary: Cluster) -> Iterator[Cluster]:
    """A server that follows the primary, in a folder of its own. It is removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="multica-admin-standby-"))
    folder.chmod(0o711)
    follower = Standby(
        folder / "postgres",
        primary.binaries,
        {**primary.settings, "cron.host": str(folder / "socket")},
        primary=primary,
    )
    try:
        follower.start()
        yield follower
    finally:
        follower.stop(mode="immediate")
        shutil.rmtree(folder)


def wait_until_replayed(primary: Cluster, follower: Cluster, database: str = "postgres") -> None:
    """Commit something on the primary, and return once the standby shows it."""
    with (
        connect(primary.conninfo(database), application_name="test primary") as here,
        connect(follower.conninfo(database), application_name="test standby") as there,
    ):
        # A standby cannot make a transaction id, so the primary's newest one tells how far it is.
        number = here.execute("SELECT txid_current() AS n").fetchone()["n"]
        here.execute("SELECT pg_switch_wal()")
        until(
            lambda: there.execute(
                "SELECT txid_snapshot_xmax(txid_current_snapshot()) > %s AS seen", [number]
            ).fetchone()["seen"]
        )


def aim(
    monkeypatch: pytest.MonkeyPatch, *, multica: Conninfo, retire: Conninfo | None = None
) -> None:
    """Point DATABASE_URL there, and RETIRE_DATABASE_URL too unless another is given."""
    connections["multica"].close_pool()
    before = connections["multica"].settings_dict
    settings_dict = connections.configure_settings(
        {"default": connections["default"].settings_dict, "multica": reader_alias(multica)}
    )["multica"]
    monkeypatch.setattr(connections["multica"], "settings_dict", before | settings_dict)
    monkeypatch.setattr(settings, "MULTICA_CONNINFO", multica)
    monkeypatch.setattr(settings, "RUNNER_CONNINFO", multica)
    monkeypatch.setattr(settings, "RETIRE_CONNINFO", retire or multica)


def leave() -> None:
    """Close the connections to where `aim` led."""
    connections["multica"].close()
    connections["multica"].close_pool()
