"""The form of log lines: readable text on a terminal, one JSON object per line elsewhere.

A request's path, header or user name may hold any characters. None of them can end a line, pass for
a field or another record, or reach a terminal as a control sequence.
"""

import json
import logging
import re
import time
from typing import Any

from django.apps import apps
from django.utils.translation import override

# Attributes of every record. Any other attribute was given as ``extra`` and belongs in the line.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_UNWANTED = frozenset({"request", "server_time", "status_code"})
# Control characters, every line end of Unicode, characters that reverse the direction of text, and
# lone surrogates, which cannot be written at all.
_UNSAFE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
# Text in a message that would look like the start of the fields.
_BEGINS_FIELDS = re.compile(r"\[(?=\w+=)")
_PLAIN_VALUE = re.compile(r"[^\s\"\\\[\]=]+")


def _escaped(text: str) -> str:
    """The text with unsafe characters as ``\\uXXXX``, which JSON reads as those characters."""
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    return {
        name: value
        for name, value in vars(record).items()
        if name not in _STANDARD and name not in _UNWANTED
    }


class _UtcFormatter(logging.Formatter):
    """Writes in English, whatever the language of the request that a record is about."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def format(self, record: logging.LogRecord) -> str:
        if not apps.ready:  # nothing can be translated yet
            return self._written(record)
        with override(None):
            return self._written(record)

    def _written(self, record: logging.LogRecord) -> str:
        return super().format(record)


class TextFormatter(_UtcFormatter):
    """``time level message [name=value …]``; a traceback follows, indented by four spaces."""

    def _written(self, record: logging.LogRecord) -> str:
        extras = " ".join(f"{name}={self._value(value)}" for name, value in _extras(record).items())
        message = _BEGINS_FIELDS.sub(r"\\u005b", record.getMessage())
        line = f"{self.formatTime(record)} {record.levelname.lower()} {message}"
        if extras:
            line += f" [{extras}]"
        lines = [line]
        if record.exc_info:
            # An exception's text may contain line ends of a request, so split at "\n" only and
            # escape the others.
            lines += ["    " + below for below in self.formatException(record.exc_info).split("\n")]
        return "\n".join(map(_escaped, lines))

    @staticmethod
    def _value(value: object) -> str:
        text = str(value)
        return text if _PLAIN_VALUE.fullmatch(text) else json.dumps(text, ensure_ascii=False)


class JsonFormatter(_UtcFormatter):
    def _written(self, record: logging.LogRecord) -> str:
        entry = {
            "time": self.formatTime(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_extras(record),
        }
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return _escaped(json.dumps(entry, default=str, ensure_ascii=False))


def logging_configuration(style: str) -> dict[str, Any]:
    """A ``dictConfig`` that sends everything to stderr, as ``text`` or ``json``."""
    formatter = JsonFormatter if style == "json" else TextFormatter
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"one_line": {"()": "executions.database.problems.OneLinePerProblem"}},
        "formatters": {"line": {"()": formatter}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "line",
                # The filter sits here for django.security, which has one logger for each kind of
                # mistake.
                "filters": ["one_line"],
            },
            "nowhere": {"class": "logging.NullHandler"},
        },
        "root": {"handlers": ["stderr"], "level": "INFO"},
        "loggers": {
            "django": {"level": "INFO"},
            "django.request": {"filters": ["one_line"]},
            # The pool warns every few seconds while a database is away. The pages say it already.
            "psycopg.pool": {"level": "ERROR"},
            # Their lines contain addresses with secrets. `executions/alarms/` says what is safe.
            **{
                name: {"level": "WARNING", "handlers": ["nowhere"], "propagate": False}
                for name in ("apprise", "urllib3")
            },
        },
    }


def gunicorn_configuration(style: str) -> dict[str, Any]:
    """The same for gunicorn's own lines, which otherwise stay text. No line for each request.

    Django's configuration follows in each process that serves, and leaves these two loggers alone.
    """
    configured = logging_configuration(style)
    del configured["filters"], configured["handlers"]["stderr"]["filters"]
    configured["loggers"] = {
        "gunicorn.error": {"level": "INFO", "handlers": [], "propagate": True},
        "gunicorn.access": {"level": "WARNING", "handlers": [], "propagate": True},
    }
    return configured
