"""Ways to sign in beside the password, switched on for a test, and a real identity provider."""

from __future__ import annotations

import base64
import hashlib
import logging
import warnings
from contextlib import contextmanager
from types import ModuleType
from urllib.parse import parse_qs, urlsplit

import authlib.deprecate
import requests
from django.test import override_settings

from executions.pages import ways_in
from multica_admin import urls
from multica_admin.ways import GroupRoles, SignInProvider, Ways

with warnings.catch_warnings():  # of one of its packages about another
    warnings.simplefilter("ignore", authlib.deprecate.AuthlibDeprecationWarning)
    import flask
    import oidc_provider_mock
    from oidc_provider_mock._server import _threaded_server

GROUPS = GroupRoles(
    viewer=frozenset({"watchers"}),
    operator=frozenset({"night shift"}),
    administrator=frozenset({"roots"}),
)


@contextmanager
def with_ways(ways: Ways):
    """The settings and addresses of a start with these ways."""
    conf = ModuleType("urls_with_ways")
    vars(conf).update({name: value for name, value in vars(urls).items() if name[:2] != "__"})
    conf.urlpatterns = [*urls.urlpatterns, *ways_in.urls(ways)]
    with override_settings(WAYS=ways, ROOT_URLCONF=conf):
        yield ways


class Issuer:
    """A provider of the package oidc-provider-mock, which also checks PKCE here."""

    def __init__(self):
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        logging.getLogger("oidc_provider_mock").setLevel(logging.ERROR)
        self.challenges = set()
        self.changed = {}  # of its configuration
        self.described = []
        app = oidc_provider_mock.app()
        app.before_request(self._before)
        app.after_request(self._after)
        self._served = _threaded_server(app=app)
        self.url = f"http://localhost:{self._served.__enter__().server_port}"

    def _before(self):
        if flask.request.path == "/oauth2/authorize" and flask.request.method == "POST":
            assert flask.request.args["code_challenge_method"] == "S256"
            self.challenges.add(flask.request.args["code_challenge"])
        if flask.request.path == "/oauth2/token":
            digest = hashlib.sha256(flask.request.form["code_verifier"].encode()).digest()
            self.challenges.remove(base64.urlsafe_b64encode(digest).rstrip(b"=").decode())

    def _after(self, response):
        if flask.request.path.startswith("/.well-known/"):
            self.described.append(flask.request.path)
            response.set_data(flask.json.dumps(response.get_json() | self.changed))
        return response

    def provider(self, **changes) -> SignInProvider:
        settings = {"client_id": "dashboard", "secret": "s3cret", "issuer": self.url}
        return SignInProvider(**{"id": "oidc", "label": "Keycloak", **settings, **changes})

    def knows(self, sub, **claims):
        requests.put(f"{self.url}/users/{sub}", json=claims, timeout=60).raise_for_status()

    def agree(self, authorize_url, sub):
        """What the person does there: the address that the browser is sent back to."""
        answer = requests.post(authorize_url, {"sub": sub}, allow_redirects=False, timeout=60)
        assert answer.status_code == 302, answer.text
        return answer.headers["Location"]

    def sign_in(self, client, sub, start="/login/oidc/"):
        begun = client.get(start)
        assert begun.status_code == 302, begun.content
        return come_back(client, self.agree(begun.headers["Location"], sub))

    def close(self):
        self._served.__exit__(None, None, None)


def come_back(client, url):
    parts = urlsplit(url)
    return client.get(f"{parts.path}?{parts.query}")


def asked(url):
    """The query of an address, one value for each name."""
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
