"""What the strip and the lanes draw stands out from its card: WCAG 2.2, 1.4.11, at least 3 to 1.

The ratio is computed from the style sheets, in both themes. *Nothing expected* draws nothing.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from executions.health.ledger import PlanOutcome
from executions.pages.overview.strip import LABELS

STATIC = Path(__file__).parents[2] / "static"
SHEETS = "".join(
    (STATIC / f"{name}.css").read_text() for name in ("frame", "app", "overview", "history")
)
THEMES = ("light", "dark")
LEAST = 3.0
LOOKS = [*(look for kind, (look, _text) in LABELS.items() if kind is not PlanOutcome.NONE), "odd"]
RUNS = sorted(set(re.findall(r"(?m)^\.(run(?:-\w+)?) \{", SHEETS)))


def declared(selector):
    """What the rule with exactly this selector declares."""
    (found,) = re.findall(rf"(?m)^{re.escape(selector)} \{{(.*?)\}}", SHEETS, re.DOTALL)
    return found


def colour(text, theme):
    """The first colour of a declaration, as it is in that theme."""
    if pair := re.search(r"light-dark\((#\w{6}), (#\w{6})\)", text):
        return pair[1 + THEMES.index(theme)]
    if name := re.search(r"var\((--[\w-]+)\)", text):
        return variable(name[1], theme)
    raise AssertionError(f"no colour in {text}")


def variable(name, theme):
    (found,) = re.findall(rf"(?m)^  {name}: (.*?);", SHEETS)
    return colour(found, theme)


def luminance(hexadecimal):
    """Relative luminance, as WCAG 2.2 defines it."""

    def linear(part):
        return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4

    red, green, blue = (int(hexadecimal[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)


def contrast(one, other):
    darker, lighter = sorted(map(luminance, (one, other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_the_computed_contrast_is_that_of_the_criterion():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("look", LOOKS)
def test_a_square_stands_out_from_its_card(look, theme):
    drawn = colour(declared(f".plan-{look}"), theme)
    assert contrast(drawn, variable("--surface", theme)) >= LEAST


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("run", RUNS)
def test_a_run_of_a_lane_stands_out_from_its_card(run, theme):
    drawn = colour(declared(f".{run}"), theme)
    assert contrast(drawn, variable("--surface", theme)) >= LEAST


@pytest.mark.parametrize("theme", THEMES)
def test_an_open_gap_stands_out_from_its_card(theme):
    drawn = colour(declared(".plan-open"), theme)
    assert contrast(drawn, variable("--surface", theme)) >= LEAST
