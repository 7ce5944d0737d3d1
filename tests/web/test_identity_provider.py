"""Signing in through a real OpenID Connect provider: who gets in, as what, and what is refused."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape

import pytest
from allauth.socialaccount.models import SocialAccount
from allauth.socialaccount.providers.dingtalk.views import DingTalkOAuth2Adapter
from allauth.socialaccount.providers.feishu.views import FeishuOAuth2Adapter
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client

from executions.accounts.roles import OPERATE, may_look
from executions.accounts.ways import openid
from executions.pages import ways_in
from multica_admin.ways import GroupRoles, Ways
from tests.people import PASSWORD, make_user
from tests.retiring import audited, jobid, pg_cron, press
from tests.signing_in import GROUPS, Issuer, asked, come_back, with_ways
from tests.wizard import confirmed_by_somebody, step

__all__ = ["jobid", "pg_cron"]
pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)


@pytest.fixture(scope="module")
def server():
    issuer = Issuer()
    yield issuer
    issuer.close()


@pytest.fixture
def issuer(server):
    server.changed = {}
    cache.clear()
    with with_ways(Ways(providers=(server.provider(groups=GROUPS),))):
        yield server


def ada(issuer, *groups, **claims):
    issuer.knows(
        "ada",
        **{
            "email": "ada@example.com",
            "email_verified": True,
            "preferred_username": "ada",
            "groups": list(groups),
            **claims,
        },
    )


@pytest.mark.parametrize(
    ("group", "acts", "administers"),
    [("watchers", False, False), ("night shift", True, False), ("roots", True, True)],
)
def test_a_mapped_group_makes_an_account_with_its_role(client, issuer, group, acts, administers):
    ada(issuer, "else", group)
    assert issuer.sign_in(client, "ada", "/login/oidc/?next=/runners/")["Location"] == "/runners/"
    assert client.get("/runners/").status_code == 200
    user = User.objects.get(username="ada", email="ada@example.com")
    assert (user.has_perm(OPERATE), user.is_superuser) == (acts, administers)
    assert not user.has_usable_password()
    # Nothing of what was told is kept, but who it is there.
    assert SocialAccount.objects.values_list("provider", "extra_data").get() == ("oidc", {})


def test_the_same_subject_of_another_issuer_is_another_person(client, issuer):
    ada(issuer, "roots")
    issuer.sign_in(client, "ada")
    other = Issuer()
    try:
        other.knows("ada", groups=["watchers"], preferred_username="eve")
        with with_ways(Ways(providers=(other.provider(groups=GROUPS),))):
            other.sign_in(Client(), "ada")
    finally:
        other.close()
    assert dict(User.objects.values_list("username", "is_superuser")) == {"ada": True, "eve": False}


def test_a_changed_group_takes_effect_at_the_next_sign_in(client, issuer):
    ada(issuer, "roots")
    issuer.sign_in(client, "ada")
    ada(issuer, "watchers")
    issuer.sign_in(Client(), "ada")
    user = User.objects.get()
    assert (may_look(user), user.has_perm(OPERATE), user.is_superuser) == (True, False, False)


def test_who_lost_every_group_is_refused_and_loses_the_role_everywhere(client, issuer):
    ada(issuer, "roots")
    issuer.sign_in(client, "ada")
    ada(issuer, "else")
    refused = issuer.sign_in(Client(), "ada")
    assert refused.status_code == 403
    assert "none of your groups there gives a role here" in refused.content.decode()
    assert client.get("/").status_code == 403
    assert not may_look(User.objects.get())


@pytest.mark.parametrize("groups", [(), ("else",), ("watcher",)])
def test_an_unmapped_group_gets_neither_account_nor_role(client, issuer, groups):
    ada(issuer, *groups)
    refused = issuer.sign_in(client, "ada")
    assert refused.status_code == 403
    assert not User.objects.exists()
    assert client.get("/").status_code == 302


def test_without_groups_only_an_account_with_the_address_signs_in(client, issuer):
    with with_ways(Ways(providers=(issuer.provider(),))):
        ada(issuer, "roots")
        refused = issuer.sign_in(client, "ada")
        assert "no account here is yours" in refused.content.decode()
        user = make_user("the one", password=PASSWORD)
        User.objects.update(email="Ada@Example.com")
        assert issuer.sign_in(client, "ada").status_code == 302
        # The account is linked: another address there changes nothing.
        ada(issuer, email="other@example.com")
        assert issuer.sign_in(Client(), "ada").status_code == 302
    user.refresh_from_db()
    assert user.check_password(PASSWORD)
    assert may_look(user)


@pytest.mark.parametrize("verified", [False, None, "no"])
def test_an_address_that_nobody_verified_is_nobodys(client, issuer, verified):
    make_user("victim")
    User.objects.update(email="ada@example.com")
    ada(issuer, "roots", email_verified=verified)
    issuer.sign_in(client, "ada")
    assert not User.objects.get(username="victim").is_superuser
    assert User.objects.get(username="ada").email == ""


def test_an_address_of_two_accounts_signs_neither_in(client, issuer):
    for name in ("one", "two"):
        make_user(name)
    User.objects.update(email="ada@example.com")
    ada(issuer, "roots")
    assert "not the only one" in issuer.sign_in(client, "ada").content.decode()
    assert not User.objects.filter(is_superuser=True).exists()


def test_a_switched_off_account_stays_out(client, issuer):
    ada(issuer, "watchers")
    issuer.sign_in(Client(), "ada")
    User.objects.update(is_active=False)
    assert issuer.sign_in(client, "ada").status_code == 403
    assert client.get("/").status_code == 302


def refused_with(client, answer):
    return (
        answer.status_code == 403
        and "did not prove who you are" in answer.content.decode()
        and client.get("/").status_code == 302
    )


def test_another_state_nonce_or_issuer_is_refused(client, issuer, caplog):
    ada(issuer, "roots")
    url = client.get("/login/oidc/")["Location"]
    sent = asked(url)
    # An answer for another browser's sign-in.
    back = issuer.agree(url, "ada")
    assert refused_with(client, come_back(client, back.replace(sent["state"], "x" * 16)))
    assert refused_with(Client(), come_back(Client(), back))
    # An ID token that was made for another sign-in.
    back = issuer.agree(url.replace(sent["nonce"], "of-another-sign-in"), "ada")
    assert refused_with(client, come_back(client, back))
    # Once used, a state is used up.
    assert refused_with(client, come_back(client, back))
    # The configured address says that it is another issuer.
    url = client.get("/login/oidc/")["Location"]
    back = issuer.agree(url, "ada")
    issuer.changed = {"issuer": "https://elsewhere.example"}
    cache.clear()
    for answer in (come_back(client, back), client.get("/login/oidc/")):
        assert answer.status_code == 403
        assert "its address in the settings is not right" in answer.content.decode()
    assert not User.objects.exists()
    assert "s3cret" not in caplog.text


def test_an_unsigned_or_differently_signed_token_is_refused(client, issuer, monkeypatch):
    ada(issuer, "roots")
    monkeypatch.setattr(openid, "ALGORITHMS", frozenset({"ES256"}))
    assert refused_with(client, issuer.sign_in(client, "ada"))
    monkeypatch.undo()
    url = client.get("/login/oidc/")["Location"]
    back = issuer.agree(url, "ada")
    issuer.changed = {"jwks_uri": f"{issuer.url}/.well-known/openid-configuration"}
    cache.clear()
    assert refused_with(client, come_back(client, back))


def test_somebody_who_says_no_there_is_told_so(client, issuer):
    state = asked(client.get("/login/oidc/")["Location"])["state"]
    answer = client.get(f"/login/oidc/callback/?error=access_denied&state={state}")
    assert answer.status_code == 403
    assert "you said no there" in answer.content.decode()


def test_a_provider_that_is_away_is_a_sentence(client):
    gone = Issuer()
    gone.close()
    with with_ways(Ways(providers=(gone.provider(),))):
        answer = client.get("/login/oidc/")
    assert answer.status_code == 403
    assert "Keycloak does not answer" in answer.content.decode()


def test_nobody_sends_everybody_there(client, issuer, monkeypatch):
    """The provider describes itself once, and each client begins only so many sign-ins."""
    asked_of_it = len(issuer.described)
    for _time in range(3):
        assert client.get("/login/oidc/").status_code == 302
    assert len(issuer.described) == asked_of_it + 1
    monkeypatch.setattr(ways_in, "GO", replace(ways_in.GO, per_address=3))
    assert client.get("/login/oidc/").status_code == 429
    assert Client(REMOTE_ADDR="192.0.2.7").get("/login/oidc/").status_code == 302


@pytest.mark.parametrize("of", ["cross-site", "same-site"])
def test_a_page_of_another_host_begins_no_sign_in_here(client, issuer, of):
    """A host below the same domain may be somebody else's, too."""
    answer = client.get("/login/oidc/?next=/jobs/", headers={"Sec-Fetch-Site": of})
    assert answer["Location"] == "/login/?next=%2Fjobs%2F"


