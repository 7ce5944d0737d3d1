"""Durations as people write them on a command line: ``30s``, ``500ms``, ``1m30s``, ``2h``."""

import re
from argparse import ArgumentTypeError
from datetime import timedelta

from django.utils.translation import gettext as _

_UNITS = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours"}
_PART = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)(ms|s|m|h)")


def parse_duration(text: str) -> timedelta:
    """The type of an option that takes a duration; a bare 0 means zero.

    Raises:
        ArgumentTypeError: the text has another form, or is longer than a day.
    """
    parts = _PART.findall(text)
    if text != "0" and (not parts or "".join(number + unit for number, unit in parts) != text):
        raise ArgumentTypeError(
            _("%(text)r is no duration; write it like 30s, 500ms or 1m30s") % {"text": text}
        )
    whole = sum((timedelta(**{_UNITS[unit]: float(n)}) for n, unit in parts), timedelta())
    if whole > timedelta(days=1):
        raise ArgumentTypeError(_("%(text)s is longer than a day") % {"text": text})
    return whole
