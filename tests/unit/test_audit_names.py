"""`bin/audit` runs every test file whose size it decides."""

import re
from pathlib import Path

from django.conf import settings

ROOT = Path(settings.BASE_DIR)


def test_every_file_with_a_full_size_is_run_at_that_size():
    audited = set(re.findall(r"tests/\S+?\.py", (ROOT / "bin" / "audit").read_text("utf-8")))
    sized = {
        str(file.relative_to(ROOT))
        for file in ROOT.glob("tests/*/test_*.py")
        if re.search(r"^from tests\.sizes import", file.read_text("utf-8"), re.MULTILINE)
    }
    assert sized <= audited
