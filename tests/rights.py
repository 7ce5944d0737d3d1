"""The rights of the dashboard's role in the tests: what `manage.py permissions` prints, no more."""

from __future__ import annotations

from executions.demo.stage import let_read

__all__ = ["let_read"]
