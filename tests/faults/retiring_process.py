"""A process that retires, and that dies or waits at a chosen point of the protocol.

It forks for every command, so each runs in a process of its own that can be killed, without the
start-up time of Python and Django. Commands and answers are JSON, one line each.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

import django

django.setup()

from django.contrib.auth.models import User  # noqa: E402

from executions.models.retirement import AuditEvent, Retirement  # noqa: E402
from executions.retirement import acts, audit, protocol, wizard  # noqa: E402
from executions.retirement.acts import Order  # noqa: E402
from executions.retirement.refusals import Refused, Unknown  # noqa: E402
from executions.retirement.rules import current  # noqa: E402


def read_line() -> str:
    """One line and no more: the next line may be for another process."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            sys.exit(0)
        line += byte
    return line.decode()


def say(answer: dict[str, Any]) -> None:
    os.write(1, json.dumps(answer).encode() + b"\n")


def operator() -> audit.Who:
    user, _made = User.objects.get_or_create(username="olga", is_superuser=True)
    return audit.Who.user(user)


def confirm(jobid: int, **_rest: Any) -> dict[str, Any]:
    who = operator()
    retirement = wizard.choose(who, jobid)
    wizard.confirm(who, retirement, current())
    return {"retirement": retirement.pk}


def act(kind: str, retirement: int, die_at: str = "", wait_at: str = "") -> dict[str, Any]:
    found = Retirement.objects.get(pk=retirement)
    job = wizard.job_of(found)
    form = {"typed": job.label, "fingerprint": job.fingerprint}

    def reached(point: str) -> None:
        if point == die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if point == wait_at:
            say({"reached": point, "pid": os.getpid()})
            read_line()

    order = Order(operator(), found, current(), reached)
    try:
        if kind == "remove":
            acts.remove(order, **form)
        elif kind == "pause":
            acts.pause(order, **form)
        elif kind == "activate":
            acts.activate(order, reason="asked for")
        else:
            acts.put_back(order)
    except (Refused, Unknown) as reason:
        return {"told": type(reason).__name__}
    return {"told": "done"}


def look(retirement: int, **_rest: Any) -> dict[str, Any]:
    """What the wizard shows, after settling what a crash left open."""
    protocol.recover(current())
    found = Retirement.objects.get(pk=retirement)
    events = AuditEvent.objects.filter(retirement_id=retirement).order_by("pk")
    return {
        "state": found.state,
        "put_back_jobid": found.put_back_jobid,
        "acts": list(found.acts.order_by("pk").values_list("kind", "outcome")),
        "audit": list(events.values_list("action", "outcome")),
    }


def main() -> None:
    say({"ready": os.getpid()})
    while True:
        command = json.loads(read_line())
        child = os.fork()
        if child == 0:
            run = {"confirm": confirm, "act": act, "look": look}[command.pop("do")]
            try:
                say(run(**command))
            except Exception as error:
                say({"error": repr(error)})
            os._exit(0)
        _pid, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            say({"killed": os.WTERMSIG(status)})


if __name__ == "__main__":
    main()
