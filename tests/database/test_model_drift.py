"""Our models say what Multica's tables are: compared with the catalog, ours and upstream's."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.core.management import call_command

from executions.models import Execution, MulticaModel, ReadOnly, RollupState, Status

TYPES = {
    "UUIDField": "uuid",
    "TextField": "text",
    "DateTimeField": "timestamp with time zone",
    "IntegerField": "integer",
    "SmallIntegerField": "smallint",
    "BigIntegerField": "bigint",
    "JSONField": "jsonb",
}
MODELS = [Execution, RollupState]


@pytest.fixture(params=["standalone", "upstream"])
def schema(request, owner, upstream):
    return owner if request.param == "standalone" else upstream


def columns(connection, table):
    rows = connection.execute(
        "SELECT column_name, data_type, is_nullable FROM information_schema.columns"
        " WHERE table_schema = 'public' AND table_name = %s",
        [table],
    )
    return {row["column_name"]: (row["data_type"], row["is_nullable"] == "YES") for row in rows}


def test_every_model_of_multicas_is_compared():
    assert set(MODELS) == {model for model in apps.get_models() if issubclass(model, MulticaModel)}


@pytest.mark.parametrize("model", MODELS)
def test_a_model_has_the_tables_columns_types_and_nulls(schema, model):
    expected = {
        field.column: (TYPES[field.get_internal_type()], field.null)
        for field in model._meta.concrete_fields
    }
    assert columns(schema, model._meta.db_table) == expected


def test_the_status_values_are_those_of_the_check_constraint(schema):
    row = schema.execute(
        "SELECT pg_get_constraintdef(oid) AS definition FROM pg_constraint"
        " WHERE conname = 'chk_sys_cron_status'"
    ).fetchone()
    allowed = {part.split("'")[1] for part in row["definition"].split(",")}
    assert allowed == set(Status.values)


@pytest.mark.parametrize("act", ["save", "delete"])
def test_a_row_of_multicas_refuses_to_be_written(act):
    with pytest.raises(ReadOnly):
        getattr(RollupState(id=1), act)()


@pytest.mark.parametrize("act", ["create", "update", "delete", "bulk_create", "get_or_create"])
def test_a_query_of_multicas_refuses_to_write(act):
    with pytest.raises(ReadOnly):
        getattr(Execution.objects.all(), act)()


@pytest.mark.django_db
def test_our_own_models_are_what_the_migrations_make():
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)
