"""PURE: the parts of an explanation of a finding. The other modules here have the texts."""

from dataclasses import dataclass, field

from django.db.models import TextChoices
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from executions.health.findings.base import FindingCode
from executions.health.remedies import Commands


class LeastRole(TextChoices):
    """The least role that may run a statement."""

    VIEWER = "viewer", _("The dashboard's own role may run it.")
    OWNER = "owner", _("It needs the owner of Multica's tables.")
    ADMINISTRATOR = "administrator", _("It needs a superuser of the database server.")


@dataclass(frozen=True)
class ExplainedStatement:
    """One SQL statement: what it shows or does, and who may run it."""

    shows: Promise
    sql: str
    reader: LeastRole = LeastRole.VIEWER


@dataclass(frozen=True)
class Step:
    """One thing to do, with its command for each place, or with a statement."""

    text: Promise
    commands: Commands = field(default_factory=dict)
    statement: ExplainedStatement | None = None


@dataclass(frozen=True)
class Explanation:
    """A finding in general: it knows nothing of the present install.

    ``title`` is the finding as a short sentence. ``is_not`` says what people take it for.
    """

    code: FindingCode
    title: Promise
    meaning: Promise
    evidence: Promise
    steps: tuple[Step, ...]
    statements: tuple[ExplainedStatement, ...]
    is_not: Promise
