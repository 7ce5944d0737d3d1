"""The project: how Multica Admin starts. What it does lives in ``executions``."""

__version__ = "0.1.0"
