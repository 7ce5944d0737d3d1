"""No file of the product grows past the limit that CONTRIBUTING.md names."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
MOST_LINES = 400
# A parser's walk belongs together, and a host runs findcallers as one file.
LONGER = {Path("executions/pgcron/match.py"), Path("deploy/findcallers.py")}


def test_no_file_of_the_product_is_longer_than_the_limit():
    folders = ("executions", "multica_admin", "deploy", "frontend", "static", "templates", "bin")
    lengths = {
        path.relative_to(ROOT): len(path.read_text("utf-8").splitlines())
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".sql", ".html", ".js", ".css", ".sh"}
        and "vendor" not in path.parts
        and "node_modules" not in path.parts
    }
    assert {path for path, lines in lengths.items() if lines > MOST_LINES} == LONGER
