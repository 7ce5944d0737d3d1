"""PURE: any finding's evidence as labelled lines for a page.

Evidence is plain data (``health/findings/base.py``). This module gives it words. The finding's
sentences say what it means.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from executions.health.explain import EXPLANATIONS
from executions.health.findings.base import Evidence
from executions.health.findings.surroundings import NAMES
from executions.pages.overview import strip
from executions.text.sentences import listed

# Keys whose values the finding's own sentences already contain.
SAID = frozenset({"reason", "remedy"})

LABELS: dict[str, str | Promise] = {
    "affirmed_by": _("Affirmed by"),
    "after_plan": _("After the plan of"),
    "application_name": _("Application"),
    "back_to": _("Looked back to"),
    "backends": _("Processes"),
    "before_plan": _("Before the plan of"),
    "beyond_the_calendar": _("Infinite, or outside the years 1 to 9999"),
    "broken_by": _("Broken by the plan of"),
    "bucket_events": _("Events in the buckets"),
    "bucket_tokens": _("Tokens in the buckets"),
    "by_others": _("Won by others"),
    "command": _("Command"),
    "count": _("Count"),
    "critical_after_seconds": _("Critical after"),
    "database": _("Database"),
    "database_known_since": _("The database's first sign of life"),
    "deleted_runtimes_traced": _("Deleted runtimes still named"),
    "done_at": _("Done at"),
    "earliest": _("Can hold from"),
    "ended": _("Ran to their end"),
    "executions": _("Executions"),
    "finished_before_started": _("Finished before they started"),
    "first": _("First"),
    "found_at": _("Found at"),
    "functions": _("Functions"),
    "gaps": _("Gaps"),
    "heartbeat_at": _("Latest heartbeat"),
    "holder": _("Who holds lock 4246"),
    "holders": _("Who holds lock 4246"),
    "hour": _("Hour"),
    "hours": _("Hours"),
    "hours_compared": _("Hours compared"),
    "hours_differing": _("Hours that differ"),
    "in_the_future": _("In the database's future"),
    "in_the_last_hour": _("In the last hour"),
    "info_above": _("Mentioned from"),
    "jobid": _("Job"),
    "jobs": _("pg_cron jobs that ran then"),
    "jobs_seen": _("Jobs seen"),
    "jumps": _("Jumps of the watermark"),
    "jumps_in_the_last_12_pairs": _("Jumps among the last 12 pairs of plans"),
    "keys": _("Bucket keys that differ"),
    "kind": _("How"),
    "last": _("Last"),
    "latest_runs": _("Latest runs"),
    "latest_success": _("Latest success"),
    "latest_success_finished_at": _("Latest success finished"),
    "latest_success_plan_time": _("Plan of the latest success"),
    "left_at": _("Left at"),
    "legacy_functions": _("Old functions"),
    "loaded": _("pg_cron's library is loaded"),
    "looked_from": _("Looked at from"),
    "lost_in_the_last_hour": _("Runs in the last hour that found the lock taken"),
    "match": _("How it calls the rollup"),
    "missing": _("Without a bucket"),
    "missing_plans": _("Missing plans"),
    "missing_table": _("Missing table"),
    "moved": _("Moved the watermark"),
    "needed": _("Needed"),
    "never_processed_seconds": _("Never processed, up to now"),
    "newest": _("Newest"),
    "newest_bucket": _("Newest bucket"),
    "newest_execution": _("Newest execution"),
    "newest_finished_at": _("The newest finished"),
    "newest_plan": _("Newest plan"),
    "newest_usage": _("Newest usage"),
    "newest_with_bucket": _("Newest usage with a bucket"),
    "newest_without_usage": _("Newest task without usage"),
    "nodename": _("Host of the job"),
    "nodeport": _("Port of the job"),
    "of_the_last_12": _("Of the last 12 plans"),
    "off_the_grid": _("Off the five-minute grid"),
    "owner": _("Owner"),
    "pid": _("Process of the server"),
    "plan_time": _("Plan"),
    "plans": _("Plans"),
    "plans_left": _("Plans left"),
    "readable": _("Could be read"),
    "role": _("Role"),
    "rows": _("Rows"),
    "rows_estimated": _("Rows, estimated"),
    "runners": _("Runners"),
    "settled": _("Before the watermark"),
    "shown": _("With a bucket"),
    "since": _("Since"),
    "since_pause": _("Paused at"),
    "stale_after": _("Lease ended"),
    "state": _("State"),
    "state_rows": _("State rows"),
    "succeeded": _("Succeeded"),
    "successes_without_watermark": _("Successes without a watermark"),
    "tasks_seen": _("Tasks looked at"),
    "this_port": _("This port"),
    "this_server": _("This server"),
    "unreadable": _("Could not be read"),
    "until": _("Until"),
    "usage": _("Rows of usage"),
    "usage_events": _("Events in the raw usage"),
    "usage_seen": _("Rows of usage looked at"),
    "usage_tokens": _("Tokens in the raw usage"),
    "user": _("Role"),
    "visibility": _("What can be seen"),
    "waited_seconds": _("Waited"),
    "waiting": _("Later than the watermark"),
    "warning_after_seconds": _("Warning after"),
    "watermark": _("Watermark"),
    "watermark_after": _("Watermark after"),
    "watermark_at": _("Watermark"),
    "watermark_before": _("Watermark before"),
    "what": _("What was to be read"),
    "without_runtime": _("Without a runtime"),
    "without_usage": _("Without usage"),
    "workspace": _("Workspace"),
    "workspaces": _("Workspaces"),
}


# The words for values that are codes: ours, and PostgreSQL's for what a session does.
WORDS: dict[str, Mapping[str, str | Promise]] = {
    "findings": {code.value: one.title for code, one in EXPLANATIONS.items()},
    "kind": {outcome.value: word for outcome, (_css, word) in strip.LABELS.items()},
    "match": {
        "exact": _("it calls the rollup and does nothing else"),
        "wrapped": _("through something else, which may do more"),
        "window": _("it calls the window function"),
        "legacy": _("it calls a function that Multica has removed"),
        "multiple": _("it does other things beside the rollup"),
    },
    "state": {
        "active": _("runs a statement"),
        "idle": _("waits for its next statement"),
        "idle in transaction": _("waits inside a transaction"),
        "idle in transaction (aborted)": _("waits inside a transaction that failed"),
    },
    "visibility": {
        "full": _("every job"),
        "filtered": _("only jobs of this role"),
        "no_access": _("nothing: this role may not look"),
        "absent": _("there is no pg_cron"),
        "elsewhere": _("nothing: the jobs are in another database"),
        "unknown": _("nobody can tell"),
    },
    "what": NAMES,
}


class Evidenced(Protocol):
    """A finding, or an answer of the diagnosis: both have evidence."""

    @property
    def evidence(self) -> Evidence: ...


@dataclass(frozen=True)
class Value:
    """One value and how to show it: ``time``, ``span`` (seconds), ``count`` or ``text``."""

    kind: str
    value: object


@dataclass(frozen=True)
class EvidenceLine:
    """One line of evidence: a value, or rows, each a mapping by label.

    ``executions`` are rows that link to their pages.
    """

    label: str
    value: Value | None = None
    executions: Sequence[Mapping[str, object]] = ()
    rows: Sequence[Sequence[tuple[str, Value]]] = ()


def label(name: str) -> str:
    """The label for people. A key without a label is shown as it is."""
    return str(LABELS.get(name, name.replace("_", " ")))


def worded(name: str, value: object) -> str:
    """A value of the key in the reader's language; what is no code stays as it is."""
    if isinstance(value, bool):
        return str(_("yes") if value else _("no"))
    return str(WORDS.get(name, {}).get(str(value), value))


