"""PURE: explanations as Markdown, for docs/guide/troubleshooting.md and the terminal."""

from collections.abc import Iterable, Iterator
from textwrap import fill, indent

from django.utils.functional import Promise
from django.utils.translation import gettext as _

from executions.health.explain.explanation import ExplainedStatement, Explanation, Step
from executions.health.remedies import PSQL, Commands

_WIDTH = 100


def page(explanations: Iterable[tuple[Explanation, str | None]]) -> str:
    """All of them with their scenarios, and how to run a statement."""
    intro = _(
        "One section for each finding code. manage.py explain prints this page from the same source"
        " as the dashboard's pages, so edit the source in executions/health/explain/."
    )
    parts = [f"# {_('What each finding means')}", _wrapped(intro)]
    parts += [section(one, scenario) for one, scenario in explanations]
    parts += [f"## {_('How to run a statement')}", *_commands(PSQL)]
    return "\n\n".join(parts) + "\n"


def section(explanation: Explanation, scenario: str | None = None) -> str:
    """One explanation, as the page shows it; ``scenario`` is the command that shows it."""
    parts = [*_section(explanation)]
    if scenario:
        parts += [f"### {_('See it in the demo')}", f"```\n{scenario}\n```"]
    return "\n\n".join(parts)


def _section(one: Explanation) -> Iterator[str]:
    yield f"## {one.code}"
    yield _wrapped(_("**%(title)s.** %(meaning)s") % {"title": one.title, "meaning": one.meaning})
    yield f"### {_('What to do')}"
    for number, step in enumerate(one.steps, 1):
        yield from _step(number, step)
    yield f"### {_('How we know')}"
    yield _wrapped(one.evidence)
    if one.statements:
        yield f"### {_('The SQL that shows it')}"
        for statement in one.statements:
            yield _statement(statement)
    yield f"### {_('What it is not')}"
    yield _wrapped(one.is_not)


def _step(number: int, step: Step) -> Iterator[str]:
    yield _wrapped(f"{number}. {step.text}", indented="   ")
    parts = [*_commands(step.commands)]
    if step.statement:
        parts.append(_statement(step.statement))
    yield from (indent(part, "   ") for part in parts)


def _commands(commands: Commands) -> Iterator[str]:
    for place, command in commands.items():
        said = _("%(place)s:") % {"place": place.label}
        yield f"{said}\n\n```\n{command}\n```"


def _statement(statement: ExplainedStatement) -> str:
    said = _("%(shows)s. %(reader)s")
    values = {"shows": statement.shows, "reader": statement.reader.label}
    return f"{_wrapped(said % values)}\n\n```sql\n{statement.sql}\n```"


def _wrapped(text: str | Promise, indented: str = "") -> str:
    """The text in lines of at most ``_WIDTH``, but for a language without spaces."""
    return fill(
        str(text),
        _WIDTH,
        subsequent_indent=indented,
        break_on_hyphens=False,
        break_long_words=False,
    )
