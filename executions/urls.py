"""The addresses of the history, the schedules, the audit and the wizard."""

from __future__ import annotations

from django.urls import path

from executions.views import (
    audit,
    errors,
    execution,
    export,
    jobs,
    plans,
    retire,
    runners,
    schedules,
)

urlpatterns = [
    path("executions/", plans.plans, name="plans"),
    path("executions/export.csv", export.as_csv, name="export_csv"),
    path("executions/export.jsonl", export.as_json_lines, name="export_jsonl"),
    path("executions/<uuid:execution_id>/", execution.execution, name="execution"),
    path("runners/", runners.runners, name="runners"),
    path("errors/", errors.errors, name="errors"),
    path("jobs/", jobs.jobs, name="jobs"),
    path("schedules/", schedules.schedules, name="schedules"),
    path("audit/", audit.audit, name="audit"),
    path("retire/", retire.retire, name="retire"),
    path("retire/job/<int:jobid>/", retire.choose, name="retire_choose"),
    path("retire/outside/<slug:way>/", retire.choose_outside, name="retire_outside"),
    path("retire/<int:number>/", retire.retire_at, name="retire_at"),
    path("retire/<int:number>/check/", retire.retire_check, name="retire_check"),
    path("retire/<int:number>/confirm/", retire.retire_confirm, name="retire_confirm"),
    path("retire/<int:number>/watch/", retire.retire_watch, name="retire_watch"),
    path("retire/<int:number>/affirm/", retire.affirm, name="retire_affirm"),
    path("retire/<int:number>/checked/", retire.checked, name="retire_checked"),
    path("retire/<int:number>/close/", retire.close, name="retire_close"),
    path("retire/<int:number>/stuck/", retire.retire_stuck, name="retire_stuck"),
    path("retire/<int:number>/moved/", retire.close_as_moved, name="retire_moved"),
    path("retire/<int:number>/pause/", retire.pause, name="retire_pause"),
    path("retire/<int:number>/remove/", retire.remove, name="retire_remove"),
    path("retire/<int:number>/activate/", retire.activate, name="retire_activate"),
    path("retire/<int:number>/put-back/", retire.put_back, name="retire_put_back"),
    path("retire/<int:number>/by-hand/", retire.by_myself, name="retire_by_hand"),
    path("retire/<int:number>/ran-it/", retire.ran_it, name="retire_ran_it"),
    path("retire/<int:number>/gone/", retire.gone, name="retire_gone"),
    path("retire/<int:number>/brought-back/", retire.brought_back, name="retire_brought_back"),
]
