"""The language of a terminal, and texts that may be needed before Django can translate.

Pages have the language of the browser, and alarms that of ``ALERT_LANGUAGE``.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.apps import apps
from django.utils.functional import lazy
from django.utils.translation import get_supported_language_variant, gettext, to_language

# Each in its own name, so that people find theirs. The first one without a wish of the browser.
LANGUAGES = [("en", "English"), ("zh-hans", "简体中文")]
LOCALE_PATHS = [Path(__file__).resolve().parent.parent / "locale"]

# In this order, the first that is set counts: POSIX, "Environment Variables", 8.2.
_VARIABLES = ("LC_ALL", "LC_MESSAGES", "LANG")


def language_of(environment: Mapping[str, str], default: str) -> str:
    """The language that ``LC_ALL`` or ``LANG`` names, such as "zh-hans" for ``zh_CN.UTF-8``.

    Any Chinese, ``zh_TW`` too, gets the Chinese that there is, as Django gives it to a browser. The
    default if there is no translation.
    """
    named = next(filter(None, (environment.get(name, "") for name in _VARIABLES)), "")
    code = named.partition(".")[0].partition("@")[0]
    try:
        return get_supported_language_variant(to_language(code))
    except LookupError:
        return default


def _translated(text: str, **values: Any) -> str:
    return (gettext(text) if apps.ready else text) % values


# ``later("is %(value)r; it must be on or off.", value="maybe")``: a text that is translated when it
# is shown. While the settings are read Django cannot translate, and the text is in English.
later = lazy(_translated, str)
