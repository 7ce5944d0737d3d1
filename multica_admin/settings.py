"""Django's settings, read from the environment. Importing them opens no connection."""

import os
import secrets
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

from csp.constants import NONE, SELF
from django.utils.functional import lazy

from multica_admin import embedded, language
from multica_admin.databases import Conninfo, admin_alias, parse_database_url, reader_alias
from multica_admin.env import BadSetting, Environment
from multica_admin.language import later
from multica_admin.logging import logging_configuration
from multica_admin.public_url import LOOPBACK, listening_host, parse_public_url
from multica_admin.ways import read_ways

env = Environment(os.environ)

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = Path(env.text("VAR_DIR", str(BASE_DIR / "var"))).absolute()
APP_ENV = env.choice("APP_ENV", ("production", "development"), "production")
DEBUG = APP_ENV == "development"


@cache
def _kept_secret_key() -> str:
    """The key, made once and stored in ``var/`` where only its owner can read it."""
    path = VAR_DIR / "secret_key"
    try:
        if not path.exists():
            VAR_DIR.mkdir(parents=True, exist_ok=True)
            made = path.with_name(f"secret_key.{os.getpid()}")
            try:
                made.touch(mode=0o600)
                made.write_text(secrets.token_urlsafe(50), "ascii")
                # link() never replaces a file: of two concurrent starts, both read the first one's
                # key.
                with suppress(FileExistsError):
                    path.hardlink_to(made)
            finally:
                made.unlink(missing_ok=True)
        key = path.read_text("ascii")
    except OSError as error:
        raise BadSetting(
            "SECRET_KEY",
            later(
                "is not set, and %(path)s cannot be made or read: %(why)s. Make room or give the"
                " right to it, or set SECRET_KEY.",
                path=path,
                why=error.strerror,
            ),
        ) from None
    except UnicodeDecodeError:
        key = ""
    if not key.strip():
        raise BadSetting(
            "SECRET_KEY",
            later("is not set, and %(path)s holds no key: remove that file.", path=path),
        )
    return key


# Made on first use, so that a refused start leaves nothing behind.
SECRET_KEY = env.secret("SECRET_KEY") or lazy(_kept_secret_key, str)()

# --- Databases: docs/architecture.md, "Connections", says what each is for -----------------------


# The databases that a variable names, by that variable. The others are embedded, or fall back to
# these.
NAMED_DATABASES: dict[str, Conninfo] = {}


def _conninfo(name: str, fallback: Conninfo) -> Conninfo:
    url = env.secret(name)
    if not url:
        return fallback
    NAMED_DATABASES[name] = parse_database_url(name, url)
    return NAMED_DATABASES[name]


DATABASE_URL_SET = bool(env.secret("DATABASE_URL"))
for _name in ("RUNNER_DATABASE_URL", "RETIRE_DATABASE_URL"):
    if env.secret(_name) and not DATABASE_URL_SET:
        # Otherwise the demo would go into somebody's database.
        raise BadSetting(
            _name, later("is set without DATABASE_URL: name Multica's database there too.")
        )
ADMIN_DATABASE_URL_SET = bool(env.secret("ADMIN_DATABASE_URL"))
MULTICA_IS_EMBEDDED = not DATABASE_URL_SET
EMBEDDED = not (DATABASE_URL_SET and ADMIN_DATABASE_URL_SET)
# The image and the units set it, so that nobody takes the demo's made-up health for their own.
REQUIRE_DATABASE_URL = env.boolean("REQUIRE_DATABASE_URL", False)

