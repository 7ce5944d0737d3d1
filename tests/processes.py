"""Real processes of ours for tests: started, read line by line, and stopped by their id."""

from __future__ import annotations

import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import IO

from tests.waiting import HANG

PROJECT = Path(__file__).resolve().parent.parent


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Process:
    """A command of ours in a process group of its own; its output is a queue of lines.

    ``errors`` has its standard error alone.
    """

    def __init__(
        self,
        *arguments: str,
        env: Mapping[str, str],
        cwd: Path = PROJECT,
        program: Sequence[str] = (sys.executable,),
        **options: object,
    ) -> None:
        self.lines: queue.Queue[str | None] = queue.Queue()
        self.seen: list[str] = []
        self.errors: list[str] = []
        self.popen = subprocess.Popen(
            [*program, *arguments],
            cwd=cwd,
            env={"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1", **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            **options,
        )
        assert self.popen.stdout is not None
        assert self.popen.stderr is not None
        readers = [
            threading.Thread(target=self._read, args=[self.popen.stdout, []], daemon=True),
            threading.Thread(target=self._read, args=[self.popen.stderr, self.errors], daemon=True),
        ]
        for reader in readers:
            reader.start()
        threading.Thread(target=self._end_with, args=[readers], daemon=True).start()

    def _read(self, output: IO[str], kept: list[str]) -> None:
        with output:
            for line in output:
                sys.stdout.write(line)  # pytest shows it where the test fails
                kept.append(line.rstrip("\n"))
                self.lines.put(kept[-1])

    def _end_with(self, readers: list[threading.Thread]) -> None:
        for reader in readers:
            reader.join()
        self.lines.put(None)

    def wait_for(self, text: str, seconds: float = HANG) -> str:
        """The next line that contains ``text``; fails when the output ends or time is up."""
        while True:
            try:
                line = self.lines.get(timeout=seconds)
            except queue.Empty:
                line = None
            if line is None:
                raise AssertionError(f"no line with {text!r} in:\n" + "\n".join(self.seen))
            self.seen.append(line)
            if text in line:
                return line

    def end(self, seconds: float = HANG) -> int:
        """Wait for its end and return its exit status. All its output is then in ``seen``."""
        status = self.popen.wait(seconds)
        while (line := self.lines.get(timeout=seconds)) is not None:
            self.seen.append(line)
        return status

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        if self.popen.poll() is None:
            self.popen.send_signal(number)
        return self.popen.wait(HANG)

    def kill_group(self) -> None:
        """``kill -9`` the process and everything that it started."""
        if self.popen.poll() is None:
            os.killpg(self.popen.pid, signal.SIGKILL)
            self.popen.wait(HANG)
