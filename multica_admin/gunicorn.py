"""How gunicorn serves the dashboard. `manage.py quickstart` passes the address.

`multica_admin.worker` has the threads of a process. Nothing opens a connection before the fork.
"""

import gc
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings

from multica_admin import embedded, keeper
from multica_admin.logging import gunicorn_configuration
from multica_admin.worker import SIGNALS, Worker

embedded.take_up(os.environ.get("MULTICA_ADMIN_EMBEDDED_USER", ""))

# Makes the key before the fork if there is none, so all processes share it.
str(settings.SECRET_KEY)

worker_class = Worker
workers = settings.WEB_CONCURRENCY
threads = 4  # for pages; the worker has more for the rest
# Connections of a process, whatever they do; with more, the oldest goes. A process may often have
# 1,024 open files.
worker_connections = 500
# The worker's sockets never wait for their client, which the system's own sending of files would.
sendfile = False
graceful_timeout = 30
# Longer than any common proxy keeps an idle connection (nginx 60 s, Traefik 90 s, Caddy 120 s). If
# the proxy does not close first, a request can be lost on its way. An idle connection takes no
# thread.
keepalive = 150
# The maximum that gunicorn accepts. A longer line reaches our own check, which names it.
limit_request_line = 8190
logconfig_dict = gunicorn_configuration(settings.LOG_FORMAT)
# No header sets the scheme here, because gunicorn believes everybody behind a unix socket.
# `client_address.FromClient` decides whose headers count.
secure_scheme_headers: dict[str, str] = {}
# No header sets SCRIPT_NAME or PATH_INFO, not even a trusted proxy's. PUBLIC_URL names the prefix,
# and gunicorn answers 500 if the path does not begin with the header's prefix.
forwarder_headers = ""
# Otherwise gunicorn would open a socket below the home folder, which nobody asked for.
control_socket_disable = True

# A garbage collection begins after this many more allocations than deallocations, instead of
# several hundred: more than most pages hold at once, and a few megabytes. A page makes more than
# ten thousand objects, and reference counting frees nearly all of them; with its default threshold
# the collector would scan them a dozen times before that. Measured: 3 ms of a page's 50, and 10 to
# 20 ms of every eighth page.
YOUNG_OBJECTS = 20_000


def when_ready(server: Any) -> None:
    """Accept the signals that `manage.py quickstart` holds back until this process handles them."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def pre_fork(server: Any, worker: Any) -> None:
    """Hold signals back over the fork, in the first process until it is over."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)


os.register_at_fork(
    after_in_parent=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS) and None
)


def post_worker_init(worker: Any) -> None:
    """Start the background work of this process, after the fork, once Django is set up.

    That is the keeper of the embedded PostgreSQL, the retirements, the watch over the verdict, the
    lookout for monitors, the demo's usage or its scenario, and the runner.
    """
    from executions.alarms import monitored
    from executions.alarms.background import watching
    from executions.demo import play, trickle
    from executions.health import lookout
    from executions.retirement.background import ticking
    from executions.scheduler import inprocess

    with _signals_held():
        worker.keeper = keeper.start()
        trickle.start()
        play.start()
        ticking().start()
        lookout.start(monitored.refresh)
        watching().start()
        inprocess.start(grace_seconds=worker.cfg.graceful_timeout)
        # A signal may come before the import of any of this. Then there is nothing to end.
        worker.inprocess = inprocess
    settle_garbage_collection()


def settle_garbage_collection() -> None:
    """Leave every object that exists now out of later collections, and collect less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)


@contextmanager
def _signals_held() -> Iterator[None]:
    """Hold back signals meanwhile, because gunicorn's handlers raise.

    An exception would break the start of a thread. The threads that start here keep holding signals
    back, so signals reach the main thread only.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def worker_int(worker: Any) -> None:
    """The process ends at once (SIGINT, SIGQUIT), and so does its current run."""
    if hasattr(worker, "inprocess"):
        worker.inprocess.cancel()


def worker_exit(server: Any, worker: Any) -> None:
    """The last act of the process: let current work end while there is time.

    That is a run, and a start of the embedded PostgreSQL, which nobody could stop otherwise.
    """
    if hasattr(worker, "inprocess"):
        worker.inprocess.stop()
    if getattr(worker, "keeper", None) is not None:
        worker.keeper.stop()


def on_exit(server: Any) -> None:
    """Stop the embedded PostgreSQL, unless another process uses it too."""
    embedded.release()
