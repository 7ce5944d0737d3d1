"""Evidence in words: every kind of value has a form, and nothing is said twice."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

from django.utils.translation import override

from executions.health.facts.pg_cron import Match, Visibility
from executions.health.findings import Finding, FindingCode, Severity
from executions.health.ledger import PlanOutcome
from executions.pages.overview.evidence import Value, label, lines, worded
from executions.text.sentences import say
from tests.pictures import NOW

# Codes that are plain words already.
ENGLISH_WORDS = frozenset({"kept", "failed", "running", "stale", "missing"})


def finding(**evidence) -> Finding:
    return Finding(FindingCode.LATEST_STALE, Severity.INFO, say("s"), say("a"), NOW, evidence)


def test_each_kind_of_value_has_its_form():
    shown = lines(finding(watermark_at=NOW, waited_seconds=90.0, count=3, pid=4711, user="ada"))
    assert [(line.label, line.value) for line in shown] == [
        ("Watermark", Value("time", NOW)),
        ("Waited", Value("span", 90.0)),
        ("Count", Value("count", 3)),
        ("Process of the server", Value("text", 4711)),
        ("Role", Value("text", "ada")),
    ]


def test_executions_are_lines_that_lead_to_them_and_other_rows_are_pairs():
    row = {"id": str(uuid4()), "plan_time": NOW}
    executions, gaps, holder = lines(
        finding(
            executions=[row], gaps=[{"first": NOW, "last": NOW + timedelta(1)}], latest={"pid": 1}
        )
    )
    assert executions.executions == [row]
    assert gaps.rows == [
        [("First", Value("time", NOW)), ("Last", Value("time", NOW + timedelta(1)))]
    ]
    assert holder.label == "latest"
    assert holder.rows == [[("Process of the server", Value("text", 1))]]


def test_what_is_empty_or_said_in_the_sentences_is_left_out():
    assert lines(finding(reason="r", remedy="r", executions=[], user=None, database="")) == []


def test_codes_are_listed_in_words():
    (line,) = lines(finding(what=["state", "executions"]))
    assert line.value == Value("text", "how far the rollup has come, the history of runs")
    with override("zh-hans"):
        (line,) = lines(finding(what=["state", "executions"]))
        assert line.value == Value("text", "用量汇总的进度、运行历史")


def test_no_code_stays_a_code():
    """Each value that a page may get under these names has its words, in both languages."""
    told = {"match": Match, "visibility": Visibility, "kind": PlanOutcome, "findings": FindingCode}
    for language in ("en", "zh-hans"):
        with override(language):
            for name, codes in told.items():
                assert [code for code in codes if worded(name, code) == code.value] == [
                    code for code in codes if language == "en" and code.value in ENGLISH_WORDS
                ]
            assert worded("readable", True) == {"en": "yes", "zh-hans": "是"}[language]
            assert worded("state", "idle") != "idle"


def test_a_name_that_nobody_has_put_into_words_is_shown_as_it_is():
    assert label("something_new") == "something new"
