"""PURE: the commands and statements that findings advise and explanations show, each once.

It decides nothing: `findings/` say when a remedy applies, and `explain/` why.

The names are those of Multica's own files for self-hosting: the services ``backend`` and
``postgres`` of docker-compose.selfhost.yml, and the labels and deployments of its Helm chart. A
plain host has no official unit; ours are called after the service.
"""

from collections.abc import Mapping

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class Place(TextChoices):
    """Where a command is typed. `HERE` is where Multica Admin itself is installed."""

    COMPOSE = "compose", _("Docker Compose, in the folder of docker-compose.selfhost.yml")
    KUBERNETES = "kubernetes", _("Kubernetes, with Multica's Helm chart")
    HOST = "host", _("Plain host, if systemd runs Multica as multica-backend")
    HERE = "here", _("Where Multica Admin is installed")
    HERE_COMPOSE = "here-compose", _("Docker Compose, in Multica Admin's folder deploy/compose")
    HERE_KUBERNETES = (
        "here-kubernetes",
        _("Kubernetes, with Multica Admin's own manifest or chart"),
    )


Commands = Mapping[Place, str]

_COMPOSE = "docker compose -f docker-compose.selfhost.yml"
_PODS = "--selector app.kubernetes.io/name=multica,app.kubernetes.io/component=backend"

BACKEND_STATUS: Commands = {
    Place.COMPOSE: f"{_COMPOSE} ps --all backend",
    Place.KUBERNETES: f"kubectl get pods {_PODS}",
    Place.HOST: "systemctl status multica-backend",
}


def backend_log(since: str) -> Commands:
    """The backend's log of so long, such as ``2h``. The largest unit that all take is hours."""
    return {
        Place.COMPOSE: f"{_COMPOSE} logs --timestamps --since {since} backend",
        Place.KUBERNETES: f"kubectl logs {_PODS} --prefix --timestamps --since={since} --tail=-1",
        Place.HOST: f"journalctl --unit multica-backend --since -{since}",
    }


BACKEND_LOG = backend_log("2h")
BACKEND_RESTART: Commands = {
    Place.COMPOSE: f"{_COMPOSE} up --detach --force-recreate backend",
    Place.KUBERNETES: f"kubectl rollout restart deployment {_PODS}",
    Place.HOST: "systemctl restart multica-backend",
}
BACKEND_UPGRADE: Commands = {
    Place.COMPOSE: f"{_COMPOSE} pull && {_COMPOSE} up --detach",
    Place.KUBERNETES: "helm upgrade multica deploy/helm/multica --reuse-values",
}
# In pg_dump's own format and never through a pipe: a failed dump must not look like a whole one.
BACKUP: Commands = {
    Place.COMPOSE: f"{_COMPOSE} exec -T postgres pg_dump --username multica --format custom"
    " multica > multica-before-upgrade.dump",
    Place.KUBERNETES: "kubectl exec deployment/multica-postgres -- pg_dump --username multica"
    " --format custom multica > multica-before-upgrade.dump",
    Place.HOST: 'pg_dump --format custom --file multica-before-upgrade.dump "$DATABASE_URL"',
}
PSQL: Commands = {
    Place.COMPOSE: f"{_COMPOSE} exec postgres psql --username multica --dbname multica",
    Place.KUBERNETES: "kubectl exec --stdin --tty deployment/multica-postgres --"
    " psql --username multica --dbname multica",
    Place.HOST: 'psql "$DATABASE_URL"',
}

BACKFILL = "manage.py backfill_task_usage_hourly"
BACKFILL_LOOK = f"{BACKFILL} --dry-run"
PRUNE = "manage.py pruneexecutions"
PRUNE_LOOK = f"{PRUNE} --dry-run"
RUN_ONCE = "manage.py runrollup --once"
GRANTS = "manage.py permissions --role multica_view --as viewer"
CALLERS = "manage.py checkretirement"
CALLERS_OUTSIDE = "manage.py findcallers"
VERDICT = "manage.py checkrollup"

PUT_STATE_ROW_BACK = "INSERT INTO task_usage_hourly_rollup_state (id) VALUES (1);"
ALL_JOBS = "SELECT jobid, jobname, username, database, schedule, command FROM cron.job;"

READ_THE_ERROR = _(
    "Read the error. If a restart or a deploy caused it, do nothing. If it repeats, fix the cause"
    " that the error names."
)


def here(command: str) -> Commands:
    """A command of our own, as it is typed in the folder of Multica Admin."""
    return {Place.HERE: f".venv/bin/python {command}"}


def wherever(command: str) -> Commands:
    """A command of our own, for every way in which Multica Admin is installed."""
    return {
        Place.HERE_COMPOSE: f"docker compose exec multica-admin python {command}",
        Place.HERE_KUBERNETES: f"kubectl exec deployment/multica-admin -- python {command}",
        **here(command),
    }


def end_session(pid: str | int) -> str:
    return f"SELECT pg_terminate_backend({pid});"


def upgrade_to(tag: str) -> Commands:
    """To a release by its tag. A pinned tag stays what it is until somebody changes it."""
    return {
        Place.COMPOSE: f"MULTICA_IMAGE_TAG={tag} {_COMPOSE} pull"
        f" && MULTICA_IMAGE_TAG={tag} {_COMPOSE} up --detach",
        Place.KUBERNETES: f"{BACKEND_UPGRADE[Place.KUBERNETES]}"
        f" --set images.backend.tag={tag} --set images.frontend.tag={tag}",
        Place.HOST: "./server/bin/migrate up && systemctl restart multica-backend",
    }
