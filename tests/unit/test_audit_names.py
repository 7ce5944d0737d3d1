"""`bin/audit` runs every test that `bin/test` leaves out, and every file at its full size."""

import re
from pathlib import Path

from django.conf import settings

ROOT = Path(settings.BASE_DIR)
AUDIT = (ROOT / "bin" / "audit").read_text("utf-8")
FILE = r"tests/\S+?\.py"
RUN = set(re.findall(FILE, AUDIT))
RUN_IN_FULL = set(re.findall(FILE, "".join(re.findall(r"FULL_SIZE=on (?:.*\\\n)*.*", AUDIT))))
FUNCTIONS = set(re.findall(r"^(\w+)\(\) \{$", AUDIT, re.MULTILINE))
(LISTED,) = re.findall(r'^checks="([^"]+)"', AUDIT, re.MULTILINE)
CHECKS = set(LISTED.replace("\\\n", "").split())
TEXTS = {str(file.relative_to(ROOT)): file.read_text("utf-8") for file in ROOT.glob("tests/*/*.py")}
TESTED = {path for path, text in TEXTS.items() if re.search(r"^def test_", text, re.MULTILINE)}


def imports(path, module):
    return re.search(rf"^from {re.escape(module)} import", TEXTS[path], re.MULTILINE)


def test_every_file_with_a_full_size_is_run_at_that_size():
    """tests/conftest.py sizes hypothesis."""
    helpers = [path for path in set(TEXTS) - TESTED if imports(path, "tests.sizes")]
    sizing = ["tests.sizes", "hypothesis"]
    sizing += [path.removesuffix(".py").replace("/", ".") for path in helpers]
    sized = {path for path in TESTED if any(imports(path, module) for module in sizing)}
    assert sized <= RUN_IN_FULL


def test_every_file_that_pytest_does_not_collect_by_itself_is_run():
    assert {path for path in TESTED if not Path(path).name.startswith("test_")} <= RUN


def test_every_function_is_a_check_or_a_part_of_one():
    parts = {name for name in FUNCTIONS if re.search(rf"^    {name}$", AUDIT, re.MULTILINE)}
    assert FUNCTIONS - parts == CHECKS


def test_every_check_is_in_the_list_of_interfaces():
    (row,) = re.findall(
        r"^\| `bin/audit` \|.*", (ROOT / "docs" / "interfaces.md").read_text("utf-8"), re.MULTILINE
    )
    assert set(re.findall(r"\(`(\w+)`\)", row)) == CHECKS
