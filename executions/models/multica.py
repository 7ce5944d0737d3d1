"""Multica's tables, unmanaged, with only the columns that the dashboard reads.

``scheduler/leases.py`` writes ``sys_cron_executions`` in SQL. These models refuse to write.
"""

from typing import Any, NoReturn, TypeVar

from django.db import models
from django.utils.translation import gettext_lazy as _

ModelT = TypeVar("ModelT", bound=models.Model, covariant=True)


class ReadOnly(Exception):
    """Code tried to write one of Multica's tables through a model."""


def _refuse(*_arguments: Any, **_options: Any) -> NoReturn:
    raise ReadOnly("Multica's tables are read here and never written.")


class ReadOnlyQuerySet(models.QuerySet[ModelT]):
    create = bulk_create = bulk_update = get_or_create = update_or_create = _refuse
    update = delete = _refuse


class MulticaModel(models.Model):
    """One of Multica's tables: never migrated, read through the alias ``multica``."""

    multica_side = True
    objects = ReadOnlyQuerySet.as_manager()

    class Meta:
        abstract = True
        managed = False

    save = delete = _refuse


class Status(models.TextChoices):
    """The values that the CHECK constraint allows. *Stale* is derived and never stored."""

    RUNNING = "RUNNING", _("running")
    SUCCESS = "SUCCESS", _("success")
    FAILED = "FAILED", _("failed")


class Execution(MulticaModel):
    """One planned execution: job, scope, plan_time (docs/contract.md section 2)."""

    id = models.UUIDField(primary_key=True)
    job_name = models.TextField()
    scope_kind = models.TextField()
    scope_id = models.TextField()
    plan_time = models.DateTimeField()
    status = models.TextField(choices=Status.choices)
    attempt = models.IntegerField()
    max_attempts = models.IntegerField()
    next_retry_at = models.DateTimeField(null=True)
    runner_id = models.TextField(null=True)
    lease_token = models.UUIDField()
    heartbeat_at = models.DateTimeField(null=True)
    stale_after = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    duration_ms = models.IntegerField(null=True)
    rows_affected = models.BigIntegerField(null=True)
    result = models.JSONField()
    error_code = models.TextField(null=True)
    error_msg = models.TextField(null=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "sys_cron_executions"

    def __str__(self) -> str:
        return f"{self.job_name} {self.scope_kind}/{self.scope_id} {self.plan_time:%Y-%m-%dT%H:%MZ}"


class RollupState(MulticaModel):
    """The one row with the watermark and the last run (docs/contract.md section 4)."""

    id = models.SmallIntegerField(primary_key=True)
    watermark_at = models.DateTimeField()
    last_run_started_at = models.DateTimeField(null=True)
    last_run_finished_at = models.DateTimeField(null=True)
    last_run_rows = models.BigIntegerField(null=True)
    last_error = models.TextField(null=True)

    class Meta:
        managed = False
        db_table = "task_usage_hourly_rollup_state"

    def __str__(self) -> str:
        return f"watermark {self.watermark_at:%Y-%m-%dT%H:%M:%SZ}"
