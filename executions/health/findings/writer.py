"""PURE: the finding that something besides the runners moves the watermark.

The rule for a single jump is in `executions/health/writers.py`.
"""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from executions.health.findings.base import LATELY, Case, Code, Finding, Severity
from executions.health.sentences import say, together
from executions.health.writers import jumps, pairs

# So many of the last 12 pairs make a schedule of it; fewer are a backfill or a call by hand.
OTHER_WRITER_OFTEN = 3


def other_writer(case: Case) -> Finding | None:
    found = jumps(pairs(case.rows)[:LATELY])
    if len(found) < OTHER_WRITER_OFTEN:
        return None
    newest = found[0].later
    return Finding(
        Code.OTHER_WRITER,
        Severity.INFO,
        summary=together(
            say(
                _(
                    "Something besides the scheduler rolls usage up too: pg_cron, cron, a timer or"
                    " a CronJob. That is supported and does no harm, but it is not needed."
                )
            ),
            say(
                _(
                    "The watermark moved between %(n)s of the last 12 pairs of runs on record, the"
                    " latest before the plan of %(plan)s."
                ),
                n=len(found),
                plan=case.at(newest.plan_time),
            ),
        ),
        advice=say(_("Find the schedule and retire it, or leave it: nothing is counted twice.")),
        seen_at=newest.plan_time,
        evidence={
            "jumps_in_the_last_12_pairs": len(found),
            "jumps": [
                {
                    "after_plan": pair.earlier.plan_time,
                    "before_plan": pair.later.plan_time,
                    "left_at": pair.reached,
                    "found_at": pair.found,
                }
                for pair in found
            ],
        },
    )
