"""`docs/interfaces.md` tells of every command, address, setting and long check that there is."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand
from django.urls import URLPattern, get_resolver

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "interfaces.md").read_text("utf-8")
# What reads variables. `ways` and `mail` put a provider's name before some, as in OIDC_CLIENT_ID.
READERS = [
    ROOT / "multica_admin" / name for name in ("settings.py", "ways.py", "mail.py", "gunicorn.py")
] + [ROOT / "executions" / "management" / "commands" / "quickstart.py"]
PROVIDER = "OIDC"
SETTING = re.compile(r"HOST|PORT|[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+")
# Other methods of `multica_admin.env.Environment` take no file.
SECRET_READERS = {"secret", "token", "url", "urls", "_conninfo"}
FOR_DEVELOPERS = {"makemessages"}
OF_DJANGO = {"migrate"}


def section(name):
    return TEXT.partition(f"\n## {name}\n")[2].partition("\n## ")[0]


def rows(text):
    """The cells of each line of the tables."""
    return [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| `")]


def name_in(argument):
    """The variable that is named, with the provider's name for what is put before it."""
    if isinstance(argument, ast.JoinedStr):
        parts = [
            str(part.value) if isinstance(part, ast.Constant) else PROVIDER
            for part in argument.values
        ]
        return "".join(parts)
    return argument.value if isinstance(argument, ast.Constant) else None


def read_by(path):
    """What each call in this file that names a variable first is called, and the variable."""
    for call in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(call, ast.Call):
            continue
        called = ast.unparse(call.func).rpartition(".")[2]
        for argument in call.args[:2]:  # a function of its own takes the environment first
            name = name_in(argument)
            if isinstance(name, str) and SETTING.fullmatch(name):
                yield called, name


READ = {(called, name) for path in READERS for called, name in read_by(path)}
NAMES = {name for called, name in READ if called != "BadSetting"}


def test_every_setting_that_is_read_is_documented_and_the_other_way_round():
    told = {
        name
        for cells in rows(section("Environment"))
        for name in re.findall(r"`([A-Z][A-Z0-9_]+)", " ".join(cells))
        if SETTING.fullmatch(name) and not re.match("FEISHU_|DINGTALK_", name)
    }
    assert len(NAMES) > 50
    assert {name for name in told if not name.endswith("_FILE")} == NAMES


def test_every_secret_that_a_file_may_hold_is_documented_and_the_other_way_round():
    told = section("Environment").partition("Each secret can also be given as a file")[2]
    told = told.partition(". ")[0]
    secret = {name for called, name in READ if called in SECRET_READERS}
    assert len(secret) > 10
    assert set(re.findall(r"`([A-Z_]+)`", told)) - {"NAME_FILE", "SIGN_IN_PROVIDERS"} == secret


def test_every_command_of_ours_is_documented_with_every_option():
    text = section("Commands")
    of_all = set(re.findall(r"--[a-z-]+", BaseCommand().create_parser("", "").format_help()))
    ours = {name for name, app in get_commands().items() if app == "executions"}
    assert len(ours) > 10
    for name in ours - FOR_DEVELOPERS - OF_DJANGO:
        told = next(cells[0] for cells in rows(text) if f"manage.py {name}" in cells[0])
        parser = load_command_class("executions", name).create_parser("", name)
        options = set(re.findall(r"--[a-z-]+", parser.format_help())) - of_all
        assert options == set(re.findall(r"--[a-z-]+", told)), name


def routes(patterns, before="/"):
    for pattern in patterns:
        route = str(pattern.pattern).removeprefix("^").removesuffix("/?$")
        if isinstance(pattern, URLPattern):
            yield before + re.sub(r"<\w+:", "<", route)
        else:
            yield from routes(pattern.url_patterns, before + route)


def test_every_address_is_documented():
    told = re.findall(r"`(/[^`?]*)", section("HTTP"))
    whole = {re.sub("<[^>]*>", "<>", one) for one in told}
    # Below these, the documents tell of the kind, and of single addresses that people need.
    below = ("/retire/", "/accounts/")
    found = {re.sub("<[^>]*>", "<>", one) for one in routes(get_resolver().url_patterns)}
    assert len(found) > 40
    assert {"/retire/…", "/accounts/"} <= set(told)
    assert {one for one in found if not one.startswith(below)} <= whole
