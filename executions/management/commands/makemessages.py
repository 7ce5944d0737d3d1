"""Django's own `makemessages`, which also collects the texts of `later`, `say` and `Term`."""

from django.core.management.base import CommandParser
from django.core.management.commands import makemessages


class Command(makemessages.Command):
    """``say(text)`` has its text first, ``say_counted(n, one, many)`` has two after the number.

    A catalog names files without lines, so that it changes only when a text does.
    """

    xgettext_options = [
        *makemessages.Command.xgettext_options,
        "--keyword=later",
        "--keyword=say",
        "--keyword=say_counted:2,3",
        "--keyword=Term:1",
    ]

    # A text that was changed has no translation. A guess by likeness is worse than none.
    msgmerge_options = [*makemessages.Command.msgmerge_options, "--no-fuzzy-matching"]

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.set_defaults(
            add_location="file", ignore_patterns=[".venv", "tests"], no_obsolete=True
        )
