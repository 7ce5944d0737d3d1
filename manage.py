#!/usr/bin/env python
"""Django's command line, with a sentence instead of a traceback when it cannot do its work."""

import os
import sys
from typing import Any, NoReturn

import django
from django.conf import settings
from django.core.management import BaseCommand, CommandError, ManagementUtility
from django.core.management.base import SystemCheckError
from django.utils.translation import activate, gettext

from multica_admin.embedded import ensure_running
from multica_admin.language import LANGUAGES, LOCALE_PATHS, language_of, later

# Django's own commands that talk to our tables; ours start the embedded database themselves.
NEEDS_DATABASE = frozenset(
    ("changepassword", "createsuperuser", "dbshell", "migrate", "shell", "showmigrations")
)


class CommandLine(ManagementUtility):
    """Django's, in the language of the terminal.

    A refusal begins with our name and not with that of a class.
    """

    def fetch_command(self, subcommand: str) -> BaseCommand:
        activate(language_of(os.environ, settings.LANGUAGE_CODE))
        command = super().fetch_command(subcommand)
        command.help = gettext(command.help)
        execute = command.execute

        def execute_or_refuse(*args: Any, **options: Any) -> str | None:
            try:
                if subcommand in NEEDS_DATABASE:
                    ensure_running()
                return execute(*args, **options)
            except SystemCheckError:
                raise  # a report of many lines, which Django prints by itself
            except CommandError as error:
                if options["traceback"]:
                    raise
                _refuse(str(error), error.returncode)

        vars(command)["execute"] = execute_or_refuse
        return command


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "multica_admin.settings")
    import psycopg
    from django.db import OperationalError, ProgrammingError

    from multica_admin.cluster import ClusterError
    from multica_admin.env import BadSetting

    try:
        import multica_admin.settings  # noqa: F401  a bad variable must stop here, not deeper

        CommandLine(sys.argv).execute()
    except (BadSetting, ClusterError) as error:
        if not settings.configured:
            _translate_without_settings()
        _refuse(str(error))
    # Of Django's commands; ours tell their own troubles.
    except (OperationalError, ProgrammingError, psycopg.Error) as error:
        from executions.database.problems import own_tables_sentence

        _refuse(own_tables_sentence(error))
    except KeyboardInterrupt:
        _refuse(later("Stopped."), 130)


def _translate_without_settings() -> None:
    """Let Django translate into the language of the terminal. The process can do nothing else."""
    settings.configure(LANGUAGES=LANGUAGES, LOCALE_PATHS=LOCALE_PATHS)
    django.setup()
    activate(language_of(os.environ, settings.LANGUAGE_CODE))


def _refuse(sentence: str, status: int = 2) -> NoReturn:
    print(f"multica-admin: {sentence}", file=sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    main()
