"""The plan ledger of seven days, for the long plan strip: one read of one index beyond the day.

Each web process reads it once per version of the snapshot, however many people look.
"""

import math
from itertools import pairwise

import psycopg
from django.db import Error as DatabaseError

from executions.database.kept import Kept
from executions.database.problems import diagnose
from executions.database.reading import fetch_for_dashboard
from executions.database.sql import load
from executions.health.facts import Ground
from executions.health.facts.executions import Executions, KeptStretch
from executions.health.ledger import LONG_WINDOW, Ledger, in_time, lay, usual_window
from executions.health.read import execution_of
from executions.health.snapshots import Snapshot
from executions.scheduler.plans import newest_due
from executions.text.problem import Problem

SQL = load("health")

# Twice the plans of a week: room for a foreign writer's rows.
MOST_ROWS = 4_032

Week = Ledger | Problem


def read_week(snapshot: Snapshot) -> Week:
    """The ledger of the week before the snapshot, or why it cannot be read."""
    facts = snapshot.facts
    if isinstance(facts.ground, Problem):
        return facts.ground
    if isinstance(facts.executions, Problem):
        return facts.executions
    if isinstance(facts.unwatched, Problem):
        return facts.unwatched  # otherwise plans of those stretches would count as missing
    try:
        return lay(
            _executions(snapshot, facts.ground, facts.executions),
            facts.ground.now,
            facts.spec,
            LONG_WINDOW,
            facts.unwatched,
        )
    except (DatabaseError, psycopg.Error) as error:
        return diagnose(error)


def _executions(snapshot: Snapshot, ground: Ground, day: Executions) -> Executions:
    """The snapshot's executions, and the older ones of the week.

    Of the older ones only the columns for a ledger are read: no runner, no error, and watermarks
    only where a gap ended. No row is read of a plan that was simply kept.
    """
    spec = snapshot.facts.spec
    newest = newest_due(spec, ground.now)
    since = newest - LONG_WINDOW
    if day.first_plan is None:
        return day
    scope = spec.scopes[0]
    parameters = {
        "job": spec.name,
        "scope_kind": scope.kind,
        "scope_id": scope.id,
        "since": since,
        "until": day.since,
        "newest": newest,
        "whole_from": newest - usual_window(spec),
        "cadence": spec.cadence,
        "in_time": in_time(spec),
        "most": MOST_ROWS - len(day.rows),
    }
    found = fetch_for_dashboard(SQL.executions_between, parameters)
    follows = [row.pop("follows") for row in found]
    older = tuple(map(execution_of, found))
    kept = tuple(
        KeptStretch(earlier.plan_time + spec.cadence, later.plan_time - spec.cadence)
        for (later, earlier), follows_one in zip(pairwise(older), follows, strict=False)
        if follows_one and later.plan_time - earlier.plan_time > spec.cadence
    )
    looked_at = len(day.rows) + len(older) + sum(one.count(spec.cadence) for one in kept)
    cut_short = looked_at == MOST_ROWS
    if cut_short:
        since = older[-1].plan_time
    return Executions(
        rows=(*day.rows, *older),
        since=since,
        first_plan=day.first_plan,
        cut_short=cut_short,
        kept=kept,
    )


def _seconds(week: Week) -> float:
    """A week never changes within its version. A failed read is tried again."""
    return math.inf if isinstance(week, Ledger) else 0


_kept: Kept[Week] = Kept(_seconds, most=1, serves=False)
forget = _kept.forget


def week_of(snapshot: Snapshot) -> Week:
    return _kept.get(snapshot.version, lambda: read_week(snapshot))
