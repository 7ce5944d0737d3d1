"""A schedule outside the database, and the exact commands that find, remove and undo it.

It runs none of them. Every value in a command is quoted, whether an operator typed it or a report
of `findcallers` has it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from executions.models.retirement import CallerKind, Retirement
from executions.pgcron.match import ROLLUP

_LABEL = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_USER = re.compile(r"([a-z_][a-z0-9_.-]{0,31}\$?)?", re.IGNORECASE)
# The pattern of names for each kind of schedule. The name of a crontab may be empty.
_NAMES: dict[str, dict[str, re.Pattern[str]]] = {
    CallerKind.CRON: {"name": _USER},
    CallerKind.SYSTEMD: {"name": re.compile(r"[A-Za-z0-9:_.\\@-]{1,255}")},
    CallerKind.CRONJOB: {"name": _LABEL, "namespace": _LABEL},
}
# A folder whose scripts cron runs, whatever is in them.
_RUN_PARTS = re.compile(r"/etc/(cron\.(hourly|daily|weekly|monthly)|periodic/[a-z0-9]+)/[^/]+")
_EVERY_USER = "*"


class NotAName(ValueError):
    """Something that cannot be a name. ``field`` says where."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


@dataclass(frozen=True)
class Outside:
    """A schedule outside the database, as the operator names it or as `findcallers` found it.

    ``name`` is the user of a crontab, the unit of a timer or the name of a CronJob, and
    ``namespace`` a CronJob's. An empty ``name`` of cron is the operator's own crontab, unless
    ``place`` names a file of the system's. ``text`` is how the line calls the rollup. ``user`` is
    the user whose systemd has the timer. ``manager`` would put a CronJob back. The other fields
    are evidence: where and when `findcallers` saw it.

    Raises:
        NotAName: a name is invalid, with a sentence that says why.
    """

    kind: str
    name: str = ""
    namespace: str = "default"
    place: str = ""
    text: str = ROLLUP
    user: str = ""
    static: bool = False
    manager: str = ""
    release: str = ""
    release_namespace: str = ""
    schedule: str = ""
    command: str = ""
    host: str = ""
    seen_at: str = ""

    def __post_init__(self) -> None:
        if self.kind not in _NAMES:
            raise NotAName("kind", _not_valid(self.name))
        for field, pattern in _NAMES[self.kind].items():
            name = getattr(self, field)
            _refuse_option(field, name)
            if not pattern.fullmatch(name):
                raise NotAName(field, _not_valid(name))
        if self.place and not self.place.startswith("/"):
            raise NotAName("place", _not_valid(self.place))
        if self.kind == CallerKind.SYSTEMD and self.user != _EVERY_USER:
            _refuse_option("user", self.user)
            if not _USER.fullmatch(self.user):
                raise NotAName("user", _not_valid(self.user))

    @classmethod
    def stored(cls, values: Mapping[str, Any]) -> Outside:
        """The schedule of a record. A record from an older version has fewer fields."""
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})

    @property
    def kind_label(self) -> str:
        return str(CallerKind(self.kind).label)

    @property
    def in_namespace(self) -> str:
        """What follows the name of the release, if its namespace is known."""
        space = {"namespace": self.release_namespace}
        return _(", namespace %(namespace)s") % space if self.release_namespace else ""

    @property
    def seen(self) -> datetime | None:
        """When `findcallers` saw it, by the clock of its host."""
        return datetime.fromisoformat(self.seen_at) if self.seen_at else None

    @property
    def identity(self) -> tuple[str, ...]:
        """What makes two sightings the same schedule."""
        return (self.kind, self.name, self.namespace, self.place, self.user, self.text)

    @property
    def unit(self) -> str:
        return self.name if self.name.endswith(".timer") else f"{self.name}.timer"

    @property
    def find(self) -> str:
        """The command that shows the schedule."""
        if self._is_script:
            return f"ls -l {shlex.quote(self.place)}"
        if self._is_file:
            return f"grep -nF -e {shlex.quote(self.text)} {shlex.quote(self.place)}"
        if self.kind == CallerKind.CRON:
            return f"crontab {self._user}-l | grep -nF -e {shlex.quote(self.text)}"
        if self.kind == CallerKind.SYSTEMD:
            return f"{self._systemctl('list-timers')} --all {shlex.quote(self.unit)}"
        return f"{self._kubectl} get cronjob {shlex.quote(self.name)} -o yaml"

    @property
    def first(self) -> str:
        """The command that suspends a CronJob, which comes before its removal; else empty."""
        return self._suspend(suspended=True) if self.kind == CallerKind.CRONJOB else ""

    @property
    def remove(self) -> str:
        """The command that removes the schedule. A line of a crontab becomes a comment.

        A CronJob that somebody manages is only suspended: its manager would put it back.
        """
        if self._is_script:
            return f"chmod a-x {shlex.quote(self.place)}"
        if self.kind == CallerKind.CRON:
            return self._edited(f"/^[^#].*{self._pattern}/s/^/#retired /")
        if self.kind == CallerKind.SYSTEMD:
            return (
                f"{self._systemctl('mask' if self.static else 'disable')} {shlex.quote(self.unit)}"
            )
        if self.manager:
            return self.first
        name, file = shlex.quote(self.name), shlex.quote(f"{self.name}.yaml")
        return f"{self.find} > {file} && {self._kubectl} delete cronjob {name}"

    @property
    def undo(self) -> str:
        """The command that brings the schedule back."""
        if self._is_script:
            return f"chmod a+x {shlex.quote(self.place)}"
        if self.kind == CallerKind.CRON:
            return self._edited(f"/{self._pattern}/s/^#retired //")
        if self.kind == CallerKind.SYSTEMD:
            unit = shlex.quote(self.unit)
            unmask = f"{self._systemctl('unmask')} {unit} && " if self.static else ""
            return f"{unmask}{self._systemctl('start' if self.static else 'enable')} {unit}"
        again = self._suspend(suspended=False)
        file = shlex.quote(f"{self.name}.yaml")
        return again if self.manager else f"{self._kubectl} apply -f {file} && {again}"

    @property
    def _is_file(self) -> bool:
        return self.kind == CallerKind.CRON and bool(self.place) and not self.name

    @property
    def _is_script(self) -> bool:
        return self._is_file and bool(_RUN_PARTS.fullmatch(self.place))

    @property
    def _pattern(self) -> str:
        """``text`` as a basic regular expression of sed between slashes."""
        return re.sub(r"[\\/.*^$\[\]]", r"\\\g<0>", self.text)

    def _edited(self, edit: str) -> str:
        if self._is_file:
            return f"sed -i {shlex.quote(edit)} {shlex.quote(self.place)}"
        return f"crontab {self._user}-l | sed {shlex.quote(edit)} | crontab {self._user}-"

    def _systemctl(self, verb: str) -> str:
        """A verb that takes the unit, with ``--now`` if it turns the timer on or off."""
        now = " --now" if verb in {"disable", "enable", "mask"} else ""
        if self.user == _EVERY_USER:
            return f"systemctl --global {verb}"
        machine = f"--user --machine={shlex.quote(self.user + '@.host')} " if self.user else ""
        return f"systemctl {machine}{verb}{now}"

    @property
    def _kubectl(self) -> str:
        return f"kubectl --namespace {shlex.quote(self.namespace)}"

    def _suspend(self, *, suspended: bool) -> str:
        patch = shlex.quote(f'{{"spec":{{"suspend":{str(suspended).lower()}}}}}')
        return (
            f"{self._kubectl} patch cronjob {shlex.quote(self.name)} --type merge --patch {patch}"
        )

    @property
    def _user(self) -> str:
        return f"-u {shlex.quote(self.name)} " if self.name else ""


def _not_valid(name: str) -> str:
    return _("“%(name)s” is not a valid name.") % {"name": name}


def _refuse_option(field: str, name: str) -> None:
    """Refuse a name that begins with "-": even quoted, a command would take it for an option.

    Raises:
        NotAName: the name begins so.
    """
    if name.startswith("-"):
        raise NotAName(
            field,
            _(
                "“%(name)s” is not a valid name: it begins with “-”, so the command would"
                " take it for an option.") % {"name": name}
        )  # fmt: skip


def outside_of(retirement: Retirement) -> Outside:
    """The schedule that an external retirement is about."""
    return Outside.stored(retirement.external or {})
