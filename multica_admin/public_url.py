"""``PUBLIC_URL``: the address that people use, and what follows from it for each request.

This module parses and normalises the address, and restores requests to their form before the proxy.
It sets nothing: `settings.py` derives hosts, origins, cookies and the path prefix from it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from multica_admin.env import BadSetting
from multica_admin.language import later

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
# Values of HOST that listen everywhere. They are no address for people.
EVERY_ADDRESS = ("0.0.0.0", "[::]")  # noqa: S104  only compared with

_DEFAULT_PORTS = {"http": 80, "https": 443}
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
# Only characters that no browser or proxy rewrites, so that both mean the same path.
_SEGMENT = re.compile(r"[A-Za-z0-9_~.-]+")


@dataclass(frozen=True)
class PublicUrl:
    """A public address as a browser writes it. Every part is empty if no address is set."""

    scheme: str = ""
    hostname: str = ""  # as in a Host header: lower case, IPv6 in brackets
    port: int | None = None  # None for the scheme's own
    prefix: str = ""  # begins with a slash and never ends with one

    @property
    def host(self) -> str:
        return f"{self.hostname}:{self.port}" if self.port else self.hostname

    @property
    def origin(self) -> str:
        return f"{self.scheme}://{self.host}" if self.hostname else ""

    def __str__(self) -> str:
        return f"{self.origin}{self.prefix}"


def parse_public_url(value: str) -> PublicUrl:
    """The address as browsers send it: lower case, without a default port.

    Raises:
        BadSetting: it is not an http or https address of one host, or has more than a plain path.
    """
    if not value:
        return PublicUrl()
    try:
        return _read(value)
    except ValueError as problem:
        raise BadSetting(
            "PUBLIC_URL",
            later(
                "is %(value)r: %(problem)s; it must look like https://admin.example.com/prefix.",
                value=value,
                problem=problem,
            ),
        ) from None


def _read(value: str) -> PublicUrl:
    """The parts of an address. The text of the ValueError says what is wrong with it."""
    if not value.isascii():
        raise ValueError(later("it has letters beyond ASCII (write the name in its xn-- form)"))
    if re.search(r"[\x00-\x20\x7f\\]", value):
        raise ValueError(later("it has a space or another character that no address has"))
    if set("@?#") & set(value):
        raise ValueError(later("it has more than a host and a path"))
    parts = urlsplit(value)
    if parts.scheme not in _DEFAULT_PORTS:
        raise ValueError(later("it begins with neither http:// nor https://"))
    hostname = _hostname(re.sub(r":\d*$", "", parts.netloc))
    if hostname is None or parts.port == 0:
        raise ValueError(later("its host is neither a name nor an IP address, or its port is none"))
    prefix = parts.path.rstrip("/")
    for segment in prefix.split("/")[1:]:
        if segment in {".", ".."} or not _SEGMENT.fullmatch(segment):
            raise ValueError(
                later("its path has more than letters, digits and . _ ~ - between slashes")
            )
    port = None if parts.port == _DEFAULT_PORTS[parts.scheme] else parts.port
    return PublicUrl(parts.scheme, hostname, port, prefix)


def _hostname(given: str) -> str | None:
    """A host as browsers write it, or None if it is not a valid host."""
    try:
        if given.startswith("["):
            whole = given.endswith("]") and "%" not in given
            return f"[{IPv6Address(given[1:-1]).compressed}]" if whole else None
        labels = given.lower().removesuffix(".").split(".")
        if labels[-1].isdigit():
            return str(IPv4Address(given))
    except AddressValueError:
        return None
    name = ".".join(labels)
    return name if len(name) <= 253 and all(map(_LABEL.fullmatch, labels)) else None


def listening_host(address: str) -> str:
    """The listening address as browsers write it; empty if it is every address or none.

    ``address`` has the form of `HOST`: IPv6 with or without brackets.
    """
    bare = address.removeprefix("[").removesuffix("]")
    hostname = _hostname(f"[{bare}]" if ":" in bare else bare)
    return hostname if hostname and hostname not in EVERY_ADDRESS else ""


class AsPublished:
    """Restores a request to its form before the proxy: without the path prefix, with its scheme.

    A proxy may strip the prefix or keep it. With an https ``PUBLIC_URL`` every request counts as
    https, so that pages tell browsers to stay on https. The exception is a form sent to a loopback
    name, past the proxy: the browser's ``Origin`` says http, and Django compares the two, so that
    request stays plain http. Those pages may carry the HSTS header too, because browsers ignore it
    on http (RFC 6797 section 8.1).
    """

    def __init__(self, application: WSGIApplication, published: PublicUrl) -> None:
        self._application = application
        self._published = published

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        prefix, path = self._published.prefix, environ.get("PATH_INFO", "")
        if prefix and (path == prefix or path.startswith(f"{prefix}/")):
            environ["PATH_INFO"] = path[len(prefix) :]
        if self._published.scheme == "https" and not _plain_on_loopback(environ):
            environ["wsgi.url_scheme"] = "https"
        return self._application(environ, start_response)


def _plain_on_loopback(environ: WSGIEnvironment) -> bool:
    host = environ.get("HTTP_HOST", "")
    name = re.sub(r":\d+$", "", host)
    return name in LOOPBACK and environ.get("HTTP_ORIGIN") == f"http://{host}"
