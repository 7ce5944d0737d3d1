"""Turns database URLs into libpq parameters and Django aliases. Opens nothing.

Multica's backend is written in Go, and its ``DATABASE_URL`` may carry parameters of its driver,
pgx. libpq refuses parameters that it does not know, so this module translates them or refuses them
by name.
"""

import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from multica_admin.env import BadSetting
from multica_admin.language import later

# libpq keywords and their values. Any, because psycopg.connect types its own options otherwise.
Conninfo = dict[str, Any]

ADMIN_SCHEMA = "multica_admin"
READ_TIMEOUT_MS = 5_000
# Our own tables are small. A statement that takes longer waits for a lock.
OWN_TIMEOUT_MS = 10_000

# Each of our sessions has these settings, whatever a URL, a role or a database sets. The driver
# reads times and intervals in no other style, and another encoding may lack a character.
SESSION = {
    "client_encoding": "UTF8",
    "datestyle": "ISO",
    "intervalstyle": "postgres",
    "timezone": "UTC",
}

# These settings keep a session read-only and limit its time.
READING_ONLY = {
    "default_transaction_read_only": "on",
    "statement_timeout": str(READ_TIMEOUT_MS),
    "lock_timeout": "1000",
    "idle_in_transaction_session_timeout": "30000",
    # For the one read whose cost PostgreSQL cannot estimate, compiling took 280 ms and running it 1
    # ms.
    "jit": "off",
}

# Parameters of pgx's own pool and statement cache. They mean nothing to the server.
_PGX_ONLY = frozenset((
    "pool_max_conns", "pool_min_conns", "pool_min_idle_conns", "pool_max_conn_lifetime",
    "pool_max_conn_lifetime_jitter", "pool_max_conn_idle_time", "pool_health_check_period",
    "default_query_exec_mode", "statement_cache_capacity", "statement_cache_mode",
    "description_cache_capacity",
))  # fmt: skip
# pgx sends every other parameter to the server as a setting. These are the ones in real use.
_SERVER_SETTINGS = frozenset((
    "datestyle", "idle_in_transaction_session_timeout", "intervalstyle", "lock_timeout", "role",
    "search_path", "statement_timeout", "timezone", "work_mem",
))  # fmt: skip
_LIBPQ = frozenset(
    option.keyword.decode() for option in psycopg.pq.Conninfo.get_defaults() if option.keyword
)
_NUMBERS = frozenset((
    "connect_timeout", "keepalives", "keepalives_count", "keepalives_idle", "keepalives_interval",
    "tcp_user_timeout",
))  # fmt: skip
# An address without a server. libpq tries it only after it has checked every value.
_NOWHERE = {"host": "/nonexistent", "hostaddr": "", "port": "5432", "user": "x", "dbname": "x"}
_EXPECTED = "postgresql://user:password@host:5432/database"
_NO_URL = later("is not a PostgreSQL URL; it must look like %(example)s.", example=_EXPECTED)
_ENCODE = later("In a password write / ? # @ and %% as %%2F %%3F %%23 %%40 and %%25.")


def parse_database_url(name: str, value: str) -> Conninfo:
    """The libpq parameters of a database URL, or of a ``key=value`` string.

    Raises:
        BadSetting: the value is malformed, names no database, or has a parameter or value that is
            unknown here and to libpq. The sentence never contains the password.
    """
    url, settings = _without_foreign_parameters(name, value) if "://" in value else (value, {})
    try:
        parsed = conninfo_to_dict(url)
    except (psycopg.Error, UnicodeError):
        raise BadSetting(name, _NO_URL) from None
    conninfo = {key: str(found) for key, found in parsed.items() if found is not None}
    # A misplaced part may be the end of a password, so the sentence repeats none of it.
    if not all(_is_port(port) for port in conninfo.get("port", "").split(",") if port):
        raise BadSetting(
            name,
            later("has a port that is no number from 1 to 65535. %(encode)s", encode=_ENCODE),
        )
    if "@" in conninfo.get("host", ""):
        raise BadSetting(name, later("has two @ before its path. %(encode)s", encode=_ENCODE))
    if not (conninfo.get("dbname") or conninfo.get("service")):
        raise BadSetting(
            name, later("names no database; it must look like %(example)s.", example=_EXPECTED)
        )
    for key, given in conninfo.items():
        if not _is_taken(key, given):
            raise BadSetting(
                name, later("has a value for %(key)s that PostgreSQL does not take.", key=key)
            )
    for setting, wanted in settings.items():
        conninfo["options"] = with_setting(conninfo.get("options", ""), setting, wanted)
    return conninfo


