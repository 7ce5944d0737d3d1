"""A named query with its values written in, for a person to run by hand. Nothing here sends it."""

import re
from collections.abc import Mapping

from psycopg.sql import Literal

_PLACE = re.compile(r"%\((\w+)\)s|%%")


def written_out(statement: str, parameters: Mapping[str, object]) -> str:
    """The statement as psql takes it, each value as a literal.

    Raises:
        KeyError: a placeholder without a value.
    """

    def put(place: re.Match[str]) -> str:
        name = place.group(1)
        return "%" if name is None else Literal(parameters[name]).as_string(None)

    return f"{_PLACE.sub(put, statement).rstrip()};"
