"""The audit can be added to and read, and nothing else."""

from __future__ import annotations

from importlib import import_module

import pytest
from django.db import DatabaseError, connection, transaction
from django.db.migrations.executor import MigrationExecutor

from executions.models.retirement import AuditEvent, Retirement
from executions.retirement import audit
from executions.retirement.audit import Who

pytestmark = pytest.mark.django_db


@pytest.fixture
def event():
    retirement = Retirement.objects.create(jobid=17, started_by="olga")
    return audit.record(
        Who("olga", 7),
        "remove",
        AuditEvent.Outcome.REFUSED,
        retirement,
        summary="Not yet.",
        statement="SELECT cron.unschedule(17);",
        evidence={"gates": [{"code": "visible"}], "seen_at": None},
    )


def test_a_line_says_who_what_when_on_what_evidence_and_what_came_of_it(event):
    line = AuditEvent.objects.get()
    assert (line.user_name, line.user_id, line.action) == ("olga", 7, "remove")
    assert (line.subject, line.outcome) == ("pg_cron job 17", "refused")
    assert line.statement == "SELECT cron.unschedule(17);"
    assert line.evidence["gates"] == [{"code": "visible"}]
    assert line.summary == "Not yet."


def test_every_text_of_a_line_is_bounded_and_says_how_much_was_left_out():
    long = "x" * (audit.MOST_CHARACTERS + 5)
    audit.record(
        Who(long),
        long,
        AuditEvent.Outcome.REFUSED,
        long,
        summary=long,
        statement=long,
        evidence={"job": {"command": long}, "told": [long, 5]},
    )
    line = AuditEvent.objects.get()
    evidence = (line.evidence["job"]["command"], line.evidence["told"][0])
    texts = (line.user_name, line.action, line.subject, line.summary, line.statement, *evidence)
    cut = "x" * audit.MOST_CHARACTERS + " … (5 more characters)"
    assert set(texts) == {cut}
    assert line.evidence["told"][1] == 5


def test_a_text_within_the_bound_is_kept_whole():
    whole = "x" * audit.MOST_CHARACTERS
    line = audit.record(Who("olga"), "watch", AuditEvent.Outcome.DONE, "a job", summary=whole)
    assert line.summary == whole


def test_its_time_is_the_databases(event):
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp(), now()")
        now, began = cursor.fetchone()
    assert began <= AuditEvent.objects.get().at <= now


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE executions_auditevent SET user_name = 'nobody'",
        "UPDATE executions_auditevent SET user_name = 'nobody' WHERE false",
        "DELETE FROM executions_auditevent",
        "DELETE FROM executions_auditevent WHERE false",
        "TRUNCATE executions_auditevent",
        "TRUNCATE executions_auditevent, executions_act, executions_retirement",
        """INSERT INTO executions_auditevent SELECT * FROM executions_auditevent
           ON CONFLICT (id) DO UPDATE SET user_name = 'nobody'""",
    ],
)
def test_the_applications_own_role_cannot_change_or_remove_a_line(event, statement):
    with connection.cursor() as cursor:
        # Tests with real transactions need this one out of the way; here it is back.
        cursor.execute(
            "ALTER TABLE executions_auditevent ENABLE ALWAYS TRIGGER audit_refuses_truncate"
        )
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            cursor.execute(statement)
    assert AuditEvent.objects.get().user_name == "olga"


@pytest.mark.parametrize(
    "statement", ["UPDATE parent SET user_name = 'nobody'", "DELETE FROM parent"]
)
def test_it_cannot_by_way_of_a_table_that_the_audit_is_made_to_inherit_from(event, statement):
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE parent (LIKE executions_auditevent)")
        cursor.execute("ALTER TABLE executions_auditevent INHERIT parent")
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            cursor.execute(statement)
    assert AuditEvent.objects.get().user_name == "olga"


def test_a_session_that_replicates_cannot_either(event, cluster):
    """Ordinary triggers rest there; the trigger against TRUNCATE is disabled in tests."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tgname, tgenabled FROM pg_trigger WHERE tgname LIKE 'audit_refuses_change%'"
            " AND tgrelid = 'executions_auditevent'::regclass ORDER BY tgname"
        )
        assert cursor.fetchall() == [
            ("audit_refuses_change", "A"),
            ("audit_refuses_change_of_row", "A"),
        ]


def test_what_refuses_each_row_can_be_taken_back_and_made_again(event):
    """Going back to the migration before leaves the audit as that one made it."""
    migration = import_module("executions.migrations.0004_audit_refuses_every_row")
    names = "SELECT count(*) FROM pg_trigger WHERE tgname = 'audit_refuses_change_of_row'"
    with connection.cursor() as cursor:
        for statement, left in ((migration.LET, 0), (migration.REFUSE, 1)):
            cursor.execute(statement)
            cursor.execute(names)
            assert cursor.fetchone() == (left,)


def test_the_model_cannot_either(event):
    event.user_name = "nobody"
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        event.save()
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        event.delete()


def test_a_line_outlives_the_retirement_and_the_user_that_it_tells_of(event):
    Retirement.objects.all().delete()
    assert AuditEvent.objects.get().retirement_id == event.retirement_id


def test_the_product_has_a_name_of_its_own_for_what_it_does_by_itself():
    audit.record(audit.MYSELF, "trial", AuditEvent.Outcome.DONE, "pg_cron job 1")
    line = AuditEvent.objects.get()
    assert (line.user_name, line.user_id) == ("Multica Admin", None)


def test_a_line_and_an_act_of_it_say_why_and_a_line_of_an_older_process_does_not(event):
    audit.record(Who("olga", 7, "OPS-17"), "close", AuditEvent.Outcome.DONE, "a job")
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO executions_auditevent"
            " (user_name, action, subject, outcome, statement, role, summary, evidence)"
            " VALUES ('old', 'remove', 'a job', 'done', '', '', '', '{}')"
        )
    found = AuditEvent.objects.order_by("pk").values_list("user_name", "why")
    assert list(found) == [("olga", ""), ("olga", "OPS-17"), ("old", "")]


def test_the_reason_comes_to_a_table_with_lines_and_nobody_can_change_it(event):
    migration = import_module("executions.migrations.0009_a_reason_for_each_act")
    executor = MigrationExecutor(connection)
    executor.migrate(migration.Migration.dependencies)
    executor.loader.build_graph()
    executor.migrate(executor.loader.graph.leaf_nodes("executions"))
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        AuditEvent.objects.update(why="another reason")
    assert AuditEvent.objects.get().why == ""


@pytest.mark.django_db(transaction=True)
def test_the_log_tells_of_every_line_that_is_committed(caplog):
    caplog.set_level("INFO", logger="executions.retirement.audit")
    with transaction.atomic():
        audit.record(Who("olga"), "close", AuditEvent.Outcome.DONE, "rolled back")
        transaction.set_rollback(True)
    audit.record(Who("olga", 7, "OPS-17"), "close", AuditEvent.Outcome.DONE, "a job")
    (line,) = [record for record in caplog.records if record.name == "executions.retirement.audit"]
    told = (line.user_name, line.action, line.outcome, line.about, line.why)
    assert told == ("olga", "close", "done", "a job", "OPS-17")
