"""The whole product, started on somebody's Multica as a process: it reads and writes nothing."""

from __future__ import annotations

import pytest

from tests import environment
from tests.processes import free_port
from tests.sizes import few
from tests.starting import QUICKSTART, Browser, after_a_first_start, start, started_before, var
from tests.web.test_attached import everything

__all__ = ["after_a_first_start", "start", "started_before", "var"]


@pytest.mark.parametrize("role", few(["upstream_owner", "multica_view"], 1))
def test_started_on_a_multica_it_shows_every_page_and_writes_nothing_there(
    start, upstream, connect, every_page, role
):
    administrator = connect("postgres", database="upstream")
    before = everything(administrator)
    port = free_port()
    env = {"DATABASE_URL": environment.url(role, "upstream"), "WEB_CONCURRENCY": "1"}
    process = start(*QUICKSTART, str(port), **env)
    process.wait_for("User name: admin")
    process.wait_for("Listening at")
    browser = Browser(port)
    assert "Success" in browser.sign_in()
    for path in every_page:
        page = browser.get(path)
        assert "Demo data" not in page, path
        assert "Reference in the log" not in page, path
    assert everything(administrator) == before
    assert process.stop() == 0
    assert everything(administrator) == before


def test_what_it_may_not_see_is_one_line_in_the_log(start, started_before, upstream):
    upstream.execute("REVOKE SELECT ON sys_cron_executions FROM multica_view")
    upstream.execute("ALTER TABLE task_usage_hourly_rollup_state DROP COLUMN last_run_finished_at")
    process = start(
        *QUICKSTART, str(free_port()), DATABASE_URL=environment.url("multica_view", "upstream")
    )
    process.wait_for("Listening at")
    process.stop()
    for named in ("sys_cron_executions", "last_run_finished_at"):
        lines = [line for line in process.seen if named in line]
        assert len(lines) == 1, lines
    assert not any("Traceback" in line for line in process.seen)
