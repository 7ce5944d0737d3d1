"""Tags of the overview and of whatever else shows a finding."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from html import escape
from uuid import UUID

from django import template
from django.urls import reverse
from django.utils.safestring import SafeString

from executions.health.findings import Finding
from executions.selectors import evidence
from executions.selectors.lanes import Bar
from executions.selectors.strip import Square
from executions.templatetags.history import address

register = template.Library()

_ANY = UUID(int=0)


@register.filter
def evidence_lines(finding: Finding) -> list[evidence.Line]:
    """``{% for line in finding|evidence_lines %}``: its evidence, put into words."""
    return evidence.lines(finding)


# A day has 288 squares and as many bars. Put together here, and with nothing escaped but what may
# need it, they cost a quarter of what the nodes of a template's loop do.


@register.simple_tag
def squares(row: Iterable[Square], job: str) -> SafeString:
    """``{% squares row.squares job %}``: each a link to what it stands for, where there is one."""
    address_of = _address_of_executions()
    return SafeString("".join(_square(one, job, address_of) for one in row))


def _square(square: Square, job: str, address_of: Callable[[UUID], str]) -> str:
    to, title = escape(leads_to(square, job, address_of)), escape(square.title)
    mark = f'class="plan plan-{square.look}" data-key="{square.key}"'
    if to:
        return f'<a {mark} href="{to}" title="{title}"><span>{title}</span></a>'
    return f"<span {mark}><span>{title}</span></span>"


@register.simple_tag
def bars(lane: Iterable[Bar]) -> SafeString:
    """``{% bars lane.bars %}``: a runner's runs as rectangles."""
    return SafeString(
        "".join(
            f'<rect class="{bar.css}" x="{bar.x}" y="{bar.y}"'
            f' width="{bar.width}" height="{bar.height}"/>'
            for bar in lane
        )
    )


def _address_of_executions() -> Callable[[UUID], str]:
    """Django's ``reverse`` for many executions, asked once."""
    before, _any, after = reverse("execution", args=[_ANY]).partition(str(_ANY))
    return lambda execution_id: f"{before}{execution_id}{after}"


def leads_to(square: Square, job: str, address_of: Callable[[UUID], str]) -> str:
    """The address of a square: its execution, its gap's explanation, or its stretch of history.

    Empty for a plan that is not due yet or was never expected.
    """
    if square.execution is not None:
        return address_of(square.execution.id)
    if square.gap is not None:
        return f"#{square.gap.anchor}"
    if square.has_rows:
        return address("plans", job=job, since=square.start, until=square.end)
    return ""