@pytest.mark.parametrize("wanted", ["https://evil.example/", "//evil.example", "/login/oidc/"])
def test_it_leads_back_to_our_own_pages_only(client, issuer, wanted):
    ada(issuer, "watchers")
    assert issuer.sign_in(client, "ada", f"/login/oidc/?next={wanted}")["Location"] == "/"


# --- Signing in again -----------------------------------------------------------------------------


@pytest.fixture
def tired(client, issuer):
    """An administrator whose ten minutes are over."""
    ada(issuer, "roots")
    issuer.sign_in(client, "ada")
    forget_the_proof(client)
    return client


def forget_the_proof(client):
    session = client.session
    session.pop("confirmed_at", None)
    session.save()


def test_signing_in_again_goes_to_the_provider_that_asks_again(tired, issuer):
    page = tired.get("/confirm/?next=/accounts/").content.decode()
    assert 'type="password"' not in page
    start = "/login/oidc/?next=/accounts/&again=yes"
    sent = asked(tired.get(start)["Location"])
    assert (sent["prompt"], sent["max_age"]) == ("login", "0")
    assert issuer.sign_in(tired, "ada", start)["Location"] == "/accounts/"
    assert tired.get("/accounts/").status_code == 200


def test_a_waiting_act_goes_on_after_the_provider(tired, issuer, jobid, pg_cron):
    retirement = confirmed_by_somebody(jobid)
    asked_page = tired.post(step("pause", retirement), press(retirement))["Location"]
    (link,) = re.findall(r'href="(/login/oidc/[^"]+)"', tired.get(asked_page).content.decode())
    issuer.sign_in(tired, "ada", unescape(link))
    assert audited(retirement) == [("pause", "intended"), ("pause", "done")]
    # The link is used up with the act.
    issuer.sign_in(tired, "ada", unescape(link))
    assert len(audited(retirement)) == 2


