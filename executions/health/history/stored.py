"""PURE: sentences and findings as JSON, so that each reader gets them in a language of their own.

What is stored is the untranslated template with its values. A template that a later version no
longer has is shown as it was written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import (
    gettext,
    gettext_lazy,
    ngettext,
    ngettext_lazy,
    pgettext,
    pgettext_lazy,
)

from executions.health.assessment import plain
from executions.health.findings import Finding
from executions.health.findings.base import Severity
from executions.text.sentences import Ago, At, Paragraph, Sentence, Text, Value, sentences_of

Json = dict[str, Any]


@dataclass(frozen=True)
class StoredFinding:
    """A finding as it was. Its ``code`` may be one that this version no longer has."""

    code: str
    severity: Severity
    summary: Text
    advice: Text
    evidence: Mapping[str, object]
    explains: tuple[StoredFinding, ...] = ()


# --- Into JSON ----------------------------------------------------------------------------------


def text_to_json(text: Text) -> list[Json]:
    """A text as a list of its sentences."""
    return [_sentence_to_json(one) for one in sentences_of(text)]


def finding_to_json(finding: Finding) -> Json:
    return {
        "code": str(finding.code),
        "severity": finding.severity.word,
        "summary": text_to_json(finding.summary),
        "advice": text_to_json(finding.advice),
        "evidence": plain(finding.evidence),
        "explains": [finding_to_json(one) for one in finding.explains],
    }


def _sentence_to_json(sentence: Sentence) -> Json:
    values = {name: _value_to_json(value) for name, value in sentence.values.items()}
    return {"template": _template_to_json(sentence.template), "values": values}


def _template_to_json(template: Promise | str) -> Json | str:
    """The template as the source code has it, without a translation.

    Pickle's protocol is the only public way to what a lazy text will look up.
    """
    if not isinstance(template, Promise):
        return template
    reduced = template.__reduce__()
    arguments: Any = reduced[1] if isinstance(reduced, tuple) else ()
    asked = arguments[0] if arguments else None
    if asked is gettext:
        return {"one": arguments[1][0]}
    if asked is pgettext:
        context, message = arguments[1]
        return {"context": context, "one": message}
    if asked is ngettext:
        _function, _class, number, forms = arguments
        if not isinstance(forms, dict):  # the number itself is given, not the name of a value
            forms, number = number, number["number"]
        return {"one": forms["singular"], "many": forms["plural"], "number": number}
    return str(template)


def _value_to_json(value: Value) -> Any:
    if isinstance(value, At):
        return {"at": value.value.isoformat(), "now": value.now.isoformat()}
    if isinstance(value, Ago):
        return {"ago": value.value.isoformat(), "now": value.now.isoformat()}
    if isinstance(value, timedelta):
        return {"seconds": value.total_seconds()}
    if isinstance(value, Sentence | Paragraph):
        return {"sentences": text_to_json(value)}
    if isinstance(value, Promise):
        return {"text": _template_to_json(value)}
    return value


# --- And back -----------------------------------------------------------------------------------


def text_from_json(stored: Sequence[Json]) -> Paragraph:
    return Paragraph(tuple(_sentence_from_json(one) for one in stored))


def finding_from_json(stored: Json) -> StoredFinding:
    return StoredFinding(
        code=stored["code"],
        severity=Severity[stored["severity"].upper()],
        summary=text_from_json(stored["summary"]),
        advice=text_from_json(stored["advice"]),
        evidence=stored["evidence"],
        explains=tuple(finding_from_json(one) for one in stored["explains"]),
    )


def _sentence_from_json(stored: Json) -> Sentence:
    values = {name: _value_from_json(value) for name, value in stored["values"].items()}
    return Sentence(_template_from_json(stored["template"]), values)


def _template_from_json(stored: Json | str) -> Promise | str:
    if isinstance(stored, str):
        return stored
    if "context" in stored:
        return pgettext_lazy(stored["context"], stored["one"])
    if "many" in stored:
        return ngettext_lazy(stored["one"], stored["many"], stored["number"])
    return gettext_lazy(stored["one"])


def _value_from_json(stored: Any) -> Value:
    if not isinstance(stored, dict):
        known: str | int = stored
        return known
    if "at" in stored:
        return At(_moment(stored["at"]), _moment(stored["now"]))
    if "ago" in stored:
        return Ago(_moment(stored["ago"]), _moment(stored["now"]))
    if "seconds" in stored:
        return timedelta(seconds=stored["seconds"])
    if "sentence" in stored or "sentences" in stored:  # rows of older versions have one
        return text_from_json(stored.get("sentences") or [stored["sentence"]])
    return _template_from_json(stored["text"])


def _moment(written: str) -> datetime:
    return datetime.fromisoformat(written)
