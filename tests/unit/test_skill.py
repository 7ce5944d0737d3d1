"""The skill that a Multica can import: its shape, and that it is right about each command."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from django.core.management import get_commands

ROOT = Path(__file__).parents[2]
SKILL = ROOT / "skills" / "multica-rollup" / "SKILL.md"
TEXT = SKILL.read_text("utf-8")
NAMED = re.compile(r"manage\.py ([a-z_]+)")
# What an agent may run: these read, and print.
FREE = {
    "checkrollup", "explain", "diagnose", "checkretirement", "findcallers", "checkupgrade",
}  # fmt: skip
FOR_DEVELOPERS = {"makemessages"}


def parts():
    """What an agent does, and what it never does by itself."""
    free, _, never = TEXT.partition("## What you never do by yourself\n")
    assert never
    return free, never


def test_its_front_matter_is_what_multica_reads():
    """https://agentskills.io/specification"""
    between = re.match(r"---\n(.*?\n)---\n\n", TEXT, re.DOTALL)
    assert between
    front = yaml.safe_load(between[1])
    assert set(front) == {"name", "description"}
    assert front["name"] == SKILL.parent.name
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", front["name"])
    assert len(front["name"]) <= 64
    assert 0 < len(front["description"]) <= 1024
    assert "Use when" in front["description"]


def test_it_is_small_and_needs_no_other_file():
    assert len(TEXT.splitlines()) < 500
    assert [path.name for path in SKILL.parent.rglob("*")] == ["SKILL.md"]
    assert not re.search(r"\]\((?!https://)", TEXT)


def test_it_lets_an_agent_run_only_what_reads():
    free, _ = parts()
    assert set(NAMED.findall(free)) == FREE


def test_it_forbids_every_other_command_of_ours():
    _, never = parts()
    ours = {name for name, app in get_commands().items() if app == "executions"}
    assert set(NAMED.findall(never)) == ours - FREE - FOR_DEVELOPERS


@pytest.mark.parametrize(
    "forbidden",
    ["cron.unschedule", "cron.alter_job", "cron.schedule", "Multica's tables", "watermark"],
)
def test_it_forbids_the_changes_that_no_command_makes(forbidden):
    assert forbidden in parts()[1]


def test_agents_who_work_on_the_code_have_one_short_page():
    assert len((ROOT / "AGENTS.md").read_text("utf-8").splitlines()) <= 60
