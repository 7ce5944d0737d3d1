"""The overview's data, made from the snapshot that all viewers share. It reads no database.

Only the week of the long plan strip is read separately, once per snapshot (`week.py`). A fact that
could not be read is a ``Problem`` here too, and its place says so.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from executions.health import snapshots
from executions.health.explain import EXPLANATIONS
from executions.health.explain.explanation import Step
from executions.health.facts import StateRow
from executions.health.facts.executions import ExecutionFact, Executions
from executions.health.facts.pg_cron import PgCronJob, RollupCall
from executions.health.findings import Finding, FindingCode, Severity
from executions.health.findings.base import of_code
from executions.health.findings.lateness import LAG, NORMAL_LAG, Limits
from executions.health.findings.writer import Whence, is_over, whence
from executions.health.ledger import WINDOW, Ledger, durations, lay, percentile
from executions.health.verdict import Level, Verdict, about_call
from executions.pages.from_snapshot import FromSnapshot
from executions.pages.history.rows import ExecutionRow, filled
from executions.pages.overview.gaps import GapStory
from executions.pages.overview.lanes import Lanes, draw_lanes
from executions.pages.overview.ours import OursShown, read_ours_shown
from executions.pages.overview.series import (
    Series,
    Sparkline,
    between_successes,
    duration_of,
    kept_by_hour,
    lag_of,
    lag_over_time,
    over_plans,
    sparkline,
)
from executions.pages.overview.strip import Strip, lay_day, lay_week
from executions.pages.overview.week import Week, week_of
from executions.pgcron.schedule import describe
from executions.scheduler.plans import oldest_open
from executions.scheduler.states import state_of
from executions.text.digest import digest
from executions.text.problem import Problem, known
from executions.text.sentences import Sentence

DAY, WEEK = "24h", "7d"
RECENT = 12


@dataclass(frozen=True)
class Redundant:
    """Schedules that call the rollup: visible pg_cron jobs, or one that shows only in its traces.

    ``in_doubt`` is set while the verdict is not good: then a schedule may be all that works.
    ``whence`` says where a schedule may be that shows only in its traces. What is kept for all
    viewers has no words: the schedules are described for each of them.
    """

    calls: tuple[RollupCall, ...]
    in_doubt: bool
    whence: Whence

    @property
    def jobs(self) -> list[tuple[PgCronJob, str]]:
        """The jobs that only repeat the rollup."""
        return [(call.job, _when(call.job)) for call in self.calls if call.repeats]

    @property
    def others(self) -> list[tuple[PgCronJob, str, Sentence]]:
        """The jobs that do other things as well, or only fail, each with what is known of it."""
        return [
            (call.job, _when(call.job), about_call(call)) for call in self.calls if not call.repeats
        ]

    @property
    def repeats(self) -> bool:
        """Whether there is a schedule that is simply not needed."""
        return bool(self.jobs) or (not self.calls and not self.may_be_gone)

    @property
    def may_be_gone(self) -> bool:
        """Whether the caller may be a job that somebody has already stopped."""
        return not self.calls and self.whence is Whence.GONE

    @property
    def may_be_hidden(self) -> bool:
        """Whether the caller may be a job that this role does not see."""
        return self.whence is Whence.HIDDEN

    @property
    def is_for_the_wizard(self) -> bool:
        return not self.calls or any(call.match.retired_by_the_wizard for call in self.calls)


@dataclass(frozen=True)
class Overview(FromSnapshot):
    """The snapshot in the shapes of the page. ``week`` is read only if it is asked for."""

    week: Week | None
    ours: OursShown

    @cached_property
    def version(self) -> str:
        """Changes with what this page shows, not with the queue or the lock's holder."""
        facts, executions = self.snapshot.facts, self.executions
        return digest(
            self.week.mark if isinstance(self.week, Ledger) else self.week,
            executions.mark if isinstance(executions, Executions) else executions,
            facts.state,
            sorted(known(facts.own_runners) or ()),
            self.verdict.level,
            [_shape(finding) for finding in self.verdict.findings],
            self.redundant,
            [one.version for one in self.ours.begun],
            [one.version for one in self.ours.untold],
            [one.number for one in self.ours.silences],
            self.ledger.mark if self.ledger else None,
        )

    @property
    def verdict(self) -> Verdict:
        return self.snapshot.verdict

    @property
    def now_there(self) -> datetime | None:
        """The present time of the database's clock. The snapshot may be some seconds old."""
        return self.now + self.snapshot.age if self.now else None

    @cached_property
    def lead(self) -> Finding | None:
        """The finding behind the verdict's sentence. It is shown with the verdict.

        An unknown verdict says why a basic could not be read, and that finding says what to do.
        """
        summary = self.verdict.summary
        reasons = [basic.reason for basic in self.snapshot.facts.basics]
        return next(
            (
                finding
                for finding in self.verdict.findings
                if finding.summary is summary or finding.evidence.get("reason") in reasons
            ),
            None,
        )

    @property
    def first_step(self) -> Step | None:
        """The first step for the finding behind the verdict, as the finding's own page has it."""
        return EXPLANATIONS[self.lead.code].steps[0] if self.lead else None

    @property
    def findings(self) -> list[Finding]:
        """The other findings, worst first."""
        return [finding for finding in self.verdict.findings if finding is not self.lead]

    @property
    def is_calm(self) -> bool:
        """Whether nothing is wrong: then what is for information only stands folded."""
        findings = self.verdict.findings
        return self.verdict.level is Level.HEALTHY and all(
            finding.severity is Severity.INFO for finding in findings
        )

    # --- What the parts are made of ---------------------------------------------------------------

    @property
    def executions(self) -> Executions | Problem:
        return self.snapshot.facts.executions

    @property
    def state(self) -> StateRow | Problem | None:
        return self.snapshot.facts.state

    @property
    def watermark(self) -> datetime | None:
        state = known(self.state)
        return state.watermark_at if state else None

    @property
    def says_how_far(self) -> bool:
        """Whether the verdict's sentence tells the watermark already."""
        summary = self.verdict.summary
        sentences = (summary,) if isinstance(summary, Sentence) else summary.sentences
        return any("watermark" in sentence.values for sentence in sentences)

    @cached_property
    def ledger(self) -> Ledger | None:
        """The verdict's own ledger; if it lacks another fact, one made from the rows."""
        executions = known(self.executions)
        if self.snapshot.ledger or executions is None or self.now is None:
            return self.snapshot.ledger
        facts = self.snapshot.facts
        return lay(executions, self.now, facts.spec, unwatched=facts.known_unwatched)

    @property
    def is_empty(self) -> bool:
        """Whether nothing has ever run, as far as can be seen."""
        return isinstance(self.executions, Executions) and self.executions.newest is None

    @property
    def is_on_standby(self) -> bool:
        """Whether this is a standby's data. Then the page offers nothing that would write."""
        return self.snapshot.is_on_standby

    @property
    def is_dark(self) -> bool:
        """Whether neither executions nor state can be read, for a reason in the verdict."""
        return isinstance(self.executions, Problem) and self.executions == self.state

    @cached_property
    def _rows(self) -> tuple[ExecutionFact, ...]:
        """The executions of the ledger's window, newest first."""
        executions = known(self.executions)
        if executions is None or not self.ledger or not self.ledger.cells:
            return ()
        first = self.ledger.cells[0].plan_time
        return tuple(row for row in executions.rows if row.plan_time >= first)

    # --- The parts --------------------------------------------------------------------------------

    @cached_property
    def strip(self) -> Strip | Problem | None:
        if isinstance(self.executions, Problem):
            return self.executions
        if isinstance(self.week, Problem):
            return self.week
        if self.ledger is None or self.now is None:
            return None
        spec = self.snapshot.facts.spec
        if self.week:
            return lay_week(self.week, self.now, spec)
        return lay_day(self.ledger, self.now, spec)

    @cached_property
    def open_gap(self) -> GapStory | None:
        """The gap that lasts until now, if the strip shows one."""
        gaps = self.strip.gaps if isinstance(self.strip, Strip) else ()
        return next((gap for gap in gaps if gap.is_open), None)

    @cached_property
    def lanes(self) -> Lanes | None:
        if not self._rows or self.now is None:
            return None
        ours = known(self.snapshot.facts.own_runners) or frozenset()
        return draw_lanes(self._rows, ours, self.now, WINDOW)

    @cached_property
    def durations(self) -> Series:
        return over_plans(self.ledger, duration_of) if self.ledger else Series((), ())

    @cached_property
    def lags(self) -> Series:
        return over_plans(self.ledger, lag_of) if self.ledger else Series((), ())

    @cached_property
    def lag_course(self) -> Series:
        """The lag at every moment of the day, up to now."""
        return lag_over_time(self._rows, self.now, self.watermark) if self.now else Series((), ())

    @property
    def normal_lag(self) -> tuple[timedelta, timedelta]:
        return NORMAL_LAG

    @property
    def lag_limits(self) -> Limits:
        return LAG

    @cached_property
    def recent(self) -> list[ExecutionRow]:
        executions, now = known(self.executions), self.now
        if executions is None or now is None:
            return []
        ours = known(self.snapshot.facts.own_runners) or frozenset()
        oldest = oldest_open(self.snapshot.facts.spec, now)
        newest = executions.newest.plan_time if executions.newest else None
        return [
            ExecutionRow(row, state_of(row, now, newest, oldest), row.runner_id in ours)
            for row in executions.rows[:RECENT]
        ]

    @cached_property
    def recent_columns(self) -> frozenset[str]:
        return filled(self.recent)

    @cached_property
    def redundant(self) -> Redundant | None:
        """What can be retired; None while there is no runner that would carry on.

        A job that is being retired has a card of its own instead. In another database the same
        number is another job's.
        """
        pg_cron = known(self.snapshot.facts.pg_cron)
        begun = {one.jobid for one in self.ours.begun if one.may_be_in(pg_cron)}
        found = self.snapshot.facts.rollup_calls
        calls = tuple(call for call in found if call.job.jobid not in begun)
        trace = of_code(FindingCode.OTHER_WRITER, self.verdict.findings)
        trace = None if trace and is_over(trace) else trace
        if (not calls and (trace is None or begun)) or not self._rows:
            return None
        return Redundant(
            calls,
            in_doubt=self.verdict.level in (Level.FAILING, Level.UNKNOWN),
            whence=whence(self.snapshot.facts, trace),
        )

    # --- The figures ------------------------------------------------------------------------------

    @cached_property
    def latest_success(self) -> ExecutionFact | None:
        executions = known(self.executions)
        return executions.latest_success(self.now) if executions and self.now else None

    @property
    def latest_success_at(self) -> datetime | None:
        success = self.latest_success
        return success.proven_at(self.now) if success and self.now else None

    @cached_property
    def _taken(self) -> list[int]:
        return durations(self._rows)

    @property
    def p50_ms(self) -> float | None:
        return percentile(self._taken, 0.5)

    @property
    def p95_ms(self) -> float | None:
        return percentile(self._taken, 0.95)

    @cached_property
    def success_spark(self) -> Sparkline:
        return sparkline(between_successes(self._rows))

    @cached_property
    def lag_spark(self) -> Sparkline:
        return sparkline(self.lag_course.by_hour(max), normal=NORMAL_LAG)

    @cached_property
    def kept_spark(self) -> Sparkline:
        shares = kept_by_hour(self.ledger) if self.ledger else []
        return sparkline([None if share is None else 100 * share for share in shares])

    @cached_property
    def duration_spark(self) -> Sparkline:
        return sparkline(self.durations.by_hour(lambda values: percentile(values, 0.95)))


# Everything made from a snapshot is made once for all viewers: the newest overview of each window.
_kept: dict[str, Overview] = {}


def read_overview(window: str = DAY, *, anew: bool = False) -> Overview:
    """The present overview from the snapshot. Never raises for Multica's database.

    Our own tables are read once per snapshot, and ``anew`` when a page is opened, so that people
    see what they have just done.
    """
    snapshot = snapshots.current()
    kept = _kept.get(window)
    if kept is None or kept.snapshot is not snapshot:
        week = week_of(snapshot) if window == WEEK else None
        kept = _kept[window] = Overview(snapshot, week, read_ours_shown(snapshot))
    elif anew and (ours := read_ours_shown(snapshot)) != kept.ours:
        kept = _kept[window] = Overview(snapshot, kept.week, ours)
    return kept


def _when(job: PgCronJob) -> str:
    return describe(job.schedule, both_days=job.both_days)


def _shape(finding: Finding) -> tuple[object, ...]:
    """A finding without its sentences, whose ages change merely because time passes."""
    explained = [_shape(one) for one in finding.explains]
    return (finding.code, finding.severity, finding.evidence, explained)
