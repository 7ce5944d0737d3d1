"""A private PostgreSQL cluster on a unix socket: make it, start it, find it again, stop it.

It knows nothing of Multica. `embedded.py` runs one under ``var/``; the tests run their own.
It never listens on TCP and never touches a cluster that it did not make.
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
from multica_admin.locks import locked, open_for_owner
from multica_admin.sockets import socket_directory

SUPERUSER = "postgres"
# A slow machine may take a minute of each; who waits longer waits for nothing.
START_SECONDS = 120
STOP_SECONDS = 120
# For a moment after kill -9 its children hold shared memory, or the dead process its lock file.
_OF_A_DYING_SERVER = ("pre-existing shared memory", 'lock file "postmaster.pid" already exists')
_DYING_SECONDS = 20
_TELLING = re.compile(r"error|fatal|panic|could not|no space|denied", re.IGNORECASE)
OWN_CONFIGURATION = "multica_admin.conf"
# The statements and values of our sessions hold password hashes and people's texts. ERROR lines,
# which repeat them, reach our own log without them; what the server says of itself (LOG, FATAL,
# PANIC) stays.
_KEEPS_SECRETS_OUT_OF_THE_LOG = {
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_statement": "none",
    "log_min_duration_statement": "-1",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
}
# A new cluster with a week of demo data takes 80 MB, and its write-ahead log grows by as much.
ROOM_TO_BEGIN = 200_000_000
# With less than one more segment of the write-ahead log whatever failed most likely failed of that.
ROOM_TO_GO_ON = 16_777_216


class ClusterError(Exception):
    """The cluster cannot be made or started. Its text is a sentence for the operator."""


@dataclass(frozen=True)
class Binaries:
    """One PostgreSQL installation: its ``bin`` folder, major version, whether it has pg_cron."""

    directory: Path
    major: int
    has_pg_cron: bool
    origin: str


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
        """Make the cluster if need be and start it; False when it was running already.

        ``prepare`` is called each time, before anybody else who starts it goes on: it may have
        been cut off the last time. A cluster made by this very call goes again if it or
        ``prepare`` fails: nobody has put anything into it.

        Raises:
            ClusterError: it cannot be made, started or prepared.
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
                        self._remove()
                    raise
        except OSError as error:
            raise ClusterError(
                f"The private PostgreSQL cannot use {self.data.parent}: {error.strerror}."
                " Make room or give the right to write there, then start again."
            ) from error

    def refuse_data_of_others(self) -> None:
        """Look at whose the data is before anything is written beside it.

        Raises:
            ClusterError: PostgreSQL would refuse it, because another user made it, or refuse us.
        """
        owner = self._owner
        if self.data.exists() and (made_by := self.data.stat().st_uid) != owner.pw_uid:
            raise ClusterError(
                f"{self.data} belongs to {_user_name(made_by)}, and PostgreSQL would run as"
                f" {owner.pw_name}, who may not use it: start as {_user_name(made_by)}, or set"
                " VAR_DIR to another folder to begin with an empty database."
            )

    def refuse_too_little_room(self) -> None:
        """Look whether a new cluster has room, before a lock file is written for it.

        Raises:
            ClusterError: there is no cluster yet, and too little room to make one.
        """
        if not self.exists() and (told := self._lacks(ROOM_TO_BEGIN)):
            raise ClusterError(told)

    def _prepare(self, prepare: Callable[[Cluster], None]) -> None:
        try:
            prepare(self)
        except psycopg.Error as error:
            raise ClusterError(
                self.out_of_room()
                or f"The private PostgreSQL in {self.data} could not be prepared:"
                f" {_first_line(error)}. Its log is {self.log}."
            ) from error

    def _remove(self) -> None:
        self.stop(mode="immediate")
        shutil.rmtree(self.data, ignore_errors=True)

    def out_of_room(self) -> str:
        """A sentence where so little is free that whatever went wrong most likely did of that."""
        return self._lacks(ROOM_TO_GO_ON)

    def _lacks(self, needed: int) -> str:
        above = next(folder for folder in self.data.parents if folder.exists())
        free = shutil.disk_usage(above).free
        if free >= needed:
            return ""
        return (
            f"The private PostgreSQL needs {_megabytes(needed)} in {self.data.parent}, where"
            f" {_megabytes(free)} are free: make room there, then start again."
        )

    def stop(self, *, mode: str = "fast") -> None:
        """Stop the server, by the process id that its own data folder names.

        Nothing happens where that process is another's: ids are used again.
        """
        if self.is_running():
            self._run("pg_ctl", "stop", "-m", mode, "-w", "-t", str(STOP_SECONDS), check=False)

    def is_running(self) -> bool:
        """Whether its server lives, be it that it does not answer yet or is busy."""
        return self._runs_as(_first_number(self.data / "postmaster.pid"))

    def answers(self) -> bool:
        try:
            psycopg.connect(**self.conninfo("postgres"), connect_timeout=3).close()
        except psycopg.OperationalError:
            return False
        return True

    def _initialise(self) -> None:
        """initdb into a folder beside, renamed when whole, so that no half-made cluster stays."""
        fresh = self.data.with_name(self.data.name + ".new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        self._hand_over(fresh)
        try:
            self._run(
                "initdb", "-D", str(fresh), "-U", SUPERUSER, "-A", "trust", "-E", "UTF8",
                "--locale=C", "--no-instructions",
            )  # fmt: skip
            with (fresh / "postgresql.conf").open("a", encoding="utf-8") as configuration:
                configuration.write(f"include '{OWN_CONFIGURATION}'\n")
            fresh.rename(self.data)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise

    def _prepare_socket_directory(self) -> None:
        folder = self.socket_directory
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
        # Where anybody may write, somebody else may have been first, with a link to elsewhere.
        ours = found.st_uid in {os.geteuid(), self._owner.pw_uid}
        if not (ours and stat.S_ISDIR(found.st_mode) and stat.S_IMODE(found.st_mode) == 0o700):
            raise ClusterError(
                f"{folder} is not a folder of ours that nobody else may enter:"
                " remove it, then start again."
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
            # Ends the backend of a client that was killed, which would otherwise run on.
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
                last_words = self._last_words()
                dying = any(trace in last_words for trace in _OF_A_DYING_SERVER)
                if time.monotonic() > deadline or not dying:
                    raise ClusterError(
                        self.out_of_room()
                        or f"The private PostgreSQL did not start: {last_words}."
                        f" The whole log is {self.log}."
                    ) from None
                time.sleep(0.2)

    def _remove_locks_of_others(self) -> None:
        """Remove lock files of a server that is gone, when its process id has gone to another.

        PostgreSQL asks only whether a process of that id lives, and would refuse for ever.
        """
        for path in (self.data / "postmaster.pid", self.socket_directory / ".s.PGSQL.5432.lock"):
            number = _first_number(path)
            if number is not None and not self._runs_as(number):
                path.unlink(missing_ok=True)

    def _runs_as(self, number: int | None) -> bool:
        """Whether the process of that id is the server of this data."""
        if number is None:
            return False
        process = Path("/proc") / str(number)
        try:
            if not Path("/proc/self/comm").exists():
                os.kill(number, 0)  # this system tells no more, and PostgreSQL asks no more
                return True
            if (process / "comm").read_text() != "postgres\n":
                return False
            return self.data.samefile(process / "cwd")  # where a server works
        except PermissionError:
            return True  # in a container even root may not be told where others work
        except OSError:
            return False

    def _last_words(self) -> str:
        """What the server logged last before it gave up, with the line that led to it."""
        try:
            lines = self.log.read_text("utf-8", "replace").splitlines()[-30:]
        except OSError as error:
            return f"its log cannot be read ({error.strerror})"
        said = [line.split("] ", 1)[-1].strip() for line in lines]
        ends = [at for at, line in enumerate(said) if line.startswith(("FATAL:", "PANIC:"))]
        if not ends:
            return "it wrote no reason"
        return "; ".join(said[max(ends[-1] - 1, 0) : ends[-1] + 1])

    @cached_property
    def _owner(self) -> pwd.struct_passwd:
        """Who runs the server: ourselves, or as root somebody else, because initdb refuses root."""
        if os.geteuid() != 0:
            try:
                return pwd.getpwuid(os.geteuid())
            except KeyError:
                raise ClusterError(
                    f"The user id {os.geteuid()} has no name on this machine, and PostgreSQL"
                    " refuses to run without: start as a user with a line in /etc/passwd, or set"
                    " DATABASE_URL and ADMIN_DATABASE_URL to servers that run."
                ) from None
        for name in ("postgres", "nobody"):
            with contextlib.suppress(KeyError):
                return pwd.getpwnam(name)
        raise ClusterError("PostgreSQL refuses to run as root; start as an ordinary user instead.")

    def _hand_over(self, path: Path) -> None:
        if os.geteuid() == 0:
            os.chown(path, self._owner.pw_uid, self._owner.pw_gid, follow_symlinks=False)

    def _run(self, program: str, *arguments: str, check: bool = True) -> None:
        identity: dict[str, object] = {}
        if os.geteuid() == 0:
            owner = self._owner
            identity = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
        # The server inherits whatever output it is given and would keep a pipe open for ever.
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
            process = subprocess.Popen(
                [str(self.binaries.directory / program), *arguments],
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                # pg_ctl goes through a shell: what is in the environment needs no quotes.
                cwd=self.data.parent,
                env={
                    "PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", "PGDATA": str(self.data)
                },
                **identity,
            )  # type: ignore[call-overload]  # fmt: skip
            status = _wait_or_interrupt(process)
            if check and status:
                output.seek(0)
                lines = [line.strip() for line in output.read().splitlines() if line.strip()]
                telling = [line for line in lines if _TELLING.search(line)]
                said = (telling or lines or [f"exit status {status}"])[-1]
                raise ClusterError(
                    f"{program} failed for {self.data}: {said.rstrip('.')}."
                    " Is there room, and may this user write there?"
                )


def _wait_or_interrupt(process: subprocess.Popen[bytes]) -> int:
    """Its exit status. Where we are interrupted it is too: killed, it would leave its children.

    initdb then waits for them, and pg_ctl stops the server that it was starting.
    """
    try:
        return process.wait()
    except BaseException:
        process.send_signal(signal.SIGINT)
        process.wait()
        raise


def _user_name(number: int) -> str:
    try:
        return f"the user {pwd.getpwuid(number).pw_name}"
    except KeyError:
        return f"the user with the id {number}"


def _first_number(path: Path) -> int | None:
    """The process id in PostgreSQL's lock files; None where there is none."""
    try:
        return int(path.read_text("ascii").split("\n", 1)[0])
    except (OSError, ValueError):
        return None


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0].rstrip(".") or type(error).__name__


def _megabytes(size: int) -> str:
    return f"{size / 1_000_000:.0f} MB"


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"
