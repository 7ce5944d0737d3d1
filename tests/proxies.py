"""Real proxies before a real dashboard: nginx and Caddy, configured by the files of deploy/.

Only addresses and files are replaced in them: ports that are free here, a certificate of the test's
own, and the path of our socket.
"""

from __future__ import annotations

import http.client
import os
import re
import shutil
import socket
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from tests.deployed import DEPLOY
from tests.processes import PROJECT, Process, free_port
from tests.waiting import HANG, until

# A browser takes every name below localhost for this machine.
NAME = "admin.localhost"
HOST = f"{NAME}:8443"  # in PUBLIC_URL; behind a further port, as behind another proxy
PREFIX = "/ops"
# What a proxy does with the prefix, and how it reaches the dashboard.
PREFIXED = ("left tcp", "left unix", "stripped tcp", "stripped unix")
# What is tested, the first of them in bin/test too.
NGINX_WAYS = [
    ("nginx", way) for way in ("stripped unix", "left tcp", "left unix", "stripped tcp", "whole")
]
CADDY_WAYS = [("caddy", way) for way in (*PREFIXED, "whole")]
CADDY = str(PROJECT / "var" / "tools" / "caddy" / "bin" / "caddy")  # where bin/audit puts it
_PATH = f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin"

_AROUND = """
pid {folder}/nginx.pid;
{user}
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/multica-admin.conf;
    {servers}
}}
"""
_WITH_A_PREFIX = """
    upstream {upstream} {{ server {address}; }}
    server {{
        listen 127.0.0.1:{port} ssl http2;
        server_name {name};
        ssl_certificate {folder}/certificate.pem;
        ssl_certificate_key {folder}/key.pem;
        include {folder}/{upstream}.conf;
    }}
"""


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder with a short name, because the path of a socket has at most 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="multica-admin-proxy-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def replaced(name: str, changes: Mapping[str, str]) -> str:
    """A file of deploy/ with these texts replaced. The file must contain each text."""
    text = (DEPLOY / name).read_text("utf-8")
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


def make_certificate(folder: Path) -> None:
    """A key, and a certificate that it signs itself."""
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", f"/CN={NAME}", "-addext"),
            *(f"subjectAltName=DNS:{NAME}", "-keyout", folder / "key.pem"),
            *("-out", folder / "certificate.pem"),
        ],
        check=True,
        capture_output=True,
    )


def find(program: str) -> str:
    found = shutil.which(program, path=_PATH)
    assert found, f"these tests need {program}: bin/test installs it"
    return found


class Dashboard:
    """gunicorn, with the settings of deploy/, at a port and at a unix socket."""

    def __init__(self, folder: Path, public_url: str) -> None:
        self.port, self._socket = free_port(), folder / "web.sock"
        self.process = Process(
            *("-m", "gunicorn", "--config", "python:multica_admin.gunicorn"),
            *("--bind", f"127.0.0.1:{self.port}", "--bind", f"unix:{self._socket}"),
            "multica_admin.wsgi:application",
            env=os.environ
            | {
                "PUBLIC_URL": public_url,
                "TRUSTED_PROXIES": "127.0.0.1,unix",
                "WEB_CONCURRENCY": "1",
                "ROLLUP_SCHEDULER": "off",
                # Its sign-in asks no server before the browser goes there.
                "SIGN_IN_PROVIDERS": "dingtalk",
                "DINGTALK_CLIENT_ID": "dashboard",
                "DINGTALK_CLIENT_SECRET": "secret",
            },
        )

    def address(self, how: str) -> str:
        return f"unix:{self._socket}" if how == "unix" else f"127.0.0.1:{self.port}"

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=HANG)

    @classmethod
    @contextmanager
    def serving(cls, prefix: str = "") -> Iterator[Dashboard]:
        with scratch() as folder:
            served = cls(folder, f"https://{HOST}{prefix}")
            try:
                served.process.wait_for("Booting")
                yield served
            finally:
                served.process.stop()