# `manage.py quickstart --scenario` sets it, nobody else: the pages read from the demo's standby.
_READ_FROM = (
    embedded.standby_folder(VAR_DIR)
    if env.boolean("MULTICA_ADMIN_READS_STANDBY", False)
    else VAR_DIR
)
MULTICA_CONNINFO = _conninfo("DATABASE_URL", embedded.conninfo(_READ_FROM, embedded.VIEWER))
ADMIN_CONNINFO = _conninfo("ADMIN_DATABASE_URL", embedded.conninfo(VAR_DIR, embedded.ADMIN))
RUNNER_CONNINFO = _conninfo(
    "RUNNER_DATABASE_URL",
    MULTICA_CONNINFO if DATABASE_URL_SET else embedded.conninfo(VAR_DIR, embedded.OWNER),
)
RETIRE_CONNINFO = _conninfo(
    "RETIRE_DATABASE_URL",
    MULTICA_CONNINFO
    if DATABASE_URL_SET
    else embedded.conninfo(VAR_DIR, env.text("MULTICA_ADMIN_RETIRER", embedded.RETIRER)),
)
DATABASES = {"default": admin_alias(ADMIN_CONNINFO), "multica": reader_alias(MULTICA_CONNINFO)}
DATABASE_ROUTERS = ["executions.database.router.MulticaRouter"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- What the product does ----------------------------------------------------------------------

ROLLUP_SCHEDULER = env.boolean("ROLLUP_SCHEDULER", MULTICA_IS_EMBEDDED)
RETIREMENT_STREAK = env.integer("RETIREMENT_STREAK", 12, minimum=1, maximum=288)
ENVIRONMENT_NAME = env.text("ENVIRONMENT_NAME")

# The scenario of the demo that this process shows. `manage.py quickstart` sets it, nobody else.
SCENARIO = env.text("MULTICA_ADMIN_SCENARIO", "") if MULTICA_IS_EMBEDDED else ""
# `manage.py quickstart` sets this for its web processes, so pages know it even without a database.
HOLDS_DEMO = MULTICA_IS_EMBEDDED and env.boolean("MULTICA_ADMIN_HOLDS_DEMO", False)

FIRST_PASSWORD = env.secret("MULTICA_ADMIN_PASSWORD")

# What monitors prove who they are with. Without a token its address answers nobody.
STATUS_TOKEN = env.token("STATUS_TOKEN")
METRICS_TOKEN = env.token("METRICS_TOKEN")

# --- Alarms -------------------------------------------------------------------------------------

# What an address is good for is apprise's to say, when the first alarm goes there.
ALERT_URLS = env.urls("ALERT_URLS")
ALERT_AFTER = env.span("ALERT_AFTER", 120, minimum=1, maximum=3600)
ALERT_MOST_PER_HOUR = env.integer("ALERT_MOST_PER_HOUR", 12, minimum=1, maximum=1000)
ALERT_LANGUAGE = env.choice("ALERT_LANGUAGE", ("en", "zh-hans"), "en")
HEARTBEAT_URL = env.url("HEARTBEAT_URL", ("https", "http"))

# --- The web ------------------------------------------------------------------------------------

PUBLIC = parse_public_url(env.text("PUBLIC_URL"))
PUBLIC_URL, PUBLIC_HOST, PUBLIC_PREFIX = str(PUBLIC), PUBLIC.host, PUBLIC.prefix
BEHIND_TLS = PUBLIC.scheme == "https"
ALLOWED_HOSTS = [*LOOPBACK]
if _host := listening_host(env.text("HOST")):
    ALLOWED_HOSTS.append(_host)
if PUBLIC_HOST:
    ALLOWED_HOSTS.append(PUBLIC.hostname)
    CSRF_TRUSTED_ORIGINS = [PUBLIC.origin]
FORCE_SCRIPT_NAME = PUBLIC_PREFIX or None
# `client_address` believes the headers of these only.
TRUSTED_PROXIES = env.proxies("TRUSTED_PROXIES")
WEB_CONCURRENCY = env.integer("WEB_CONCURRENCY", 2, minimum=1, maximum=64)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = BEHIND_TLS
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_ENGINE = "executions.accounts.sessions"
# A session lasts so long without use, and so long after the sign-in in all.
SESSION_IDLE = env.span("SESSION_IDLE", 259_200, minimum=300, maximum=31_536_000)
SESSION_AGE = env.span("SESSION_AGE", 1_209_600, minimum=300, maximum=31_536_000)
SESSION_COOKIE_AGE = 3600  # of what a stranger's session remembers on the way to signing in
SESSION_COOKIE_NAME = "multica_admin_session"
CSRF_COOKIE_NAME = "multica_admin_csrf"
SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = f"{PUBLIC_PREFIX}/"
SECURE_HSTS_SECONDS = 31_536_000 if BEHIND_TLS else 0
SILENCED_SYSTEM_CHECKS = [
    "security.W005",  # other names below this one's domain belong to other people
    "security.W008",  # the proxy that has TLS redirects; a probe comes without TLS
    "security.W021",  # browsers' own list takes whole domains only
]
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:"],
        "style-src": [SELF],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}

