"""Reads Multica's tables through ``multica`` and never migrates them; ours live in ``default``."""

from typing import Any

from django.db.models import Model

MULTICA_ALIAS = "multica"


def is_multicas(model: type[Model] | None) -> bool:
    return bool(getattr(model, "multica_side", False))


class MulticaRouter:
    """Allows no relations between the two sides, because they may be two servers."""

    def db_for_read(self, model: type[Model], **hints: Any) -> str:
        return MULTICA_ALIAS if is_multicas(model) else "default"

    db_for_write = db_for_read

    def allow_relation(self, one: Model, other: Model, **hints: Any) -> bool:
        return is_multicas(type(one)) == is_multicas(type(other))

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        return db == "default" and not is_multicas(hints.get("model"))
