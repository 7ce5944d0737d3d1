"""Drift: raw usage against the buckets, hour by hour, over a window that the viewer picks.

Nothing is compared before somebody asks for it, because it reads every row of the window. It
changes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy
from django.views.decorators.http import require_safe

from executions.accounts.requests import LiveRequest
from executions.database.kept import Kept
from executions.database.problems import or_problem
from executions.database.reading import fetch_for_dashboard
from executions.health import snapshots
from executions.health.explain.explanation import Step
from executions.health.explain.watermark import LOOK_THEN_BACKFILL
from executions.health.facts import DriftHour, Ground, StateRow
from executions.health.read import refuse_hidden
from executions.pages.history.filters import parse
from executions.rollup.drift import READ_FOR_DRIFT, LongDrift, read_drift_back
from executions.text.problem import Problem
from executions.text.sentences import At, Sentence, Text, say, say_counted, together

# By the word in the address.
SPANS: Mapping[str, tuple[timedelta, Promise]] = {
    "6h": (timedelta(hours=6), _("6 hours")),
    "24h": (timedelta(hours=24), _("24 hours")),
    "7d": (timedelta(days=7), _("7 days")),
    "30d": (timedelta(days=30), _("30 days")),
}
MOST_LISTED = 100
# A comparison is costly, and its answer changes only with the watermark.
KEPT_SECONDS = 30.0

_NO_STATE = _("There is no watermark, so nobody knows which hours should be complete.")


@dataclass(frozen=True)
class Part:
    """Usage or buckets that no comparison can judge, and why."""

    label: Promise
    events: int
    why: Promise


@dataclass(frozen=True)
class DriftPage:
    """``found`` is None until a window is asked for. ``chosen`` is the window's word, or empty."""

    now: datetime | None
    chosen: str = ""
    found: LongDrift | Problem | None = None

    @property
    def problem(self) -> Problem | None:
        """Why nothing could be compared, or why the comparison ended early."""
        return self.found.stopped if isinstance(self.found, LongDrift) else self.found

    @property
    def comparison(self) -> LongDrift | None:
        """The hours that were compared; None if there is none."""
        found = self.found
        return found if isinstance(found, LongDrift) and found.reached_any else None

    @property
    def windows(self) -> list[tuple[str, Promise, bool]]:
        return [(name, label, name == self.chosen) for name, (_span, label) in SPANS.items()]

    @property
    def hours(self) -> tuple[DriftHour, ...]:
        return self.comparison.drift.hours if self.comparison else ()

    @property
    def differing(self) -> list[DriftHour]:
        """The hours that differ, newest first."""
        return list(self.comparison.drift.differing[::-1]) if self.comparison else []

    @property
    def listed(self) -> list[DriftHour]:
        return self.differing[:MOST_LISTED]

    @property
    def more(self) -> int:
        return max(0, len(self.differing) - MOST_LISTED)

    @property
    def summary(self) -> Text:
        compared = len(self.comparison.drift.compared) if self.comparison else 0
        if not compared:
            return say("There is no usage in these hours that could be compared.")
        if not self.differing:
            return say_counted(
                compared,
                "Usage and buckets agree in the %(n)s hour that has usage.",
                "Usage and buckets agree in all %(n)s hours that have usage.",
            )
        return together(
            say(
                ngettext_lazy(
                    "%(n)s of the %(compared)s hour with usage does not add up.",
                    "%(n)s of the %(compared)s hours with usage do not add up.",
                    "compared",
                ),
                n=len(self.differing),
                compared=compared,
            ),
            self._by_how_much(),
        )

    def _by_how_much(self) -> Sentence:
        missed = sum(hour.missed_events for hour in self.hours)
        surplus = sum(hour.surplus_events for hour in self.hours)
        if not missed and not surplus:
            return say("The buckets have as many events, and other tokens.")
        return say(
            "Events that the buckets lack: %(missed)s. Events that they have too many: %(more)s.",
            missed=missed,
            more=surplus,
        )

    @property
    def reach(self) -> Sentence | None:
        """How far the comparison came, if not all the way."""
        found = self.comparison
        if found is None or found.is_whole or self.now is None:
            return None
        return say(
            "The time for one comparison was over, so it came back to %(since)s only. Nothing"
            " is known of the hours before. Pick a shorter window, or look when the database"
            " has less to do.",
            since=At(found.drift.since, self.now),
        )

    @property
    def parts(self) -> tuple[Part, ...]:
        """The usage that the comparison left out, by reason."""
        return (
            Part(
                _("Usage without a runtime"),
                sum(hour.without_runtime_events for hour in self.hours),
                _("It counts for nothing, because the rollup sums by runtime."),
            ),
            Part(
                _("Buckets of deleted agents"),
                sum(hour.orphaned_events for hour in self.hours),
                _("They stay when an agent is deleted, and its raw usage is gone."),
            ),
            Part(
                _("Changed after the watermark"),
                sum(hour.unsettled_events for hour in self.hours),
                _("The rollup has not come to it yet."),
            ),
            Part(
                _("Waiting to be summed again"),
                sum(hour.queued_events for hour in self.hours),
                _("Something about it changed; the next runs sum it again."),
            ),
        )

    @property
    def steps(self) -> tuple[Step, ...]:
        return LOOK_THEN_BACKFILL if self.differing else ()


_kept: Kept[DriftPage] = Kept(lambda _page: KEPT_SECONDS, most=len(SPANS))
forget = _kept.forget


@require_safe
def drift(request: LiveRequest) -> HttpResponse:
    """The page; with ``?window=`` the comparison. The same question is asked once in 30 s."""
    filters = parse(request.META.get("QUERY_STRING", ""), {"window": SPANS}, ())
    chosen = filters.choice("window", "")
    shown = (
        _kept.get(chosen, lambda: compare(chosen))
        if chosen
        else DriftPage(snapshots.current().checked_at)
    )
    return render(request, "executions/rollup/drift.html", {"drift": shown})


def compare(chosen: str) -> DriftPage:
    """Compare the window of this word. What cannot be read is a problem in its place."""
    facts = snapshots.current().facts
    return DriftPage(facts.now, chosen, _found(facts.ground, facts.state, SPANS[chosen][0]))


def _found(
    ground: Ground | Problem, state: StateRow | Problem | None, span: timedelta
) -> LongDrift | Problem:
    if isinstance(ground, Problem):
        return ground
    if isinstance(state, Problem):
        return state
    if state is None:
        return Problem(_NO_STATE, _("Put the state row back first; the page Health says how."))
    watermark = state.watermark_at

    def compared() -> LongDrift:
        refuse_hidden(ground, *READ_FOR_DRIFT)
        return read_drift_back(fetch_for_dashboard, watermark, span)

    return or_problem(compared)
