"""The ways to sign in as the environment configures them, and roles from groups."""

from __future__ import annotations

import pytest

from executions.accounts.ways.groups import role_of
from multica_admin.env import BadSetting, Environment
from multica_admin.mail import MailSetting
from multica_admin.ways import GroupRoles, Ways, read_ways

OIDC = {
    "OIDC_ISSUER_URL": "https://id.example",
    "OIDC_CLIENT_ID": "dashboard",
    "OIDC_CLIENT_SECRET": "s3cret",
}
CODE = {"SIGN_IN_BY_CODE": "on", "RESEND_FROM_EMAIL": "admin@example.com"}


def read(*, development=False, **variables):
    return read_ways(Environment(variables), development=development)


def test_without_any_setting_there_is_the_password_and_nothing_else():
    assert read() == Ways()
    assert not Ways().beyond_password


def test_mail_alone_turns_no_way_on():
    # Alarms, or a file that Multica's backend shares, may bring these names along.
    ways = read(RESEND_API_KEY="k", SMTP_HOST="mail", GOOGLE_CLIENT_ID="x")
    assert ways == Ways()


def test_openid_connect_has_multicas_own_names():
    (provider,) = read(
        **OIDC,
        OIDC_PROVIDER_NAME="Keycloak",
        OIDC_SCOPES="openid, groups email",
        OIDC_GROUPS_CLAIM="realm_access.roles",
        OIDC_VIEWER_GROUPS="a, night shift",
        OIDC_OPERATOR_GROUPS="cn=ops,dc=x;cn=b,dc=x",
        OIDC_ADMINISTRATOR_GROUPS="root",
        OIDC_REQUIRE_VERIFIED_EMAIL="false",
    ).providers
    assert (provider.id, provider.label, provider.vouches) == ("oidc", "Keycloak", True)
    assert provider.scopes == ("openid", "groups", "email")
    assert provider.groups == GroupRoles(
        claim="realm_access.roles",
        viewer=frozenset({"a", "night shift"}),
        operator=frozenset({"cn=ops,dc=x", "cn=b,dc=x"}),
        administrator=frozenset({"root"}),
    )
    assert "s3cret" not in repr(provider)


def test_other_providers_take_their_own_names():
    ways = read(
        SIGN_IN_PROVIDERS="feishu, DingTalk",
        **{f"{name}_CLIENT_ID": "x" for name in ("FEISHU", "DINGTALK")},
        **{f"{name}_CLIENT_SECRET": "y" for name in ("FEISHU", "DINGTALK")},
    )
    assert [(one.id, one.label) for one in ways.providers] == [
        ("feishu", "Feishu"),
        ("dingtalk", "Dingtalk"),
    ]


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"SIGN_IN_BY_PASSWORD": "off"}, "SIGN_IN_BY_PASSWORD"),
        ({"OIDC_ISSUER_URL": "https://id.example"}, "OIDC_CLIENT_ID"),
        ({**OIDC, "OIDC_CLIENT_SECRET": ""}, "OIDC_CLIENT_SECRET"),
        ({**OIDC, "OIDC_ISSUER_URL": "id.example"}, "OIDC_ISSUER_URL"),
        # "dummy" lets anybody in as anybody.
        ({"SIGN_IN_PROVIDERS": "dummy"}, "SIGN_IN_PROVIDERS"),
        ({"SIGN_IN_PROVIDERS": "openid_connect"}, "SIGN_IN_PROVIDERS"),
        ({"SIGN_IN_PROVIDERS": "../feishu"}, "SIGN_IN_PROVIDERS"),
        ({"SIGN_IN_PROVIDERS": "nobody"}, "SIGN_IN_PROVIDERS"),
        ({**CODE, "SMTP_HOST": "mail", "EMAIL_URL": "smtp://mail"}, "EMAIL_URL"),
        ({**CODE, "EMAIL_URL": "mail.example"}, "EMAIL_URL"),
        ({**CODE, "EMAIL_URL": "smtp://u:s3cret@mail:none"}, "EMAIL_URL"),
        ({**CODE, "SMTP_HOST": "mail", "SMTP_TLS": "no"}, "SMTP_TLS"),
        ({**CODE, "SMTP_HOST": "mail", "RESEND_FROM_EMAIL": ""}, "RESEND_FROM_EMAIL"),
    ],
)
def test_a_bad_value_is_refused_by_name_and_never_quotes_a_secret(variables, named):
    with pytest.raises(BadSetting) as refused:
        read(**variables)
    assert refused.value.name == named
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, None),
        ({"RESEND_API_KEY": "k"}, {"resend_key": "k"}),
        ({"SMTP_HOST": "mail", "RESEND_API_KEY": "k"}, {"host": "mail"}),
        ({"SMTP_HOST": "mail", "SMTP_PORT": "465"}, {"port": 465, "tls": "implicit"}),
        ({"SMTP_HOST": "mail", "SMTP_TLS": "smtps"}, {"tls": "implicit"}),
        ({"SMTP_HOST": "mail", "SMTP_TLS_INSECURE": "true"}, {"insecure": True}),
        ({"SMTP_HOST": "mail", "SMTP_FROM_EMAIL": "x@y.z"}, {"sender": "x@y.z"}),
        (
            {"EMAIL_URL": "smtp://me:p%40ss@mail:587"},
            {"username": "me", "password": "p@ss", "port": 587, "tls": "starttls"},
        ),
        ({"EMAIL_URL": "smtps://mail"}, {"host": "mail", "port": 465, "tls": "implicit"}),
    ],
)
def test_mail_has_multicas_own_names(variables, expected):
    mail = read(**CODE, **variables).mail
    if expected is None:
        assert mail is None
        assert "the codes to sign in are in the log" in read(**CODE).notes[0]
        return
    assert isinstance(mail, MailSetting)
    assert {name: getattr(mail, name) for name in expected} == expected


def test_a_fixed_code_counts_in_development_only():
    assert read(MULTICA_DEV_VERIFICATION_CODE="888888", development=True).fixed_code == "888888"
    ways = read(MULTICA_DEV_VERIFICATION_CODE="888888")
    assert ways.fixed_code == ""
    assert ways.notes == (
        "MULTICA_DEV_VERIFICATION_CODE is ignored: it counts with APP_ENV=development only.",
    )
    with pytest.raises(BadSetting):
        read(MULTICA_DEV_VERIFICATION_CODE="8888", development=True)


MAPPED = GroupRoles(
    viewer=frozenset({"v"}), operator=frozenset({"o"}), administrator=frozenset({"a"})
)


@pytest.mark.parametrize(
    ("claims", "claim", "role"),
    [
        ({"groups": ["v"]}, "groups", "viewer"),
        ({"groups": ["v", "o"]}, "groups", "operator"),
        ({"groups": ["a", "v"]}, "groups", "administrator"),
        ({"groups": "o"}, "groups", "operator"),
        ({"groups": ["V", "vo", 1, None, ["v"], {"v": 1}]}, "groups", None),
        ({"groups": "v o"}, "groups", None),
        ({"groups": {"v": True}}, "groups", None),
        ({}, "groups", None),
        ({"realm": {"roles": ["v"]}}, "realm.roles", "viewer"),
        ({"realm.roles": ["o"], "realm": {"roles": ["v"]}}, "realm.roles", "operator"),
        ({"realm": ["v"]}, "realm.roles", None),
    ],
)
def test_the_highest_mapped_group_gives_the_role(claims, claim, role):
    assert (
        role_of(claims, GroupRoles(claim, MAPPED.viewer, MAPPED.operator, MAPPED.administrator))
        == role
    )
