"""Every finding has one explanation, and every command that it gives is real."""

from __future__ import annotations

import ast
import shlex
from collections import defaultdict
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command, load_command_class
from django.utils.translation import override

from executions.health.explain import EXPLANATIONS
from executions.health.findings import FindingCode
from executions.health.remedies import PSQL, Place
from tests.markdown_pages import GUIDES

HEALTH = Path(__file__).parents[2] / "executions" / "health"
# The names in Multica's own docker-compose.selfhost.yml and Helm chart.
COMPOSE_FILE = "docker-compose.selfhost.yml"
SERVICES = {"postgres", "backend", "frontend"}
LABELS = "app.kubernetes.io/name=multica,app.kubernetes.io/component=backend"
SUBCOMMANDS = {"ps", "logs", "up", "pull", "exec"}
TARGETS = {
    "get": ["pods", "--selector", LABELS],
    "logs": ["--selector", LABELS],
    "rollout": ["restart", "deployment", "--selector", LABELS],
    "exec": ["--stdin", "--tty", "deployment/multica-postgres"],
}

COMMANDS = sorted(
    {
        (place, command)
        for one in EXPLANATIONS.values()
        for commands in (PSQL, *(step.commands for step in one.steps))
        for place, command in commands.items()
    }
)


def of(place):
    return [command for its_place, command in COMMANDS if its_place is place]


def parts(command):
    """The words of each of the commands that && joins."""
    return [shlex.split(one) for one in command.split("&&")]


def test_every_code_has_one_explanation_in_the_contracts_order():
    assert list(EXPLANATIONS) == list(FindingCode)
    assert all(one.code is code for code, one in EXPLANATIONS.items())


@pytest.mark.parametrize("code", FindingCode)
def test_an_explanation_is_whole(code):
    one = EXPLANATIONS[code]
    for text in (one.meaning, one.evidence, one.is_not, *(step.text for step in one.steps)):
        assert str(text)[0].isupper()
        assert str(text)[-1] in ".:"
    assert str(one.title)[-1] != "."
    assert one.steps
    assert one.statements


@pytest.mark.parametrize("command", of(Place.HERE))
def test_a_command_of_ours_exists_with_its_options(command):
    python, manage, name, *arguments = shlex.split(command)
    assert (python, manage) == (".venv/bin/python", "manage.py")
    parser = load_command_class("executions", name).create_parser("manage.py", name)
    parser.parse_args(arguments)


@pytest.mark.parametrize("command", of(Place.COMPOSE))
def test_a_compose_command_names_the_file_and_a_service_of_multicas(command):
    for docker, compose, option, file, subcommand, *arguments in parts(command):
        assert (docker, compose, option, file) == ("docker", "compose", "-f", COMPOSE_FILE)
        assert subcommand in SUBCOMMANDS
        if subcommand not in {"pull", "up"}:
            assert SERVICES & set(arguments)


@pytest.mark.parametrize("command", of(Place.KUBERNETES))
def test_a_kubernetes_command_finds_multicas_objects(command):
    for program, verb, *arguments in parts(command):
        if program == "helm":
            assert [verb, *arguments[:2]] == ["upgrade", "multica", "deploy/helm/multica"]
        else:
            assert program == "kubectl"
            target = TARGETS[verb]
            assert arguments[: len(target)] == target


@pytest.mark.parametrize("command", of(Place.HOST))
def test_a_command_for_a_plain_host_asks_for_the_unit(command):
    (words,) = parts(command)
    if words[0] == "psql":
        assert words == ["psql", "$DATABASE_URL"]
    else:
        assert words[0] in {"systemctl", "journalctl"}
        assert "multica-backend" in words


@pytest.mark.parametrize(
    "code", [FindingCode.NO_EXECUTIONS, FindingCode.LATEST_STALE, FindingCode.RUNNING_STALE]
)
def test_a_silent_backend_leads_to_its_log_in_every_place(code):
    (log,) = (
        step.commands
        for step in EXPLANATIONS[code].steps
        if "logs" in step.commands.get(Place.COMPOSE, "")
    )
    assert log.keys() == {Place.COMPOSE, Place.KUBERNETES, Place.HOST}


@pytest.mark.parametrize(
    ("language", "lang", "name"),
    [
        ("en", "en_US.UTF-8", "troubleshooting.md"),
        ("zh-hans", "zh_CN.UTF-8", "troubleshooting.zh.md"),
    ],
)
def test_the_guide_to_the_findings_is_what_the_command_prints(capsys, language, lang, name):
    with override(language):
        call_command("explain")
    assert (GUIDES / name).read_text("utf-8") == capsys.readouterr().out, (
        f"run LANG={lang} .venv/bin/python manage.py explain > docs/guide/{name}"
    )


def test_the_command_prints_one_explanation(capsys):
    call_command("explain", "lock_leaked")
    assert capsys.readouterr().out.startswith("## lock_leaked\n")


def test_an_unknown_code_is_refused_with_the_nearest():
    with pytest.raises(CommandError, match="Did you mean lock_leaked") as refused:
        call_command("explain", "lock_leak")
    assert refused.value.returncode == 2


def test_no_step_is_written_twice():
    """The diagnosis and the comparison of hours show steps of the explanations."""
    found = defaultdict(list)
    for path in sorted([*(HEALTH / "explain").glob("*.py"), *(HEALTH / "diagnosis").glob("*.py")]):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            is_step = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Step"
            if is_step and isinstance(node.args[0], ast.Call):
                found[ast.unparse(node.args[0])].append(f"{path.name}:{node.lineno}")
    assert {text: at for text, at in found.items() if len(at) > 1} == {}
