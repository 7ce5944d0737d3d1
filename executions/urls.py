"""The addresses of the history: plans, one execution, runners, errors, jobs, and the export."""

from __future__ import annotations

from django.urls import path

from executions.views import errors, execution, export, jobs, plans, runners

urlpatterns = [
    path("executions/", plans.plans, name="plans"),
    path("executions/export.csv", export.as_csv, name="export_csv"),
    path("executions/export.jsonl", export.as_json_lines, name="export_jsonl"),
    path("executions/<uuid:execution_id>/", execution.execution, name="execution"),
    path("runners/", runners.runners, name="runners"),
    path("errors/", errors.errors, name="errors"),
    path("jobs/", jobs.jobs, name="jobs"),
]
