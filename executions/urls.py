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
from executions.pages.history.filters import NAMES, UNPAGED
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

urlpatterns = [
    # The overview
    path("", overview, name="overview"),
    path("verdict/", verdict, name="verdict"),
    # The history
    page(
        "executions/",
        "history/plans",
        plans.read_plans,
        names=NAMES,
        choices=plans.CHOICES,
        around=plans.form,
    ),
    path("executions/export.csv", export.as_csv, name="export_csv"),
    path("executions/export.jsonl", export.as_json_lines, name="export_jsonl"),
    page("executions/<uuid:execution_id>/", "history/execution", read_execution),
    path("executions/at/<int:seconds>/", plan, name="plan"),
    page(
        "runners/",
        "history/runners",
        runners.read_runners,
        names=UNPAGED,
        choices={"window": runners.WINDOW_NAMES},
    ),
    page(
        "errors/",
        "history/errors",
        errors.read_errors,
        names=UNPAGED,
        choices={"window": errors.WINDOW_NAMES},
    ),
    page("jobs/", "history/jobs", jobs.read_all_jobs, names=("job",)),
    page("verdicts/", "history/verdicts", verdicts.read_verdicts, names=verdicts.NAMES),
    # What each finding means
    path("explain/", explanations, name="explanations"),
    path("explain/<str:code>/", explanation, name="explain"),
    # The rollup
    page("rollup/", "rollup/health", read_health, name="rollup"),
    page("rollup/zero/", "rollup/zero", read_zero),
    page(
        "rollup/backfill/",
        "rollup/backfill",
        backfill.read_backfill,
        choices=backfill.CHOICES,
        around=backfill.prospect,
    ),
    page(
        "rollup/upgrade/",
        "rollup/upgrade",
        upgrade.read_answer,
        readers=upgrade.READERS,
        around=upgrade.form,
    ),
    path("rollup/drift/", drift, name="drift"),
    path("rollup/run/", run_once, name="rollup_run"),
    # Schedules
    page("schedules/", "schedules/schedules", read_schedules),
    # The audit
    page(
        "audit/",
        "audit/audit",
        reader.read_audit,
        names=reader.NAMES,
        choices=reader.CHOICES,
        around=reader.form,
    ),
    path("audit/export.csv", as_csv, name="audit_csv"),
    # Silences
    path("silences/", silences, name="silences"),
    path("silences/<int:number>/end/", end_silence, name="silence_end"),
    # The wizard
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