def lines(shown: Evidenced) -> list[EvidenceLine]:
    """The evidence of a finding or an answer, without what is empty or already said."""
    return [
        line
        for name, value in shown.evidence.items()
        if name not in SAID
        for line in _lines(name, value)
    ]


def _lines(name: str, value: object) -> Iterator[EvidenceLine]:
    if value is None or value in ("", [], (), {}):
        return
    if isinstance(value, Mapping):
        yield from _listed(name, [value])
    elif isinstance(value, list | tuple):
        yield from _listed(name, value)
    else:
        yield EvidenceLine(label(name), _value(name, value))


def _listed(name: str, values: Sequence[object]) -> Iterator[EvidenceLine]:
    text = label(name)
    mappings = [value for value in values if isinstance(value, Mapping)]
    if not mappings:
        yield EvidenceLine(text, Value("text", str(listed(worded(name, one) for one in values))))
    elif all("id" in mapping and "plan_time" in mapping for mapping in mappings):
        yield EvidenceLine(text, executions=mappings)
    else:
        yield EvidenceLine(text, rows=[_row(mapping) for mapping in mappings])


def _row(mapping: Mapping[object, object]) -> list[tuple[str, Value]]:
    return [
        (label(str(name)), _value(str(name), value))
        for name, value in mapping.items()
        if value is not None
    ]


def _value(name: str, value: object) -> Value:
    if isinstance(value, datetime):
        return Value("time", value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        if name.endswith("_seconds"):
            return Value("span", value)
        return Value("text" if name == "pid" else "count", value)
    return Value("text", worded(name, value))
