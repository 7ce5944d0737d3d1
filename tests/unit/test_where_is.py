"""The table "Where is …" of the architecture: every answer is a file or folder that there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()
TABLE = ARCHITECTURE.partition("## Where is …")[2]
ANSWERS = dict(re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", TABLE, re.MULTILINE)[2:])


def places(answer):
    """Each file or folder that an answer names, with the folders where it may be.

    A name may be short for one beside a file, or in a folder, that the answer names before.
    """
    folders = [ROOT / "executions", ROOT]
    for name in re.findall(r"`([\w/.]+)`", answer):
        yield name, folders
        folders = [*folders, ROOT / "executions" / name, (ROOT / "executions" / name).parent]
    for link in re.findall(r"\]\(([\w/.-]+)\)", answer):
        yield link, [ROOT / "docs"]


@pytest.mark.parametrize("question", ANSWERS)
def test_an_answer_leads_to_files_that_exist(question):
    found = list(places(ANSWERS[question]))
    assert found
    for name, folders in found:
        assert any(place for folder in folders for place in folder.glob(f"{name.strip('/')}*")), (
            name
        )


def test_every_page_of_answers_is_one_link_from_the_readme_or_from_the_table():
    readme = (ROOT / "README.md").read_text()
    assert "](docs/architecture.md)" in readme
    for page in (ROOT / "docs" / "how-to").glob("*.md"):
        assert f"](docs/how-to/{page.name})" in readme
