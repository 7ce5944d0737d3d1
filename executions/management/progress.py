"""How a long command shows that it goes on: a line for each slice, and one before ten seconds pass.

On a terminal a bar is below the lines. Without one the lines are all there is.
"""

import threading
from collections.abc import Callable
from contextlib import ExitStack
from time import monotonic
from typing import IO, Self

from django.utils.translation import gettext as _
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

# So no ten seconds pass in silence.
EVERY_SECONDS = 8.0


class StillThere:
    """While it is entered, says again what is being done whenever nothing was said for a while.

    A thread of its own says it, because the command itself waits for the database meanwhile. So
    ``say`` must accept calls from another thread.
    """

    def __init__(
        self, say: Callable[[str], None], doing: str, every: float = EVERY_SECONDS
    ) -> None:
        self._say = say
        self._doing = doing
        self._every = every
        # Looked up here, because the thread does not know the command's language.
        self._still = _("Still %(doing)s, for %(seconds)s s now.")
        self._since = self._said = monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._repeat, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def doing(self, what: str) -> None:
        """From now on this is being done. Call it after each line that was said."""
        self._doing = what
        self._since = self._said = monotonic()

    def _repeat(self) -> None:
        while not self._over.wait(max(0.0, self._said + self._every - monotonic())):
            if monotonic() >= self._said + self._every:
                self._said = monotonic()
                seconds = f"{self._said - self._since:.0f}"
                self._say(self._still % {"doing": self._doing, "seconds": seconds})


class Slices(StillThere):
    """The progress through ``count`` slices."""

    def __init__(self, out: IO[str], count: int, every: float = EVERY_SECONDS) -> None:
        self._out = out
        self._console = Console(file=out, highlight=False)
        self._count = count
        self._number = 0
        self._open = ExitStack()
        super().__init__(self._line, _("beginning"), every)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            columns = (
                TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
                TimeElapsedColumn(),
            )  # fmt: skip
            self._bar = self._open.enter_context(Progress(*columns, console=self._console))
            self._bar.add_task("months", total=self._count)
        return super().__enter__()

    def __exit__(self, *raised: object) -> None:
        super().__exit__(*raised)
        self._open.close()

    def begin(self, name: str) -> None:
        """Work on the slice of that name begins."""
        self._number += 1
        told = {"month": name, "number": self._number, "of": self._count}
        self.doing(_("summing %(month)s, month %(number)s of %(of)s") % told)

    def end(self, line: str) -> None:
        """The slice is done; the line says what came of it."""
        self._line(line)
        if self._console.is_terminal:
            self._bar.advance(self._bar.task_ids[0])
        self.doing(_("resting before the next month"))

    def _line(self, line: str) -> None:
        if self._console.is_terminal:
            self._console.print(line)
        else:
            self._out.write(f"{line}\n")
            self._out.flush()
