"""Runs every benchmark on a private PostgreSQL and rewrites the table in docs/benchmarks.md.

`bin/bench` runs all, `bin/bench scheduler` some. Exit status 1 if a bound is broken. The project
promises ratios of figures from one run, side by side, because machines differ and are shared.
"""

from __future__ import annotations

import importlib
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from psycopg.conninfo import make_conninfo

from multica_admin import embedded
from multica_admin.cluster import Cluster

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
SECTIONS = {
    "rollup_cost": "What a day's rollup costs",
    "backfill": "What a backfill costs",
    "scheduler": "What the scheduler costs",
    "pages": "What a page costs",
    "wire": "What a page weighs",
}


class Row(Protocol):
    """A line of the usual table: see `benchmarks.rollup_cost.Row`."""

    name: str
    value: float
    unit: str
    ratio: float | None
    bound: float | None

    @property
    def holds(self) -> bool: ...


@contextmanager
def private_cluster() -> Iterator[Cluster]:
    """A PostgreSQL for this run only, without durability, because the disk is not measured."""
    folder = Path(tempfile.mkdtemp(prefix="multica-admin-bench-"))
    folder.chmod(0o711)
    cluster = Cluster(
        folder / "postgres",
        next(iter(embedded.find_binaries())),
        {
            "fsync": "off",
            "synchronous_commit": "off",
            "max_wal_size": "4GB",
            "shared_buffers": "1GB",
            "maintenance_work_mem": "512MB",
        },
    )
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop(mode="immediate")
        shutil.rmtree(folder, ignore_errors=True)


def rendered(rows: list[Row]) -> str:
    """The rows as a Markdown table."""
    lines = ["| | | ratio | at most |", "| --- | ---: | ---: | ---: |"]
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        bound = "" if row.bound is None else f"{row.bound:g}"
        lines.append(f"| {row.name} | {row.value:,.1f} {row.unit} | {ratio} | {bound} |")
    return "\n".join(lines)


def with_section(page: str, name: str, body: str) -> str:
    """The page with the section between the marks of ``name`` replaced, or added at its end."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    section = f"{begin}\n{body}\n{end}"
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if pattern.search(page):
        return pattern.sub(lambda _match: section, page)
    return f"{page.rstrip()}\n\n{section}\n"


def main(names: list[str]) -> int:
    """Run the named benchmarks, or all, and return the exit status."""
    unknown = [name for name in names if name not in SECTIONS]
    if unknown:
        print(f"bin/bench knows {', '.join(SECTIONS)}; not {', '.join(unknown)}.", file=sys.stderr)
        return 2
    broken: list[str] = []
    for name in names or list(SECTIONS):
        with private_cluster() as cluster:
            conninfo = make_conninfo("", **cluster.conninfo("postgres"))
            benchmark = importlib.import_module(f"benchmarks.{name}")
            rows: list[Any] = benchmark.run(conninfo)
            with_version = f"PostgreSQL {cluster.binaries.major}"
        broken += [f"{name}: {row.name}" for row in rows if not row.holds]
        table = getattr(benchmark, "rendered", rendered)  # some have a table of their own kind
        body = (
            f"## {SECTIONS[name]}\n\nMeasured {datetime.now(UTC):%Y-%m-%d} with Python"
            f" {platform.python_version()} and {with_version}.\n\n{table(rows)}"
        )
        print(body, flush=True)
        PAGE.write_text(with_section(PAGE.read_text("utf-8"), name, body), "utf-8")
    for line in broken:
        print(f"over its bound: {line}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