def _without_foreign_parameters(name: str, url: str) -> tuple[str, dict[str, str]]:
    """The URL with libpq's parameters only, and the server settings among the other parameters."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise BadSetting(name, _NO_URL) from None
    if parts.scheme not in {"postgres", "postgresql"}:
        raise BadSetting(
            name,
            later(
                "starts with %(start)r; it must look like %(example)s.",
                start=f"{parts.scheme}://",
                example=_EXPECTED,
            ),
        )
    kept: list[str] = []
    settings: dict[str, str] = {}
    for key, value in parse_qsl(parts.query, keep_blank_values=True):
        if key in _LIBPQ or key == "ssl":
            kept.append(f"{quote(key)}={quote(value)}")
        elif key.lower() in _SERVER_SETTINGS:
            settings[key.lower()] = value
        elif key not in _PGX_ONLY:
            if "@" in parts.netloc:
                problem = later(
                    "has the parameter %(key)r, which PostgreSQL does not know.", key=key
                )
            else:
                # What is taken for a parameter may be the end of a password.
                problem = later("has a parameter that PostgreSQL does not know.")
            raise BadSetting(name, later("%(problem)s %(encode)s", problem=problem, encode=_ENCODE))
    # Put together by hand, because urlunsplit drops the slashes of a URL without a host.
    return f"postgresql://{parts.netloc}{parts.path}?{'&'.join(kept)}", settings


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 65536


def _is_taken(key: str, value: str) -> bool:
    """Whether libpq accepts this value of a parameter. Values that only a server can check pass."""
    if key in _NUMBERS:
        return bool(re.fullmatch(r"-?[0-9]{1,9}", value.strip()))
    if key == "hostaddr":
        return all(_is_address(part) for part in value.split(",") if part)
    if key in _NOWHERE or key == "service":
        return True
    probe = psycopg.pq.PGconn.connect_start(make_conninfo(**{**_NOWHERE, key: value}).encode())
    said = probe.error_message.decode(errors="replace")
    probe.finish()
    return not (said.startswith("invalid ") and key in said)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def with_setting(options: str, name: str, value: str) -> str:
    """libpq's ``options`` with one more server setting, which overrides earlier ones."""
    escaped = re.sub(r"([\\\s])", r"\\\1", value)
    return f"{options} -c {name}={escaped}".lstrip()


def settings_in(options: str) -> dict[str, str]:
    """The server settings in libpq's ``options``, the last of each name.

    They are read as PostgreSQL reads them: ``-c name=value`` or ``--name=value``, with a backslash
    before a space inside a value.
    """
    words = [
        re.sub(r"\\(.)", r"\1", word, flags=re.DOTALL)
        for word in re.findall(r"(?:\\.|[^\\\s])+", options, flags=re.DOTALL | re.ASCII)
    ]
    settings: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        assignment = next(rest, "") if word == "-c" else word.removeprefix("-c")
        if word.startswith(("-c", "--")) and "=" in assignment:
            name, value = assignment.removeprefix("--").split("=", 1)
            settings[name.replace("-", "_").lower()] = value
    return settings


def with_settings(options: str, settings: Mapping[str, str]) -> str:
    """libpq's ``options`` with more server settings, which override earlier ones."""
    for name, value in settings.items():
        options = with_setting(options, name, value)
    return options


# If a URL names several servers, these choose one that our session can use. libpq judges a server
# by what the session may do. A reading session asks for read-only when it opens, so to libpq no
# server is "read-write" and every server is "read-only".
_TO_READ = {"read-write": "primary", "read-only": "prefer-standby"}
# Nothing can be written on a standby.
_TO_WRITE = {"read-only": "primary", "standby": "primary", "prefer-standby": "primary"}


def to_read(conninfo: Conninfo) -> Conninfo:
    """The parameters for a session that is kept read-only, with the server that the URL means."""
    return _aimed(conninfo, _TO_READ)


def to_write(conninfo: Conninfo) -> Conninfo:
    """The parameters for a session that writes, never on a standby of the URL."""
    return _aimed(conninfo, _TO_WRITE)


def _aimed(conninfo: Conninfo, translated: Mapping[str, str]) -> Conninfo:
    wanted = conninfo.get("target_session_attrs", "")
    if wanted not in translated:
        return conninfo
    return {**conninfo, "target_session_attrs": translated[wanted]}


def admin_alias(conninfo: Conninfo) -> dict[str, Any]:
    """Django's settings for our own tables: a time limit, and only our schema on the path.

    If ``public`` were on the path, statements would silently use it when our schema is missing.
    Work that may take longer, such as `migrate`, sets another
    `executions.database.schema.time_limit`.
    """
    limits = {"search_path": ADMIN_SCHEMA, "statement_timeout": str(OWN_TIMEOUT_MS)}
    alias = _alias(to_write(conninfo), {**SESSION, **limits})
    alias.update(
        CONN_MAX_AGE=60, CONN_HEALTH_CHECKS=True, NAMED="ADMIN_DATABASE_URL", THROUGH_POOLER=False
    )
    return alias


def reader_alias(conninfo: Conninfo) -> dict[str, Any]:
    """Django's settings for reads of Multica's tables, kept read-only by PostgreSQL itself."""
    alias = _alias(to_read(conninfo), {**READING_ONLY, **SESSION})
    # Each web process keeps one idle connection. It opens on first use, so after gunicorn forks. At
    # most six threads read at once: four for pages, one for probes, one for exports.
    alias["OPTIONS"]["pool"] = {"min_size": 1, "max_size": 6, "timeout": 5, "reconnect_timeout": 5}
    alias.update(CONN_MAX_AGE=0, CONN_HEALTH_CHECKS=True, NAMED="DATABASE_URL", THROUGH_POOLER=True)
    # A server-side cursor outlives its transaction only in a session of our own.
    alias["DISABLE_SERVER_SIDE_CURSORS"] = True
    return alias


def _alias(conninfo: Conninfo, session: Mapping[str, str]) -> dict[str, Any]:
    """``session`` has the settings that each session must have (executions/database/engine)."""
    rest = dict(conninfo)
    alias: dict[str, Any] = {
        "ENGINE": "executions.database.engine",
        "NAME": rest.pop("dbname", ""),
        "USER": rest.pop("user", ""),
        "PASSWORD": rest.pop("password", ""),
        "HOST": rest.pop("host", ""),
        "PORT": rest.pop("port", ""),
        "SESSION": dict(session),
    }
    # libpq sends the URL's client_encoding beside the options, and Django sends one of its own.
    rest["client_encoding"] = session["client_encoding"]
    rest["options"] = with_settings(rest.get("options", ""), session)
    rest.setdefault("connect_timeout", "5")
    rest.setdefault("application_name", "multica-admin")
    alias["OPTIONS"] = dict(rest)
    return alias
