"""Which client a request comes from, and by which scheme: the only place that decides it.

A header of a proxy counts only if ``TRUSTED_PROXIES`` names whoever sends it. Everybody else may
write anything into it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING

from multica_admin.env import UNIX

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = logging.getLogger(__name__)

_FORWARDED_FOR = "HTTP_X_FORWARDED_FOR"


@dataclass(frozen=True)
class Proxies:
    """Those whose forwarded headers count. ``unix`` is whoever connects by a unix socket."""

    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    unix: bool = False

    @classmethod
    def named(cls, names: Iterable[str]) -> Proxies:
        """The proxies of ``TRUSTED_PROXIES``, which `Environment.proxies` has read."""
        given = list(names)
        networks = tuple(ip_network(name) for name in given if name != UNIX)
        return cls(networks, UNIX in given)

    def include(self, peer: str) -> bool:
        """Whether this is one of them. An empty ``peer`` is the other end of a unix socket."""
        if not peer:
            return self.unix
        address = ip_address(peer)
        return any(address in network for network in self.networks)


def client_address(peer: str, forwarded_for: str, proxies: Proxies) -> str:
    """The address of the client, in one spelling; empty behind a unix socket without a header.

    Each proxy appends to X-Forwarded-For whom it was asked by, so the header is read from its end.
    The client is the first that is no trusted proxy: what stands before it, the client may have
    written itself. A text that is no address ends the reading, and whoever sent it is the client.
    """
    client = _address(peer) or ""
    for hop in reversed(forwarded_for.split(",")):
        address = _address(hop) if proxies.include(client) else None
        if address is None:
            break
        client = address
    return client


def _address(text: str) -> str | None:
    """An address without its port, brackets and zone; None if it is none."""
    bare = text.strip()
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        address = ip_address(bare.partition("%")[0])
    except ValueError:
        return None
    return str(getattr(address, "ipv4_mapped", None) or address)


class FromClient:
    """Gives each request the address and the scheme of its client, and removes the headers.

    So everything behind it, libraries included, finds the client in ``REMOTE_ADDR`` and nothing
    else to believe.
    """

    def __init__(self, application: WSGIApplication, proxies: Proxies) -> None:
        self._application = application
        self._proxies = proxies
        self._warned = False

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        peer = client_address(environ.get("REMOTE_ADDR", ""), "", self._proxies)
        forwarded_for = environ.pop(_FORWARDED_FOR, "")
        if self._proxies.include(peer):
            if environ.get("HTTP_X_FORWARDED_PROTO") == "https":
                environ["wsgi.url_scheme"] = "https"
        elif forwarded_for:
            self._warn(peer)
        environ["REMOTE_ADDR"] = client_address(peer, forwarded_for, self._proxies)
        return self._application(environ, start_response)

    def _warn(self, peer: str) -> None:
        """Say once that a proxy is not trusted: all of its clients then count as one."""
        if not self._warned:
            self._warned = True
            log.warning(
                "Somebody sends X-Forwarded-For and is no trusted proxy, so it is ignored. If that"
                " is your proxy, name it in TRUSTED_PROXIES.",
                extra={"peer": peer or UNIX},
            )
