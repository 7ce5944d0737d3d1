"""PURE: the kind of trouble of each SQLSTATE (PostgreSQL's manual, appendix A).

`troubles.py` has the kinds.
"""

from collections.abc import Mapping

from executions.database.troubles import UNKNOWN

# The longest prefix of a SQLSTATE in this table decides.
_BY_SQLSTATE: Mapping[str, str] = {
    "08": "lost",
    "22": "value",
    "23": "conflict",
    "23505": "taken",
    "25006": "read_only",
    "25P02": UNKNOWN,
    "25P03": "ended",
    "25P04": "ended",
    "28": "not_let_in",
    "3D000": "no_database",
    "3F000": "schema",
    "40": "busy",
    "42501": "rights",
    "42703": "schema",
    "42883": "schema",
    "42P01": "schema",
    "53": "resources",
    "53300": "connections",
    "55P03": "locked",
    "57014": "timeout",
    "57P": "ended",
    "57P03": "not_ready",
    "58030": "resources",
    "XX001": "damaged",
    "XX002": "damaged",
}
# The meaning of a SQLSTATE with which the server refuses a connection, if it differs.
_AT_CONNECT: Mapping[str, str] = {
    "22": "setting",
    "42501": "no_connect_right",
    "42704": "setting",
    "55000": "closed_database",
}


def kind_of(sqlstate: str, *, at_connect: bool = False) -> str:
    """The kind of trouble of a SQLSTATE; ``unknown`` if no prefix matches."""
    for length in (5, 3, 2):
        beginning = sqlstate[:length]
        if at_connect and beginning in _AT_CONNECT:
            return _AT_CONNECT[beginning]
        if beginning in _BY_SQLSTATE:
            return _BY_SQLSTATE[beginning]
    return UNKNOWN
