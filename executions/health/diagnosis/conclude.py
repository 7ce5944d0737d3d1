"""PURE: the whole diagnosis from the facts of one moment, and its JSON form."""

from datetime import datetime

from django.utils.translation import gettext_lazy as _

from executions.health.assessment import Assessment, plain
from executions.health.diagnosis.causes import decide, without_a_look
from executions.health.diagnosis.look import (
    Answer,
    Cause,
    CauseCode,
    Diagnosis,
    Look,
    Question,
    Reply,
)
from executions.health.diagnosis.questions import QUESTIONS
from executions.health.explain.explanation import Step
from executions.health.facts.usage import UsageFacts
from executions.health.findings import Case
from executions.text.problem import Problem
from executions.text.sentences import say


def conclude(assessment: Assessment, usage: UsageFacts | Problem) -> Diagnosis:
    """The same facts give the same diagnosis."""
    facts = assessment.facts
    case = Case.of(facts)
    if case is None or isinstance(usage, Problem):
        reasons = [*facts.basics, *([usage] if isinstance(usage, Problem) else [])]
        cause = without_a_look(reasons)
        return Diagnosis(
            cause, (_is_it_multicas(_without_a_look(cause)),), facts.now, assessment.verdict.level
        )
    look = Look(assessment, usage, case)
    cause = decide(look)
    questions = (
        _is_it_multicas(_by_a_look(look, cause)),
        *(Question(code=code, text=text, **vars(ask(look))) for code, text, ask in QUESTIONS),
    )
    return Diagnosis(cause, questions, look.now, assessment.verdict.level)


_ANSWERS = {CauseCode.WRONG_DATABASE: Answer.NO, CauseCode.OTHER_SCHEMA: Answer.YES}


def _is_it_multicas(reply: Reply) -> Question:
    """The only question if the database could not be read."""
    return Question(code="right_database", text=_("Is this Multica's database?"), **vars(reply))


def _without_a_look(cause: Cause) -> Reply:
    return Reply(_ANSWERS.get(cause.code, Answer.UNKNOWN), cause.summary)


def _by_a_look(look: Look, cause: Cause) -> Reply:
    wrong = cause.code is CauseCode.WRONG_DATABASE
    name = look.case.ground.database
    template = (
        _("The database %(database)s has Multica's tables, but nothing in them.")
        if wrong
        else _("The database %(database)s has Multica's tables.")
    )
    return Reply(
        Answer.NO if wrong else Answer.YES,
        say(template, database=name),
        {"database": name, "role": look.case.ground.role},
        sql="SELECT current_database(), current_user;",
    )


def as_json(diagnosis: Diagnosis, clock: datetime) -> dict[str, object]:
    """The object of docs/interfaces.md. ``clock`` is used if the database's is not known."""
    cause = diagnosis.cause
    return {
        "cause": str(cause.code),
        "summary": str(cause.summary),
        "finding": str(cause.finding.code) if cause.finding else None,
        "verdict": str(diagnosis.verdict),
        "checked_at": plain(diagnosis.checked_at or clock),
        "questions": [_question(one) for one in diagnosis.questions],
        "next_step": {
            "summary": str(cause.next_step),
            "steps": [_step(one) for one in cause.steps],
        },
    }


def _question(one: Question) -> dict[str, object]:
    return {
        "code": one.code,
        "question": str(one.text),
        "answer": str(one.answer),
        "summary": str(one.summary),
        "evidence": plain(one.evidence),
        "sql": one.sql,
    }


def _step(step: Step) -> dict[str, object]:
    return {
        "summary": str(step.text),
        "commands": {str(place): command for place, command in step.commands.items()},
        "sql": step.statement.sql if step.statement else "",
    }
