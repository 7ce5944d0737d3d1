"""How gunicorn serves the dashboard. `manage.py quickstart` passes it the address.

Each process has four threads; nothing opens a connection before the fork.
"""

from __future__ import annotations

import os
from typing import Any

from multica_admin.env import Environment

_env = Environment(os.environ)

worker_class = "gthread"
workers = _env.integer("WEB_CONCURRENCY", 2, minimum=1, maximum=64)
threads = 4
graceful_timeout = 30
forwarded_allow_ips = _env.text("TRUSTED_PROXIES")
# It would open a socket below the home folder, which nobody asked for.
control_socket_disable = True


def post_worker_init(worker: Any) -> None:
    """Start what this process does by itself, after the fork, with Django set up.

    The demo's usage, the watch over retirements, and the runner.
    """
    from executions.demo import trickle
    from executions.retirement import background
    from executions.scheduler import inprocess

    trickle.start()
    background.start()
    inprocess.start(grace_seconds=worker.cfg.graceful_timeout)


def worker_int(worker: Any) -> None:
    """The process ends at once (SIGINT, SIGQUIT), and so does the run in hand."""
    from executions.scheduler import inprocess

    inprocess.cancel()


def worker_exit(server: Any, worker: Any) -> None:
    """The last thing that the process does: let the run in hand end while there is time."""
    from executions.scheduler import inprocess

    inprocess.stop()


def on_exit(server: Any) -> None:
    """Stop the embedded PostgreSQL when the quickstart that became this server had started it."""
    if _env.boolean("MULTICA_ADMIN_STOPS_CLUSTER", False):
        from multica_admin import embedded

        embedded.stop()
