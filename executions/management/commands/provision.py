"""Creates the standalone Multica side in a database that has none of it."""

from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from psycopg import sql

from executions.database.connections import runner_connection
from executions.database.direct import OnStandby
from executions.database.problems import diagnose
from executions.database.still_answering import given_up_if_silent
from executions.rollup.provision import ProvisionRefused, provision
from executions.scheduler.preflight import CannotRun, check_version
from multica_admin.embedded import ensure_running


class Command(BaseCommand):
    help = gettext_noop("Create our own Multica side. Refuses if Multica's own tables exist.")
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.MULTICA_IS_EMBEDDED:
            ensure_running()
        try:
            with (
                runner_connection("multica-admin provision") as connection,
                given_up_if_silent(connection),
            ):
                role = sql.Identifier(connection.info.user).as_string(connection)
                check_version(connection.info.server_version)
                done = provision(connection)
        except CannotRun as error:
            raise CommandError(str(error), returncode=2) from None
        except psycopg.errors.InsufficientPrivilege as error:
            raise CommandError(
                _(
                    "%(what)s Name in RUNNER_DATABASE_URL the role that owns the tables; where"
                    " there are none yet, let an administrator run"
                    " GRANT CREATE ON SCHEMA public TO %(role)s."
                )
                % {"what": diagnose(error).what, "role": role}
            ) from None
        except ProvisionRefused as refusal:
            raise CommandError(str(refusal)) from None
        except OnStandby as error:
            raise CommandError(diagnose(error).sentence(), returncode=2) from None
        except psycopg.Error as error:
            raise CommandError(diagnose(error).sentence()) from None
        if not done.changed:
            self.stdout.write(_("Nothing to do: everything is there already."))
        for name in done.created:
            self.stdout.write(_("made %(name)s") % {"name": name})
        for name in done.updated:
            self.stdout.write(_("brought %(name)s up to date") % {"name": name})
