"""The language of a terminal, for the commands: what its environment asks for.

Pages have the language of the browser, and alarms that of ``ALERT_LANGUAGE``.
"""

from collections.abc import Mapping

from django.utils.translation import get_supported_language_variant, to_language

# In this order, the first that is set counts: POSIX, "Environment Variables", 8.2.
_VARIABLES = ("LC_ALL", "LC_MESSAGES", "LANG")


def language_of(environment: Mapping[str, str], default: str) -> str:
    """The language that ``LC_ALL`` or ``LANG`` names, such as "zh-hans" for ``zh_CN.UTF-8``.

    The default if they name none that there is a translation into.
    """
    named = next(filter(None, (environment.get(name, "") for name in _VARIABLES)), "")
    code = named.partition(".")[0].partition("@")[0]
    try:
        return get_supported_language_variant(to_language(code))
    except LookupError:
        return default
