"""PURE: an upgrade's answer as the JSON of docs/interfaces.md."""

from collections.abc import Mapping

from executions.health.assessment import plain
from executions.health.upgrade.answer import UpgradeAnswer
from executions.health.upgrade.step import UpgradeStep
from executions.rollup.versions import NEWEST_KNOWN, Version


def as_json(answer: UpgradeAnswer) -> dict[str, object]:
    """The object of docs/interfaces.md, ``checkupgrade --json``."""
    return {
        "answer": answer.outcome.value,
        "summary": str(answer.summary),
        "checked_at": plain(answer.now),
        "target": str(answer.target),
        "known_up_to": str(NEWEST_KNOWN),
        "tables": _tables(answer),
        "changes": [
            {
                "change": ahead.change.value,
                "version": str(ahead.version),
                "certain": ahead.is_certain,
                "summary": str(ahead.summary),
            }
            for ahead in answer.changes
        ],
        "steps": [_step(step) for step in answer.steps],
        "after": _after(answer),
        "unknowable": [str(text) for text in answer.unknowable],
    }


def _version(version: Version | None) -> str | None:
    return None if version is None else str(version)


def _tables(answer: UpgradeAnswer) -> Mapping[str, object] | None:
    versions = answer.versions
    if versions is None:
        return None
    return {
        "since": _version(versions.since),
        "before": _version(versions.before),
        "stopped_at_103": versions.stopped,
        "lacking": [change.value for change in versions.mixed],
    }


def _step(step: UpgradeStep) -> Mapping[str, object]:
    return {
        "code": step.code.value,
        "state": step.state.value,
        "summary": str(step.summary),
        "todo": None if step.todo is None else str(step.todo),
        "commands": {place.value: command for place, command in step.commands.items()},
        "statement": step.statement or None,
        "evidence": plain(step.evidence),
    }


def _after(answer: UpgradeAnswer) -> Mapping[str, object] | None:
    if answer.upgraded is None or answer.after is None:
        return None
    return {
        "summary": str(answer.after),
        "migrated_at": plain(answer.upgraded.migrated_at),
        "first_success_at": plain(answer.upgraded.first_success),
    }
