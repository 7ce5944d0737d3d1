"""``manage.py backfill_task_usage_hourly``: sum all usage again, and set the watermark."""

from __future__ import annotations

import signal
import threading
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from types import FrameType
from typing import IO, Any, cast

import psycopg
from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop, ngettext

from executions.database.connections import Connection, runner_connection
from executions.database.direct import OnStandby
from executions.database.problems import diagnose
from executions.database.reading import fetch_on
from executions.database.still_answering import given_up_if_silent
from executions.health.facts.sessions import DatabaseSession
from executions.management.progress import Slices, StillThere
from executions.rollup import backfill
from executions.rollup.backfill import Extent, Locked, Partial, Slice, Sliced
from executions.rollup.lock import BACKFILL_NAME
from executions.rollup.proven import WindowSource
from executions.rollup.summing import read_source
from executions.scheduler.leases import rfc3339
from executions.text.beyond import in_words, select
from executions.text.durations import parse_duration
from executions.text.sentences import listed
from multica_admin.embedded import ensure_running

ON_STANDBY, INTERRUPTED = 2, 130
CANCEL_SECONDS = 0.5
_NOTHING = gettext_lazy("Nothing was changed.")


def _months(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 4):
        raise ArgumentTypeError(_("%(text)r is no number of months") % {"text": text})
    return int(text)


class Command(BaseCommand):
    help = gettext_noop(
        "Sum all usage again, month by month, and set the watermark. Safe to interrupt and to"
        " repeat. While it runs no rollup does, and Multica answers 503 to deleting a workspace."
    )
    requires_system_checks: list[str] = []
    # Whether a month may have been summed. Before that there is nothing to continue.
    _has_begun = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--dry-run", action="store_true", help=_("say what it would do; takes no lock")
        )
        parser.add_argument(
            "--months-back", type=_months, metavar="N", help=_("leave out what is older, for good")
        )
        parser.add_argument(
            "--force-partial", action="store_true", help=_("yes, leave older usage out for good")
        )
        parser.add_argument(
            "--sleep-between-slices", type=parse_duration, default="0", metavar="2s",
            help=_("rest between two months; default none"),
        )  # fmt: skip
        parser.add_argument(
            "--lock-timeout", type=parse_duration, default="30s", metavar="30s",
            help=_("how long to wait for another rollup; default 30s"),
        )  # fmt: skip
        parser.add_argument(
            "--use-installed-function", action="store_true",
            help=_(
                "sum with the installed window function even where our own statements are equal"
            ),
        )  # fmt: skip

    def handle(self, *args: Any, **options: Any) -> None:
        ensure_running()
        try:
            connection = runner_connection(BACKFILL_NAME)
        except OnStandby as error:
            raise CommandError(diagnose(error).sentence(), returncode=ON_STANDBY) from None
        except psycopg.Error as error:
            raise CommandError(diagnose(error).sentence()) from None
        with closing(connection), _interruption(connection) as interruption:
            try:
                with given_up_if_silent(connection):
                    self._backfill(connection, interruption, options)
            except (Partial, Locked) as refusal:
                raise CommandError(_why_not(refusal)) from None
            except psycopg.Error as error:
                if interruption.asked:
                    raise self._stopped() from None
                sentence = f"{diagnose(error).sentence()} {self._after_a_failure()}"
                raise CommandError(sentence) from None

    def _backfill(
        self, connection: Connection, interruption: Interruption, options: dict[str, Any]
    ) -> None:
        extent = backfill.read_extent(fetch_on(connection))
        months = backfill.slices(extent, options["months_back"], partial=options["force_partial"])
        self._say(_standing(extent, months))
        if extent.beyond:
            self._say(_left_out(extent))
        source = read_source(fetch_on(connection))
        asked = options["use_installed_function"]
        self._say(_how(source, asked=asked))
        if options["dry_run"]:
            for one in months:
                rows = backfill.usage_rows(connection, one)
                told = {"month": _name(one), "rows": f"{rows:,}"}
                self._say(_("%(month)s: %(rows)s usage rows") % told)
            self._say(_("Nothing was changed: this was a dry run."))
            return
        with StillThere(self._say, _("waiting for lock 4246")):
            backfill.take_lock(connection, options["lock_timeout"])
        pause = options["sleep_between_slices"]
        self._has_begun = True
        out = cast("IO[str]", self.stdout)
        with interruption.gentle() as stop, Slices(out, len(months)) as progress:
            watermark = backfill.walk(
                connection, months, proven=None if asked else source.proven, pause=pause,
                stop=stop, begun=lambda one: progress.begin(_name(one)),
                done=lambda one: progress.end(_line(one)),
            )  # fmt: skip
        if watermark is None:
            raise self._stopped()
        self._say(
            _("Done: usage is summed up to %(time)s; the rollup continues from there.")
            % {"time": rfc3339(watermark)}
        )

    def _after_a_failure(self) -> str:
        if not self._has_begun:
            return str(_NOTHING)
        return _("Months that were done stay done, and the watermark was not moved: run it again.")

    def _after_a_stop(self) -> str:
        if not self._has_begun:
            return str(_NOTHING)
        return _(
            "Months that were summed stand, and the watermark was not moved. Run the same command"
            " again to go on: a month that is right already is looked at and not written again."
        )

    def _stopped(self) -> CommandError:
        stopped = _("Stopped. %(so_far)s") % {"so_far": self._after_a_stop()}
        return CommandError(stopped, returncode=INTERRUPTED)

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


