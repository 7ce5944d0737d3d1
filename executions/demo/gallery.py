"""The scenarios of the demo: for each finding, cause of zero usage, and gate that refuses.

``bin/run --scenario NAME`` starts the demo in that state. The worlds are those of `worlds.py` and
`zeros.py`, the rest is in `stage.py` and `circumstances.py`. Two need other servers and not only
another state: `servers.py`.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from functools import partial

from django.utils.translation import gettext_lazy as _

from executions.demo import circumstances, servers, worlds, zeros
from executions.demo.circumstances import WATCHMAN, may_look, may_remove, may_see_all, watched_by
from executions.demo.scenario import Scenario, Shown
from executions.demo.stage import Stage, hidden, lock_held, renamed, scheduled
from executions.demo.worlds import DayOfPlans
from executions.demo.zero_scenarios import OF_ZERO
from executions.health.diagnosis.look import CauseCode
from executions.health.findings.base import FindingCode
from executions.retirement.gates.gate import GateCode
from executions.text.sentences import say


class NoScenario(ValueError):
    """No scenario has that name; the text is a sentence."""


_OF_FINDINGS = (
    Scenario(
        "no-scheduler",
        _("A Multica from before v0.3.17, whose outside schedule stopped a day ago."),
        FindingCode.SCHEDULER_NOT_INSTALLED,
        circumstances.before_the_scheduler,
        lambda stage: renamed(stage.owner, "sys_cron_executions"),
        cause=CauseCode.SCHEDULER_NOT_INSTALLED,
    ),
    Scenario(
        "never-ran",
        _("Usage is recorded, and no scheduler has ever run the rollup."),
        FindingCode.NO_EXECUTIONS,
        zeros.alone(worlds.never_ran),
    ),
    Scenario(
        "silent-backend",
        _("The backend has run nothing for an hour and 42 minutes."),
        FindingCode.LATEST_STALE,
        worlds.stopped,
        cause=CauseCode.SCHEDULER_SILENT,
    ),
    Scenario(
        "lost-place",
        _("The rollup's state row is gone, so runs succeed and do nothing."),
        FindingCode.STATE_ROW_MISSING,
        worlds.stateless,
        cause=CauseCode.STATE_ROW_MISSING,
    ),
    Scenario(
        "ahead-of-time",
        _("The watermark is two hours ahead, so runs succeed and do nothing."),
        FindingCode.WATERMARK_FUTURE,
        worlds.ahead_of_time,
        cause=CauseCode.WATERMARK_FUTURE,
    ),
    Scenario(
        "lagging",
        _("Every run succeeds, and the watermark is 25 minutes later than it should be."),
        FindingCode.WATERMARK_LAG,
        worlds.lagging,
        cause=CauseCode.WATERMARK_STANDS,
    ),
    Scenario(
        "catching-up",
        _("The rollup is 40 days behind and does a day with each run."),
        FindingCode.WATERMARK_CATCHING_UP,
        worlds.catching_up,
        cause=CauseCode.CATCHING_UP,
    ),
    Scenario(
        "lost-lock",
        _("Three runs of the last hour found the rollup's lock taken."),
        FindingCode.LOCK_LOST,
        worlds.losing_the_lock,
    ),
    Scenario(
        "leaked-lock",
        _("A real session keeps the rollup's lock and does nothing."),
        FindingCode.LOCK_LEAKED,
        circumstances.shut_out,
        lock_held(),
        cause=CauseCode.LOCK_LEAKED,
    ),
    Scenario(
        "abandoned-run",
        _("The newest run stopped reporting, and nobody has closed it."),
        FindingCode.RUNNING_STALE,
        worlds.abandoned_run,
    ),
    Scenario(
        "missed-plans",
        _("Nobody began three plans of the last hour."),
        FindingCode.PLAN_GAP,
        worlds.gap,
    ),
    Scenario(
        "abandoned-plans",
        _("Two of the last twelve plans failed and were not tried again."),
        FindingCode.PLAN_ABANDONED,
        worlds.abandoned_plans,
    ),
    Scenario(
        "exhausted",
        _("The newest plan failed in all of its attempts."),
        FindingCode.EXHAUSTED_FAILURE,
        worlds.exhausted,
    ),
    Scenario(
        "retried",
        _("Six of the last twelve plans needed a second attempt."),
        FindingCode.MASKED_RETRIES,
        worlds.retried_often,
    ),
    Scenario(
        "other-writer",
        _("Something besides the backend moves the watermark too."),
        FindingCode.OTHER_WRITER,
        worlds.other_writer,
    ),
    Scenario(
        "blocked",
        _("Another job held up one run for six minutes."),
        FindingCode.BLOCKED_TICK,
        worlds.blocked,
    ),
    Scenario(
        "wrong-clock",
        _("Rows have times that no scheduler writes."),
        FindingCode.CLOCK_OR_FOREIGN_WRITER,
        worlds.wrong_clock,
    ),
    Scenario(
        "drift",
        _("One hour of the usage pages does not add up to the raw usage. It holds for a day."),
        FindingCode.ROLLUP_DRIFT,
        around=circumstances.wrong_sums,
    ),
    Scenario(
        "large-table",
        _("PostgreSQL estimates 1.5 million executions."),
        FindingCode.TABLE_GROWTH,
        around=circumstances.many_rows,
    ),
    Scenario(
        "missing-right",
        _("The dashboard's role may not read the queue of changed buckets."),
        FindingCode.NOT_AVAILABLE,
        around=lambda stage: hidden(stage.owner, "task_usage_hourly_dirty"),
        cause=CauseCode.CANNOT_TELL,
    ),
    Scenario(
        "standby",
        _("The pages read from a real standby, which follows its primary."),
        FindingCode.STANDBY,
        arrange=servers.followed,
    ),
)
_OF_GATES = (
    Scenario(
        "hidden-job",
        _("Row security hides the job from the role that looks at pg_cron."),
        GateCode.VISIBLE,
        around=watched_by(may_look),
        retirer=WATCHMAN,
    ),
    Scenario(
        "may-not-remove",
        _("The role that looks at pg_cron may see the job and not remove it."),
        GateCode.PRIVILEGED,
        around=watched_by(may_see_all),
        retirer=WATCHMAN,
    ),
    Scenario(
        "may-not-pause",
        _("The role that looks at pg_cron may remove the job and not pause it."),
        GateCode.MAY_DEACTIVATE,
        around=watched_by(may_remove),
        retirer=WATCHMAN,
    ),
    Scenario(
        "library-not-loaded",
        _("The server started without pg_cron's library, and the job is still in its table."),
        GateCode.LOADED,
        arrange=servers.without_pg_crons_library,
    ),
    Scenario(
        "other-database",
        _("The job runs in another database."),
        GateCode.SAME_DATABASE,
        around=scheduled(database="postgres"),
    ),
    Scenario(
        "other-command",
        _("The job does more than call the rollup."),
        GateCode.COMMAND_MATCHES,
        around=scheduled(command="SELECT rollup_task_usage_hourly(); SELECT 1"),
    ),
    Scenario(
        "legacy-function",
        _("A job of the old daily rollup, whose function still exists."),
        GateCode.FUNCTION_ABSENT,
        around=circumstances.legacy_job,
    ),
    Scenario(
        "broken-streak",
        _("A redundant job, and three plans that nobody began."),
        GateCode.SUCCESS_STREAK,
        worlds.gap,
        scheduled(),
    ),
    Scenario(
        "only-our-runner",
        _("A redundant job, and no runner but this installation's own."),
        GateCode.BACKEND_RUNNER,
        circumstances.run_by_us,
        circumstances.own_runner,
    ),
    Scenario(
        "standing-watermark",
        _("A redundant job, and a watermark that lags behind."),
        GateCode.WATERMARK_ADVANCING,
        worlds.lagging,
        scheduled(),
    ),
    Scenario(
        "critical-finding",
        _("A redundant job, and a rollup that has lost its place."),
        GateCode.NO_CRITICAL_FINDINGS,
        worlds.stateless,
        scheduled(),
    ),
    Scenario(
        "job-in-flight",
        _("A redundant job that is running now."),
        GateCode.NO_RUN_IN_FLIGHT,
        around=circumstances.run_in_flight,
    ),
)

SCENARIOS: Mapping[str, Scenario] = {one.name: one for one in (*_OF_FINDINGS, *OF_ZERO, *_OF_GATES)}


def find(name: str) -> Scenario:
    """The scenario with that name.

    Raises:
        NoScenario: there is none; the text names the nearest.
    """
    if name in SCENARIOS:
        return SCENARIOS[name]
    near = get_close_matches(name, list(SCENARIOS), n=1, cutoff=0)
    raise NoScenario(
        say(
            "There is no scenario %(name)s. The nearest is %(near)s; --scenario list names them"
            " all.",
            name=name,
            near=near[0],
        )
    )


def showing(code: Shown) -> Scenario | None:
    """The scenario that shows this finding, cause or refusal."""
    return next((one for one in SCENARIOS.values() if code in one.codes), None)


def listed() -> str:
    """All of them, a line each, below where they are seen."""
    width = max(map(len, SCENARIOS))
    parts = [
        (_("Findings, on the overview:"), _OF_FINDINGS),
        (_("Why usage shows zero, at /rollup/zero/:"), OF_ZERO),
        (_("What refuses to retire a schedule, at /retire/:"), _OF_GATES),
    ]
    return "\n\n".join(
        "\n".join([str(heading), *(f"{one.name:{width}}  {one.sentence}" for one in scenarios)])
        for heading, scenarios in parts
    )


@contextmanager
def played(scenario: Scenario, stage: Stage) -> Iterator[Callable[[], DayOfPlans]]:
    """The scenario's surroundings; the function that is given writes its world for now."""
    with scenario.around(stage):
        yield partial(scenario.lay, stage.owner)
