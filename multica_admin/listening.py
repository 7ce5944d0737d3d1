"""Where the dashboard listens: an address with a port, or a unix socket for a proxy.

It opens the listening socket that gunicorn takes over, and knows nothing of what is served there.
"""

import os
import socket
import stat
from contextlib import ExitStack, suppress
from pathlib import Path

from multica_admin.language import later
from multica_admin.sockets import LONGEST_PATH

UNIX = "unix:"
_BACKLOG = 2048  # gunicorn's own default, which it does not set on a listening socket
PATIENCE_SECONDS = 1.0  # for a process that listens and takes nothing


class CannotListen(Exception):
    """The address cannot be listened on; the text is one sentence for the operator."""


def refuse_a_taken_address(host: str, port: int) -> None:
    """Bind once before anything is made, so that a taken port leaves nothing unfinished.

    Raises:
        CannotListen: the address cannot be listened on.
    """
    listener = listen(host, port)
    listener.close()
    if host.startswith(UNIX):
        Path(host.removeprefix(UNIX)).unlink()


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. ``host`` has the form of `HOST`; with ``unix:/path`` no port is used.

    Raises:
        CannotListen: the address cannot be listened on.
    """
    if host.startswith(UNIX):
        return _on_a_path(Path(host.removeprefix(UNIX)))
    return _on_a_port(host, port)


def _on_a_port(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        # If a name has both kinds of address, use the one that gunicorn would.
        family, kind, protocol, _name, address = min(
            found, key=lambda one: one[0] != socket.AF_INET
        )
        with ExitStack() as unless_it_listens:
            listener = unless_it_listens.enter_context(socket.socket(family, kind, protocol))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(_BACKLOG)
            unless_it_listens.pop_all()
            return listener
    except (socket.gaierror, UnicodeError):
        raise CannotListen(
            later(
                "HOST is %(host)r, which is no address of this machine: choose one, or leave it"
                " out.",
                host=host,
            )
        ) from None
    except OSError as error:
        raise CannotListen(
            later(
                "Port %(port)s on %(host)s cannot be used: %(why)s. Stop what uses it, or choose"
                " another with PORT or --port.",
                port=port,
                host=host,
                why=error.strerror,
            )
        ) from None


def _on_a_path(path: Path) -> socket.socket:
    """A socket that every user may open who may enter its folder."""
    if not path.is_absolute() or len(os.fsencode(path)) > LONGEST_PATH:
        raise CannotListen(
            later(
                "HOST names the socket %(path)r: its path must begin with a slash and have at most"
                " %(most)s bytes, as in unix:/run/multica-admin/web.sock.",
                path=str(path),
                most=LONGEST_PATH,
            )
        )
    try:
        _remove_what_nobody_listens_on(path)
        with ExitStack() as unless_it_listens:
            listener = unless_it_listens.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(str(path))
            path.chmod(0o666)
            listener.listen(_BACKLOG)
            unless_it_listens.pop_all()
            return listener
    except OSError as error:
        raise CannotListen(
            later(
                "The socket %(path)s cannot be used: %(why)s. Its folder must exist and be"
                " writable, and nothing else may listen there.",
                path=path,
                why=error.strerror,
            )
        ) from None


def _remove_what_nobody_listens_on(path: Path) -> None:
    """Remove the socket of a dashboard that was killed. Anything else at the path stays there."""
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            return
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE_SECONDS)
            try:
                client.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()
            except (BlockingIOError, TimeoutError):  # it listens, and takes nothing
                return
