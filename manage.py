#!/usr/bin/env python
"""Django's command line, with a sentence instead of a traceback when it cannot start."""

from __future__ import annotations

import os
import sys

# Django's own commands that talk to our tables; ours start the embedded database themselves.
NEEDS_DATABASE = frozenset(
    ("changepassword", "createsuperuser", "dbshell", "migrate", "shell", "showmigrations")
)


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "multica_admin.settings")
    from django.core.management import execute_from_command_line

    from multica_admin.cluster import ClusterError
    from multica_admin.embedded import ensure_running
    from multica_admin.env import BadSetting

    try:
        import multica_admin.settings  # noqa: F401  a bad variable must stop here, not deeper

        if len(sys.argv) > 1 and sys.argv[1] in NEEDS_DATABASE:
            ensure_running()
        execute_from_command_line(sys.argv)
    except (BadSetting, ClusterError) as error:
        print(f"multica-admin: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
