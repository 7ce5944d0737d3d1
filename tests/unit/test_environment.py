"""Where the tests' own files are, and that a run that was killed leaves none for long."""

import os

from tests import environment
from tests.environment import IN_USE, PREFIX, make_root, memory_left, remove_left_over


def test_the_folder_of_this_run_stays():
    remove_left_over(environment.ROOT.parent)
    assert (environment.ROOT / IN_USE).exists()


def test_the_folder_of_a_run_that_was_killed_is_removed(tmp_path):
    root, lock = make_root(tmp_path)
    (root / "postgres").mkdir()
    (root / "postgres" / "postmaster.pid").write_text("")  # a server that was killed as it started
    remove_left_over(tmp_path)
    assert root.exists()
    os.close(lock)  # as the system does for a process that ends
    remove_left_over(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_which_a_server_still_runs_stays(tmp_path):
    root, lock = make_root(tmp_path)
    os.close(lock)
    (root / "postgres").mkdir()
    (root / "postgres" / "postmaster.pid").write_text(f"{os.getpid()}\n{root}\n")
    remove_left_over(tmp_path)
    assert root.exists()


def test_what_has_no_such_lock_stays(tmp_path):
    made_elsewhere = tmp_path / f"{PREFIX}other"
    made_elsewhere.mkdir()
    (tmp_path / "another").mkdir()
    (tmp_path / "another" / IN_USE).touch()
    remove_left_over(tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_the_limit_of_a_container_counts_where_one_is_set(tmp_path):
    whole = memory_left(tmp_path)
    assert whole > 10_000
    (tmp_path / "memory.max").write_text("max\n")
    assert memory_left(tmp_path) > 10_000
    (tmp_path / "memory.max").write_text("20000\n")
    (tmp_path / "memory.current").write_text("15000\n")
    assert memory_left(tmp_path) == 5_000
