"""The private cluster: complete or absent, found again, never on TCP, and hard to kill."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import threading
from pathlib import Path
from types import SimpleNamespace

import psutil
import psycopg
import pytest

from multica_admin import embedded
from multica_admin.cluster import Cluster, ClusterError
from tests.conftest import postgresql_with_pg_cron
from tests.waiting import HANG


@pytest.fixture
def folder():
    """A folder that another user can reach, which pytest's own are not."""
    made = Path(tempfile.mkdtemp(prefix="multica-admin-cluster-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def private(folder):
    cluster = Cluster(folder / "postgres", postgresql_with_pg_cron(), {"fsync": "off"})
    yield cluster
    cluster.stop(mode="immediate")


def processes_of(cluster):
    postmaster = psutil.Process(int((cluster.data / "postmaster.pid").read_text().splitlines()[0]))
    return [postmaster, *postmaster.children(recursive=True)]


def kill_everything_of(cluster):
    """Kill -9, except for processes that have ended meanwhile."""
    killed = processes_of(cluster)
    for process in killed:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)
    psutil.wait_procs(killed, timeout=HANG)


def test_a_second_start_finds_the_first(private):
    assert private.start() is True
    assert private.start() is False


def test_it_survives_kill_9_of_everything(private):
    private.start()
    with psycopg.connect(**private.conninfo("postgres"), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    kill_everything_of(private)
    assert private.start() is True
    with psycopg.connect(**private.conninfo("postgres")) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)


def test_killing_only_the_postmaster_is_survived_too(private):
    private.start()
    os.kill(processes_of(private)[0].pid, signal.SIGKILL)
    assert private.start() is True


@pytest.fixture
def bystander(folder):
    """A process of the server's own user that is unrelated to the server."""
    owner = pwd.getpwnam("postgres") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    process = subprocess.Popen(["sleep", "600"], user=owner.pw_uid, cwd="/")
    yield process
    process.kill()
    process.wait()


def name_in_the_lock_files(cluster, number):
    """What a server leaves after a power failure, with its id taken by another process."""
    for path in (cluster.data / "postmaster.pid", cluster.socket_directory / ".s.PGSQL.5432.lock"):
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join([f"{number}\n", *lines[1:]]))


def test_an_id_that_another_process_got_stops_no_start_and_stops_no_process(private, bystander):
    private.start()
    kill_everything_of(private)
    name_in_the_lock_files(private, bystander.pid)
    private.stop()
    assert bystander.poll() is None
    assert private.start() is True
    assert bystander.poll() is None
    private.stop()
    assert not private.answers()


def test_a_server_that_runs_is_not_taken_for_another(private):
    private.start()
    postmaster, *_others = processes_of(private)
    postmaster.suspend()
    try:
        private._remove_locks_of_others()
    finally:
        postmaster.resume()
    assert (private.data / "postmaster.pid").exists()
    private.stop()
    assert not private.answers()


def test_no_other_user_may_hold_its_lock_or_read_its_log(private):
    lock, log = private.data.with_suffix(".lock"), private.log
    for path in (lock, log):
        path.touch(0o644)  # as an earlier version made them
    private.start()
    for path in (lock, log):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


SECRET = "pbkdf2-of-somebody"


def fails(connection, statement, *parameters):
    with pytest.raises(psycopg.Error):
        connection.execute(statement, parameters)


def test_its_log_has_no_statements_and_no_values_of_parameters(private):
    private.start()
    options = {"autocommit": True, "prepare_threshold": 0}
    with (
        psycopg.connect(**private.conninfo("postgres"), **options) as connection,
        psycopg.connect(**private.conninfo("postgres"), **options) as ended,
    ):
        connection.execute("CREATE TABLE account (secret text PRIMARY KEY CHECK (secret <> ''))")
        for _twice in range(2):
            connection.execute("INSERT INTO account VALUES (%s) ON CONFLICT DO NOTHING", [SECRET])
        fails(connection, "INSERT INTO account VALUES (%s)", SECRET)
        fails(connection, "SELECT %s::text::uuid", SECRET)
        fails(connection, f"SELECT '{SECRET}' FROM no_such_table")
        # A session that is ended in the middle of a statement leaves a FATAL line.
        pid = ended.info.backend_pid
        thread = threading.Thread(
            target=fails, args=[ended, "SELECT pg_sleep(600), %s::text", SECRET]
        )
        thread.start()
        active = "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND wait_event = 'PgSleep'"
        while not connection.execute(active, [pid]).fetchone():
            pass
        connection.execute("SELECT pg_terminate_backend(%s)", [pid])
        thread.join()
    private.stop()
    log = private.log.read_text("utf-8")
    assert "terminating connection" in log
    assert SECRET not in log


