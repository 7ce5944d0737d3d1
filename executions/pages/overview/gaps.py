"""PURE: every gap of the ledger explained: plans that nobody began."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import takewhile

from django.utils.translation import gettext_lazy

from executions.health.facts.executions import ExecutionFact
from executions.health.ledger import Cell, Ledger, PlanOutcome
from executions.scheduler.spec import JobSpec
from executions.text.sentences import At, Paragraph, Sentence, say, say_counted, together


@dataclass(frozen=True)
class GapStory:
    """Plans that nobody began, with what is known of the cause and the outcome.

    ``after`` is None while no later plan has begun.
    """

    first: datetime
    last: datetime
    count: int
    before: ExecutionFact | None
    after: ExecutionFact | None
    now: datetime
    spec: JobSpec

    @property
    def anchor(self) -> str:
        """The id of the gap's explanation on the page."""
        return f"gap-{self.first.astimezone(UTC):%Y%m%dT%H%MZ}"

    @property
    def is_open(self) -> bool:
        """Whether it lasts until now."""
        return self.after is None

    @property
    def until(self) -> datetime:
        """The end of the last bucket that nobody began."""
        return self.last + self.spec.cadence

    @property
    def around(self) -> tuple[datetime, datetime]:
        """The history's time range for the gap: from the plan before it to the one after it."""
        return self.first - self.spec.cadence, self.until + self.spec.cadence

    @property
    def title(self) -> Sentence:
        if self.count == 1:
            return say("Nobody began the plan of %(first)s.", first=self._at(self.first))
        return say_counted(
            self.count,
            "Nobody began the %(n)s plan from %(first)s to %(last)s.",
            "Nobody began the %(n)s plans from %(first)s to %(last)s.",
            first=self._at(self.first),
            last=self._at(self.last),
        )

    @property
    def story(self) -> Paragraph:
        return together(self._why(), self._outcome())

    def _at(self, moment: datetime) -> At:
        return At(moment, self.now)

    def _why(self) -> Sentence:
        """A runner inside a run does not tick. Otherwise no runner ticked, or there was none."""
        before = self.before
        due = self.first + self.spec.schedule_delay
        ended = None if before is None else before.finished_at or (before.running and self.now)
        if before is not None and ended and ended > due:
            return say(
                "The run of %(plan)s was running until %(ended)s, and a runner that is"
                " inside a run does not begin another.",
                plan=self._at(before.plan_time),
                ended=self._at(ended),
            )
        return say(
            "No runner ticked then: every backend was down, restarting, or without the database."
        )

    def _outcome(self) -> Sentence:
        """Latest-only never fills a gap (docs/contract.md section 3). The watermark closes it."""
        after = self.after
        if after is None:
            return say("No later plan has begun either, so usage stands still.")
        if after.running:
            return self._still_at_it(after)
        if not after.succeeded:
            return say(
                "The next run, of %(plan)s, did not succeed either (%(status)s).",
                plan=self._at(after.plan_time),
                status=after.status,
            )
        if after.watermark_after is None:
            return say(
                "Missed plans are not run later. The next run, of %(plan)s, succeeded and goes"
                " on from the watermark, so no usage is lost.",
                plan=self._at(after.plan_time),
            )
        return self._how_far(after, after.watermark_after)

    def _still_at_it(self, after: ExecutionFact) -> Sentence:
        if after.is_stale(self.now):
            return say(
                "The next run, of %(plan)s, began but stopped reporting, so it did not close"
                " the gap.",
                plan=self._at(after.plan_time),
            )
        return say(
            "Missed plans are not run later. The next run, of %(plan)s, is running now and goes"
            " on from the watermark.",
            plan=self._at(after.plan_time),
        )

    def _how_far(self, after: ExecutionFact, watermark: datetime) -> Sentence:
        """A run that lost the lock moves nothing, and a run that catches up ends before the gap."""
        if after.moved == timedelta():
            template = gettext_lazy(
                "Missed plans are not run later. The next run, of %(plan)s, succeeded and moved"
                " nothing: the watermark stayed at %(watermark)s."
            )
        elif watermark < self.until:
            template = gettext_lazy(
                "Missed plans are not run later. The next run, of %(plan)s, took the watermark to"
                " %(watermark)s only, which lies before the end of the gap."
            )
        else:
            template = gettext_lazy(
                "Missed plans are not run later. The next run, of %(plan)s, took the watermark on"
                " to %(watermark)s, so no usage is lost."
            )
        return say(template, plan=self._at(after.plan_time), watermark=self._at(watermark))


def tell_gaps(ledger: Ledger, now: datetime, spec: JobSpec) -> tuple[GapStory, ...]:
    """Every series of missing plans, newest first: the gaps, and the silence up to now."""
    stories = [
        GapStory(gap.first, gap.last, gap.count, gap.before, gap.after, now, spec)
        for gap in ledger.gaps
    ]
    silence = _silence(ledger.cells)
    if silence:
        before = next((cell.execution for cell in reversed(ledger.cells) if cell.execution), None)
        first, last = silence[0].plan_time, silence[-1].plan_time
        stories.append(GapStory(first, last, len(silence), before, None, now, spec))
    return tuple(reversed(stories))


def _silence(cells: Sequence[Cell]) -> list[Cell]:
    """The missing plans after the newest row, oldest first."""
    silent = takewhile(lambda cell: cell.execution is None, reversed(cells))
    return [cell for cell in silent if cell.kind is PlanOutcome.MISSING][::-1]
