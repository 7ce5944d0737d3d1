"""The addresses of every page, in the order of the header's doors.

A page of the common shape is one line with `page`. docs/how-to/add-a-page.md explains how to add
one.
"""

from django.urls import path

from executions.pages.audit import reader
from executions.pages.audit.export import as_csv
from executions.pages.common import page
from executions.pages.explain.view import explanation, explanations
from executions.pages.history import errors, export, jobs, plans, runners, verdicts
from executions.pages.history.execution import read_execution
from executions.pages.history.filters import UNPAGED
from executions.pages.history.view import plan
from executions.pages.overview.view import overview, verdict
from executions.pages.rollup import backfill, upgrade
from executions.pages.rollup.drift import drift
from executions.pages.rollup.health import read_health
from executions.pages.rollup.once import run_once
from executions.pages.rollup.zero import read_zero
from executions.pages.schedules.reader import read_schedules
from executions.pages.silences.view import end_silence, silences
from executions.pages.wizard import choosing, left, views

_RUNNERS_WINDOWS = {"window": runners.WINDOW_NAMES}
_ERRORS_WINDOWS = {"window": errors.WINDOW_NAMES}

_OVERVIEW = [
    path("", overview, name="overview"),
    path("verdict/", verdict, name="verdict"),
]
_HISTORY = [
    path(
        "executions/",
        page("history/plans", plans.read_plans, choices=plans.CHOICES, around=plans.form),
        name="plans",
    ),
    path("executions/export.csv", export.as_csv, name="export_csv"),
    path("executions/export.jsonl", export.as_json_lines, name="export_jsonl"),
    path(
        "executions/<uuid:execution_id>/",
        page("history/execution", read_execution, names=()),
        name="execution",
    ),
    path("executions/at/<int:seconds>/", plan, name="plan"),
    path(
        "runners/",
        page("history/runners", runners.read_runners, choices=_RUNNERS_WINDOWS, names=UNPAGED),
        name="runners",
    ),
    path(
        "errors/",
        page("history/errors", errors.read_errors, choices=_ERRORS_WINDOWS, names=UNPAGED),
        name="errors",
    ),
    path("jobs/", page("history/jobs", jobs.read_all_jobs, names=("job",)), name="jobs"),
    path(
        "verdicts/",
        page("history/verdicts", verdicts.read_verdicts, names=verdicts.NAMES),
        name="verdicts",
    ),
]
_ROLLUP = [
    path(
        "rollup/",
        page("rollup/health", lambda _filters: read_health(), names=()),
        name="rollup",
    ),
    path("rollup/zero/", page("rollup/zero", lambda _filters: read_zero(), names=()), name="zero"),
    path(
        "rollup/backfill/",
        page(
            "rollup/backfill",
            backfill.read_backfill,
            names=(),
            choices=backfill.CHOICES,
            around=backfill.prospect,
        ),
        name="backfill",
    ),
    path(
        "rollup/upgrade/",
        page(
            "rollup/upgrade",
            upgrade.read_answer,
            names=(),
            readers=upgrade.READERS,
            around=upgrade.form,
        ),
        name="upgrade",
    ),
    path("rollup/drift/", drift, name="drift"),
    path("rollup/run/", run_once, name="rollup_run"),
]
_EXPLAIN = [
    path("explain/", explanations, name="explanations"),
    path("explain/<str:code>/", explanation, name="explain"),
]
_SCHEDULES = [
    path(
        "schedules/",
        page("schedules/schedules", lambda _filters: read_schedules(), names=()),
        name="schedules",
    ),
]
_AUDIT = [
    path(
        "audit/",
        page(
            "audit/audit",
            reader.read_audit,
            choices=reader.CHOICES,
            names=reader.NAMES,
            around=reader.form,
        ),
        name="audit",
    ),
    path("audit/export.csv", as_csv, name="audit_csv"),
]
_SILENCES = [
    path("silences/", silences, name="silences"),
    path("silences/<int:number>/end/", end_silence, name="silence_end"),
]
_WIZARD = [
    path("retire/", choosing.retire, name="retire"),
    path("retire/job/<int:jobid>/", choosing.choose, name="retire_choose"),
    path("retire/outside/<slug:way>/", choosing.choose_outside, name="retire_outside"),
    path("retire/found/", choosing.upload_callers, name="retire_upload"),
    path("retire/found/<int:report>/<int:caller>/", choosing.choose_found, name="retire_found"),
    path("retire/<int:number>/", views.retire_at, name="retire_at"),
    path("retire/<int:number>/check/", views.retire_check, name="retire_check"),
    path("retire/<int:number>/confirm/", views.retire_confirm, name="retire_confirm"),
    path("retire/<int:number>/watch/", views.retire_watch, name="retire_watch"),
    path("retire/<int:number>/affirm/", views.affirm, name="retire_affirm"),
    path("retire/<int:number>/checked/", views.checked, name="retire_checked"),
    path("retire/<int:number>/close/", views.close, name="retire_close"),
    path("retire/<int:number>/stuck/", views.retire_stuck, name="retire_stuck"),
    path("retire/<int:number>/left/", left.retire_left, name="retire_left"),
    path("retire/<int:number>/moved/", views.close_as_moved, name="retire_moved"),
    path("retire/<int:number>/pause/", views.pause, name="retire_pause"),
    path("retire/<int:number>/remove/", views.remove, name="retire_remove"),
    path("retire/<int:number>/activate/", views.activate, name="retire_activate"),
    path("retire/<int:number>/put-back/", views.put_back, name="retire_put_back"),
    path("retire/<int:number>/by-hand/", views.by_myself, name="retire_by_hand"),
    path("retire/<int:number>/ran-it/", views.ran_it, name="retire_ran_it"),
    path("retire/<int:number>/gone/", views.gone, name="retire_gone"),
    path("retire/<int:number>/brought-back/", views.brought_back, name="retire_brought_back"),
]
urlpatterns = [
    *_OVERVIEW,
    *_HISTORY,
    *_EXPLAIN,
    *_ROLLUP,
    *_SCHEDULES,
    *_AUDIT,
    *_SILENCES,
    *_WIZARD,
]