class Interruption:
    """Handles Ctrl-C: during the walk it stops between two months, at any other time at once.

    A second Ctrl-C stops the current month, which is rolled back. A thread does the work, because a
    signal handler must not wait for a lock.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stop = threading.Event()
        self._over = threading.Event()
        self._gentle = False
        self.asked = False

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        at_once = self.asked or not self._gentle
        self.asked = True
        threading.Thread(target=self._act, args=[at_once], daemon=True).start()

    def _act(self, at_once: bool) -> None:
        self._stop.set()
        # Repeat it: the first cancel may fall between two statements, and then it stops nothing.
        while at_once and not self._over.is_set():
            with suppress(psycopg.Error):
                self._connection.cancel_safe(timeout=CANCEL_SECONDS)
            self._over.wait(CANCEL_SECONDS)

    def over(self) -> None:
        """The work is done: there is nothing left to stop."""
        self._over.set()

    @contextmanager
    def gentle(self) -> Iterator[threading.Event]:
        """From now on the first Ctrl-C only sets the event."""
        self._gentle = True
        yield self._stop


@contextmanager
def _interruption(connection: Connection) -> Iterator[Interruption]:
    interruption = Interruption(connection)
    before = {number: signal.signal(number, interruption) for number in _SIGNALS}
    try:
        yield interruption
    finally:
        interruption.over()
        for number, handler in before.items():
            signal.signal(number, handler)


_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def _standing(extent: Extent, months: list[Slice]) -> str:
    if not months:
        return _("There is no usage to sum: only the watermark is set.")
    mark = extent.watermark_at
    watermark = (in_words(mark) or rfc3339(mark)) if mark else _("missing")
    return ngettext(
        "%(n)s month of usage, %(first)s to %(last)s; the watermark is %(watermark)s.",
        "%(n)s months of usage, %(first)s to %(last)s; the watermark is %(watermark)s.",
        len(months),
    ) % {
        "n": len(months),
        "first": _name(months[0]),
        "last": _name(months[-1]),
        "watermark": watermark,
    }


def _left_out(extent: Extent) -> str:
    columns = [f"{table}.{name}" for table, names in extent.beyond.items() for name in names]
    statements = " ".join(select(table, names) for table, names in extent.beyond.items())
    return _(
        "A time that is infinite or outside the years 1 to 9999 stands in %(columns)s."
        " Usage with such a time is left out; the watermark is set right at the end. To see those"
        " rows, run: %(statements)s"
    ) % {"columns": listed(columns), "statements": statements}


def _how(source: WindowSource, *, asked: bool) -> str:
    """Which statements sum a month, and why."""
    if asked:
        return _(
            "Each month goes through the installed window function, as --use-installed-function"
            " asks."
        )
    if source.proven:
        return _(
            "Each month is summed by statements of our own. They give the same buckets as the"
            " installed window function, which is that of %(whose)s."
        ) % {"whose": source.proven.whose}
    if source.known:
        return _(
            "Each month goes through the installed window function, because our own statements"
            " rely on two facts, and one does not hold here:"
            " task_usage_hour_bucket cuts at UTC hours, and task_usage is unique by task_id,"
            " provider and model. On a large install that can take hours."
        )
    return _(
        "Each month goes through the installed window function, because its source (sha256"
        " %(sha256)s) is none that our own statements were proven equal to. On a large install that"
        " can take hours."
    ) % {"sha256": (source.sha256 or "—")[:12]}


def _name(one: Slice) -> str:
    return f"{one.since:%Y-%m}"


def _line(one: Sliced) -> str:
    return _("%(month)s: %(buckets)s buckets changed in %(seconds)s s") % {
        "month": _name(one.slice),
        "buckets": f"{one.buckets:,}",
        "seconds": f"{one.seconds:.1f}",
    }


def _why_not(refusal: Partial | Locked) -> str:
    if isinstance(refusal, Partial):
        return _(
            "There is usage from %(oldest)s, and --months-back begins with %(since)s. The usage"
            " from %(first)s to %(last)s would be abandoned: it would never be summed up, because"
            " the watermark passes it all the same. Leave --months-back out, or add"
            " --force-partial. Nothing was changed."
        ) % {
            "oldest": f"{refusal.oldest:%Y-%m}",
            "since": f"{refusal.since:%Y-%m}",
            "first": f"{refusal.oldest:%Y-%m-%d}",
            "last": f"{refusal.since - timedelta(days=1):%Y-%m-%d}",
        }
    return _(
        "Lock 4246 is held by %(who)s: another rollup or backfill is at work. Try again later, or"
        " wait longer with --lock-timeout. Nothing was changed."
    ) % {"who": _who(refusal.holders)}


def _who(holders: tuple[DatabaseSession, ...]) -> str:
    if not holders:
        return _("a session that has ended by now")
    return str(
        listed(
            _("process %(pid)s (%(name)s, %(role)s)")
            % {
                "pid": one.pid,
                "name": one.application_name or _("no name"),
                "role": one.user or _("unknown role"),
            }
            for one in holders
        )
    )
