"""The audit's triggers fire in every session, replication or not."""

from django.db import migrations

NAMES = ("audit_refuses_change", "audit_refuses_truncate")


def each(how: str) -> list[str]:
    return [f"ALTER TABLE executions_auditevent {how} TRIGGER {name}" for name in NAMES]


class Migration(migrations.Migration):
    dependencies = [("executions", "0002_retirements")]

    operations = [migrations.RunSQL(each("ENABLE ALWAYS"), each("ENABLE"))]
