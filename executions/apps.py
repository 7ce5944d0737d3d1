"""Start-up of the one app: our schema first, then tables, then the two roles."""

from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in
from django.db.models.signals import post_migrate, pre_migrate


class ExecutionsConfig(AppConfig):
    name = "executions"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # Importing the checks registers them.
        from executions.accounts import roles, sessions, watchers
        from executions.database import checks, schema  # noqa: F401

        pre_migrate.connect(schema.ensure_schema, sender=self)
        post_migrate.connect(roles.ensure_roles, sender=self)
        user_logged_in.connect(sessions.begin)
        watchers.connect_signals()
