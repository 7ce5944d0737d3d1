"""Tags of the overview and of whatever else shows a finding."""

from __future__ import annotations

from django import template
from django.urls import reverse

from executions.health.findings import Finding
from executions.selectors import evidence
from executions.selectors.strip import Square
from executions.templatetags.history import address

register = template.Library()


@register.filter
def evidence_lines(finding: Finding) -> list[evidence.Line]:
    """``{% for line in finding|evidence_lines %}``: its evidence, put into words."""
    return evidence.lines(finding)


@register.simple_tag
def leads_to(square: Square, job: str) -> str:
    """The address of a square: its execution, its gap's explanation, or its stretch of history.

    Empty for a plan that is not due yet or was never expected.
    """
    if square.execution is not None:
        return reverse("execution", args=[square.execution.id])
    if square.gap is not None:
        return f"#{square.gap.anchor}"
    if square.has_rows:
        return address("plans", job=job, since=square.start, until=square.end)
    return ""
