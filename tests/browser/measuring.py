"""What the browser tests ask of a page: axe, and our own measures (`measures.js`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.browser.remote import Remote
from tests.sizes import AT_FULL_SIZE, sized

HERE = Path(__file__).parent
AXE = (HERE / "vendor/axe-core-4.14.1/axe.min.js").read_text("utf-8")
MEASURES = (HERE / "measures.js").read_text("utf-8")
WIDTHS = (390, 768, 1440)
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
BEST_PRACTICE = "best practice"
# The themes differ in nothing but their colours; in bin/audit axe tries every rule on both.
RULES_FOR_DARK = sized(["color-contrast", "link-in-text-block"], TAGS)


def ready(page: Remote) -> None:
    """Gives the loaded page the measures. `page.evaluate` may, in spite of the strict policy."""
    page.evaluate(AXE)
    page.evaluate(MEASURES)


def ask(page: Remote, measure: str, *arguments: Any) -> Any:
    return page.evaluate(f"(given) => measures.{measure}(...given)", list(arguments))


def turn(page: Remote, theme: str) -> None:
    """The system turns to that theme, and the page follows."""
    page.emulate_media(color_scheme=theme, reduced_motion="reduce")
    page.wait_for_selector(f"html[data-bs-theme={theme}]", state="attached")


def resize(page: Remote, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})


def axe_faults(page: Remote, rules: list[str] = TAGS) -> list[tuple[str, str]]:
    """Each violation that axe finds, under each criterion that it breaks."""
    return [
        (criterion, said)
        for criteria, said in ask(page, "axeFaults", rules)
        for criterion in criteria or [BEST_PRACTICE]
    ]


def looked_at(page: Remote, *, in_dark: bool = True) -> list[tuple[str, str]]:
    """The faults of the loaded page as everybody may see it: each width, both themes, unfolded.

    Without ``in_dark`` the page is seen in the light theme alone, and axe looks once: at a narrow
    page with everything unfolded. Each fault has the number of the criterion that it breaks, and
    where it shows.
    """
    found: list[tuple[str, str]] = []

    def note(where: str, faults: list[tuple[str, str]]) -> None:
        found.extend((criterion, f"{where}: {said}") for criterion, said in faults)

    def note_width(where: str, *widths: int) -> None:
        for width in widths:
            resize(page, width)
            note(f"{where} at {width}", [("1.4.10", one) for one in ask(page, "wider")])

    ready(page)
    turn(page, "light")
    note_width("folded", 390, 768, 1440)
    if in_dark:
        note("at 1440", axe_faults(page))
        turn(page, "dark")
        if AT_FULL_SIZE:  # what shows here shows below too, beside what is unfolded
            note("dark at 1440", axe_faults(page, RULES_FOR_DARK))
    ask(page, "unfold")
    note_width("unfolded", 1440, 768, 320, 390)
    if in_dark:  # before the link to the content shows, which covers others while it has the focus
        note("dark at 390", axe_faults(page, RULES_FOR_DARK))
    page.keyboard.press("Tab")  # from now on the focus is shown
    if in_dark:
        note("dark", [("1.4.11", one) for one in ask(page, "faint")])
        turn(page, "light")
    note("light", [("1.4.11", one) for one in ask(page, "faint")])
    note("at 390", axe_faults(page))
    resize(page, 320)
    note("at 320", [("1.4.10", one) for one in ask(page, "lostInHeader")])
    resize(page, 390)
    note("", [("2.4.3", one) for one in ask(page, "outOfOrder")])
    note("at 390", ask(page, "focusing"))
    note("at 390", [("1.4.12", one) for one in ask(page, "spacing")])
    resize(page, 1440)
    return found


def forget_refusals(console: list[str]) -> None:
    """A 400 writes one line to the console of every browser. It is not ours."""
    console[:] = [line for line in console if "400 (Bad Request)" not in line]
