"""PURE: the steps that concern the tables and what the rollup does before and after the upgrade."""

from datetime import timedelta

from django.utils.translation import gettext_lazy as _

from executions.health.facts import StateRow
from executions.health.remedies import BACKFILL, VERDICT, here
from executions.health.upgrade.case import UpgradeCase
from executions.health.upgrade.estimate import (
    MEASURED,
    MEASURED_AGENTS,
    MEASURED_ROWS,
    backfill_time,
)
from executions.health.upgrade.step import StepCode, StepState, UpgradeStep
from executions.rollup.guard import guard_passes
from executions.rollup.versions import CHANGED_IN, Change
from executions.text.formatters import count
from executions.text.problem import Problem
from executions.text.sentences import Sentence, Values, listed, say, together

# The rollup's function processes at most so much of a backlog in one plan.
CATCHES_UP_BY = timedelta(days=1)
# An estimate below this is no reason to plan anything.
_A_MOMENT = timedelta(seconds=20)


def tables(case: UpgradeCase) -> UpgradeStep:
    """Where the upgrade begins, and whether the target lies ahead of it."""
    versions = case.versions
    values = {"versions": versions.in_words(), "target": str(case.target)}
    found = say("The tables are those of Multica %(versions)s.", **values)
    evidence = {"since": _text(versions.since), "before": _text(versions.before)}
    if versions.since is not None and case.target < versions.since:
        return UpgradeStep(
            StepCode.TABLES,
            StepState.BLOCKS,
            found,
            say(
                "Going back to an older release is no upgrade. Restore a backup from before,"
                " or choose a newer release."
            ),
            reason=say("%(target)s is older than the tables", **values),
            evidence=evidence,
        )
    if versions.mixed:
        lacking = listed(f"{change} ({CHANGED_IN[change]})" for change in versions.mixed)
        return UpgradeStep(
            StepCode.TABLES,
            StepState.UNKNOWN,
            together(
                found,
                say(
                    "But they lack what older releases brought: %(lacking)s. No release looks so.",
                    lacking=lacking,
                ),
            ),
            say(
                "An upgrade may have stopped half-way, or somebody changed the tables. Look"
                " in the backend's log for the migration that failed."
            ),
            reason=say("the tables are those of no release of Multica"),
            evidence={**evidence, "lacking": list(versions.mixed)},
        )
    if case.facts.is_ours:
        ours = _(
            "Multica Admin made the tables itself, in the form of Multica %(versions)s. There is"
            " no Multica here to upgrade, so what follows shows only how the check reads."
        )
        return UpgradeStep(StepCode.TABLES, StepState.INFO, say(ours, **values), evidence=evidence)
    return UpgradeStep(StepCode.TABLES, StepState.OK, found, evidence=evidence)


def _text(version: object) -> str | None:
    return None if version is None else str(version)


def _is_behind(case: UpgradeCase) -> bool:
    """Whether the hourly tables exist and a scheduler would need many plans to catch up."""
    state = case.facts.state
    if not case.versions.has(Change.HOURLY) or not case.has_usage or isinstance(state, Problem):
        return False
    return state is None or case.now - state.watermark_at > CATCHES_UP_BY


def _backfills_on_the_way(case: UpgradeCase) -> bool:
    """Whether `migrate up` sums all usage, as far as that can be told."""
    state, usage = case.facts.state, case.usage
    if not case.meets_103 or not case.has_usage:
        return False
    if isinstance(state, StateRow) and not isinstance(usage, Problem) and usage.newest:
        return not guard_passes(usage.newest, state.watermark_at)
    return True


