"""PURE: a fact that could not be read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NotAvailable:
    """Why a fact is missing, and what would make it readable; both are whole sentences."""

    reason: str
    remedy: str
