"""A command of ``manage.py`` in this process, and its whole result."""

from __future__ import annotations

from io import StringIO
from typing import NamedTuple

from django.core.management import CommandError, call_command


class Told(NamedTuple):
    """``refused`` is what it said on stderr; ``manage.py`` puts the program's name before it."""

    status: int
    said: str
    refused: str


def run_command(*words: str) -> Told:
    out, err = StringIO(), StringIO()
    status = 0
    try:
        call_command(*words, stdout=out, stderr=err)
    except SystemExit as end:
        status = int(end.code or 0)
    except CommandError as refusal:
        status = refusal.returncode
        err.write(str(refusal))
    return Told(status, out.getvalue(), err.getvalue())
