"""Django's own `makemessages`, which also collects the texts of `say` and `say_counted`."""

from django.core.management.commands import makemessages


class Command(makemessages.Command):
    """``say(text)`` has its text first, ``say_counted(n, one, many)`` has two after the number."""

    xgettext_options = [
        *makemessages.Command.xgettext_options,
        "--keyword=say",
        "--keyword=say_counted:2,3",
    ]
