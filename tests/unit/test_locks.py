"""Lock files: only their owner may open one, so nobody else can hold its lock."""

from __future__ import annotations

import errno
import os
import re
import stat

import pytest

from multica_admin.locks import locked, open_for_owner


def test_a_lock_file_is_closed_to_everybody_else(tmp_path):
    path = tmp_path / "one.lock"
    path.touch(0o666)
    with locked(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_of_another_user_is_refused_although_root_may_open_it(tmp_path, monkeypatch):
    """Its owner could open it again after root has closed it, and hold its lock."""
    path = tmp_path / "one.lock"
    path.touch(0o666)
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    with pytest.raises(PermissionError, match=r"one\.lock belongs to another user; remove it"):
        open_for_owner(path)
    os.close(open_for_owner(path, also={mine}))


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / "one.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match=re.escape(os.strerror(errno.ELOOP))):
        open_for_owner(tmp_path / "one.lock")
    assert not (tmp_path / "elsewhere").exists()
