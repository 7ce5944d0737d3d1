"""Which role the groups that a provider tells give. It asks nobody and changes nothing."""

from collections.abc import Mapping

from executions.accounts.roles import ADMINISTRATOR, OPERATOR, VIEWER
from multica_admin.ways import GroupRoles


def role_of(claims: Mapping[str, object], groups: GroupRoles) -> str | None:
    """The highest role that these claims give; None if they give none."""
    told = _told(claims, groups.claim)
    by_rank = (
        (ADMINISTRATOR, groups.administrator),
        (OPERATOR, groups.operator),
        (VIEWER, groups.viewer),
    )
    return next((role for role, names in by_rank if told & names), None)


def _told(claims: Mapping[str, object], claim: str) -> frozenset[str]:
    """The groups in the claim of that name, or below it if the name has dots."""
    value: object = claims.get(claim)
    if value is None:
        value = claims
        for step in claim.split("."):
            value = value.get(step) if isinstance(value, Mapping) else None
    if isinstance(value, str):
        return frozenset({value})
    if isinstance(value, list | tuple):
        return frozenset(one for one in value if isinstance(one, str))
    return frozenset()
