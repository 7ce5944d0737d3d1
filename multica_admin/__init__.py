"""How the Multica Admin project starts. ``executions`` has what it does."""

__version__ = "0.1.0"
