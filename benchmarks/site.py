"""The project in this process and signed in, for `benchmarks.pages`; needs Django set up."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.cache import cache
from django.core.management import call_command
from django.db import connections
from django.template.response import TemplateResponse
from django.test import Client, RequestFactory
from psycopg.conninfo import conninfo_to_dict

from executions.health import snapshots
from executions.models import Execution
from executions.pages.history.cursors import Cursor
from executions.pages.history.filters import Filters, write_scope, write_time
from executions.pages.history.plans import read_plans
from executions.pages.live import forget_shared
from executions.pages.overview import week
from executions.scheduler.jobs import ROLLUP
from executions.scheduler.spec import Scope
from executions.text.problem import Problem
from multica_admin.databases import admin_alias, reader_alias
from multica_admin.gunicorn import settle_garbage_collection
from multica_admin.stack import with_room

HOST = "localhost"


class StockAdmin(admin.ModelAdmin):
    """Django's stock list for the table, with a filter."""

    list_display = ("plan_time", "job_name", "status", "attempt", "runner_id")
    list_filter = ("status",)


class Site:
    """Reads one table or the other; our own tables are beside the first."""

    def __init__(self, tables: Mapping[str, str]) -> None:
        logging.disable(logging.WARNING)
        conninfos = {size: _texts(conninfo_to_dict(table)) for size, table in tables.items()}
        self.sizes = list(tables)
        aliases = {"default": admin_alias(conninfos[self.sizes[0]])}
        aliases |= {size: reader_alias(conninfo) for size, conninfo in conninfos.items()}
        for alias, configured in connections.configure_settings(aliases).items():
            connections.settings[alias] = configured
            connections[alias] = connections.create_connection(alias)
        settings.ADMIN_CONNINFO = conninfos[self.sizes[0]]
        settings.MULTICA_IS_EMBEDDED = False
        call_command("migrate", verbosity=0, interactive=False)
        call_command("collectstatic", verbosity=0, interactive=False)
        self._user = User.objects.create_superuser("bench")
        # Like a browser's request, so that compression counts.
        self._client = Client(SERVER_NAME=HOST, headers={"Accept-Encoding": "gzip"})
        self._client.force_login(self._user)
        self._get = with_room(self._client.get)  # as a web process does
        settle_garbage_collection()  # likewise

    @property
    def session(self) -> dict[str, str]:
        """The cookie that signs a browser in."""
        name = settings.SESSION_COOKIE_NAME
        return {"name": name, "value": self._client.cookies[name].value}

    @contextmanager
    def reading(self, size: str) -> Iterator[list[str]]:
        """Pages read that table; the list is given each statement that they ask of it."""
        asked: list[str] = []

        def note(execute: Any, statement: str, *rest: Any) -> Any:
            asked.append(statement)
            return execute(statement, *rest)

        connections["multica"] = connections[size]
        with connections[size].execute_wrapper(note):
            yield asked

    def address(self, size: str, path: str) -> str:
        """The path with its braces filled from rows of that table."""
        with self.reading(size):
            rollup = Execution.objects.filter(job_name=ROLLUP.name).order_by("-plan_time")
            row, day = rollup[5], rollup[288].plan_time
            dispatch = Execution.objects.filter(job_name="autopilot_schedule_dispatch")
            other = dispatch.order_by("scope_kind", "scope_id", "-plan_time")[5]
            second = read_plans(Filters()).page
        assert not isinstance(second, Problem)
        days_ago = day - timedelta(days=4)
        places = {
            "id": row.id,
            "runner": row.runner_id,
            "scope": write_scope(Scope(other.scope_kind, other.scope_id)),
            "since": write_time(day - timedelta(days=1)),
            "until": write_time(day),
            "second": second.older,
            "days_ago": Cursor("ended", days_ago),
            "plan_days_ago": Cursor("scope", days_ago),
        }
        return path.format(**{name: quote(str(place)) for name, place in places.items()})

    def ask(self, path: str, *, part: bool) -> float:
        """Milliseconds of one request, whole or as a live part, with nothing cached from before.

        Raises:
            RuntimeError: the answer is not the page.
        """
        snapshots.forget()
        week.forget()
        forget_shared()
        cache.clear()
        began = time.perf_counter()
        answer = self._get(path, headers={"HX-Request": "true"} if part else {})
        took = time.perf_counter() - began
        if answer.status_code != 200:
            raise RuntimeError(f"{path} answered {answer.status_code}")
        return 1000 * took

    def ask_stock_admin(self, _size: str) -> float:
        """Milliseconds of the stock list's own queries, without its template."""
        request = RequestFactory(SERVER_NAME=HOST).get("/")
        request.user = self._user
        stock = StockAdmin(Execution, admin.AdminSite())
        began = time.perf_counter()
        answer = stock.changelist_view(request)
        assert isinstance(answer, TemplateResponse)
        assert answer.context_data is not None
        list(answer.context_data["cl"].result_list)
        return 1000 * (time.perf_counter() - began)


def _texts(conninfo: Mapping[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in conninfo.items() if value is not None}
