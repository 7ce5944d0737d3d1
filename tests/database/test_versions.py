"""The range of Multica's versions that tables belong to, on databases of several releases."""

from collections.abc import Callable, Iterator

import pytest

from executions.database.connections import Connection
from executions.database.reading import fetch_on
from executions.rollup.marks import read_marks
from executions.rollup.versions import Change, range_of
from tests.multica_versions import Point, build


@pytest.fixture
def empty(connect: Callable[..., Connection]) -> Iterator[Connection]:
    """A database without tables, and a connection to it that no test shares."""
    administrator = connect("postgres", database="postgres")
    administrator.execute("DROP DATABASE IF EXISTS of_a_version WITH (FORCE)")
    administrator.execute("CREATE DATABASE of_a_version OWNER multica")
    connection = connect("multica", database="of_a_version")
    yield connection
    connection.close()
    administrator.execute("DROP DATABASE of_a_version WITH (FORCE)")


@pytest.mark.parametrize(
    ("point", "words"),
    [
        (Point.DAILY, "older than v0.3.5"),
        (Point.STOPPED, "v0.3.5, whose upgrade stopped at migration 103"),
        (Point.HOURLY, "v0.3.5 or newer, but older than v0.3.17"),
        (Point.SCHEDULER, "v0.3.17 or newer, but older than v0.4.10"),
        (Point.NEWEST, "v0.4.25 or newer"),
    ],
)
def test_the_tables_of_a_release_tell_their_range(
    empty: Connection, connect: Callable[..., Connection], point: Point, words: str
) -> None:
    build(empty, point)
    # The catalogs tell it to a role that may read no table.
    stranger = connect("multica_view", database="of_a_version")
    versions = range_of(read_marks(fetch_on(stranger)))
    assert versions is not None
    assert versions.in_words() == words
    assert versions.mixed == ()


@pytest.mark.parametrize("point", [Point.HOURLY, Point.SCHEDULER, Point.NEWEST])
def test_the_rollup_of_each_release_runs(empty: Connection, point: Point) -> None:
    build(empty, point)
    assert empty.execute("SELECT rollup_task_usage_hourly() AS rows").fetchone() == {"rows": 0}
    assert empty.execute("SELECT FROM pg_locks WHERE locktype = 'advisory'").fetchall() == []


def test_an_empty_database_belongs_to_no_version(empty: Connection) -> None:
    assert range_of(read_marks(fetch_on(empty))) is None


def test_what_provision_makes_counts_as_the_newest_tables(owner: Connection) -> None:
    found = read_marks(fetch_on(owner))
    assert found.absent == frozenset()
    assert Change.INDEX in found.changes
