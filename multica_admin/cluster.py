"""Makes, starts, finds and stops a private PostgreSQL cluster on a unix socket.

It knows nothing of Multica. `embedded.py` runs a cluster under ``var/``; the tests run their own. A
cluster never listens on TCP. The module never touches a cluster that it did not make.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import psycopg

from multica_admin.databases import Conninfo
from multica_admin.language import later
from multica_admin.locks import locked, open_for_owner
from multica_admin.server_traces import first_number, is_server_of, last_words
from multica_admin.sockets import socket_directory

SUPERUSER = "postgres"
# A slow machine may need a minute for each. Longer means that something is wrong.
START_SECONDS = 120
STOP_SECONDS = 120
# For a moment after kill -9, the server's children hold shared memory, or its lock file remains.
_OF_A_DYING_SERVER = ("pre-existing shared memory", 'lock file "postmaster.pid" already exists')
_DYING_SECONDS = 20
_TELLING = re.compile(r"error|fatal|panic|could not|no space|denied", re.IGNORECASE)
OWN_CONFIGURATION = "multica_admin.conf"
# Our statements and values hold password hashes and people's texts. ERROR lines repeat them, so the
# server does not log these; our own log has the errors. LOG, FATAL and PANIC stay.
_KEEPS_SECRETS_OUT_OF_THE_LOG = {
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_statement": "none",
    "log_min_duration_statement": "-1",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
}
# A new cluster with a week of demo data takes 80 MB, and its write-ahead log as much again.
ROOM_TO_BEGIN = 200_000_000
# If less than one more segment of the write-ahead log is free, lack of room most likely caused a
# failure.
ROOM_TO_GO_ON = 16_777_216


class ClusterError(Exception):
    """The cluster cannot be made or started. The text is a sentence for the operator."""


@dataclass(frozen=True)
class Binaries:
    """A PostgreSQL installation: ``bin`` folder, major version, and whether it has pg_cron."""

    directory: Path
    major: int
    has_pg_cron: bool
    origin: str  # in words


@dataclass(frozen=True)
class Cluster:
    """A cluster at ``data``. The settings are server parameters, applied at each start."""

    data: Path
    binaries: Binaries
    settings: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def socket_directory(self) -> Path:
        return socket_directory(self.data)

    @property
    def log(self) -> Path:
        return self.data.with_suffix(".log")

    def conninfo(self, database: str, user: str = SUPERUSER) -> Conninfo:
        return {"host": str(self.socket_directory), "dbname": database, "user": user}

    def exists(self) -> bool:
        return (self.data / "PG_VERSION").exists()

    def start(self, prepare: Callable[[Cluster], None] = lambda _cluster: None) -> bool:
        """Start the cluster, which is made if there is none. Return False if it already ran.

        Every call runs ``prepare``, because an earlier call may have been interrupted. If this call
        made the cluster and fails, it removes the cluster: nobody has used it.

        Raises:
            ClusterError: the cluster cannot be made, started or prepared.
        """
        try:
            self.refuse_data_of_others()
            self.refuse_too_little_room()
            self.data.parent.mkdir(parents=True, exist_ok=True)
            with locked(self.data.with_suffix(".lock")):
                running = self.answers()
                made = not running and not self.exists()
                if made:
                    self._initialise()
                try:
                    if not running:
                        self._prepare_socket_directory()
                        self._launch()
                    self._prepare(prepare)
                    return not running
                except BaseException:
                    if made:
                        self.remove()
                    raise
        except OSError as error:
            raise ClusterError(
                later(
                    "The private PostgreSQL cannot use %(folder)s: %(why)s. Make room or give the"
                    " right to write there, then start again.",
                    folder=self.data.parent,
                    why=error.strerror,
                )
            ) from error

    def refuse_data_of_others(self) -> None:
        """Check who owns the data, before anything is written beside it.

        Raises:
            ClusterError: another user made the data, so PostgreSQL would refuse it or refuse us.
        """
        owner = self._owner
        if self.data.exists() and (made_by := self.data.stat().st_uid) != owner.pw_uid:
            raise ClusterError(
                later(
                    "%(folder)s belongs to %(maker)s, and PostgreSQL would run as %(user)s, who may"
                    " not use it: start as %(maker)s, or set VAR_DIR to another folder to begin"
                    " with an empty database.",
                    folder=self.data,
                    maker=_user_name(made_by),
                    user=owner.pw_name,
                )
            )

    def refuse_too_little_room(self) -> None:
        """Check that a new cluster has room, before a lock file is written for it.

        Raises:
            ClusterError: there is no cluster yet, and too little room to make it.
        """
        if not self.exists() and (told := self._lacks(ROOM_TO_BEGIN)):
            raise ClusterError(told)

    def _prepare(self, prepare: Callable[[Cluster], None]) -> None:
        try:
            prepare(self)
        except psycopg.Error as error:
            raise ClusterError(
                self.out_of_room()
                or later(
                    "The private PostgreSQL in %(folder)s could not be prepared: %(why)s. Its log"
                    " is %(log)s.",
                    folder=self.data,
                    why=_first_line(error),
                    log=self.log,
                )
            ) from error

    def remove(self) -> None:
        """Stop the server at once and remove its data."""
        self.stop(mode="immediate")
        shutil.rmtree(self.data, ignore_errors=True)

    def out_of_room(self) -> str:
        """A sentence if lack of room is the likely cause of any failure, else empty."""
        return self._lacks(ROOM_TO_GO_ON)

    def _lacks(self, needed: int) -> str:
        above = next(folder for folder in self.data.parents if folder.exists())
        free = shutil.disk_usage(above).free
        if free >= needed:
            return ""
        return later(
            "The private PostgreSQL needs %(needed)s in %(folder)s, where %(free)s are free: make"
            " room there, then start again.",
            needed=_megabytes(needed),
            folder=self.data.parent,
            free=_megabytes(free),
        )

    def stop(self, *, mode: str = "fast") -> None:
        """Stop the server whose process id is in its own data folder.

        Do nothing if that process is another program: the system reuses ids.
        """
        if self.is_running():
            self._run("pg_ctl", "stop", "-m", mode, "-w", "-t", str(STOP_SECONDS), check=False)

    def is_running(self) -> bool:
        """Whether the server lives, even if it is busy or does not answer yet."""
        return is_server_of(first_number(self.data / "postmaster.pid"), self.data)

    def answers(self) -> bool:
        try:
            psycopg.connect(**self.conninfo("postgres"), connect_timeout=3).close()
        except psycopg.OperationalError:
            return False
        return True

    def _initialise(self) -> None:
        """Make the data in a folder beside ``data``, and rename it when complete."""
        fresh = self.data.with_name(self.data.name + ".new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        self._hand_over(fresh)
        try:
            self._make(fresh)
            fresh.rename(self.data)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise

    def _make(self, fresh: Path) -> None:
        options = ["-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-instructions"]
        self._run("initdb", "-D", str(fresh), *options)
        with (fresh / "postgresql.conf").open("a", encoding="utf-8") as configuration:
            configuration.write(f"include '{OWN_CONFIGURATION}'\n")

    def _prepare_socket_directory(self) -> None:
        folder = self.socket_directory
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
        # In a folder that anybody may write, another user may have put a link to elsewhere first.
        ours = found.st_uid in {os.geteuid(), self._owner.pw_uid}
        if not (ours and stat.S_ISDIR(found.st_mode) and stat.S_IMODE(found.st_mode) == 0o700):
            raise ClusterError(
                later(
                    "%(folder)s is not a folder of ours that nobody else may enter: remove it, then"
                    " start again.",
                    folder=folder,
                )
            )
        self._hand_over(folder)

    def _launch(self) -> None:
        parameters = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.socket_directory),
            "unix_socket_permissions": "0700",
            "port": "5432",
            "timezone": "UTC",
            "log_timezone": "UTC",
            # Ends the backend of a client that was killed. Otherwise the backend would keep
            # running.
            "client_connection_check_interval": "5s",
            **_KEEPS_SECRETS_OUT_OF_THE_LOG,
            **self.settings,
        }
        own_file = self.data / OWN_CONFIGURATION
        own_file.write_text(
            "".join(f"{name} = {_quoted(value)}\n" for name, value in parameters.items()), "utf-8"
        )
        os.close(open_for_owner(self.log, also={self._owner.pw_uid}))
        self._hand_over(own_file)
        self._hand_over(self.log)
        deadline = time.monotonic() + _DYING_SECONDS
        while True:
            self._remove_locks_of_others()
            try:
                self._run(
                    "pg_ctl", "start", "-l", self.log.name, "-w", "-t", str(START_SECONDS),
                )  # fmt: skip
                return
            except ClusterError:
                said = last_words(self.log)
                dying = any(trace in said for trace in _OF_A_DYING_SERVER)
                if time.monotonic() > deadline or not dying:
                    raise ClusterError(
                        self.out_of_room()
                        or later(
                            "The private PostgreSQL did not start: %(why)s. The whole log is"
                            " %(log)s.",
                            why=said,
                            log=self.log,
                        )
                    ) from None
                time.sleep(0.2)

    def _remove_locks_of_others(self) -> None:
        """Remove the lock files of a dead server whose process id now belongs to another process.

        PostgreSQL checks only whether the process id lives, and would refuse for ever.
        """
        for path in (self.data / "postmaster.pid", self.socket_directory / ".s.PGSQL.5432.lock"):
            number = first_number(path)
            if number is not None and not is_server_of(number, self.data):
                path.unlink(missing_ok=True)

    @cached_property
    def _owner(self) -> pwd.struct_passwd:
        """The user that runs the server. initdb refuses root, so root uses another user."""
        if os.geteuid() != 0:
            try:
                return pwd.getpwuid(os.geteuid())
            except KeyError:
                raise ClusterError(
                    later(
                        "The user id %(number)s has no name on this machine, and PostgreSQL refuses"
                        " to run without: start as a user with a line in /etc/passwd, or set"
                        " DATABASE_URL and ADMIN_DATABASE_URL to servers that run.",
                        number=os.geteuid(),
                    )
                ) from None
        for name in ("postgres", "nobody"):
            with contextlib.suppress(KeyError):
                return pwd.getpwnam(name)
        raise ClusterError(
            later("PostgreSQL refuses to run as root; start as an ordinary user instead.")
        )

    def _hand_over(self, path: Path) -> None:
        if os.geteuid() == 0:
            os.chown(path, self._owner.pw_uid, self._owner.pw_gid, follow_symlinks=False)

    def _run(self, program: str, *arguments: str, check: bool = True) -> None:
        identity: dict[str, object] = {}
        if os.geteuid() == 0:
            owner = self._owner
            identity = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
        # The server inherits the output that it gets, and would keep a pipe open for ever.
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
            process = subprocess.Popen(
                [str(self.binaries.directory / program), *arguments],
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                # pg_ctl uses a shell. Values in the environment need no quotes there.
                cwd=self.data.parent,
                env={
                    "PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", "PGDATA": str(self.data)
                },
                **identity,
            )  # type: ignore[call-overload]  # ``identity`` is empty or whole  # fmt: skip
            status = _wait_or_interrupt(process)
            if check and status:
                output.seek(0)
                lines = [line.strip() for line in output.read().splitlines() if line.strip()]
                telling = [line for line in lines if _TELLING.search(line)]
                said = (telling or lines or [f"exit status {status}"])[-1]
                raise ClusterError(
                    later(
                        "%(program)s failed for %(folder)s: %(why)s. Is there room, and may this"
                        " user write there?",
                        program=program,
                        folder=self.data,
                        why=said.rstrip("."),
                    )
                )


def _wait_or_interrupt(process: subprocess.Popen[bytes]) -> int:
    """Return the exit status. If we are interrupted, interrupt the process too.

    Killing it would leave its children. Interrupted, initdb waits for them, and pg_ctl stops its
    server.
    """
    try:
        return process.wait()
    except BaseException:
        process.send_signal(signal.SIGINT)
        process.wait()
        raise


def _user_name(number: int) -> str:
    try:
        return later("the user %(name)s", name=pwd.getpwuid(number).pw_name)
    except KeyError:
        return later("the user with the id %(number)s", number=number)


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0].rstrip(".") or type(error).__name__


def _megabytes(size: int) -> str:
    return f"{size / 1_000_000:.0f} MB"


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"
