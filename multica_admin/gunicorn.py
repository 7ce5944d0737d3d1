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
forwarded_allow_ips = _env.text("TRUSTED_PROXIES", "127.0.0.1,::1")
# It would open a socket below the home folder, which nobody asked for.
control_socket_disable = True


def on_exit(server: Any) -> None:
    """Stop the embedded PostgreSQL when the quickstart that became this server had started it."""
    if _env.boolean("MULTICA_ADMIN_STOPS_CLUSTER", False):
        from multica_admin import embedded

        embedded.stop()
