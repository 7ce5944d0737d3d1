"""``manage.py runrollup``: a runner in the foreground, or one tick of it.

A runner that keeps running also continues retirements and watches the verdict, like every
long-running process of ours: an installation may have no other.
"""

import json
import logging
import math
import os
import signal
import sys
import threading
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from executions.alarms.background import watching
from executions.database.problems import diagnose
from executions.models import Runner
from executions.retirement.background import ticking
from executions.scheduler.bounds import said
from executions.scheduler.connecting import connect_runner
from executions.scheduler.jobs import JOBS
from executions.scheduler.leases import ClaimOutcome, rfc3339
from executions.scheduler.preflight import CannotRun, check_database
from executions.scheduler.registry import RememberedRunner, new_runner_id
from executions.scheduler.reports import TickReport
from executions.scheduler.runner import TICK_SECONDS, JobRunner
from executions.scheduler.spec import JobSpec
from executions.text.sentences import listed
from multica_admin.embedded import ensure_running

logger = logging.getLogger(__name__)

COULD_NOT_TRY = 2
LONGEST_TICK = 3600


class Command(BaseCommand):
    help = gettext_noop(
        "Runs the usage rollup (and any other job) as a scheduler replica beside Multica's own."
        " One line per outcome: plan_time, job, scope, claim outcome, status, rows, milliseconds."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help=_("one tick, then exit"))
        parser.add_argument("--runner-id", help=_("instead of host, pid and a random part"))
        parser.add_argument(
            "--tick-interval", default=str(TICK_SECONDS), metavar="SECONDS", help=_("default 30")
        )
        parser.add_argument("--job", metavar="NAME", help=_("only this job; default all"))
        parser.add_argument("--json", action="store_true", help=_("one JSON object per line"))

    def handle(self, **options: Any) -> None:
        for stream in (self.stdout, self.stderr):
            # A character that the stream's encoding lacks must not lose the line.
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        try:
            tick_seconds = _tick_seconds(options["tick_interval"])
            specs = _chosen(options["job"])
            runner_id = _runner_id(options["runner_id"])
            if settings.MULTICA_IS_EMBEDDED:
                ensure_running()
            check_database(connect_runner, specs)
            ensure_running()
        except CannotRun as error:
            raise _refusal(str(error)) from None
        runner = JobRunner(
            specs,
            connect_runner,
            runner_id=runner_id,
            presence=RememberedRunner(
                runner_id, Runner.Kind.COMMAND, None if options["once"] else tick_seconds
            ),
            report=lambda report: self._print(
                _as_json(report) if options["json"] else _as_text(report)
            ),
        )
        if options["once"]:
            with _signals(runner, runner.cancel):
                self._once(runner, explain=not options["json"])
        else:
            _stay(runner, tick_seconds)

    def _once(self, runner: JobRunner, *, explain: bool) -> None:
        try:
            with runner:
                reports = runner.tick()
        except psycopg.Error as error:
            raise _refusal(diagnose(error).sentence()) from None
        except Exception as error:
            logger.exception("The tick failed")
            why = f"{type(error).__name__}: {said(error)}"
            raise _refusal(_("The tick failed: %(why)s.") % {"why": why}) from None
        untried = _untried(runner, reports)
        if explain:
            for report in reports:
                if not _could_not_try(report):
                    self._print(_explanation(report))
        if untried:
            raise _refusal(" ".join(untried))
        if any(_failed(report) for report in reports):
            sys.exit(1)

    def _print(self, line: str) -> None:
        """Write a line. Nobody has to read it: a reader that goes away must not end the runner."""
        try:
            self.stdout.write(line)
            self.stdout.flush()
        except OSError as error:
            logger.warning("The runner goes on without its lines of output: %s", error)
            # Text that is left in the buffer would fail again when Python exits.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.stdout.fileno())
            os.close(nowhere)


def _refusal(sentence: str) -> CommandError:
    return CommandError(sentence, returncode=COULD_NOT_TRY)


def _stay(runner: JobRunner, tick_seconds: float) -> None:
    """Run until drained, with the retirements and the watch. A second signal waits for none."""
    # The runner's row is in our own tables, so the runner already reports that they are away.
    retirements = ticking(says_when_away=False)
    watch = watching(says_when_away=False)

    def cancel() -> None:
        retirements.abandon()
        runner.cancel()

    # Start the thread while the signals are blocked, so that it does not receive them.
    with _signals(runner, cancel):
        retirements.start()
        watch.start()
        try:
            runner.run(tick_seconds)
        finally:
            watch.abandon()  # nothing of a look is lost
            retirements.stop()


