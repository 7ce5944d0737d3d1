"""How log lines look: readable text on a terminal, one JSON object per line elsewhere."""

from __future__ import annotations

import json
import logging
import time
from typing import Any

# What every record has; anything else was given as ``extra`` and belongs into the line.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_UNWANTED = frozenset({"request", "server_time", "status_code"})


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    return {
        name: value
        for name, value in vars(record).items()
        if name not in _STANDARD and name not in _UNWANTED
    }


class _UtcFormatter(logging.Formatter):
    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"


class TextFormatter(_UtcFormatter):
    def format(self, record: logging.LogRecord) -> str:
        extras = " ".join(f"{name}={value}" for name, value in _extras(record).items())
        record.message = record.getMessage()
        line = f"{self.formatTime(record)} {record.levelname.lower()} {record.message}"
        if extras:
            line += f" [{extras}]"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(_UtcFormatter):
    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": self.formatTime(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_extras(record),
        }
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str, ensure_ascii=False)


def configuration(style: str) -> dict[str, Any]:
    """A ``dictConfig`` that sends everything to stderr, as ``text`` or ``json``."""
    formatter = JsonFormatter if style == "json" else TextFormatter
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"one_line": {"()": "executions.problems.OneLinePerProblem"}},
        "formatters": {"line": {"()": formatter}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "line",
                # Here for django.security, whose loggers are one for each kind of mistake.
                "filters": ["one_line"],
            }
        },
        "root": {"handlers": ["stderr"], "level": "INFO"},
        "loggers": {
            "django": {"level": "INFO"},
            "django.request": {"filters": ["one_line"]},
            # Pool warnings repeat every few seconds while a database is away; the pages say it.
            "psycopg.pool": {"level": "ERROR"},
        },
    }


def gunicorn_configuration(style: str) -> dict[str, Any]:
    """The same for gunicorn's own lines, which otherwise stay text, and nothing for each request.

    Django's configuration follows in each process that serves; it leaves these two loggers alone.
    """
    configured = configuration(style)
    del configured["filters"], configured["handlers"]["stderr"]["filters"]
    configured["loggers"] = {
        "gunicorn.error": {"level": "INFO", "handlers": [], "propagate": True},
        "gunicorn.access": {"level": "WARNING", "handlers": [], "propagate": True},
    }
    return configured
