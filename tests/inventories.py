"""Rights on pg_cron's jobs for a role, and a run of `manage.py checkretirement`."""

from __future__ import annotations

import pytest
from django.core.management import call_command

MAY_LOOK = "GRANT USAGE ON SCHEMA cron TO {role}"
SEES_ALL = "CREATE POLICY sees_all ON cron.job FOR SELECT TO {role} USING (true)"


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        call_command("checkretirement", *arguments)
    return ended.value.code, capsys.readouterr().out
