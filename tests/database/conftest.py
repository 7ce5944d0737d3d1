"""Shared by the database tests."""

from __future__ import annotations

from tests.scheduling import reach

__all__ = ["reach"]