class Proxy(ABC):
    """A proxy with a server for each way; all but ``whole`` have a path prefix."""

    def __init__(self, folder: Path, whole: Dashboard, prefixed: Dashboard) -> None:
        self._folder, self._whole, self._prefixed = folder, whole, prefixed
        self._ports = {way: free_port() for way in ("whole", *PREFIXED)}
        make_certificate(folder)

    def url(self, way: str) -> str:
        return f"https://{NAME}:{self._ports[way]}{'' if way == 'whole' else PREFIX}"

    @abstractmethod
    def start(self) -> Process:
        """The proxy's own program, with the files of the folder."""

    @classmethod
    @contextmanager
    def serving(cls, whole: Dashboard, prefixed: Dashboard) -> Iterator[Self]:
        with scratch() as folder:
            proxy = cls(folder, whole, prefixed)
            process = proxy.start()
            try:
                until(lambda: all(map(_listens, proxy._ports.values())))
                yield proxy
            finally:
                process.stop()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True


class Nginx(Proxy):
    def __init__(self, folder: Path, whole: Dashboard, prefixed: Dashboard) -> None:
        super().__init__(folder, whole, prefixed)
        self.plain = free_port()  # which only redirects
        self._copy("multica-admin-headers.conf", {})
        self._copy(
            "multica-admin.conf",
            {
                "server 127.0.0.1:8000": f"server {self._whole.address('tcp')}",
                "listen 80": f"listen 127.0.0.1:{self.plain}",
                "listen 443": f"listen 127.0.0.1:{self._ports['whole']}",
                "server_name admin.example.com": f"server_name {NAME}",
                "/etc/ssl/certs/admin.example.com.pem": f"{folder}/certificate.pem",
                "/etc/ssl/private/admin.example.com.key": f"{folder}/key.pem",
                "snippets/": f"{folder}/",
            },
        )
        user = "user root;" if os.geteuid() == 0 else ""  # only we may enter the socket's folder
        servers = "".join(map(self._with_a_prefix, PREFIXED))
        (folder / "nginx.conf").write_text(
            _AROUND.format(folder=folder, user=user, servers=servers)
        )

    def _copy(self, name: str, changes: Mapping[str, str], to: str = "") -> None:
        (self._folder / (to or name)).write_text(replaced(f"nginx/{name}", changes))

    def _with_a_prefix(self, way: str) -> str:
        prefix, how = way.split()
        upstream = f"dashboard_{prefix}_{how}"
        passed = f"proxy_pass http://{upstream}{'/' if prefix == 'stripped' else ''};"
        self._copy(
            "multica-admin-prefix.conf",
            {"\n    proxy_pass http://multica_admin;": passed, "snippets/": f"{self._folder}/"},
            to=f"{upstream}.conf",
        )
        return _WITH_A_PREFIX.format(
            upstream=upstream,
            address=self._prefixed.address(how),
            port=self._ports[way],
            name=NAME,
            folder=self._folder,
        )

    def start(self) -> Process:
        return Process(
            *("-p", str(self._folder), "-c", str(self._folder / "nginx.conf")),
            *("-e", "stderr", "-g", "daemon off;"),
            env={"PATH": _PATH},
            program=(find("nginx"),),
        )


class Caddy(Proxy):
    def __init__(self, folder: Path, whole: Dashboard, prefixed: Dashboard) -> None:
        super().__init__(folder, whole, prefixed)
        text = replaced("caddy/Caddyfile", {})
        own, shared = re.findall(r"(?ms)^\w\S+ \{\n.*?^\}\n", text)
        sites = [self._site("whole", own, self._whole.address("tcp"))]
        for way in PREFIXED:
            prefix, how = way.split()
            path = "handle_path /ops/*" if prefix == "stripped" else "handle /ops/*"
            address = self._prefixed.address(how).replace("unix:", "unix/")
            sites.append(self._site(way, shared.replace("handle /ops/*", path), address))
        (folder / "Caddyfile").write_text(
            "{\n\tadmin off\n\tauto_https disable_redirects\n\tskip_install_trust\n}\n"
            + "".join(sites)
        )

    def _site(self, way: str, site: str, address: str) -> str:
        tls = f"\ttls {self._folder}/certificate.pem {self._folder}/key.pem"
        _head, rest = site.split("\n", 1)
        assert "127.0.0.1:8000" in rest
        opened = f"https://{NAME}:{self._ports[way]} {{\n\tbind 127.0.0.1\n{tls}\n"
        return opened + rest.replace("127.0.0.1:8000", address)

    def start(self) -> Process:
        home = {"HOME": str(self._folder), "PATH": _PATH}
        return Process(
            *("run", "--config", str(self._folder / "Caddyfile")), env=home, program=(CADDY,)
        )
