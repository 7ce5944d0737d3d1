"""PURE: explanations of the findings of `findings/surroundings.py`."""

from django.utils.translation import gettext_lazy as _

from executions.health.explain.explanation import ExplainedStatement, Explanation, Step
from executions.health.explain.statements import JOBS, WATERMARK
from executions.health.findings.base import FindingCode
from executions.health.remedies import (
    BACKFILL,
    BACKFILL_LOOK,
    GRANTS,
    PRUNE,
    PRUNE_LOOK,
    here,
)

ROLLUP_DRIFT = Explanation(
    FindingCode.ROLLUP_DRIFT,
    title=_("The usage pages do not add up to the raw usage"),
    meaning=_(
        "Some hours show too much or too little. The raw usage is right; only its sums are wrong,"
        " and they can be made again."
    ),
    evidence=_(
        "For some hours before the watermark, the events or tokens in task_usage and in"
        " task_usage_hourly differ. Usage that the rollup has not reached, usage of tasks without a"
        " runtime and buckets of deleted agents are left out."
    ),
    steps=(
        Step(_("See what a backfill would sum again. This changes nothing."), here(BACKFILL_LOOK)),
        Step(
            _("Then run it. It may be interrupted and repeated, and counts nothing twice."),
            here(BACKFILL),
        ),
    ),
    statements=(
        ExplainedStatement(
            _("Events by hour of the last day: raw usage beside its sums, where they differ"),
            """SELECT hour, raw.events AS raw_events, summed.events AS summed_events
  FROM (SELECT date_trunc('hour', created_at) AS hour, count(*) AS events
          FROM task_usage
          JOIN agent_task_queue AS task ON task.id = task_usage.task_id
         WHERE created_at >= date_trunc('hour', now()) - interval '1 day'
           AND task.runtime_id IS NOT NULL
         GROUP BY 1) AS raw
  FULL JOIN (SELECT bucket_hour AS hour, sum(event_count) AS events
               FROM task_usage_hourly
              WHERE bucket_hour >= date_trunc('hour', now()) - interval '1 day'
              GROUP BY 1) AS summed USING (hour)
 WHERE raw.events IS DISTINCT FROM summed.events
 ORDER BY hour;""",
        ),
        WATERMARK,
    ),
    is_not=_(
        "It is not lag: hours after the watermark are not compared. Nor is it lost usage, because"
        " task_usage has every row."
    ),
)
TABLE_GROWTH = Explanation(
    FindingCode.TABLE_GROWTH,
    title=_("The history of runs has grown large"),
    meaning=_(
        "Nothing is wrong. Multica never removes old rows of sys_cron_executions, so the table and"
        " its backups grow."
    ),
    evidence=_("PostgreSQL's own estimate of the table's rows is above a million."),
    steps=(
        Step(_("See what could be removed. This changes nothing."), here(PRUNE_LOOK)),
        Step(
            _(
                "Then remove it: successes after 30 days and failures after 90. The newest row of"
                " each scope stays."
            ),
            here(PRUNE),
        ),
    ),
    statements=(
        ExplainedStatement(
            _("The estimated rows and the size of the table"),
            """SELECT reltuples::bigint AS rows, pg_size_pretty(pg_total_relation_size(oid)) AS size
  FROM pg_class
 WHERE oid = 'sys_cron_executions'::regclass;""",
        ),
    ),
    is_not=_("It does not make the rollup or these pages slow, and there is no hurry."),
)
STANDBY = Explanation(
    FindingCode.STANDBY,
    title=_("This database is a standby"),
    meaning=_(
        "These pages show what the primary had committed some time ago. Nothing can be changed"
        " here, and a silence may be that of the replication."
    ),
    evidence=_("PostgreSQL itself says that it is in recovery (pg_is_in_recovery)."),
    steps=(
        Step(
            _(
                "To retire a schedule or to run the rollup, point DATABASE_URL at the primary and"
                " start Multica Admin again."
            )
        ),
    ),
    statements=(
        ExplainedStatement(
            _("Whether it is a standby, and up to when it has followed the primary"),
            """SELECT pg_is_in_recovery() AS is_standby,
       pg_last_xact_replay_timestamp() AS followed_up_to;""",
        ),
    ),
    is_not=_("It is not a fault: watching a standby is a good way to spare the primary."),
)
NOT_AVAILABLE = Explanation(
    FindingCode.NOT_AVAILABLE,
    title=_("Not everything could be looked at"),
    meaning=_(
        "A part of the picture is missing, and the finding says which and why. What is shown is"
        " still right. If it is the history of runs, the state row or the database's clock, the"
        " verdict is unknown."
    ),
    evidence=_(
        "A read was refused or took too long, or PostgreSQL hides rows of pg_cron from this role."
        " That is not the same as nothing being there."
    ),
    steps=(
        Step(
            _(
                "If a right is missing, print the statements that give the dashboard's role exactly"
                " what it needs, and let an administrator run them. Put your role's name in."
            ),
            here(GRANTS),
        ),
        Step(_("To look once at the jobs of pg_cron, as an administrator:"), statement=JOBS),
        Step(
            _("If a read took too long, do nothing: the page asks again by itself."),
        ),
    ),
    statements=(
        ExplainedStatement(
            _("The columns that the role may read"),
            """SELECT table_name, column_name
  FROM information_schema.column_privileges
 WHERE grantee = current_user AND privilege_type = 'SELECT'
 ORDER BY table_name, column_name;""",
        ),
    ),
    is_not=_("It is not a fault of Multica, and says nothing about the numbers."),
)

OF_THE_SURROUNDINGS = (ROLLUP_DRIFT, TABLE_GROWTH, STANDBY, NOT_AVAILABLE)
