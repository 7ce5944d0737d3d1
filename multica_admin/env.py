"""Reads settings from the environment, and refuses a bad value in one sentence.

It knows how to read a variable, not which variables exist.
"""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from multica_admin.language import later

_SPAN = re.compile(r"([0-9]{1,6})(s|m|h|d|)", re.ASCII)
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://.", re.ASCII)
_BETWEEN_URLS = re.compile(r"\s+|,\s*(?=[A-Za-z][A-Za-z0-9+.-]*://)|,\s*$", re.ASCII)

TRUE = frozenset({"1", "on", "true", "yes"})
FALSE = frozenset({"0", "off", "false", "no"})
# How a setting names whoever connects by a unix socket.
UNIX = "unix"
# A shorter token can be guessed.
SHORTEST_TOKEN = 16


class BadSetting(ImproperlyConfigured):
    """A variable has an unusable value. The text is one sentence for the operator.

    ``problem`` is made by `later`, so that the sentence has the language of whoever reads it.
    """

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(name, problem)
        self.name = name
        self._problem = problem

    def __str__(self) -> str:
        return f"{self.name} {self._problem}"


class Environment:
    """A mapping of variables with one reader per type. An empty value counts as unset."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables

    def text(self, name: str, default: str = "") -> str:
        return self._variables.get(name, "").strip() or default

    def secret(self, name: str, default: str = "") -> str:
        """The value of ``name``, or the contents of the file that ``name_FILE`` points to.

        Raises:
            BadSetting: both are set, or the file cannot be read or is empty.
        """
        path = self.text(f"{name}_FILE")
        if not path:
            return self.text(name, default)
        if self.text(name):
            raise BadSetting(
                name, later("and %(other)s are both set; keep one of them.", other=f"{name}_FILE")
            )
        try:
            value = Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            problem = later(
                "names %(path)s, which cannot be read: %(why)s.", path=path, why=error.strerror
            )
            raise BadSetting(f"{name}_FILE", problem) from None
        except UnicodeDecodeError:
            problem = later("names %(path)s, which is not UTF-8 text.", path=path)
            raise BadSetting(f"{name}_FILE", problem) from None
        if not value:
            raise BadSetting(f"{name}_FILE", later("names %(path)s, which is empty.", path=path))
        return value

    def token(self, name: str) -> str:
        """A secret that a monitor sends in a header; empty if it is not set.

        Raises:
            BadSetting: as `secret`, or the token can be guessed or is unfit for a header.
        """
        value = self.secret(name)
        if not value:
            return ""
        if len(value) < SHORTEST_TOKEN or not value.isascii() or not value.isprintable():
            raise BadSetting(
                name,
                later(
                    "must be at least %(least)s printable ASCII characters, such as the output of"
                    " “openssl rand -hex 32”.",
                    least=SHORTEST_TOKEN,
                ),
            )
        return value

    def choice(self, name: str, allowed: Iterable[str], default: str) -> str:
        options = tuple(allowed)
        value = self.text(name, default).lower()
        if value not in options:
            raise BadSetting(
                name,
                later(
                    "is %(value)r; it must be one of %(options)s.",
                    value=value,
                    options=" / ".join(options),
                ),
            )
        return value

    def boolean(self, name: str, default: bool) -> bool:
        value = self.text(name).lower()
        if not value:
            return default
        if value in TRUE:
            return True
        if value in FALSE:
            return False
        raise BadSetting(name, later("is %(value)r; it must be on or off.", value=value))

    def integer(self, name: str, default: int, *, minimum: int, maximum: int) -> int:
        value = self.text(name)
        if not value:
            return default
        # Python refuses to convert thousands of digits, so their number is checked first.
        readable = value.isascii() and value.isdigit() and len(value) <= len(str(maximum))
        if not readable or not minimum <= int(value) <= maximum:
            raise BadSetting(
                name,
                later(
                    "is %(value)r; it must be a whole number from %(least)s to %(most)s.",
                    value=value,
                    least=minimum,
                    most=maximum,
                ),
            )
        return int(value)

    def span(self, name: str, default: int, *, minimum: int, maximum: int) -> int:
        """A time in seconds, from a text such as "90", "90s", "2m", "1h" or "3d"."""
        value = self.text(name)
        found = _SPAN.fullmatch(value)
        seconds = int(found[1]) * _UNITS[found[2]] if found else None
        if not value:
            return default
        if seconds is None or not minimum <= seconds <= maximum:
            raise BadSetting(
                name,
                later(
                    "is %(value)r; it must be a time from %(least)s to %(most)s seconds, such as"
                    " 90s or 2m.",
                    value=value,
                    least=minimum,
                    most=maximum,
                ),
            )
        return seconds

    def urls(self, name: str, schemes: Iterable[str] = ()) -> tuple[str, ...]:
        """Secret addresses, separated by white space or by commas before the next ``scheme://``.

        Raises:
            BadSetting: as `secret`, or a text is no URL; it names its position, not the text.
        """
        given = [part for part in _BETWEEN_URLS.split(self.secret(name)) if part]
        for position, part in enumerate(given, 1):
            found = _SCHEME.match(part)
            if found is None or (schemes and found[1].lower() not in schemes):
                raise BadSetting(name, _no_url(position, schemes))
        return tuple(given)

    def url(self, name: str, schemes: Iterable[str] = ()) -> str:
        """One secret address; empty if it is not set.

        Raises:
            BadSetting: as `urls`, or there are several.
        """
        given = self.urls(name, schemes)
        if len(given) > 1:
            raise BadSetting(name, later("has %(count)s URLs; it must be one.", count=len(given)))
        return given[0] if given else ""

    def proxies(self, name: str) -> list[str]:
        """Addresses, CIDR networks and the word ``unix``, separated by commas."""
        given = [part.strip() for part in self.text(name).split(",") if part.strip()]
        for part in given:
            try:
                if part != UNIX:
                    ipaddress.ip_network(part)
            except ValueError:
                raise BadSetting(
                    name,
                    later(
                        "has %(part)r; it must be addresses or networks, such as 10.0.0.0/8, or"
                        " unix for a proxy that connects by a unix socket.",
                        part=part,
                    ),
                ) from None
        return given


def _no_url(position: int, schemes: Iterable[str]) -> str:
    given = " / ".join(f"{one}://" for one in schemes)
    if given:
        return later(
            "has no URL with %(scheme)s at position %(position)s.", scheme=given, position=position
        )
    return later(
        "has no URL with a scheme such as mailto:// at position %(position)s.", position=position
    )