def _tick_seconds(given: str) -> float:
    try:
        seconds = float(given)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= LONGEST_TICK:
        raise CannotRun(
            _(
                "--tick-interval is %(given)s; give a number of seconds above 0 and up to %(most)s,"
                " such as %(usual)s."
            )
            % {"given": given, "most": LONGEST_TICK, "usual": f"{TICK_SECONDS:g}"}
        )
    return seconds


def _chosen(name: str | None) -> list[JobSpec]:
    if name is None:
        return list(JOBS.values())
    if name not in JOBS:
        raise CannotRun(
            _("There is no job named %(name)r; the jobs are %(jobs)s.")
            % {"name": name, "jobs": listed(JOBS)}
        )
    return [JOBS[name]]


def _runner_id(given: str | None) -> str:
    if given is None:
        return new_runner_id()
    if not given.strip() or not given.isprintable():
        raise CannotRun(
            _("--runner-id is %(given)r; give a readable name, or leave it out.") % {"given": given}
        )
    return given


def _failed(report: TickReport) -> bool:
    """Whether this runner ran the plan without success."""
    return report.attempt is not None and report.status != "SUCCESS"


def _could_not_try(report: TickReport) -> bool:
    return report.outcome is None and report.error_msg is not None


def _untried(runner: JobRunner, reports: list[TickReport]) -> list[str]:
    """The plans that one tick could not try, with a sentence for each reason."""
    sentences = [
        _("Nobody can tell what is due for %(job)s. %(why)s.")
        % {"job": report.job, "why": report.error_msg}
        for report in reports
        if _could_not_try(report)
    ]
    reported = {(report.job, report.scope) for report in reports}
    left = [
        spec.name
        for spec in runner.specs
        if any((spec.name, scope) not in reported for scope in spec.scopes)
    ]
    if left:  # the tick raised nothing, so it was stopped
        sentences.append(
            _("The runner was told to stop before it had tried %(jobs)s.") % {"jobs": listed(left)}
        )
    return sentences


def _as_text(report: TickReport) -> str:
    fields = (
        rfc3339(report.plan_time) if report.plan_time else None,
        report.job,
        report.scope,
        report.outcome,
        report.status,
        report.rows,
        report.duration_ms,
    )
    return " ".join("-" if field is None else str(field) for field in fields)


def _as_json(report: TickReport) -> str:
    """JSON in ASCII, which every stream can encode without escapes of its own."""
    return json.dumps(
        {
            "plan_time": rfc3339(report.plan_time) if report.plan_time else None,
            "job": report.job,
            "scope": str(report.scope),
            "outcome": report.outcome,
            "status": report.status,
            "rows": report.rows,
            "duration_ms": report.duration_ms,
            "attempt": report.attempt,
            "error_code": report.error_code,
            "error_msg": report.error_msg,
        }
    )


def _explanation(report: TickReport) -> str:
    """The result of `--once`, as a sentence."""
    if report.outcome is None:
        return _("Nothing is due for %(job)s.") % {"job": report.job}
    if report.outcome is ClaimOutcome.CONFLICT:
        holder = {"runner": report.holder or "—"}
        if report.status == "FAILED":
            return (
                _("The plan failed and nothing is due for it now; its last runner was %(runner)s.")
                % holder
            )
        return _("Another runner has this plan: %(runner)s.") % holder
    if report.status is None:
        return _(
            "The end of the run was not written: the lease was lost, or this runner had to end."
        )
    if report.error_msg is None:
        return _("This runner ran the plan.")
    return _("This runner ran the plan and it failed: %(why)s") % {"why": report.error_msg}


@contextmanager
def _signals(runner: JobRunner, cancel: Callable[[], None]) -> Iterator[None]:
    """The first SIGTERM or SIGINT drains the runner; the next cancels it.

    A thread waits for them. A signal handler would run in the middle of the main thread's work,
    with whatever locks that holds.
    """
    wanted = {signal.SIGTERM, signal.SIGINT}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, wanted)
    over = threading.Event()

    def wait() -> None:
        while True:
            signal.sigwait(wanted)
            if over.is_set():
                return
            if runner.draining:
                cancel()
            else:
                runner.drain()

    waiter = threading.Thread(target=wait, name="signals", daemon=True)
    waiter.start()
    try:
        yield
    finally:
        over.set()
        signal.pthread_kill(waiter.ident or 0, signal.SIGTERM)
        waiter.join()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