ROOT_URLCONF = "multica_admin.urls"
WSGI_APPLICATION = "multica_admin.wsgi.application"
INSTALLED_APPS = [
    "executions.apps.ExecutionsConfig",
    "django.contrib.admin.apps.SimpleAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "multica_admin.static_files.StaticFiles",
    "multica_admin.allauth_apps.Accounts",
    "multica_admin.allauth_apps.SocialAccounts",
    "csp",
    "django_htmx",
]
# The only upload is a report of findcallers. Its size is bounded while it is received.
FILE_UPLOAD_HANDLERS = ["executions.pages.wizard.upload.BoundedUpload"]
DATA_UPLOAD_MAX_NUMBER_FILES = 1

MIDDLEWARE = [
    "executions.accounts.middleware.ProbeMiddleware",
    "executions.accounts.middleware.PermissionsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",  # static files, compressed when collected
    "executions.accounts.middleware.NoStoreMiddleware",
    # Pads each answer by a random length, so that lengths reveal nothing about a token in it
    # (BREACH).
    "django.middleware.gzip.GZipMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "executions.accounts.middleware.TimeZoneMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "executions.accounts.middleware.UseMiddleware",
    "executions.accounts.middleware.WatcherMiddleware",
    "executions.accounts.middleware.SignInMiddleware",
    "executions.accounts.middleware.RoleMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "executions.pages.frame.chrome",
            ],
            # Each library lies beside the page that uses it.
            "libraries": {
                "display": "executions.pages.display",
                "history": "executions.pages.history.tags",
                "rows": "executions.pages.history.drawn_rows",
                "overview": "executions.pages.overview.tags",
                "wizard": "executions.pages.wizard.tags",
            },
        },
    }
]
CSRF_FAILURE_VIEW = "executions.pages.problems.csrf_failure"

LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "overview"
LOGOUT_REDIRECT_URL = "login"
CONFIRMATION_SECONDS = 600
# The ways to sign in beside the password. What allauth is told beyond them is the same always.
WAYS = read_ways(env, development=DEBUG)
PASSWORD_RESET_TIMEOUT = 600  # of the codes of `manage.py signincode`: no password is reset by mail
ACCOUNT_ADAPTER = "executions.accounts.ways.adapters.AccountAdapter"
ACCOUNT_DEFAULT_HTTP_PROTOCOL = "https" if BEHIND_TLS else "http"
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = False  # a stranger's address gets no mail
ACCOUNT_LOGIN_BY_CODE_ENABLED = True
ACCOUNT_LOGIN_BY_CODE_FORMAT = {"numeric": True, "length": 6, "dashed": False}
ACCOUNT_LOGIN_BY_CODE_TIMEOUT = 600
ACCOUNT_RATE_LIMITS = False  # executions/accounts/guessing.py counts for all processes together
ACCOUNT_REAUTHENTICATION_METHODS = ("code",)
SOCIALACCOUNT_ADAPTER = "executions.accounts.ways.adapters.SocialAdapter"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 10},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

STATIC_URL = f"{PUBLIC_PREFIX}/static/"
STATIC_ROOT = VAR_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
# Pages name hashed files only. Compressing the others too would double the time of a first start.
WHITENOISE_KEEP_ONLY_HASHED_FILES = True

LANGUAGE_CODE = "en"
LANGUAGES = language.LANGUAGES
LOCALE_PATHS = language.LOCALE_PATHS
# static/times.js writes numbers and days the same way.
FORMAT_MODULE_PATH = ["multica_admin.formats"]
LANGUAGE_COOKIE_NAME = "multica_admin_language"
LANGUAGE_COOKIE_AGE = 31_536_000
LANGUAGE_COOKIE_PATH = f"{PUBLIC_PREFIX}/"
LANGUAGE_COOKIE_SAMESITE = "Lax"
LANGUAGE_COOKIE_SECURE = BEHIND_TLS
LANGUAGE_COOKIE_HTTPONLY = True
USE_TZ = True
TIME_ZONE = "UTC"

LOG_FORMAT = env.choice("LOG_FORMAT", ("text", "json"), "text" if sys.stderr.isatty() else "json")
LOGGING_CONFIG = "logging.config.dictConfig"
LOGGING = logging_configuration(LOG_FORMAT)
