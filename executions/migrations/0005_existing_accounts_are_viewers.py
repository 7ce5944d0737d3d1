"""Every account that exists gets the role viewer: until now an account without a role could look.

An account that is made from now on has no role until an administrator gives it one.
"""

from django.db import migrations


def give_the_role(apps, _schema_editor) -> None:
    user_model = apps.get_model("auth", "User")
    without = user_model.objects.exclude(groups__name__in=["viewer", "operator"])
    if not without.exists():
        return
    # The permission of the role is added after each migration, by executions/accounts/roles.py.
    viewer, _made = apps.get_model("auth", "Group").objects.get_or_create(name="viewer")
    for user in without:
        user.groups.add(viewer)


class Migration(migrations.Migration):
    dependencies = [
        ("executions", "0004_audit_refuses_every_row"),
        ("auth", "0012_alter_user_first_name_max_length"),
    ]

    operations = [migrations.RunPython(give_the_role, migrations.RunPython.noop)]