def test_somebody_else_there_proves_nothing(tired, issuer):
    issuer.knows("eve", email="eve@example.com", email_verified=True, groups=["roots"])
    answer = issuer.sign_in(tired, "eve", "/login/oidc/?again=yes")
    assert "as somebody else" in answer.content.decode()
    assert tired.get("/accounts/").status_code == 302
    assert User.objects.get().username == "ada"


def test_a_provider_that_does_not_ask_again_proves_nothing(tired, issuer, monkeypatch):
    monkeypatch.setattr(
        "executions.accounts.ways.adapters.asked_within", lambda told, seconds: False
    )
    answer = issuer.sign_in(tired, "ada", "/login/oidc/?again=yes")
    assert "did not ask you to prove" in answer.content.decode()
    assert tired.get("/accounts/").status_code == 302


def test_a_silent_sign_in_is_no_fresh_proof(client, issuer, monkeypatch):
    ada(issuer, "roots")
    monkeypatch.setattr(
        "executions.accounts.ways.adapters.asked_within", lambda told, seconds: False
    )
    issuer.sign_in(client, "ada")
    assert client.get("/").status_code == 200
    assert client.get("/accounts/").status_code == 302


def test_a_way_that_is_off_by_now_proves_nothing(tired):
    with with_ways(Ways()):
        page = tired.get("/confirm/?next=/accounts/")
    assert page.status_code == 200
    assert "switched off by now" in page.content.decode()


