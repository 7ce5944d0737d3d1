"""The product uses every name that it defines; use by tests alone does not count.

vulture finds each name that the product's own Python never uses. What templates and dotted names in
the settings use counts as well; what a test uses does not.
"""

from __future__ import annotations

import re
from pathlib import Path

from vulture import Vulture

ROOT = Path(__file__).parents[2]
PRODUCT = [
    ROOT / "manage.py",
    ROOT / "deploy" / "findcallers.py",
    *(ROOT / "multica_admin").rglob("*.py"),
    *(path for path in (ROOT / "executions").rglob("*.py") if "migrations" not in path.parts),
]
# Files whose names are set for a framework: Django's settings, gunicorn's, the columns of tables.
SET_FOR_A_FRAMEWORK = (
    "formats.py",
    "settings.py",
    "gunicorn.py",
    "models/alarms.py",
    "models/multica.py",
    "models/retirement.py",
    "models/sign_in.py",
    "models/verdicts.py",
)

USED_ELSEWHERE = {
    "Django calls or reads them by name": (
        "Meta", "add_arguments", "allow_migrate", "allow_relation", "app_label", "db_for_write",
        "default_auto_field", "indexes", "multicas_tables", "process_view", "ready",
        "requires_system_checks", "urlpatterns", "view_args", "view_kwargs", "handler400",
        "handler403", "handler404", "handler500", "output_field", "_configure_connection",
        "file_complete", "file_size", "receive_data_chunk", "get_model_class", "account_id",
    ),
    "Django's admin and sign-in views read them": (
        "add_fieldsets", "add_form", "id_for_label", "id_", "lookups", "model_admin",
        "parameter_name", "readonly_fields", "save_related", "search_fields",
        "authentication_form", "change_password_form", "clean_email", "get_success_url", "key_salt",
        "last_login", "enable_nav_sidebar", "fieldsets",
        "filter_horizontal", "form_class",
        "index_title", "list_display", "list_filter", "redirect_authenticated_user",
        "success_url",
    ),
    "django-allauth calls or reads them": (
        "add_message", "allauth", "complete_login", "extra_context", "extract_uid", "get_client_ip",
        "get_login_stages", "is_email_verified", "is_open_for_signup", "list_apps",
        "on_authentication_error", "post_login", "pre_social_login", "respond_user_inactive",
        "send_mail", "template_prefix",
    ),
    "Python's own modules read them: logging, ssl, threading, ctypes, psycopg's pool": (
        "argtypes", "check_hostname", "converter", "daemon", "default_msec_format",
        "default_time_format", "emit", "exc_text", "verify_mode",
        "msg", "timeout",
    ),
    "gunicorn calls or reads them": ("_expected_100_continue", "murder_pending"),
    "apprise reads it": ("redirects",),
    "only in a quoted type": ("IO",),
    "a statement answers with their values: rollup.sql": (
        "OUR_RUNNER", "DELETION", "CODEX_BACKFILL", "OTHER",
    ),
    "`Figures` is given as JSON whole": (
        "failed_24h", "last_run_age_seconds", "latest_plan_age_seconds",
        "latest_success_age_seconds", "plans_expected_24h", "plans_missing_24h", "retried_24h",
        "runners_24h", "watermark_lag_seconds",
    ),
    "the finding about impossible times reads its columns by name": ("last_run_started_at",),
    "handlers of jobs use it: docs/adding-a-job.md": ("cancelled",),
    "benchmarks and tests ask a page anew": ("forget_shared",),
}  # fmt: skip
IGNORED = [name for names in USED_ELSEWHERE.values() for name in names]


def words_of_templates():
    for path in (ROOT / "templates").rglob("*.*"):
        for tag in re.findall(r"\{[{%](.*?)[%}]\}", path.read_text("utf-8"), re.DOTALL):
            yield from re.findall(r"\w+", tag)


def dotted_in_settings():
    """Classes and functions that the settings and the addresses name as text."""
    for path in (ROOT / "multica_admin").glob("*.py"):
        for dotted in re.findall(r'"((?:\w+\.)+\w+)"', path.read_text("utf-8")):
            yield dotted.rpartition(".")[2]


def test_the_product_uses_every_name_of_its_own():
    vulture = Vulture(ignore_names=IGNORED)
    for path in PRODUCT:
        vulture.scan(path.read_text("utf-8"), path)
    vulture.used_names |= set(words_of_templates()) | set(dotted_in_settings())
    unused = [
        f"{item.filename.relative_to(ROOT)}:{item.first_lineno}: {item.typ} {item.name}"
        for item in vulture.get_unused_code()
        if not str(item.filename).endswith(SET_FOR_A_FRAMEWORK)
    ]
    assert not unused, "only tests use these, or nobody does"
