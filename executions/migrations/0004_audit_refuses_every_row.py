"""The audit refuses a change of each row as well, whichever table the statement names.

PostgreSQL fires a statement's triggers on the table that the statement names only. A change that
comes by way of a parent table, from which this one was made to inherit, fires those of each row.
"""

from django.db import migrations

REFUSE = """
CREATE TRIGGER audit_refuses_change_of_row BEFORE UPDATE OR DELETE ON executions_auditevent
    FOR EACH ROW EXECUTE FUNCTION refuse_change_of_audit();
ALTER TABLE executions_auditevent ENABLE ALWAYS TRIGGER audit_refuses_change_of_row;
"""
LET = "DROP TRIGGER audit_refuses_change_of_row ON executions_auditevent"


class Migration(migrations.Migration):
    dependencies = [("executions", "0003_audit_triggers_always_fire")]

    operations = [migrations.RunSQL(REFUSE, LET)]
