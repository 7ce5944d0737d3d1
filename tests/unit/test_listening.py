"""A unix socket to listen on: a dead one makes room, and nothing else is removed or disturbed."""

from __future__ import annotations

import socket
from contextlib import closing

import pytest

from multica_admin import listening
from multica_admin.listening import CannotListen, listen, refuse_a_taken_address
from tests.proxies import scratch


@pytest.fixture
def path():
    with scratch() as folder:
        yield folder / "web.sock"


def reaches(path):
    with closing(socket.socket(socket.AF_UNIX)) as client:
        return client.connect_ex(str(path)) == 0


def test_a_proxy_of_another_user_may_open_the_socket(path):
    with closing(listen(f"unix:{path}", 0)):
        assert reaches(path)
        assert path.stat().st_mode & 0o777 == 0o666


def test_a_look_whether_it_is_free_leaves_nothing(path):
    refuse_a_taken_address(f"unix:{path}", 0)
    assert not path.exists()


def test_the_socket_of_a_dashboard_that_was_killed_is_no_obstacle(path):
    listen(f"unix:{path}", 0).close()
    assert not reaches(path)
    with closing(listen(f"unix:{path}", 0)):
        assert reaches(path)


def test_a_socket_that_somebody_listens_on_stays_theirs(path):
    with closing(listen(f"unix:{path}", 0)):
        with pytest.raises(CannotListen, match="cannot be used"):
            refuse_a_taken_address(f"unix:{path}", 0)
        assert reaches(path)


def test_a_socket_whose_process_takes_nothing_is_waited_for_only_shortly(path, monkeypatch):
    monkeypatch.setattr(listening, "PATIENCE_SECONDS", 0.05)
    with socket.socket(socket.AF_UNIX) as stopped, socket.socket(socket.AF_UNIX) as waiting:
        stopped.bind(str(path))
        stopped.listen(0)
        waiting.connect(str(path))
        with pytest.raises(CannotListen, match="nothing else may listen there"):
            listen(f"unix:{path}", 0)
    assert path.is_socket()


def test_a_file_that_is_no_socket_is_left_alone(path):
    path.write_text("somebody's")
    with pytest.raises(CannotListen, match="cannot be used"):
        listen(f"unix:{path}", 0)
    assert path.read_text() == "somebody's"


@pytest.mark.parametrize("given", ["web.sock", "", "/" + "a" * 107])
def test_a_path_that_no_socket_can_have_is_refused_by_name(given):
    with pytest.raises(CannotListen, match=r"^HOST names the socket"):
        listen(f"unix:{given}", 0)


def test_a_folder_that_is_not_there_is_named(path):
    with pytest.raises(CannotListen, match="folder must exist"):
        listen(f"unix:{path.parent}/nowhere/web.sock", 0)