# --- Other providers ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "adapter", "claim", "told", "there"),
    [
        ("feishu", FeishuOAuth2Adapter, "tenant_key", {"open_id": "1"}, "https://open.feishu.cn/"),
        (
            "dingtalk",
            DingTalkOAuth2Adapter,
            "unionId",
            {"openId": "1"},
            "https://login.dingtalk.com/",
        ),
    ],
)
def test_another_provider_needs_configuration_alone(
    client, issuer, monkeypatch, name, adapter, claim, told, there
):
    """Only the conversation with its servers is left out."""

    def tell(self, request, app, token, **_kwargs):
        return self.get_provider().sociallogin_from_response(request, told)

    monkeypatch.setattr(adapter, "get_access_token_data", lambda *_a, **_k: {"access_token": "x"})
    monkeypatch.setattr(adapter, "complete_login", tell)
    groups = GroupRoles(claim=claim, viewer=frozenset({"ours"}))
    provider = issuer.provider(id=name, label=name, issuer="", groups=groups)
    with with_ways(Ways(providers=(provider,))):
        for value, status in (("ours", 302), ("another", 403)):
            told |= {claim: value}
            url = client.get(f"/login/{name}/")["Location"]
            assert url.startswith(there)
            back = f"/login/{name}/callback/?authCode=c&code=c&state={asked(url)['state']}"
            assert client.get(back).status_code == status
            client.logout()
    assert not may_look(User.objects.get())  # the second sign-in took the role


def test_nothing_but_the_configured_addresses_exists(client, issuer):
    """None of allauth's own pages: no signing up, no addresses, no connections, no reset."""
    client.force_login(make_user("vera"))
    own = ("signup/", "email/", "password/reset/", "3rdparty/", "reauthenticate/", "inactive/")
    ours = ("login/github/", "login/oidc/login/", "login/code/", "login/once/", "login/feishu/")
    for path in (*own, *ours, *(f"accounts/{one}" for one in own)):
        status = client.get(f"/{path}", follow=True).status_code
        assert status == (403 if path.startswith("accounts/") else 404), path


def test_two_providers_stand_on_one_page(client, issuer):
    second = replace(issuer.provider(), id="google", label="Google", issuer="")
    with with_ways(Ways(code=True, providers=(issuer.provider(), second))):
        page = client.get("/login/?next=/jobs/").content.decode()
    for link in ("/login/oidc/?next=%2Fjobs%2F", "/login/google/?next=%2Fjobs%2F"):
        assert link in page
    assert "Sign in with Google" in page
    assert 'name="email"' in page
    assert 'name="password"' in page


def test_each_address_answers_everybody_and_nothing_fails(client, issuer):
    ways = Ways(password=False, code=True, providers=(issuer.provider(),))
    viewer = Client()
    with with_ways(ways):
        viewer.force_login(make_user("vera"))
        for pattern in ways_in.urls(ways):
            for browser in (client, viewer):
                for ask in (browser.get, browser.head, browser.post, browser.put, browser.delete):
                    address = f"/{pattern.pattern}"
                    assert ask(address).status_code in {200, 302, 403, 405}, (address, ask.__name__)
    assert client.get("/").status_code == 302
