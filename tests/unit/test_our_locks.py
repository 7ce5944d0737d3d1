"""Every advisory lock of ours has its number in one enumeration, so no two are equal."""

import re
from pathlib import Path

from django.conf import settings

NUMBER = re.compile(r"\b4246_?00\d\d\b")
HOME = Path("executions/database/our_locks.py")


def test_no_other_file_has_the_number_of_a_lock():
    files = [
        file
        for top in ("executions", "multica_admin")
        for file in Path(settings.BASE_DIR, top).rglob("*")
    ]
    found = [
        file.relative_to(settings.BASE_DIR)
        for file in files
        if file.suffix in {".py", ".sql"} and NUMBER.search(file.read_text("utf-8"))
    ]
    assert found == [HOME]