def duration(case: UpgradeCase) -> UpgradeStep | None:
    """How long summing all usage takes; None if nothing has to be summed."""
    on_the_way = _backfills_on_the_way(case)
    if not on_the_way and not _is_behind(case):
        return None
    usage = case.usage
    if isinstance(usage, Problem):
        return UpgradeStep(
            StepCode.DURATION,
            StepState.INFO,
            say("How long the backfill takes cannot be estimated. %(why)s", why=usage.reason),
        )
    shortest, longest = backfill_time(usage.rows, usage.agents)
    evidence = {
        "rows": usage.rows,
        "rows_are_exact": usage.is_exact,
        "agents": usage.agents,
        "shortest_seconds": round(shortest.total_seconds()),
        "longest_seconds": round(longest.total_seconds()),
    }
    values: Values = {
        "shortest": shortest,
        "longest": longest,
        "rows": count(usage.rows),
        "agents": count(usage.agents),
        "fast": MEASURED[0],
        "slow": MEASURED[1],
        "measured": count(MEASURED_ROWS),
        "measured_agents": MEASURED_AGENTS,
    }
    rows = (
        say("%(rows)s rows of raw usage", **values)
        if usage.is_exact
        else say("about %(rows)s rows of raw usage", **values)
    )
    if longest < _A_MOMENT:
        about = say("A backfill by Multica's own function takes a few seconds for %(of)s.", of=rows)
        return UpgradeStep(StepCode.DURATION, StepState.INFO, about, evidence=evidence)
    about = say(
        "A backfill by Multica's own function takes about %(shortest)s to %(longest)s for"
        " %(of)s and %(agents)s agents.",
        **values,
        of=rows,
    )
    basis = say(
        "This is a rough estimate: %(measured)s rows of %(measured_agents)s agents took"
        " %(fast)s on one machine and %(slow)s on another, and it grows with the rows of each"
        " agent.",
        **values,
    )
    away = say("Multica is away until it ends, because its backend starts only after migrations.")
    return UpgradeStep(
        StepCode.DURATION,
        StepState.INFO,
        together(about, basis, away if on_the_way else None),
        evidence=evidence,
    )


def backfill(case: UpgradeCase) -> UpgradeStep | None:
    """What no migration does: summing usage again where the rollup is far behind already."""
    if not case.reaches(Change.SCHEDULER) or not _is_behind(case):
        return None
    return UpgradeStep(
        StepCode.BACKFILL,
        StepState.DO,
        _how_far_behind(case),
        say(
            "Backfill after the upgrade. No migration does it, because migration 103 is behind you."
        ),
        commands=here(BACKFILL),
    )


def _how_far_behind(case: UpgradeCase) -> Sentence:
    state = case.facts.state
    if not isinstance(state, StateRow):
        return say(
            "The rollup's state row is missing, so no run does anything until a backfill"
            " makes it anew."
        )
    behind = case.now - state.watermark_at
    plans = behind // CATCHES_UP_BY
    return say(
        "The rollup is %(behind)s behind, and a scheduler catches up one day with each plan,"
        " so the usage pages would be right after about %(time)s.",
        behind=behind,
        time=plans * case.facts.spec.cadence,
    )


def schedules(case: UpgradeCase) -> UpgradeStep | None:
    """What called the rollup before becomes redundant with v0.3.17."""
    if not case.reaches(Change.SCHEDULER) or case.versions.has(Change.SCHEDULER):
        return None
    return UpgradeStep(
        StepCode.SCHEDULES,
        StepState.DO,
        say(
            "From %(version)s on the backend runs the rollup itself. Whatever called it until"
            " now goes on and does no harm, but it is not needed any more.",
            version=str(CHANGED_IN[Change.SCHEDULER]),
        ),
        say("Once runs succeed, retire it from the page Schedules."),
    )


def watch(case: UpgradeCase) -> UpgradeStep | None:
    """How to see that the upgrade went well."""
    if not case.reaches(Change.SCHEDULER):
        return None
    return UpgradeStep(
        StepCode.WATCH,
        StepState.DO,
        say(
            "After the upgrade this page says when the rollup first succeeded. That takes"
            " about 10 minutes."
        ),
        say("Look at the verdict too."),
        commands=here(VERDICT),
    )