def test_it_never_listens_on_tcp(private):
    private.start()
    inet = [
        listener
        for process in processes_of(private)
        for listener in process.net_connections(kind="inet")
    ]
    assert inet == []


def test_many_starts_at_once_make_one_server(private):
    outcomes = []
    threads = [threading.Thread(target=lambda: outcomes.append(private.start())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [False, False, False, True]


def test_a_cluster_that_cannot_be_made_leaves_nothing_behind(folder):
    broken = Cluster(folder / "postgres", postgresql_with_pg_cron())
    (folder / "postgres.new").write_text("in the way")
    with pytest.raises(ClusterError, match=str(folder)):
        broken.start()
    assert not broken.data.exists()


def disk_with(monkeypatch, *free):
    """Disks with this many free bytes, one value per look; the last one stays."""
    left = list(free)

    def usage(_path):
        return SimpleNamespace(free=left.pop(0) if len(left) > 1 else left[0])

    monkeypatch.setattr(shutil, "disk_usage", usage)


def test_too_little_room_is_told_before_anything_is_made(folder, monkeypatch):
    disk_with(monkeypatch, 150_000_000)
    with pytest.raises(ClusterError, match=r"needs 200 MB in .*, where 150 MB are free: make room"):
        Cluster(folder / "postgres", postgresql_with_pg_cron()).start()
    assert list(folder.iterdir()) == []


def test_too_little_room_is_told_before_anybody_counts_as_a_user(folder, monkeypatch, settings):
    settings.EMBEDDED, settings.VAR_DIR = True, folder / "var"
    disk_with(monkeypatch, 150_000_000)
    with pytest.raises(ClusterError, match="where 150 MB are free: make room"):
        embedded.ensure_running()
    assert list(folder.iterdir()) == []


def test_the_last_user_stops_also_a_server_that_is_too_busy_to_answer(
    folder, monkeypatch, settings
):
    settings.EMBEDDED, settings.VAR_DIR = True, folder / "var"
    embedded.ensure_running()
    served = embedded.cluster(folder / "var")
    monkeypatch.setattr(Cluster, "answers", lambda _self: False)
    postmaster, *_others = processes_of(served)
    embedded.release()
    psutil.wait_procs([postmaster], timeout=HANG)
    assert not postmaster.is_running()


FAILURES = {
    "the disk is full": "DO $$ BEGIN RAISE disk_full USING MESSAGE = 'no room'; END $$",
    "the server gives up": "SELECT pg_terminate_backend(pg_backend_pid())",
}


def failing(statement):
    def prepare(cluster):
        with psycopg.connect(**cluster.conninfo("postgres")) as connection:
            connection.execute(statement)

    return prepare


@pytest.mark.parametrize("failure", FAILURES)
def test_a_disk_that_fills_up_is_told_as_that_and_leaves_no_half_filled_cluster(
    folder, monkeypatch, failure
):
    disk_with(monkeypatch, 10**9, 1_000_000)
    with pytest.raises(ClusterError, match=r"needs 17 MB in .*, where 1 MB are free: make room"):
        Cluster(folder / "postgres", postgresql_with_pg_cron()).start(failing(FAILURES[failure]))
    assert not (folder / "postgres").exists()


def test_a_database_that_refuses_to_be_prepared_is_told_in_its_own_words(private):
    with pytest.raises(ClusterError, match="could not be prepared: division by zero"):
        private.start(failing("SELECT 1 / 0"))
    assert not private.answers()
    assert not private.data.exists()
    assert private.start() is True


def test_a_cluster_of_an_earlier_start_stays_when_its_preparation_fails(private):
    private.start()
    with pytest.raises(ClusterError, match="could not be prepared"):
        private.start(failing("SELECT 1 / 0"))
    assert private.answers()


def test_a_server_without_room_to_start_says_so(private, monkeypatch):
    private.start()
    private.stop()
    monkeypatch.setitem(private.settings, "work_mem", "plenty")
    disk_with(monkeypatch, 1_000_000)
    with pytest.raises(ClusterError, match="where 1 MB are free"):
        private.start()


def test_a_setting_that_the_server_refuses_is_told_in_its_own_words(folder):
    broken = Cluster(folder / "postgres", postgresql_with_pg_cron(), {"work_mem": "plenty"})
    with pytest.raises(ClusterError, match="work_mem"):
        broken.start()


def test_a_path_too_long_for_a_socket_goes_elsewhere(folder):
    deep = folder / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    cluster = Cluster(deep / "postgres", postgresql_with_pg_cron(), {"fsync": "off"})
    try:
        cluster.start()
        assert cluster.answers()
        assert len(str(cluster.socket_directory)) < 60
    finally:
        cluster.stop(mode="immediate")
        shutil.rmtree(cluster.socket_directory)


@pytest.mark.parametrize("name", ["it's a,b", 'say "hi" at $HOME ü'])
def test_a_folder_may_have_any_name(folder, name):
    (folder / name).mkdir(mode=0o711)
    cluster = Cluster(folder / name / "postgres", postgresql_with_pg_cron(), {"fsync": "off"})
    try:
        assert cluster.start()
        assert cluster.answers()
    finally:
        cluster.stop(mode="immediate")
        shutil.rmtree(cluster.socket_directory)


@pytest.mark.parametrize("trap", ["link", "open"])
def test_a_socket_folder_that_somebody_else_laid_out_is_refused(folder, trap):
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    cluster = Cluster(folder / "postgres", postgresql_with_pg_cron(), {"fsync": "off"})
    if trap == "link":
        cluster.socket_directory.symlink_to(elsewhere)
    else:
        cluster.socket_directory.mkdir()
        cluster.socket_directory.chmod(0o777)
    owner = elsewhere.stat().st_uid
    with pytest.raises(ClusterError, match="remove it"):
        cluster.start()
    assert elsewhere.stat().st_uid == owner


def test_where_the_socket_is_does_not_depend_on_the_environment(folder, monkeypatch):
    deep = folder / ("d" * 120) / "postgres"
    before = Cluster(deep, postgresql_with_pg_cron()).socket_directory
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    assert Cluster(deep, postgresql_with_pg_cron()).socket_directory == before


def test_data_of_another_user_is_refused_and_nothing_is_written_beside_it(private):
    private.start()
    private.stop()
    before = sorted(private.data.parent.iterdir())
    stranger = Cluster(private.data, private.binaries)
    stranger.__dict__["_owner"] = pwd.getpwnam("nobody")
    with pytest.raises(ClusterError, match=r"belongs to the user \w+, and .* as nobody, .*: start"):
        stranger.start()
    assert sorted(private.data.parent.iterdir()) == before


def test_a_user_without_a_name_is_told_so(folder, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 54_321)
    with pytest.raises(ClusterError, match="user id 54321 has no name"):
        Cluster(folder / "postgres", postgresql_with_pg_cron()).start()
    assert list(folder.iterdir()) == []


def test_data_of_a_version_that_is_gone_is_named(folder, monkeypatch):
    (folder / "postgres").mkdir()
    (folder / "postgres" / "PG_VERSION").write_text("13\n")
    with pytest.raises(ClusterError, match="made by PostgreSQL 13"):
        embedded.cluster(folder)


def test_the_wheels_binaries_run_a_cluster_without_pg_cron(folder):
    bundled = next(one for one in embedded.find_binaries() if not one.has_pg_cron)
    cluster = Cluster(folder / "postgres", bundled, {"fsync": "off"})
    cluster.start()
    try:
        embedded.prepare(cluster)
        with psycopg.connect(**cluster.conninfo(embedded.DATABASE)) as connection:
            assert connection.info.server_version >= 180_000
    finally:
        cluster.stop(mode="immediate")
