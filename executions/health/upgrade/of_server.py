"""PURE: the steps that concern the server: PostgreSQL, its extensions, the backup, the upgrade."""

from django.utils.translation import gettext_lazy as _

from executions.health.remedies import BACKUP, upgrade_to
from executions.health.upgrade.case import UpgradeCase
from executions.health.upgrade.facts import Extension, Migrator, PostgresServer
from executions.health.upgrade.requirements import (
    OPTIONAL_EXTENSIONS,
    POSTGRESQL,
    REQUIRED_EXTENSIONS,
)
from executions.health.upgrade.step import StepCode, StepState, UpgradeStep
from executions.text.problem import Problem
from executions.text.sentences import Sentence, Values, listed, say, together


def unread(code: StepCode, what: Sentence, why: Problem) -> UpgradeStep:
    """A step whose fact cannot be read. ``what`` follows "because" and ends in no full stop."""
    return UpgradeStep(
        code,
        StepState.UNKNOWN,
        say("This could not be looked at. %(why)s", why=why.reason),
        say("%(todo)s", todo=why.todo),
        reason=what,
    )


def postgresql(case: UpgradeCase) -> UpgradeStep:
    server = case.facts.server
    if isinstance(server, Problem):
        return unread(StepCode.POSTGRESQL, say("PostgreSQL's version cannot be read"), server)
    values: Values = {"version": server.version, "least": POSTGRESQL}
    if server.major < POSTGRESQL:
        return UpgradeStep(
            StepCode.POSTGRESQL,
            StepState.BLOCKS,
            say(
                "This server is PostgreSQL %(version)s. Current releases of Multica require"
                " PostgreSQL %(least)s.",
                **values,
            ),
            say(
                "Move the database to PostgreSQL %(least)s first, by pg_upgrade or by dump"
                " and restore. Multica's own image of it is pgvector/pgvector:pg17.",
                **values,
            ),
            reason=say(
                "this server is PostgreSQL %(version)s and Multica requires %(least)s", **values
            ),
            evidence={"version": server.version, "required": POSTGRESQL},
        )
    return UpgradeStep(
        StepCode.POSTGRESQL,
        StepState.OK,
        say("This server is PostgreSQL %(version)s, and Multica requires %(least)s.", **values),
        evidence={"version": server.version, "required": POSTGRESQL},
    )


def extensions(case: UpgradeCase) -> UpgradeStep:
    server = case.facts.server
    if isinstance(server, Problem):
        return unread(StepCode.EXTENSIONS, say("the extensions cannot be read"), server)
    evidence = {name: state.value for name, state in sorted(server.extensions.items())}
    missing = _those(server, Extension.MISSING)
    if missing:
        return UpgradeStep(
            StepCode.EXTENSIONS,
            StepState.BLOCKS,
            say(
                "Multica requires the extensions %(required)s. This server lacks %(missing)s.",
                required=listed(REQUIRED_EXTENSIONS),
                missing=listed(missing),
            ),
            say(
                "Install the package with PostgreSQL's own extra modules on the server (on"
                " Debian it is part of the server's package, elsewhere postgresql-contrib)."
            ),
            reason=say("the server lacks %(missing)s", missing=listed(missing)),
            evidence=evidence,
        )
    available = _those(server, Extension.AVAILABLE)
    if not available:
        summary = say(
            "The extensions that Multica requires are installed: %(required)s.",
            required=listed(REQUIRED_EXTENSIONS),
        )
        return UpgradeStep(
            StepCode.EXTENSIONS,
            StepState.OK,
            together(summary, _optional(server)),
            evidence=evidence,
        )
    return _to_create(case, server, available, evidence)


def _to_create(
    case: UpgradeCase, server: PostgresServer, available: list[str], evidence: dict[str, str]
) -> UpgradeStep:
    """A migration creates them, if its role may."""
    migrator = case.facts.migrator
    names: Values = {"available": listed(available)}
    said = say(
        "Multica requires %(available)s, which the server has and this database does not use yet.",
        **names,
    )
    if isinstance(migrator, Migrator) and migrator.may_create:
        by_itself = say(
            "A migration creates what is missing: the role %(role)s may do so.",
            role=migrator.role,
        )
        return UpgradeStep(
            StepCode.EXTENSIONS,
            StepState.OK,
            together(said, by_itself, _optional(server)),
            evidence=evidence,
        )
    if isinstance(migrator, Migrator):
        state, reason = (
            StepState.BLOCKS,
            _("%(role)s, which runs the migrations, may not create %(available)s"),
        )
        names["role"] = migrator.role
    else:
        state, reason = (
            StepState.UNKNOWN,
            _("nobody can tell whether a migration may create %(available)s"),
        )
    return UpgradeStep(
        StepCode.EXTENSIONS,
        state,
        together(said, _optional(server)),
        say(
            "Create it first: let a superuser run the statement in Multica's database, or the"
            " migration that needs it may fail."
        ),
        reason=say(reason, **names),
        statement=" ".join(f"CREATE EXTENSION IF NOT EXISTS {name};" for name in available),
        evidence=evidence,
    )


def _those(server: PostgresServer, state: Extension) -> list[str]:
    return [name for name in REQUIRED_EXTENSIONS if server.extensions.get(name) is state]


def _optional(server: PostgresServer) -> Sentence | None:
    here = [
        name for name in OPTIONAL_EXTENSIONS if server.extensions.get(name) is Extension.INSTALLED
    ]
    if not here:
        return None
    return say("It also uses %(here)s, which Multica does not need.", here=listed(here))


def backup(_case: UpgradeCase) -> UpgradeStep:
    return UpgradeStep(
        StepCode.BACKUP,
        StepState.DO,
        say(
            "Make a backup first. Migrations of Multica are not undone by going back to an"
            " older release, so the backup is the only way back."
        ),
        say(
            "Run the command where Multica runs, and go on only if it ended without an error"
            " and the file is not empty. On a plain host leave parameters such as"
            " pool_max_conns out of the URL: pg_dump does not know them."
        ),
        commands=BACKUP,
    )


def upgrade(case: UpgradeCase) -> UpgradeStep:
    return UpgradeStep(
        StepCode.UPGRADE,
        StepState.DO,
        say(
            "Then upgrade to %(target)s. Its migrations run before the backend starts.",
            target=str(case.target),
        ),
        say(
            "With Docker Compose also write MULTICA_IMAGE_TAG=%(target)s into .env, or the"
            " next start takes the tag from there again. On Kubernetes a restart alone is no"
            " upgrade: the tag must change. On a plain host install the release first.",
            target=str(case.target),
        ),
        commands=upgrade_to(str(case.target)),
    )
